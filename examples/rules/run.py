"""Put questions of three kinds to three targets by rules, and count who got which and how often that was right.

python examples/rules/run.py [--questions 55]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from replay import fail, replay
from tracer import flush
from tracer.decisions import decision_in
from tracer.format import short_id
from tracer.messages import ChatRequest, Message
from tracer.model import Trace, TraceSummary
from tracer.reading import open_reading
from tracer.recorder import catalogue
from tracer.stats.intervals import share
from tracer.stats.table import shown
from tracer.store import Filter

HERE = Path(__file__).resolve().parent
KINDS = ("calculation", "banking", "word problem")


def questions() -> list[dict[str, str]]:
    return [json.loads(line) for line in (HERE / "data" / "questions.jsonl").read_text(encoding="utf-8").splitlines()]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--questions", type=int)
    asked = questions()[: options.parse_args().questions]
    console = Console(highlight=False, width=120)
    sys.path[:0] = [str(HERE), str(HERE.parent)]  # the models are those of the customer-support example
    import pipeline  # noqa: PLC0415 - it configures them

    before = {row.trace_id for row in traces()}
    with console.status("Training the classifier"):
        pipeline.INTENT_LR.call(ChatRequest(pipeline.INTENT_LR.name, (Message("user", "warm up"),)))
    # the language model's server answers two at a time
    with console.status("Asking"), ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda one: pipeline.route_question(one["text"], one["gold"]), asked))
    flush()
    with open_reading() as store:
        recorded = [store.trace(row.trace_id) for row in traces() if row.trace_id not in before]
        kinds = {one["text"]: one["kind"] for one in asked}
        kind_of = {trace.trace_id: kinds[store.value(trace.steps[0].input)["question"]] for trace in recorded}
    show(console, recorded, kind_of)
    react(console, recorded)
    console.print("\nNow you")
    for command in (
        "playhead show latest",
        "playhead stats --workflow route_question --by step",
        "playhead ls --search workflow:route_question",
        "playhead ui --open",
    ):
        console.print(f"  {command}")
    catalogue().stop()


def traces() -> list[TraceSummary]:
    with open_reading() as store:
        return store.traces(Filter(workflow="route_question", replays=False), limit=10_000)


def show(console: Console, recorded: list[Trace], kind_of: dict[str, str]) -> None:
    """A row for each kind of question and whom the rules chose for it, read back from the decisions and scores."""
    asked: Counter[tuple[str, str, str, str]] = Counter()
    right: Counter[tuple[str, str, str, str]] = Counter()
    for trace in recorded:
        told = {step.name: decision_in(step.tags) for step in trace.steps if step.kind == "router"}
        ruled, answered = told["rules"], told["answer"]
        assert ruled is not None
        assert answered is not None
        row = (kind_of[trace.trace_id], str(ruled.chosen), ruled.reason or "", str(answered.chosen))
        asked[row] += 1
        right[row] += any(note.name == "right" and note.value is True for step in trace.steps for note in step.notes)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("question", "the rules chose", "because", "who answered", "questions", "right"):
        table.add_column(name, justify="right" if name in {"questions", "right"} else "left")
    for row in sorted(asked, key=lambda row: (KINDS.index(row[0]), row)):
        table.add_row(*row, str(asked[row]), shown("", share(right[row], asked[row])))
    console.print(table)


def react(console: Console, recorded: list[Trace]) -> None:
    """A run of the calculator again, with the calculator failing: who answers then."""
    one = next((trace for trace in recorded if any(step.name == "calculator" for step in trace.steps)), None)
    if one is None:
        return
    done = replay(one.trace_id, fail("answer/calculator", "connection_reset"), on_divergence="live")
    with open_reading() as store:
        steps = store.trace(done.trace_id).steps
    decision = next(decision_in(step.tags) for step in steps if step.name == "answer")
    if decision is not None:
        console.print(f"\n{short_id(one.trace_id)} again, with the calculator failing: {decision.reason}")
        console.print(f"{decision.chosen} answers instead. The new trace is {short_id(done.trace_id)}.")


if __name__ == "__main__":
    main()
