"""The command line: ``ls``, ``show``, ``recover``, ``doctor`` and ``db upgrade``. The other floors join theirs by
entry points.

Exit codes: 0 done, 1 the replayed workflow raised or two traces differ, 2 wrong use, 3 a replay stopped, 4 store
unreachable. Every error is one line on standard error that says what to do.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from importlib.metadata import entry_points, version
from typing import Any

import click
from rich.console import Console

from tracer.errors import CodecError, StoreError, StoreUnreachable, TracerError
from tracer.terminal import inert, inert_json

_GROUP = "playhead.commands"


class Failed(click.ClickException):
    """An error of ours, as the command line shows it: one line, and the exit code that its class carries."""

    def __init__(self, error: Exception) -> None:
        super().__init__(inert(" ".join(str(error).split())))
        # Click has one number for all; here each error has its own.
        self.exit_code = getattr(error, "exit_code", 2)  # type: ignore[misc]

    def show(self, file: Any = None) -> None:
        click.echo(f"playhead: {self.message}", err=True, file=file)


class Commands(click.Group):
    """The commands of this floor and, by entry points, of those above; loaded only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *(point.name for point in entry_points(group=_GROUP))})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        own = super().get_command(ctx, name)
        if own is not None:
            return own
        point = next(iter(entry_points(group=_GROUP, name=name)), None)
        return None if point is None else point.load()

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if isinstance(error, TracerError) or hasattr(error, "exit_code"):
                raise Failed(error) from error
            raise


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("playhead"), prog_name="playhead")
def main() -> None:
    """Record every step of an AI pipeline, look at it, and replay it with another model."""


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for a program to read.")


