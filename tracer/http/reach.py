"""Before a request is sent: a launcher may have to make its host reachable first, which takes as long as it takes."""

from __future__ import annotations

import sys
from contextvars import copy_context
from typing import Any, Callable

from tracer import recorder
from tracer.context import CURRENT


def tell(method: str, url: str) -> None:
    """Nobody was asked about this request (it is switched off, or its trace is left out): so let a replay's guard hear
    of it, also where it goes out on a connection that is there already."""
    sys.audit("playhead.request", method, url)


def reach(url: str) -> None:
    catalogue = recorder.catalogue()
    if not catalogue.is_reachable(url):
        # A launcher asks its server whether it is well: no step of the pipeline, and it must not wait for itself.
        context = copy_context()
        context.run(CURRENT.set, None)
        context.run(catalogue.make_reachable, url)


async def reach_async(url: str) -> None:
    if not recorder.catalogue().is_reachable(url):
        await in_thread(reach, url)


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """What would block, off the event loop."""
    # anyio is what httpx itself stands on, and works under trio as well as under asyncio.
    import anyio.to_thread  # noqa: PLC0415

    return await anyio.to_thread.run_sync(function, *arguments)
