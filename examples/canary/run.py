"""Roll a canary out behind a provider that limits it, and see it taken back by itself.

    python examples/canary/run.py [--requests 600] [--per-second 40] [--share 25] [--limit 3]

No key and no network: a server on 127.0.0.1 answers with two real classifiers, and refuses the canary's requests beyond
``--limit`` a second. Records into the configured store (``.playhead``).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Sequence

if not __package__:  # run as a script: the folder above is the one that holds the packages of the examples
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.console import Console
from rich.table import Table

import tracer
from canary.classifiers import CANARY, MODELS, PRODUCTION
from canary.provider import Bucket, Provider
from canary.rollout import Sent, Ticket, roll_out, tickets
from replay import Replay, fail, replay
from router import Registry
from router.registry import Change
from tracer.cli import main as playhead
from tracer.decisions import TRY, decision_in
from tracer.reading import open_reading
from tracer.store import Filter

BURST = 5
#: A change of a role is in force within a second; a machine that is busy may take longer.
IN_FORCE_S = 20.0

console = Console(highlight=False, width=120, soft_wrap=True)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--requests", type=int, default=600)
    options.add_argument("--per-second", type=float, default=40.0)
    options.add_argument("--share", type=float, default=25.0)
    options.add_argument("--limit", type=float, default=3.0)
    told = options.parse_args()
    asked, began_ns = tickets(), time.time_ns()
    alone = {name: sum(guess(each.text)[0] == each.label for each in asked) for name, guess in MODELS.items()}
    with Provider({CANARY: Bucket(told.limit, BURST)}) as provider:
        os.environ["MODEL_URL"] = provider.url
        begin(told.share)
        sent = roll_out(asked, told.requests, told.per_second)
        if not tracer.flush(timeout_s=120):
            sys.exit("the store does not keep up: half a rollout would be half the truth")
        show(sent, asked, alone, provider)
        commands(("roles", "history", "classify"), ("breakers",), ("stats", "--compare", "arm:classify"))
    again = replayed(began_ns)
    tracer.shutdown()
    console.print("\n[bold]look further[/bold]")
    console.print("  playhead ls --search workflow:sort_ticket", "  playhead ui", sep="\n")
    if again is not None:
        console.print(f"  playhead diff {again.trace_id}")
    sys.exit(0 if taken_back(sent[0].at_ns) is not None else 1)


def begin(share: float) -> None:
    """Give the role to both, and wait until this process knows."""
    from canary.pipeline import ROLE, registry  # noqa: PLC0415 - it reads MODEL_URL

    registry.set(ROLE, production=PRODUCTION, canary=CANARY, share=share, because="it understands what is mistyped")
    until = time.monotonic() + IN_FORCE_S
    while (role := registry.role(ROLE)).canary is None or role.share != share:
        if time.monotonic() > until:
            sys.exit("the role is not in force: playhead doctor")
        time.sleep(0.05)


def taken_back(since_ns: int) -> Change | None:
    """The change by which the watch took the canary back, if it did."""
    with_history = Registry()
    changes = with_history.history("classify")
    with_history.close()
    return next((each for each in changes if each.verb == "rollback" and each.at_ns > since_ns), None)


def show(sent: Sequence[Sent], asked: Sequence[Ticket], alone: dict[str, int], provider: Provider) -> None:
    """What came of the tickets, of the limit and of the canary."""
    table = Table(title=f"{len(sent)} tickets, {len(asked)} different ones", title_justify="left")
    for name in ("model", "answered", "right", "right of all, alone", "requests answered", "refused (429)"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for model in (PRODUCTION, CANARY):
        mine = [each for each in sent if each.by == model]
        right = f"{sum(each.is_right for each in mine)} ({_share(sum(each.is_right for each in mine), len(mine))})"
        by_itself = f"{alone[model]} of {len(asked)} ({_share(alone[model], len(asked))})"
        row = (str(len(mine)), right, by_itself, provider.answered[model], provider.refused[model])
        table.add_row(model, *map(str, row))
    console.print(table)
    failed = [each for each in sent if each.error]
    slowest = max(sent, key=lambda each: each.took_s)
    console.print(f"not answered: {len(failed)}; the slowest answer took {slowest.took_s:.1f} s")
    change = taken_back(sent[0].at_ns)
    if change is None:
        console.print("the canary stayed")
        return
    before = [each for each in sent if each.at_ns < change.at_ns]
    late = sum(each.by == CANARY for each in sent if each.at_ns > change.at_ns)
    seconds = (change.at_ns - sent[0].at_ns) / 1e9
    console.print(f"taken back after {seconds:.1f} s and {len(before)} tickets: {change.because}")
    console.print(f"of {len(sent) - len(before)} tickets after that, the canary answered {late}: those it had in hand")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def commands(*each: tuple[str, ...]) -> None:
    for words in each:
        console.print(f"\n[bold]$ playhead {' '.join(words)}[/bold]")
        playhead(words, standalone_mode=False)


def replayed(since_ns: int) -> Replay | None:
    """Replay a ticket that the canary was refused for, with another fault in place of the refusals."""
    with open_reading() as store:
        rows = store.tagged(TRY, Filter(workflow="sort_ticket", since_ns=since_ns, replays=False))
    tries = Counter(row.trace_id for row in rows if row.tags[TRY]["target"] == CANARY and row.outcome == "failed")
    if not tries:
        console.print("\nno try at the canary failed: there is nothing to replay")
        return None
    (trace_id, _), *_ = tries.most_common(1)
    console.print(f"\n[bold]a ticket that the canary was refused for: playhead show {trace_id}[/bold]")
    say_decided(trace_id)
    fault = f"classify/{CANARY}/chat"
    again = replay(trace_id, fail(fault, "server_error"))
    tracer.flush()
    console.print("\n[bold]the same with a 500, which says nothing of when, in place of each refusal[/bold]")
    console.print(f"$ playhead replay {trace_id} --fail {fault}=server_error", markup=False)
    say_decided(again.trace_id)
    console.print(
        f"  {again.served} calls served from the record, {again.live} ran; waits of {again.virtual_s:.2f} s skipped"
    )
    console.print(f"  {again.output or again.stopped or again.error}", markup=False)
    return again


def say_decided(trace_id: str) -> None:
    """The tries of a trace and its decision, read back."""
    with open_reading() as store:
        trace = store.trace(trace_id)
    for step in trace.steps:
        if (told := step.tags.get(TRY)) is not None:
            waited = f", after {told['waited_s']:.2f} s" if "waited_s" in told else ""
            came = "answered" if step.failure is None else step.failure.message
            line = f"  try {told['number']}{waited}: {came}; breaker {told.get('breaker', '-')}; {told['verdict']}"
            console.print(line, markup=False)
        decided = decision_in(step.tags)
        if decided is not None and decided.policy == "fallback":
            line = f"{decided.attempts} tries, {decided.retries} retries, waited {decided.waited_s:.2f} s, "
            fell = f"fell back to {decided.chosen}" if decided.fell_back else f"answered by {decided.chosen}"
            console.print(f"  the {decided.arm}'s: {line}{fell}", markup=False)


if __name__ == "__main__":
    main()
