"""Read real contracts with five models in a row, and hold what comes of it against what lawyers marked.

    python examples/contracts/run.py [--contracts 24]

No key and no network: every model runs on this machine. Each contract is read by models that were trained on others.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if not __package__:  # run as a script: the folder above is the one that holds the packages of the examples
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.console import Console
from rich.table import Table
from support.local_llm import SLOTS, missing

from contracts import clause_check, figures
from contracts.cuad import CATEGORIES, FOLDS, Contract, contracts
from contracts.models import SMOLLM2
from contracts.pipeline import Review, review
from tracer import flush
from tracer.reading import open_reading
from tracer.recorder import catalogue, current_config
from tracer.stats.intervals import Share
from tracer.store import Filter

#: One read contract, with what lawyers marked in it.
Read = tuple[Contract, Review]


def main() -> None:
    options = argparse.ArgumentParser(description="Read real contracts with five models in a row.")
    options.add_argument("--contracts", type=int, default=len(contracts()), help="how many (default: %(default)s)")
    chosen = contracts()[: max(1, options.parse_args().contracts)]
    console = Console(highlight=False, width=120)
    console.print(f"{len(chosen)} contracts with the clauses that lawyers marked (CUAD, CC-BY-4.0).")
    warm_up(console)
    since_ns = time.time_ns()
    with console.status("reading"), ThreadPoolExecutor(SLOTS) as threads:
        for contract, failure in zip(chosen, threads.map(attempted, chosen), strict=True):
            if failure is not None:
                console.print(f"  {contract.id} failed: {failure}")
    catalogue().stop()
    show(console, recorded(chosen, since_ns), len(chosen))


def warm_up(console: Console) -> None:
    """Train and start the models, so that no contract's latency pays for it."""
    with console.status("training clause-lr and clause-check, three of each: one for each third of the contracts"):
        for fold in range(FOLDS):
            clause_check.trained(fold)
    if (reason := missing()) is not None:
        console.print(
            f"[yellow]The language model can't run here ({reason}).[/] Going on with the cautious ones alone."
        )
    elif SMOLLM2.url is not None:
        with console.status(f"starting {SMOLLM2.name} on this machine"):
            catalogue().make_reachable(SMOLLM2.url)


def attempted(contract: Contract) -> str | None:
    """Review one contract; gives what went wrong. Its trace has the rest."""
    try:
        review(contract.id, contract.text)
    except Exception as error:  # noqa: BLE001 - one contract that fails is told, and the others are read
        return f"{type(error).__name__}: {error}"
    return None


def recorded(chosen: tuple[Contract, ...], since_ns: int) -> list[Read]:
    """What the recorded traces say came of the contracts."""
    if not flush():
        sys.exit("the store does not keep up: half of the contracts would be half the truth")
    by_id = {contract.id: contract for contract in chosen}
    with open_reading() as store:
        rows = store.traces(Filter(workflow="review", since_ns=since_ns, replays=False), limit=len(chosen))
        roots = [store.trace(row.trace_id).root for row in rows if row.status == "completed"]
        reviews = [store.value(root.output) for root in roots if root is not None and root.output is not None]
    return [(by_id[read.contract], read) for read in reviews]


def show(console: Console, reads: list[Read], asked: int) -> None:
    if not reads:
        console.print("No contract was read to its end (or PLAYHEAD_ENABLED is off), so there are no figures.")
        return
    before = [(contract, (*read.clauses, *read.dropped)) for contract, read in reads]
    after = [(contract, read.clauses) for contract, read in reads]
    table = Table("clause", "precision", "recall", "precision", "recall", title="found by clause-lr, then checked")
    for name, categories in [*((each, (each,)) for each in CATEGORIES), ("all", CATEGORIES)]:
        scores = figures.score(before, categories), figures.score(after, categories)
        table.add_row(name, *(told(each) for score in scores for each in (score.precision, score.recall)))
    console.print(table)
    console.print("Held against the lawyers' labels, each contract by models trained on others; 95 % intervals below.")
    for name, side in (("clause-lr alone", before), ("and clause-check", after)):
        score = figures.score(side)
        console.print(f"  {name}: precision {interval(score.precision)}, recall {interval(score.recall)}")
    for who, right in figures.laws(reads).items():
        console.print(f"Governing law as {who} wrote it is the lawyers' answer: {told(right)}")
    wrote = figures.writers(read for _, read in reads)
    console.print(
        f"Summaries that held to the rules, by who wrote them: {dict(wrote)}. Nobody has labelled whether they"
    )
    console.print("are good, nor the risks: read some.")
    console.print(f"\n{len(reads)} of {asked} contracts were read to their end: {current_config().home / 'reviews'}")
    console.print(
        "Next: playhead show latest | playhead faults latest | playhead stats --workflow review | playhead ui"
    )
    console.print(
        "      playhead replay latest --fail summarise=timeout --on-divergence live    # what if it were slow"
    )


def told(share: Share) -> str:
    return "-" if share.value is None else f"{share.value:.0%} ({share.count}/{share.of})"


def interval(share: Share) -> str:
    return f"{told(share)}, {share.low:.0%} to {share.high:.0%}"


if __name__ == "__main__":
    main()
