"""Take the screenshots of the viewer from a database: ``python docs/screenshots/take.py URL [--out DIR]``.

Needs playwright and a Chromium (``PLAYHEAD_TEST_CHROMIUM``, or one on the path). It shows the newest failed trace and
the longest one in all its views, the newest replay beside its origin, and every page of figures; a page without such a
trace is left out. Those here are of a store that ``make demo`` and ``make examples WHICH=support`` recorded into.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import threading
from pathlib import Path
from typing import Any, Iterator

import uvicorn
from playwright.sync_api import sync_playwright

from tracer.store import Filter, Store, open_store
from web import create_app


def chromium() -> str:
    found = os.environ.get("PLAYHEAD_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("no Chromium found: set PLAYHEAD_TEST_CHROMIUM to its path")
    return found


def pages(store: Store) -> Iterator[tuple[str, str]]:
    """The name of each picture and the address it is taken of."""
    yield "traces", "/"
    yield "failed", "/?status=failed"
    for name, wanted in (
        ("trace-failed", Filter(statuses=("failed",), replays=False)),
        ("trace-completed", Filter(statuses=("completed",), replays=False)),
    ):
        for summary in store.traces(wanted, limit=1):
            yield name, f"/t/{summary.trace_id}"
            if name == "trace-failed":
                yield "replay", f"/t/{summary.trace_id}/replay"
    longest = max(store.traces(limit=50), key=lambda one: one.steps, default=None)
    if longest is not None:
        yield "trace-long", f"/t/{longest.trace_id}"
        for view in ("tree", "conversation", "graph", "events"):
            yield f"trace-{view}", f"/t/{longest.trace_id}?view={view}"
    for summary in store.traces(Filter(replays=True), limit=1):
        yield "trace-replay", f"/t/{summary.trace_id}"
        yield "diff", f"/diff/{summary.replay_of}/{summary.trace_id}"
    for name in ("overview", "models", "steps", "routes", "canaries", "thresholds"):
        yield name, f"/{name}"
    # not of the pages that say where the store lies: health and about
    yield "escalations", "/escalations?all"


def serve(url: str) -> tuple[uvicorn.Server, int]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(url, replays=True), log_level="warning"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    return server, listener.getsockname()[1]


def take(url: str, out: Path, widths: list[int], themes: list[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    server, port = serve(url)
    with open_store(url) as store, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for width in widths:
            for theme in themes:
                scheme: Any = theme
                page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
                for name, address in pages(store):
                    page.goto(f"http://127.0.0.1:{port}{address}")
                    page.screenshot(path=out / f"{name}-{theme}{'' if width == 1440 else f'-{width}'}.png")
                page.close()
        browser.close()
    server.should_exit = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="the database: a path or a URL")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--width", type=int, action="append", dest="widths")
    parser.add_argument("--theme", action="append", dest="themes", choices=["light", "dark"])
    given = parser.parse_args()
    take(given.url, given.out, given.widths or [1440], given.themes or ["light", "dark"])


if __name__ == "__main__":
    main()
