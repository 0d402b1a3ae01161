"""The main job on real input: run the support system on real tickets, look at what failed, replay it, compare.

It is what ``playhead demo`` runs; as a script it takes ``--tickets`` and ``--seed``.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

if not __package__:  # run as a script: the folder above is the one that holds the package ``support``
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.rule import Rule as Line
from rich.table import Table
from rich.text import Text

from replay import Replay, replay, substitute
from replay.answering.inbox import answer, go_on
from replay.answering.question import question_of
from replay.cli_diff import diff_text
from router import Waiting
from support import intent_lr, local_llm
from support.figures import Figures, figures, ticket_of
from support.models import INTENT_LR, REPLY_TEMPLATES, SMOLLM2
from support.pipeline import CLASSIFIER, Outcome, classify, draft, outbox, support
from support.prompts import DATA
from tracer import flush
from tracer import format as form
from tracer.model import Trace, TraceSummary
from tracer.reading import open_reading
from tracer.recorder import catalogue
from tracer.render import tree
from tracer.store import Filter, Store

TICKETS = 40
#: No ticket is started after this many seconds, however slow the machine; what then still runs takes a few more.
BUDGET_S = 120.0
#: Even where starting the models took all of that, this much is left for tickets.
AT_LEAST_S = 15.0
#: The language model's server answers two at a time.
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Ticket:
    """A customer's message, and the intent that a person chose for it."""

    text: str
    label: str


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; gives the exit code."""
    told = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="playhead demo", description="Run the main job on real input.")
    parser.add_argument(
        "--tickets", type=int, default=TICKETS, metavar="N", help="how many tickets (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, help="draw the tickets by this seed; without one they come as they lie")
    options = parser.parse_args(told[1:] if told[:1] == ["demo"] else told)
    if importlib.util.find_spec("sklearn") is None:
        print('the demo needs scikit-learn: pip install "playhead[demo]"', file=sys.stderr)
        return 2
    run(Console(highlight=False), tickets=options.tickets, seed=options.seed)
    return 0


def run(console: Console, *, tickets: int = TICKETS, seed: int | None = None, budget_s: float = BUDGET_S) -> None:
    """Record tickets until they, or the seconds, are used up; then show, replay and compare one of the traces."""
    deadline = time.monotonic() + budget_s
    chosen = read_tickets(tickets, seed=seed)
    _introduce(console, chosen)
    _warm_up(console)
    since_ns = time.time_ns()
    started = _record(console, chosen, deadline=max(deadline, time.monotonic() + AT_LEAST_S))
    flush()
    with open_reading() as store:
        rows = store.traces(Filter(workflow="support", since_ns=since_ns, replays=False), limit=len(chosen))
        traces = [store.trace(row.trace_id) for row in reversed(rows)]
        labels = {ticket.text: ticket.label for ticket in chosen}
        _show(console, figures(traces, labels, store.value, classifier=CLASSIFIER.name), started, len(chosen))
        if not traces:
            console.print("Nothing was recorded (is PLAYHEAD_ENABLED off?), so there is nothing to replay.")
            return
        one = _worth_replaying(console, [trace.summary for trace in traces])
        console.print(tree(store.trace(one.trace_id), store.value))
        _replay_with_another_classifier(console, one)
        _replay_with_another_drafter(console, traces)
        _answer_one(console, traces, labels, store)
    catalogue().stop()
    _what_next(console, one)


def read_tickets(count: int, *, seed: int | None = None) -> list[Ticket]:
    """The first ``count`` tickets of the test split, or as many drawn by the seed."""
    rows = [json.loads(line) for line in (DATA / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    if seed is not None:
        random.Random(seed).shuffle(rows)
    return [Ticket(row["text"], row["label"]) for row in rows[: max(1, count)]]


def _introduce(console: Console, chosen: Sequence[Ticket]) -> None:
    console.print(Line("A customer-support system on real tickets", align="left"))
    console.print(
        f"{len(chosen)} messages that customers really sent to a bank (BANKING77, CC-BY-4.0). Each is classified, "
        f"answered, checked and sent, or put to a human. Sending appends a line to {_shown(outbox())}."
    )
    reason = local_llm.missing()
    if reason is not None:
        console.print(f"[yellow]The language model can't run here ({reason}).[/] Going on with {INTENT_LR.name} alone.")


def _warm_up(console: Console) -> None:
    """Start and ask each model once, outside a workflow, so that no ticket's latency pays for it."""
    with console.status(f"Training {INTENT_LR.name} on {intent_lr.TRAINING.name}"):
        intent_lr.guess("warm up")
    if SMOLLM2 is CLASSIFIER and SMOLLM2.url is not None:
        with console.status(f"Starting {SMOLLM2.name} on this machine, and letting it read its examples"):
            catalogue().make_reachable(SMOLLM2.url)
            _anyhow(lambda: classify("How do I change my PIN?"))
            _anyhow(lambda: draft("How do I change my PIN?", "change_pin", SMOLLM2.name))


