"""Two weeks of the support desk: cautious first, then with the threshold that its own traces recommend.

    python examples/support/run.py [--floor 0.95] [--human-usd 2] [--seed 1]

The tickets are real, and so are the people's answers: they are what those who labelled the data said of each.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

if not __package__:  # run as a script: the folder above is the one that holds the package ``support``
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.console import Console
from rich.rule import Rule as Line
from rich.text import Text

from replay import fail, replay
from replay.answering.inbox import answer, go_on
from router import Arm, Tuning, UnknownRole, Waiting, ask, tune
from router.tuning.applying import apply
from router.tuning.table import tuning_text
from support import desk, intent_lr, local_llm
from support.demo import WORKERS, Ticket
from support.models import INTENT_LR, SMOLLM2
from support.prompts import DATA, to_draft
from tracer import flush
from tracer import format as form
from tracer.decisions import decision_in
from tracer.model import Trace
from tracer.reading import open_reading
from tracer.recorder import catalogue
from tracer.stats.intervals import Share, apart, share
from tracer.stats.reading import stats_of
from tracer.stats.table import shown, stats_text
from tracer.store import Filter, Store

#: Where a desk begins that knows nothing of its classifier yet: nearly all of it goes to people.
CAUTIOUS = 0.8
FLOOR = 0.95
#: What an answer of a person costs, a few minutes of their time: an assumption, to be replaced by yours.
HUMAN_USD = 2.0
#: So many of a week's tickets are about none of our subjects.
OUTSIDE = 70
#: Percent of the second week in which the recommended threshold is in force.
SHARE = 50.0


@dataclass(frozen=True, slots=True)
class ByItself:
    """Of ``tickets`` with one arm's threshold: how many nobody was asked about, and in how many of those the
    classifier was wrong."""

    tickets: int
    alone: int
    wrong: int

    @property
    def asked(self) -> Share:
        return share(self.tickets - self.alone, self.tickets)

    @property
    def errors(self) -> Share:
        """Of all tickets, as a floor of quality counts."""
        return share(self.wrong, self.tickets)


def main() -> int:
    """Gives the exit code."""
    parser = argparse.ArgumentParser(description="Tune a support desk's threshold from its own traces.")
    parser.add_argument("--floor", type=float, default=FLOOR, help="how often it must be right (default: %(default)s)")
    parser.add_argument("--human-usd", type=float, default=HUMAN_USD, help="what a person's answer costs")
    parser.add_argument("--seed", type=int, default=1, help="the order in which the tickets come")
    parser.add_argument("--tickets", type=int, help="of each week, only so many")
    told = parser.parse_args()
    if importlib.util.find_spec("sklearn") is None:
        print('the desk needs scikit-learn: pip install "playhead[demo]"', file=sys.stderr)
        return 2
    run(Console(highlight=False, width=150), told)
    return 0


def run(console: Console, told: argparse.Namespace) -> None:
    """Both weeks, and what they tell."""
    first, second = (tickets[: told.tickets] for tickets in weeks(told.seed))
    warm_up(console)
    desk.ROLES.set(desk.ROLE, production=Arm(INTENT_LR.name, {"accept": CAUTIOUS}), because="nothing is known yet")
    in_force(CAUTIOUS)
    console.print(Line(f"The first week: sure from {CAUTIOUS:g} upwards", align="left"))
    since_ns = week(console, first)
    people(console, first, since_ns)
    console.print(Line("What its traces say of other thresholds", align="left"))
    tuned = tune("desk", "triage", scorer="label:intent", quality_floor=told.floor, human_usd=told.human_usd)
    console.print(tuning_text(tuned, scorer="label:intent"))
    if tuned.chosen is None:
        console.print("Nothing keeps that floor for sure, so nothing changes: more tickets, or a lower --floor.")
    else:
        try_out(console, tuned, second)
    one_late(console)
    what_next(console, told)
    catalogue().stop()
    desk.ROLES.close()


def weeks(seed: int) -> tuple[list[Ticket], list[Ticket]]:
    """Tickets that none of the models has seen; of the second week, none that the threshold was chosen by."""
    ours, later, outside = (read(name) for name in ("test.jsonl", "later.jsonl", "outside.jsonl"))
    both = [*ours, *outside[:OUTSIDE]], [*later, *outside[OUTSIDE : 2 * OUTSIDE]]
    for tickets in both:
        random.Random(seed).shuffle(tickets)
    return both


def read(name: str) -> list[Ticket]:
    rows = map(json.loads, (DATA / name).read_text(encoding="utf-8").splitlines())
    return [Ticket(row["text"], row["label"]) for row in rows]


def warm_up(console: Console) -> None:
    """Train and start the models outside of any ticket."""
    reason = local_llm.missing()
    if reason is not None:
        console.print(f"[yellow]The language model can't run here ({reason}).[/] Replies are all approved ones.")
    with console.status("Training the classifier, starting the language model"):
        intent_lr.guess("warm up")
        if reason is None:
            ask(SMOLLM2, to_draft("How do I change my PIN?", "change_pin"), desk.Draft, max_tokens=80)


def in_force(accept: float) -> None:
    """Wait until this process sees the role as it was just set, half a second at most."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            role = desk.ROLES.role(desk.ROLE)
        except UnknownRole:
            continue
        arm = role.canary or role.production
        if arm.settings["accept"] == accept:
            return
        time.sleep(0.05)
    raise SystemExit("the role as it was set is not in force: playhead doctor")


