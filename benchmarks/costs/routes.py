"""One contestant of benchmarks/routing.py, in a process of its own: prints its CPU time per call as JSON.

python -m costs.routes CASE {off,on} CALLS
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

import tracer
from router import Retry, Router, Target, budget

_ONE, _TWO = Target("one"), Target("two")
_RETRY = Retry(on=TimeoutError, base_s=0.0)
#: A workflow holds as many routed calls, where they are recorded.
_IN_A_WORKFLOW = 500


class _Permit:
    state = "closed"

    def admit(self) -> _Permit:
        return self

    def succeeded(self) -> None:
        """A breaker that is always closed."""

    def failed(self, reason: Exception) -> None:
        """Likewise."""

    def abandoned(self) -> None:
        """Likewise."""


def _answer(_: Any) -> str:
    return "hello"


async def _answer_async(_: Any) -> str:
    return "hello"


def _fail_first(attempt: Any) -> str:
    if attempt.number == 1:
        raise TimeoutError
    return "hello"


def _routed(router: Router, call: Callable[[Any], Any]) -> Callable[[int], None]:
    def run(calls: int) -> None:
        for _ in range(calls):
            router.call(call)

    return run


def _bare(calls: int) -> None:
    for _ in range(calls):
        _answer(_ONE)


def _limited(calls: int) -> None:
    router = Router([_ONE, _TWO], retry=_RETRY, deadline_s=60, breakers={"one": _Permit()})
    with budget(calls=10**9):
        _routed(router, _answer)(calls)


def _async(calls: int) -> None:
    router = Router([_ONE], on=())

    async def run() -> None:
        for _ in range(calls):
            await router.acall(_answer_async)

    asyncio.run(run())


CASES: dict[str, Callable[[int], None]] = {
    "bare": _bare,
    "one target": _routed(Router([_ONE], on=()), _answer),
    "retry, deadline, budget, breaker": _limited,
    "one retry": _routed(Router([_ONE], retry=_RETRY), _fail_first),
    "one fallback": _routed(Router([_ONE, _TWO], on=TimeoutError), _fail_first),
    "async": _async,
}


def main() -> None:
    case, recording, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    run = CASES[case]
    run(200)
    with tempfile.TemporaryDirectory() as folder:
        if recording == "on":
            tracer.configure(database_url=str(Path(folder, "playhead.db")), home=Path(folder))
            work = tracer.workflow(name="work")(lambda: run(_IN_A_WORKFLOW))
            work()
            tracer.flush()
            began = time.thread_time()
            for _ in range(calls // _IN_A_WORKFLOW):
                work()
        else:
            began = time.thread_time()
            run(calls)
        spent = time.thread_time() - began
        tracer.shutdown()
    print(json.dumps({"us": spent / calls * 1e6}))


if __name__ == "__main__":
    main()
