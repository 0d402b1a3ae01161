"""Summarise a contract that a small model can't hold, then change one chunk of it and see what runs again.

    python examples/long_document/run.py [--contract chipmostechnologiesbermudaltd]

No key and no network: the language model runs on this machine.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

if not __package__:  # run as a script: the folder above is the one that holds the packages of the examples
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from contracts.cuad import contracts
from rich.console import Console
from support.local_llm import missing

from long_document.pipeline import NAME, SMOLLM2, Summary, cut, summarise
from replay import Replay, edit, replay
from router import Chunk, counted
from tracer import flush
from tracer.decisions import decision_in
from tracer.reading import open_reading
from tracer.recorder import catalogue

#: One of those that just don't fit, so that it takes no minutes.
CONTRACT = "chipmostechnologiesbermudaltd"
AMENDMENT = "Either party may terminate this Agreement upon ninety days written notice to the other party.\n\n"


def main() -> None:
    options = argparse.ArgumentParser(description="Summarise a contract that a small model can't hold.")
    known = {contract.id: contract for contract in contracts()}
    options.add_argument("--contract", choices=sorted(known), default=CONTRACT, metavar="ID")
    contract = known[options.parse_args().contract]
    console = Console(highlight=False, markup=False, width=120)
    if (reason := missing()) is not None:
        console.print(f"The language model can't run here ({reason}). Going on with the cautious writers alone.")
    elif SMOLLM2.url is not None:
        with console.status(f"starting {NAME} on this machine"):
            catalogue().make_reachable(SMOLLM2.url)
    size = counted(contract.text, NAME)
    console.print(f"{contract.title} (CUAD, CC-BY-4.0)")
    console.print(f"{size} tokens, counted by {size.by}; {NAME} has room for {SMOLLM2.context_tokens}.\n")
    with console.status("summarising"):
        done = summarise(contract.text)
    if not flush():
        sys.exit("the store does not keep up, so there is nothing to replay yet")
    show(console, done, contract.text)
    chunks = outside(contract.text)
    place = len(chunks) // 2
    with console.status("replaying with one chunk changed"):
        again = replay("latest", edit("cut", amended(chunks, place)), on_divergence="live")
    catalogue().stop()
    compare(console, again, place)


def outside(text: str) -> tuple[Chunk, ...]:
    """The chunks of a text; outside of a workflow nothing of it is recorded."""
    return cut(text)


def amended(chunks: tuple[Chunk, ...], place: int) -> tuple[Chunk, ...]:
    """The chunks, one of them with a sentence put before it."""
    return tuple(replace(chunk, text=AMENDMENT + chunk.text) if chunk.number == place else chunk for chunk in chunks)


def show(console: Console, done: Summary, text: str) -> None:
    with open_reading() as store:
        trace = store.trace(store.resolve("latest"))
    for step in trace.steps:
        decision = decision_in(step.tags) if step.name == "at_once" else None
        if decision is not None:
            console.print(f"In one go or in parts: {decision.chosen}; {decision.reason}")
    written = Counter(note.by for note in done.notes)
    console.print(f"{len(done.notes)} chunks, noted by {dict(written)}, brought together in {done.levels} levels.")
    console.print("The language model's sentences that broke a guardrail are not counted: another writer took over.\n")
    console.print(f"{done.text}\n\nIt cites:")
    for start, end in done.cites:
        console.print(f"  characters {start} to {end}: {' '.join(text[start:end].split())[:80]}…")


def compare(console: Console, again: Replay, place: int) -> None:
    """What ran again because of the one chunk, and what was served."""
    flush()
    with open_reading() as store:
        steps = store.trace(again.trace_id).steps
    console.print(f"\nThe same with chunk {place} changed: {again.live} calls ran, {again.served} were served.")
    for name in ("map", "reduce"):
        mine = [step for step in steps if step.name == name]
        ran = [str(step.tags.get("key")) for step in mine if step.origin == "live"]
        console.print(f"  {name}: {len(ran)} of {len(mine)} ran again, for chunks {', '.join(ran) or 'none'}")
    console.print(f"\nNext: playhead show {again.trace_id[:16]} | playhead ls | playhead ui")
    console.print("      playhead replay latest --fail map=cut_stream --on-divergence live")


if __name__ == "__main__":
    main()
