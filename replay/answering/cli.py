"""``playhead escalations``: what waits for a human, and the answers."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Callable

import click
from rich.table import Table
from rich.text import Text

from replay.cli import replay_as_json, show_replay
from tracer import format as form
from tracer.cli import as_json, console, print_json
from tracer.plain import plain
from tracer.terminal import inert

# The store and the engine are imported in the commands, so that --help needs no database library.


def _who(_: click.Context, __: click.Parameter, given: str | None) -> str:
    import getpass  # noqa: PLC0415 - asks the system's accounts

    return given or getpass.getuser()


_by = click.option("--by", callback=_who, metavar="NAME", help="Who says so. Without it, the user of this session.")


@click.group("escalations", invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help="Also what was answered, has expired or was withdrawn.")
@as_json
@click.pass_context
def escalations_group(context: click.Context, *, everything: bool, as_json: bool) -> None:
    """List what waits for a human, the longest waiting first; its commands answer.

    TRACE is an id, a unique prefix of one, or "latest"; STEP is needed where a run asks several things at once.
    """
    if context.invoked_subcommand is not None:
        return
    from replay.answering.question import question_of  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    with open_reading() as store:
        found = store.escalations.newest() if everything else store.escalations.pending()
        asked = [(one, question_of(one, store.value)) for one in found]
    if as_json:
        print_json([_told(one, question) for one, question in asked])
    elif asked:
        console().print(_table(asked, now_ns=time.time_ns()))
        if not everything:
            click.echo("\nplayhead escalations show ID, then: playhead escalations answer ID ANSWER")
    else:
        click.echo("Nothing was ever asked." if everything else "Nothing waits for a human.")


@escalations_group.command("show")
@click.argument("trace")
@click.argument("step", required=False)
@as_json
def show_command(*, trace: str, step: str | None, as_json: bool) -> None:
    """Show one question with its context, and what may be answered."""
    from replay.answering.inbox import find  # noqa: PLC0415
    from replay.answering.question import question_of  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    with open_reading() as store:
        one = find(store, trace, step)
        question = question_of(one, store.value)
    if as_json:
        print_json(_told(one, question))
        return
    now_ns = time.time_ns()
    lines = [question.text, "", f"{one.workflow}, {one.path} of trace {one.trace_id}"]
    lines.append(f"asked {form.relative_time(one.asked_ns, now_ns=now_ns).text}, {_state(one, now_ns)}")
    lines += [f"answers: {' | '.join(question.options)}"] if question.options else []
    lines += [f"schema:  {json.dumps(question.schema)}"] if question.schema else []
    lines += [f"when the time is over: {json.dumps(question.default)}"] if question.has_default else []
    lines += [f"the answer before was refused: {question.refused}"] if question.refused else []
    lines += [json.dumps(question.context, indent=2, ensure_ascii=False, default=str)] if question.context else []
    click.echo("\n".join(inert(part) for line in lines for part in line.splitlines() or [""]))


@escalations_group.command("answer")
@click.argument("trace")
@click.argument("words", nargs=-1, required=True, metavar="[STEP] ANSWER")
@_by
@as_json
def answer_command(*, trace: str, words: tuple[str, ...], by: str, as_json: bool) -> None:
    """Answer a question, and go on with the run once all that it asked is answered.

    ANSWER is one of the options, JSON where a schema is asked for, else a text. It is kept before the run goes on.
    """
    from replay.answering.inbox import answer, find  # noqa: PLC0415
    from replay.answering.question import parsed, question_of  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    if len(words) > 2:
        raise click.UsageError(f"an answer of several words needs quotes: {' '.join(words[-2:])!r}")
    with open_reading() as store:
        one = find(store, trace, words[0] if len(words) == 2 else None)
        left = answer(store, one, parsed(question_of(one, store.value), words[-1]), by=by)
    if left:
        told = f"Kept. The run asks {form.plural(left, 'more question')}: it goes on when all are answered."
        print_json({"trace_id": one.trace_id, "left": left, "resumed": None}) if as_json else click.echo(told)
        return
    _go_on(one.trace_id, as_json=as_json)


@escalations_group.command("resume")
@click.argument("trace")
@as_json
def resume_command(*, trace: str, as_json: bool) -> None:
    """Go on with a run that has its answers and did not: whoever was to, was killed or has not its code."""
    from replay.answering.inbox import find, is_answered  # noqa: PLC0415
    from replay.errors import PlanError  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    with open_reading() as store:
        trace_id = find(store, trace).trace_id
        if not is_answered(store, trace_id):
            raise PlanError(f"trace {form.short_id(trace_id)} still waits: playhead escalations show {trace_id[:16]}")
    _go_on(trace_id, as_json=as_json)


@escalations_group.command("assign")
@click.argument("trace")
@click.argument("words", nargs=-1, required=True, metavar="[STEP] NAME")
@as_json
def assign_command(*, trace: str, words: tuple[str, ...], as_json: bool) -> None:
    """Say who is to answer; an empty NAME says that anybody is."""
    from replay.answering.inbox import assign  # noqa: PLC0415

    told = f"Assigned to {words[-1]}." if words[-1] else "Assigned to nobody."
    _change(trace, words, lambda store, one: assign(store, one, words[-1] or None), told, as_json=as_json)


@escalations_group.command("withdraw")
@click.argument("trace")
@click.argument("step", required=False)
@_by
@as_json
def withdraw_command(*, trace: str, step: str | None, by: str, as_json: bool) -> None:
    """Take a question back: nobody is to answer it, and its run stays as it is."""
    from replay.answering.inbox import withdraw  # noqa: PLC0415

    words = (step, "") if step else ("",)
    _change(trace, words, lambda store, one: withdraw(store, one, by=by), "Withdrawn.", as_json=as_json)


@escalations_group.command("due")
@as_json
def due_command(*, as_json: bool) -> None:
    """Close the questions whose time is over, with their default or as expired, and go on with all runs that have their
    answers. For a timer to call, every minute or so."""
    from replay.answering.inbox import close_due, go_on, unfinished  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    with open_reading() as store:
        closed = close_due(store)
        ready = unfinished(store)
    resumed, failed = [], {}
    for trace_id in ready:
        try:
            done = go_on(trace_id)
        except Exception as error:
            if not hasattr(error, "exit_code"):
                raise
            failed[trace_id] = str(error)
            continue
        resumed += [] if done is None else [replay_as_json(done)]
    if as_json:
        print_json({"closed": [_closed(one) for one in closed], "resumed": resumed, "failed": failed})
    else:
        for one in closed:
            click.echo(inert(f"{form.short_id(one.trace_id)} {one.path}: {_state(one, time.time_ns())}"))
        for each in resumed:
            click.echo(inert(f"{each['resume_of'][:16]} went on as {each['trace_id'][:16]}: {each['outcome']}"))
        for trace_id, why in failed.items():
            click.echo(inert(f"playhead: {form.short_id(trace_id)}: {why}"), err=True)
    sys.exit(2 if failed else 0)


def _change(
    trace: str, words: tuple[str, ...], change: Callable[[Any, Any], None], told: str, *, as_json: bool
) -> None:
    """Change one question, and say what has become of it."""
    from replay.answering.inbox import find  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    with open_reading() as store:
        one = find(store, trace, words[0] if len(words) > 1 else None)
        change(store, one)
        now = find(store, one.trace_id, one.step_id)
    if as_json:
        print_json(_closed(now))
    else:
        click.echo(inert(told))


def _go_on(trace_id: str, *, as_json: bool) -> None:
    from replay.answering.inbox import go_on  # noqa: PLC0415

    if not as_json:
        click.echo("Kept. The run goes on.")
    done = go_on(trace_id)
    if as_json:
        resumed = None if done is None else replay_as_json(done)
        print_json({"trace_id": trace_id, "left": 0, "resumed": resumed})
    elif done is None:
        click.echo("It has gone on already.")
    else:
        show_replay(done)
    if done is not None:
        sys.exit(3 if done.stopped is not None else 1 if done.error is not None else 0)


def _table(asked: list[tuple[Any, Any]], *, now_ns: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for name in ("id", "asked", "state", "workflow", "for"):
        table.add_column(name, no_wrap=True)
    table.add_column("question", overflow="ellipsis", no_wrap=True, ratio=1)
    for one, question in asked:
        options = f"  [{' | '.join(question.options)}]" if question.options else ""
        table.add_row(
            form.short_id(one.trace_id),
            form.relative_time(one.asked_ns, now_ns=now_ns).text,
            _state(one, now_ns),
            inert(one.path.split("/", 1)[0]),
            inert(one.assignee or ""),
            Text(inert(" ".join(question.text.split())), style="cyan") + Text(inert(options), style="dim"),
        )
    return table


def _state(one: Any, now_ns: int) -> str:
    if one.state == "answered":
        return inert(f"answered {plain(one.answer)!r} by {one.closed_by}")
    if one.state == "defaulted":
        return inert(f"took the default {plain(one.answer)!r}")
    if one.state != "open":
        return str(one.state)
    if one.due_ns is None:
        return "open"
    left_ns = one.due_ns - now_ns
    return f"due in {form.duration(left_ns)}" if left_ns > 0 else f"overdue by {form.duration(-left_ns)}"


def _closed(one: Any) -> dict[str, Any]:
    told: dict[str, Any] = plain(one)
    return {name: value for name, value in told.items() if name != "input"}


def _told(one: Any, question: Any) -> dict[str, Any]:
    """An escalation for a program: the question and what became of it."""
    return {**_closed(one), **plain(question)}