def console() -> Console:
    """Where tables and trees go; as wide as its lines where nobody looks at a screen."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def print_json(value: Any) -> None:
    click.echo(inert_json(json.dumps(value, indent=2, ensure_ascii=False, default=str)))


@main.command("ls")
@click.option("--failed", is_flag=True, help="Only traces that failed.")
@click.option("--status", help="Only these: completed, failed, cancelled, stopped, waiting, running, interrupted.")
@click.option("--workflow", help="Only traces of this workflow.")
@click.option("--model", help="Only traces in which this model was called.")
@click.option("--since", help="Only traces this young: 30m, 12h, 7d.")
@click.option(
    "--search",
    help="Only traces in whose inputs, outputs or errors these words occur. As the viewer's search box it also takes "
    "status: workflow: model: step: error: tag: since: replays: cost> duration>, like 'duration>2s tag:team=cards'.",
)
@click.option("-n", "--limit", type=click.IntRange(min=1), default=30, show_default=True, help="At most this many.")
@as_json
def ls_command(*, failed: bool, as_json: bool, limit: int, search: str | None, **told: str | None) -> None:
    """List traces, newest first."""
    from tracer.reading import open_reading  # noqa: PLC0415 - so that --help needs no database library
    from tracer.render import summary_table  # noqa: PLC0415
    from tracer.store import Filter  # noqa: PLC0415

    parameters = {name: value for name, value in told.items() if value}
    if search:
        parameters["q"] = search
    if failed:
        parameters["status"] = "failed"
    wanted = Filter.parse(parameters)
    with open_reading() as store:
        rows = store.traces(wanted, limit=limit)
        later = {one.resume_of: one for one in reversed(store.followers([row.trace_id for row in rows]))}
    if as_json:
        print_json([{**asdict(row), "duration_ns": row.duration_ns} for row in rows])
    elif rows:
        console().print(summary_table(rows, later, now_ns=time.time_ns()))
    else:
        nothing = "No traces yet. Run a function decorated with @workflow."
        click.echo(f"No {wanted.sentence}." if parameters else nothing)


@main.command("show")
@click.argument("trace")
@as_json
def show_command(*, trace: str, as_json: bool) -> None:
    """Show one trace as a tree: models, latency, tokens, cost, what was answered, what failed.

    TRACE is an id, a unique prefix of one, or "latest".
    """
    from tracer.reading import open_reading  # noqa: PLC0415
    from tracer.render import tree  # noqa: PLC0415

    with open_reading() as store:
        found = store.trace(store.resolve(trace))
        if as_json:
            print_json(trace_as_json(found, store.value))
        else:
            console().print(tree(found, store.value))


def trace_as_json(trace: Any, value_of: Any) -> dict[str, Any]:
    """A whole trace for a program: the fields of ``tracer.model``, with decoded values in place of addresses."""
    from tracer.plain import plain  # noqa: PLC0415

    def value_as_json(ref: Any) -> dict[str, Any]:
        try:
            return {"value": plain(value_of(ref))}
        except StoreUnreachable:
            raise
        except (StoreError, CodecError) as error:  # pruned or damaged: the rest of the trace is still worth showing
            return {"unreadable": str(error)}

    def step_as_json(step: Any) -> dict[str, Any]:
        shown: dict[str, Any] = plain(step)
        for side in ("input", "output"):
            ref = getattr(step, side)
            if ref is not None:
                shown[side] = {**shown[side], **value_as_json(ref)}
        return {**shown, "duration_ns": step.duration_ns}

    summary = plain(trace.summary)
    steps = [step_as_json(step) for step in trace.steps]
    return {**summary, "duration_ns": trace.summary.duration_ns, "entry": plain(trace.entry), "steps": steps}


@main.command("recover")
@click.option("--all-hosts", is_flag=True, help="Also what other machines left here. None of them may record here now.")
@as_json
def recover_command(*, all_hosts: bool, as_json: bool) -> None:
    """Bring what killed processes left in their journals into the store, and say what came of it.

    Whatever opens the store does the same by itself; this says what it did.
    """
    from tracer.recover import recover  # noqa: PLC0415

    found = list(recover(all_hosts=all_hosts))
    if as_json:
        print_json([{**asdict(each), "damaged": [str(path) for path in each.damaged]} for each in found])
        return
    brought = [each for each in found if not each.problem]
    for each in brought:
        click.echo(inert(f"{each.owner}: {each.events:,} events, {each.interrupted:,} traces interrupted"))
    for each in found:
        for path in each.damaged:
            click.echo(inert(f"a part of {each.owner} was damaged and is lost; the file is kept: {path}"), err=True)
        if each.problem:
            click.echo(inert(f"{each.owner} stays where it is: {each.problem}"), err=True)
    events = sum(each.events for each in brought)
    click.echo(f"Brought in {events:,} events of {len(brought)} processes." if brought else "Nothing to bring in.")


@main.command("doctor")
@click.argument("trace", required=False)
@click.option("--forget", is_flag=True, help="First set the counts of processes that are gone back to zero.")
@as_json
def doctor_command(*, trace: str | None, forget: bool, as_json: bool) -> None:
    """Say what is recorded to where, and what is waiting, refused or wrong.

    With TRACE (an id, a unique prefix of one, or "latest"): replay it unchanged, twice, and list what is not
    deterministic in its workflow, by file and line: time, chance, set order, environment, unrecorded I/O. Exits with 1
    if there is any that matters.
    """
    from tracer import health, recorder  # noqa: PLC0415
    from tracer.doctor import examine  # noqa: PLC0415

    if trace is not None:
        sys.exit(_of_trace()(trace, as_json=as_json))
    if forget:
        health.forget(recorder.current_config().home)
    report = examine()
    if as_json:
        print_json({**report.facts, "problems": report.problems})
    else:
        for name, value in report.facts.items():
            click.echo(f"{name.replace('_', ' '):<22} {inert(_shown(name, value))}")
        for problem in report.problems:
            click.echo(f"problem: {inert(problem)}", err=True)
    sys.exit(report.exit_code)


def _of_trace() -> Any:
    """What looks at one trace. It replays, so it is brought by a floor above this one."""
    point = next(iter(entry_points(group="playhead.doctor", name="trace")), None)
    if point is None:
        raise click.UsageError("nothing that looks into a trace is installed: install playhead again")
    return point.load()


def _shown(name: str, value: object) -> str:
    """A fact as people read it: sizes with a unit, nothing for an empty list."""
    from tracer.format import size  # noqa: PLC0415

    if isinstance(value, int) and ("size" in name or "bytes" in name or name == "journal_cap"):
        return size(value)
    return "none" if value in ([], {}) else str(value)


@main.group("db")
def db_group() -> None:
    """The store's schema."""


@db_group.command("upgrade")
def db_upgrade_command() -> None:
    """Bring the store's schema up to this version. The first use of a store does so by itself."""
    from tracer import recorder  # noqa: PLC0415
    from tracer.config import shown_url  # noqa: PLC0415
    from tracer.store import open_store  # noqa: PLC0415

    url = recorder.current_config().database_url
    with open_store(url) as store:
        click.echo(f"{shown_url(url)} is at schema {store.facts().revision}")


@db_group.command("copy")
@click.argument("source")
@click.argument("target")
@as_json
def db_copy_command(*, source: str, target: str, as_json: bool) -> None:
    """Copy a whole store into another place, SQLite or Postgres, and read it back.

    SOURCE and TARGET are paths or URLs (postgresql://host/name). The target must have no traces yet; it is whole in the
    end, or as it was. What a replay knows inputs by is keyed: on another machine, take PLAYHEAD_HOME's key along.
    """
    from tracer.store.copying import copy_store  # noqa: PLC0415

    copied = copy_store(source, target)
    if as_json:
        print_json([asdict(one) for one in copied])
        return
    for one in copied:
        click.echo(f"{one.rows:>12,}  {one.digest}  {one.table}")
    click.echo("Read back from the target: the same rows.")


if __name__ == "__main__":
    main()