def week(console: Console, tickets: Sequence[Ticket]) -> int:
    """Record a week; gives when it began, in nanoseconds since 1970."""
    since_ns = time.time_ns()
    begun = time.monotonic()

    def one(numbered: tuple[int, Ticket]) -> str:
        number, ticket = numbered
        try:
            done = desk.desk(f"customer-{number}", ticket.text, ticket.label)
        except Waiting:
            return "waiting for a person"
        return f"answered by {done.handler}, written by {done.written_by}"

    with console.status("Tickets come in"), ThreadPoolExecutor(WORKERS) as threads:
        ends = list(threads.map(one, enumerate(tickets)))
    flush()
    outside = sum(ticket.label == desk.OUTSIDE for ticket in tickets)
    took = time.monotonic() - begun
    console.print(f"{len(tickets)} tickets, {outside} of them about none of our subjects, in {took:.0f} s:")
    for end in sorted(set(ends)):
        console.print(f"  {ends.count(end):4}  {end}")
    return since_ns


def people(console: Console, tickets: Sequence[Ticket], since_ns: int) -> None:
    """Answer all that waits, as those who labelled the data did; each run goes on from there."""
    labels = {ticket.text: ticket.label for ticket in tickets}
    with open_reading() as store, console.status("People answer"):
        asked = [(one, trace) for one, trace in waiting(store) if trace.summary.started_ns >= since_ns]
        for one, trace in asked:
            root = trace.root
            assert root is not None
            assert root.input is not None
            answer(store, one, labels[store.value(root.input)["ticket"]], by="the labels")
        ended = [go_on(one.trace_id) for one, _ in asked]
    flush()
    done = [each.output for each in ended if each is not None and isinstance(each.output, desk.Done)]
    outside = sum(each.handler == "outside" for each in done)
    console.print(
        f"A person decided {len(asked)}, {outside} of them for the front desk; {len(done)} went on to an answer."
    )


def waiting(store: Store) -> Iterator[tuple[Any, Trace]]:
    for one in store.escalations.pending():
        trace = store.trace(one.trace_id)
        if trace.summary.workflow == "desk":
            yield one, trace


