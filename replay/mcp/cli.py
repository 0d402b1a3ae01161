"""``playhead mcp``."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from replay.mcp.replaying import Replays


@click.command("mcp")
@click.option("--allow-replay", is_flag=True, help="Also replay: runs the recorded workflows' code.")
@click.option(
    "--budget-usd",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="What all replays of this server may cost together.",
)
def mcp_command(*, allow_replay: bool, budget_usd: float) -> None:
    """Let a coding agent read the traces: a Model Context Protocol server on standard input and output.

    It reads; with --allow-replay it also replays, with another model, an edited answer or an injected fault. Effects
    never happen. Needs pip install "playhead[mcp]".
    """
    import anyio  # noqa: PLC0415 - so that --help needs none of these

    try:
        from replay.mcp.server import serve  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        raise click.ClickException('playhead mcp needs the package mcp: pip install "playhead[mcp]"') from None
    from replay.mcp.replaying import Replays  # noqa: PLC0415

    if sys.stdin.isatty():
        click.echo("playhead mcp speaks to a coding agent, which starts it: see docs/mcp.md (Ctrl-C ends it)", err=True)
    replays = Replays(budget_usd) if allow_replay else None
    _end_with(replays)
    anyio.run(serve, replays)


def _end_with(replays: Replays | None) -> None:
    """Have a signal end the server at once, and what it replays with it: a thread of its own waits in a read of
    standard input, which nothing else ends."""

    def end(number: int, _: FrameType | None) -> None:
        if replays is not None:
            replays.end()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
