"""``playhead ui`` and ``playhead demo``."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import socket
import sys
import threading
import webbrowser
from pathlib import Path

import click

from web.security import LOOPBACK

_PACKAGES = {"openai": "openai", "sklearn": "scikit-learn", "xllamacpp": "xllamacpp"}


@click.command("ui")
@click.option(
    "--host", envvar="PLAYHEAD_HOST", default="127.0.0.1", show_default=True, help="The address to listen on."
)
@click.option(
    "--port", envvar="PLAYHEAD_PORT", default=7420, show_default=True, type=click.IntRange(0, 65535), help="The port."
)
@click.option("--open", "open_browser", is_flag=True, help="Open it in the browser.")
@click.option("--read-only", is_flag=True, help="Forbid replays: no page runs any code.")
def ui_command(*, host: str, port: int, open_browser: bool, read_only: bool) -> None:
    """Show the traces in a browser."""
    token = os.environ.get("PLAYHEAD_TOKEN") or None
    if host not in LOOPBACK and token is None:
        raise click.UsageError(f"{host} can be reached from other machines: set PLAYHEAD_TOKEN to a secret first.")
    # Imported here, so that other commands don't wait for a web framework.
    import uvicorn  # noqa: PLC0415

    from tracer.errors import TracerError  # noqa: PLC0415
    from web.app import create_app  # noqa: PLC0415

    # The port first: a store that was opened for nothing would have nobody to close it.
    with contextlib.closing(_listen(host, port)) as listener:
        try:
            app = create_app(replays=not read_only, token=token)
        except TracerError as error:
            click.echo(f"playhead: {error}", err=True)
            sys.exit(4)
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listener.getsockname()[1]}/" + (f"?token={token}" if token else "")
        click.echo(f"playhead: {address}   (Ctrl-C ends it)")
        if open_browser:
            threading.Timer(0.7, webbrowser.open, (address,)).start()
        with contextlib.suppress(KeyboardInterrupt):
            # a page that listens for news holds its connection open for minutes, and has to be told
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3))
            app.state.site.ending = lambda: server.should_exit
            server.run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        taken = "another program uses it; choose another with --port"
        reason = taken if error.errno == errno.EADDRINUSE else str(error.strerror or error)
        raise click.ClickException(f"can't listen on {host}:{port}: {reason}.") from None


@click.command("demo", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def demo_command() -> None:
    """Run the main job on real input: record, look, replay, compare."""
    here = Path(__file__).resolve().parent
    places = (here.parent / "examples" / "support", here / "_examples" / "support")
    folder = next((place for place in places if (place / "demo.py").is_file()), None)
    if folder is None:
        raise click.ClickException("the demo's files are not in this installation: reinstall playhead.")
    sys.path.insert(0, str(folder.parent))
    try:
        demo = importlib.import_module("support.demo")
    except ModuleNotFoundError as error:
        missing = _PACKAGES.get((error.name or "").partition(".")[0])
        if missing is None:
            raise
        raise click.ClickException(f'the demo needs {missing}: pip install "playhead[demo]"') from None
    sys.exit(demo.main() or 0)