def try_out(console: Console, tuned: Tuning, second: Sequence[Ticket]) -> None:
    """The recommended threshold as a canary on other tickets, and both arms beside each other."""
    assert tuned.chosen is not None
    accept = tuned.chosen.accept
    with open_reading() as store:
        apply(store, desk.ROLE, accept, share=SHARE)
    in_force(accept)
    console.print(Line(f"The second week, other tickets: half of them with {accept:.4g}", align="left"))
    since_ns = week(console, second)
    with open_reading() as store:
        found = Filter(workflow="desk", since_ns=since_ns)
        told = stats_of(store, found, compare=f"arm:{desk.ROLE}")
        console.print(stats_text(replace(told, compared=told.compared[:1])))  # by workflow there is but one
        sides = by_itself(store, since_ns)
    people(console, second, since_ns)
    if set(sides) == {"production", "canary"}:
        tell(console, sides, tuned)


def by_itself(store: Store, since_ns: int) -> dict[str, ByItself]:
    """What each arm did with the tickets that came in since then, told by decisions and labels in the traces."""
    found: dict[str, ByItself] = {}
    rows = store.traces(Filter(workflow="desk", since_ns=since_ns, replays=False), limit=10_000)
    for row in rows:
        if row.resume_of is not None:
            continue
        trace = store.trace(row.trace_id)
        pick = next(step for step in trace.steps if step.name == f"pick {desk.ROLE}")
        decision = decision_in(pick.tags)
        if decision is None or decision.arm is None:
            continue
        done = store.value(trace.root.output) if trace.root is not None and trace.root.output is not None else None
        label = next(note.value for step in trace.steps for note in step.notes if note.name == "intent")
        alone = isinstance(done, desk.Done) and row.status != "waiting"
        wrong = isinstance(done, desk.Done) and alone and done.intent != label
        so_far = found.get(decision.arm, ByItself(0, 0, 0))
        found[decision.arm] = ByItself(so_far.tickets + 1, so_far.alone + alone, so_far.wrong + wrong)
    return found


def tell(console: Console, sides: Mapping[str, ByItself], tuned: Tuning) -> None:
    """What the threshold changed, and whether the quality that was promised came."""
    before, after = sides["production"], sides["canary"]
    assert tuned.chosen is not None
    for name, side in (("cautious", before), ("recommended", after)):
        console.print(
            f"{name:>12}: a person was asked about {shown('', side.asked)} of {side.tickets} tickets, "
            f"and {side.wrong} were answered wrongly, {shown('', side.errors)}"
        )
    fewer = apart(before.asked, after.asked)
    console.print(f"  difference: {shown('', fewer)} of all tickets, that a person is asked about")
    promised = tuned.chosen.quality
    right = share(after.tickets - after.wrong, after.tickets)
    console.print(f"right: {shown('', promised)} were promised by the first week, {shown('', right)} came")


def one_late(console: Console) -> None:
    """A run whose reply a model wrote, again, with that model too late."""
    with open_reading() as store:
        rows = store.traces(Filter(workflow="desk", model=SMOLLM2.name, replays=False), limit=50)
        one = next((row for row in rows if row.status == "completed"), None)
    if one is None:
        return
    console.print(Line("One of them again, with the language model too late", align="left"))
    done = replay(one.trace_id, fail(f"write_reply/{SMOLLM2.name}", "timeout"))
    with open_reading() as store:
        step = next(step for step in store.trace(done.trace_id).steps if step.name == "write_reply")
    decision = decision_in(step.tags)
    if decision is not None:
        why = f"{decision.chosen} wrote it, after {decision.attempts} attempts: {decision.reason}"
        console.print(Text(why), f"The new trace is {form.short_id(done.trace_id)}; nothing was sent.")


def what_next(console: Console, told: argparse.Namespace) -> None:
    console.print(Line("Now you", align="left"))
    options = f"--floor {told.floor:g} --human-usd {told.human_usd:g}"
    for command in (
        f"playhead tune --workflow desk --step triage --scorer label:intent {options}",
        f"playhead stats --workflow desk --compare arm:{desk.ROLE}",
        f"playhead roles promote {desk.ROLE}",
        "playhead escalations --all",
        "playhead show latest",
        "playhead ui --open",
    ):
        console.print(f"  {command}")


if __name__ == "__main__":
    sys.exit(main())
