"""How long a served step takes before it answers: nothing, unless a replay is to go at a pace."""

from __future__ import annotations

import time

from tracer.player import Decision, Run


def pause(decision: Decision) -> None:
    """Let the time pass that the decision names. A replay's clock stands in for ``time.sleep``."""
    if not isinstance(decision, Run) and decision.after_s:
        time.sleep(decision.after_s)


async def pause_async(decision: Decision) -> None:
    if not isinstance(decision, Run) and decision.after_s:
        import anyio  # noqa: PLC0415 - works under trio as well as under asyncio; only where somebody wants to wait

        await anyio.sleep(decision.after_s)
