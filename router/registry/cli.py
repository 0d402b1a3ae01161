"""``playhead roles``: who does which job, and the canary's way in and out."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Callable

import click

from tracer.cli import as_json, console, print_json
from tracer.terminal import inert

if TYPE_CHECKING:
    from router.registry.entry import Change
    from router.registry.registry import Registry

_file = click.option("--file", "file", help="The roles are in this TOML file, not in the store.")
_because = click.option("--because", default="", metavar="TEXT", help="Why, for the history.")


@click.group("roles", invoke_without_command=True)
@_file
@as_json
@click.pass_context
def roles_command(context: click.Context, *, file: str | None, as_json: bool) -> None:
    """List the roles: who has each, and which canary has which share of it."""
    if context.invoked_subcommand is not None:
        if file is not None or as_json:
            raise click.UsageError(f"put --file and --json behind {context.invoked_subcommand}")
        return
    with _opened(file) as registry:
        entries = registry.entries()
    if as_json:
        print_json({name: {"name": name, **entry.role.as_plain()} for name, entry in sorted(entries.items())})
    elif not entries:
        click.echo(f"No roles in {registry.place}. Make one: playhead roles set ROLE --production MODEL")
    else:
        from router.registry.table import roles_table  # noqa: PLC0415 - so that --help needs no table

        console().print(roles_table(entries))


@roles_command.command("set")
@click.argument("role")
@click.option("--production", metavar="MODEL", help="Who has the role.")
@click.option("--canary", metavar="MODEL", help="Who has a share of it, to be tried.")
@click.option("--share", type=float, help="The canary's share in percent, 0 to 100.")
@click.option("--salt", help="Another text makes other keys fall into the canary's share.")
@_because
@_file
def set_command(  # noqa: PLR0913 - each is one thing to say about a role
    *,
    role: str,
    production: str | None,
    canary: str | None,
    share: float | None,
    salt: str | None,
    because: str,
    file: str | None,
) -> None:
    """Say who has ROLE. Without --production both arms stay as they are but for what is named."""
    if (production, canary, share, salt) == (None, None, None, None):
        raise click.UsageError("nothing to set: name --production, --canary, --share or --salt")
    _change(
        file,
        role,
        lambda roles: roles.set(role, production=production, canary=canary, share=share, salt=salt, because=because),
    )


@roles_command.command("promote")
@click.argument("role")
@_because
@_file
def promote_command(*, role: str, because: str, file: str | None) -> None:
    """Make the canary of ROLE production, for all of the work."""
    _change(file, role, lambda roles: roles.promote(role, because=because))


@roles_command.command("rollback")
@click.argument("role")
@_because
@_file
def rollback_command(*, role: str, because: str, file: str | None) -> None:
    """Take the canary of ROLE back; where there is none, go back to the production before this one."""
    _change(file, role, lambda roles: roles.rollback(role, because=because))


@roles_command.command("history")
@click.argument("role")
@_file
@as_json
def history_command(*, role: str, file: str | None, as_json: bool) -> None:
    """List the changes of ROLE, newest first: when, by whom, from what, to what, and why."""
    with _opened(file) as registry:
        changes = registry.history(role)
    if as_json:
        print_json([change.as_plain() for change in reversed(changes)])
        return
    for change in reversed(changes):
        click.echo(inert(_told(change)))


@roles_command.command("check")
@click.argument("role")
@click.option("--since", default="7d", show_default=True, help="Look at traces this young, from the last change on.")
@click.option("--at-least", type=click.IntRange(min=1), default=30, show_default=True, help="Outcomes of each arm.")
@click.option("--worse-by", type=click.FloatRange(0, 1, max_open=True), default=0.0, show_default=True)
@click.option("--apply", "is_applied", is_flag=True, help="Take the canary back where it should be.")
@_file
@as_json
def check_command(  # noqa: PLR0913 - likewise
    *, role: str, since: str, at_least: int, worse_by: float, is_applied: bool, file: str | None, as_json: bool
) -> None:
    """Say whether the canary of ROLE should go back, by what came of both arms since the role last changed.

    Fails, falls back or escalates the canary surely more often than production does, by more than --worse-by (0.02: two
    points)? Exits with 1 where it should go back and was not taken back.
    """
    from router.registry.check import checked  # noqa: PLC0415 - so that --help needs no database library
    from router.registry.policy import Guard  # noqa: PLC0415

    with _opened(file) as registry:
        found = checked(registry, role, since=since, guard=Guard(at_least, worse_by), is_applied=is_applied)
    if as_json:
        print_json(found.as_plain())
    else:
        for line in found.lines:
            click.echo(inert(line))
    sys.exit(1 if found.verdict.action == "rollback" and found.applied is None else 0)


def _change(file: str | None, role: str, make: Callable[[Registry], Change]) -> None:
    with _opened(file) as registry:
        change = make(registry)
    before = "" if change.before is None else f" (was {change.before})"
    click.echo(inert(f"{role}: {change.after}{before}"))


def _told(change: Change) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(change.at_ns // 10**9))
    was = "" if change.before is None else f" (was {change.before})"
    because = f": {change.because}" if change.because else ""
    return f"{at}  {change.by}  {change.verb}  {change.after}{was}{because}"


class _opened:  # noqa: N801 - used like a function
    """The registry that a command is about, let go of at its end."""

    def __init__(self, file: str | None) -> None:
        from router.registry.registry import Registry  # noqa: PLC0415 - so that --help needs no database library

        if file is not None and not file.endswith(".toml"):
            raise click.UsageError(f"--file takes a TOML file, roles.toml for instance, not {file}")
        self._registry = Registry(file)

    def __enter__(self) -> Registry:
        return self._registry

    def __exit__(self, *_: object) -> None:
        self._registry.close()
