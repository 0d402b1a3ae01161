"""Which requests are attempts of one call: an SDK that was refused, or not answered, sends the same again.

A request is a retry when it is the same (method, address and body) under the same running step as one that has just
failed in a way that is worth trying again, unless its SDK says in a header that it is a first one. Each attempt stays a
step of its own, written as it begins and ends, and served as itself in a replay; a retry says whose it is in its tags.
"""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass
from typing import Any

from tracer.context import ActiveStep
from tracer.digest import blake2b
from tracer.http.client import Request

#: Steps whose failed requests are remembered. A retry follows soon, so the oldest may go.
_STEPS = 256
#: What SDKs try again, with everything from 500 on.
_RETRYABLE = frozenset({408, 409, 425, 429})
_AMZ = re.compile(r"attempt=(\d+)")


@dataclass(frozen=True, slots=True)
class Attempt:
    """The next attempt of the call that ``first`` (a step's id) began; ``after`` is what became of the one before."""

    first: str
    number: int
    after: int | str

    @property
    def tags(self) -> dict[str, Any]:
        return {"attempt": self.number, "retry_of": self.first, "after": self.after}


# Guards the name below.
_lock = threading.Lock()
#: Step -> the digest of a request -> what would be the next attempts of such.
_awaited: dict[bytes, dict[bytes, list[Attempt]]] = {}


def is_retryable(status: int) -> bool:
    return status in _RETRYABLE or status >= 500


def failed(
    parent: ActiveStep | None, request: Request, step: ActiveStep, made: Attempt | None, after: int | str
) -> None:
    """Remember a request that may well be sent again; ``made`` is which attempt it was itself."""
    if parent is None or request.content is None:
        return
    first, number = (step.step_id, 1) if made is None else (made.first, made.number)
    with _lock:
        if parent.step not in _awaited and len(_awaited) >= _STEPS:
            del _awaited[next(iter(_awaited))]
        _awaited.setdefault(parent.step, {}).setdefault(_digest(request), []).append(Attempt(first, number + 1, after))


def taken(parent: ActiveStep, request: Request) -> Attempt | None:
    """Which attempt this request is; None where it is the first of its call."""
    if parent.step not in _awaited or request.content is None:
        return None
    said = _said(request)
    if said == 1:
        return None
    with _lock:
        awaited = _awaited.get(parent.step, {}).get(_digest(request), [])
        # Of equal calls side by side each goes on with its own count, where the SDK tells it.
        at = next((at for at, attempt in enumerate(awaited) if said in {None, attempt.number}), None)
        return None if at is None else awaited.pop(at)


def _said(request: Request) -> int | None:
    """Which attempt this is, from 1, as the SDK of OpenAI, of Anthropic or of AWS says it; None: nobody says."""
    retries = request.header("x-stainless-retry-count")
    if retries.isdecimal():
        return int(retries) + 1
    match = _AMZ.search(request.header("amz-sdk-request"))
    return None if match is None else int(match.group(1))


def _digest(request: Request) -> bytes:
    told = f"{request.method} {request.url}\n".encode("utf-8", "surrogatepass")
    return blake2b(told + (request.content or b""), digest_size=16).digest()


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