def _record(console: Console, chosen: Sequence[Ticket], *, deadline: float) -> int:
    """Run the workflow on each ticket; gives how many were started before the time was up."""
    counting = threading.Lock()  # guards the counts below, which two threads add to
    counts = {"completed": 0, "waiting": 0, "failed": 0, "left": 0}
    note = TextColumn("{task.fields[note]}")
    columns = (TextColumn("recording"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), note)
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(WORKERS) as threads:
        bar = progress.add_task("tickets", total=len(chosen), note="")

        def one(ticket: Ticket) -> None:
            word = "left" if time.monotonic() > deadline else _anyhow(lambda: support(ticket.text))
            with counting:
                counts[word] += 1
            progress.update(bar, advance=word != "left", note=f"{counts['failed']} failed" if counts["failed"] else "")

        list(threads.map(one, chosen))
    return len(chosen) - counts["left"]


def _anyhow(call: Any) -> str:
    """Whether it completed, asked a human or failed; what it asked, or why it failed, stands in its trace."""
    try:
        call()
    except Waiting:
        return "waiting"
    except Exception:  # noqa: BLE001  # that is what the run is about
        return "failed"
    return "completed"


def _show(console: Console, found: Figures, started: int, chosen: int) -> None:
    console.print(Line("What it came to", align="left"))
    if started < chosen:
        console.print(f"[yellow]The time was up after {started} of {chosen} tickets.[/]")
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    table.add_row("tickets", f"{found.tickets}")
    table.add_row("answered", f"{found.answered}")
    table.add_row("escalated", f"{found.escalated} wait for a human")
    table.add_row("failed", f"{found.failed}")
    table.add_row("fell back", f"{_share(found.fell_back, found.answered)} of the replies came from the second model")
    table.add_row("latency", f"p50 {form.duration(found.p50_ns)}, p95 {form.duration(found.p95_ns)} per ticket")
    cost = "unknown" if found.cost_nusd is None else form.dollars(found.cost_nusd // max(1, found.tickets))
    table.add_row("cost", f"{cost} per ticket; these models run here, and are declared to cost nothing")
    for model, right in found.accuracy.items():
        unusable = f", {right.unusable} answers were unusable" if right.unusable else ""
        table.add_row(model, f"right on {_share(right.right, right.asked)} of what it was asked{unusable}")
    console.print(table)


def _worth_replaying(console: Console, rows: Sequence[TraceSummary]) -> TraceSummary:
    """The first trace that failed in its classifier, else that failed, else that was escalated, else the first."""
    failed = [row for row in rows if row.status == "failed"]
    found = next((row for row in failed if row.failed_step == "classify"), failed[0] if failed else None)
    if found is not None:
        console.print(Line("One that failed", align="left"))
        return found
    console.print(Line("Nothing failed this time, so here is another one", align="left"))
    return next((row for row in rows if row.escalations), rows[0])


def _replay_with_another_classifier(console: Console, one: TraceSummary) -> None:
    rules = [substitute("classify", model=INTENT_LR.name)] if SMOLLM2 is CLASSIFIER else []
    how = f"with {INTENT_LR.name} in the place of its classifier" if rules else "as it was recorded"
    console.print(Line(f"The same run again, {how}", align="left"))
    before = _state_of(outbox())
    with console.status("Replaying"):
        done = replay(one.trace_id, *rules)
    _show_replay(console, done, before)
    console.print()
    console.print(diff_text(done.diff()))


def _replay_with_another_drafter(console: Console, traces: Sequence[Trace]) -> None:
    """Where a run got far enough to be worth keeping, a replay of its last model keeps all that came before."""
    drafted = [trace for trace in traces if _drafted_at_once(trace)]
    if SMOLLM2 is not CLASSIFIER or not drafted:
        return
    one = max(drafted, key=lambda trace: trace.summary.model_calls)
    console.print(Line(f"One that was answered, with {REPLY_TEMPLATES.name} in the place of its drafter", align="left"))
    before = _state_of(outbox())
    done = replay(one.trace_id, substitute("draft", model=REPLY_TEMPLATES.name))
    _show_replay(console, done, before)


def _answer_one(console: Console, traces: Sequence[Trace], labels: Mapping[str, str], store: Store) -> None:
    """Be the human: answer one question with what a person said of that ticket, as ``playhead escalations answer``
    does. The run goes on from there, and its reply is sent: once."""
    one = next((one for one in store.escalations.pending() if one.trace_id in {each.trace_id for each in traces}), None)
    if one is None:
        return
    console.print(Line("One that waits for a human, answered", align="left"))
    asked = next(trace for trace in traces if trace.trace_id == one.trace_id)
    label = labels[ticket_of(asked, store.value)]
    console.print(Text(f"? {question_of(one, store.value).text}", style="cyan"))
    console.print(f"$ playhead escalations answer {form.short_id(one.trace_id)} {label}")
    before = _lines_of(outbox())
    answer(store, one, label, by="the demo")
    with console.status("Going on"):
        done = go_on(one.trace_id)
    if done is None:
        return
    if isinstance(done.output, Outcome):
        told = f"answered by {done.output.drafted_by}, and sent"
        console.print(Text.assemble(("● completed ", "green"), told))
    elif done.error is not None:
        console.print(Text(f"✗ raised {type(done.error).__name__}: {done.error}", style="red"))
    calls = f"{form.plural(done.served, 'call')} served from the record, {form.plural(done.live, 'call')} ran"
    console.print(f"{calls}. The new trace is {form.short_id(done.trace_id)}.")
    console.print(f"The outbox has {form.plural(_lines_of(outbox()) - before, 'line')} more.")


def _lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _drafted_at_once(trace: Trace) -> bool:
    """Whether the first drafter wrote the reply that was sent."""
    return any(step.name == "send" for step in trace.steps) and all(step.outcome == "ok" for step in trace.steps)


def _show_replay(console: Console, done: Replay, before: str) -> None:
    """What came of it, what it took, and that nothing was sent: ``before`` is the state of the outbox before it."""
    if done.stopped is not None:
        console.print(Text(f"■ stopped: {done.stopped}", style="yellow"))
    elif done.waiting is not None:
        console.print(Text(f"? it asks a human: {done.waiting.question}", style="cyan"))
    elif done.error is not None:
        console.print(Text(f"✗ raised {type(done.error).__name__}: {done.error}", style="red"))
    else:
        console.print(Text.assemble(("● completed ", "green"), _told(done.output)))
    calls = f"{form.plural(done.served, 'call')} served from the record, {form.plural(done.live, 'call')} ran"
    console.print(f"{calls}. The new trace is {form.short_id(done.trace_id)}.")
    after = _state_of(outbox())
    if before == after:
        console.print(f"The outbox [green]did not change[/]: {after}.")
    else:
        console.print(f"The outbox [bold red]changed[/]: {before}, and now {after}.")


def _told(outcome: Outcome) -> str:
    guess = outcome.guess
    said = f"{guess.intent}, says {guess.model}, {guess.confidence:.0%} sure"
    sent = "its receipt is the recorded one" if outcome.receipt.sent else outcome.receipt.note
    return f"answered by {outcome.drafted_by} ({said}; {sent})"


def _state_of(path: Path) -> str:
    content = path.read_bytes() if path.exists() else b""
    lines = form.plural(content.count(b"\n"), "line")
    return f"{lines}, sha256 {hashlib.sha256(content).hexdigest()[:16]}"


def _what_next(console: Console, one: TraceSummary) -> None:
    name = form.short_id(one.trace_id)
    console.print(Line("Now you", align="left"))
    commands = Table(box=None, show_header=False, pad_edge=False)
    commands.add_row("playhead ui --open", "[dim]see all of this in the browser[/]")
    commands.add_row("playhead ls --failed", "[dim]what failed, newest first[/]")
    commands.add_row(f"playhead show {name}", "[dim]the tree above[/]")
    commands.add_row(f"playhead replay {name} --model classify={INTENT_LR.name}", "[dim]the replay above[/]")
    commands.add_row("playhead escalations", "[dim]what waits for a human; you may answer[/]")
    commands.add_row(f"playhead replay {name} --live classify", "[dim]ask the same model again[/]")
    console.print(commands)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%} ({part} of {whole})" if whole else "none"


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


if __name__ == "__main__":
    sys.exit(main())
