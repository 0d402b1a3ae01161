"""Failing on purpose: what ``fail(step, fault)`` makes of a call.

At the wire a fault is what the network or the provider would have given: an exception of the HTTP client, an error
answer, or an answer that is not what was asked for, made from the recorded one. A step that makes no model call raises
the nearest plain exception, or gives its recorded result spoilt. Where a fault has no meaning, Unfit says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Iterable

from replay import spoilt
from replay.spoilt import REFUSAL, Unfit
from replay.spoilt_wire import Wire, cut, refused
from tracer.codec import Yielded
from tracer.model import Step
from tracer.player import Answer, Decision, Raise
from tracer.wire import HttpRequest, HttpResponse

#: What an injected timeout takes, in virtual seconds: longer than most deadlines around a call.
TIMEOUT_S = 60.0
#: What a slow answer takes beyond its recorded time, in virtual seconds.
SLOW_S = 30.0


class _Nothing:
    """The record holds no result."""


NOTHING = _Nothing()


@dataclass(frozen=True, slots=True)
class Struck:
    """A call that a fault is to strike: its request where it is one at the wire, what the record says of it, and where
    to find what the same step was answered in other traces, as (input, result)."""

    request: HttpRequest | None
    kind: str
    result: Any = NOTHING
    others: Callable[[], Iterable[tuple[Any, Any]]] = tuple


@dataclass(frozen=True, slots=True)
class Injection:
    """``value`` is given, or ``error`` raised, after ``takes_s`` seconds."""

    value: Any = None
    error: BaseException | None = None
    takes_s: float = 0.0

    def decision(self, source: Step | None) -> Decision:
        """As a player decides it."""
        if self.error is not None:
            return Raise(self.error, "injected", source, after_s=self.takes_s)
        return Answer(self.value, "injected", source, after_s=self.takes_s)


def inject(fault: str, struck: Struck) -> Injection:
    """What ``fault`` makes of the call. Raises Unfit where it has no meaning there."""
    if fault == "timeout":
        return Injection(error=TimeoutError("injected: the call timed out"), takes_s=TIMEOUT_S)
    if fault == "connection_reset":
        return Injection(error=ConnectionResetError("injected: the connection was reset"))
    if fault == "slow":
        return Injection(_recorded(struck), takes_s=SLOW_S)
    if fault == "wrong_but_valid":
        return Injection(_another(struck))
    if struck.request is not None:
        return Injection(_at_the_wire(fault, struck.request, struck.result))
    if fault in {"rate_limited", "server_error"}:
        return Injection(error=RuntimeError(f"injected: {fault.replace('_', ' ')}"))
    return Injection(_in_code(fault, struck))


def _recorded(struck: Struck) -> Any:
    """The recorded answer, of a call that was answered."""
    if struck.result is NOTHING or isinstance(struck.result, BaseException):
        raise Unfit("the record holds no answer to it")
    return struck.result


def _at_the_wire(fault: str, request: HttpRequest, result: Any) -> HttpResponse:
    recorded = result if isinstance(result, HttpResponse) else None
    if fault in {"rate_limited", "server_error"}:
        return refused(request, 429 if fault == "rate_limited" else 500)
    if fault == "cut_stream":
        if recorded is None or not recorded.raw:
            raise Unfit("the record holds no answer to it")
        return cut(recorded)
    wire = Wire(request, recorded)
    return {
        "empty": wire.empty,
        "truncated": wire.truncated,
        "bad_json": wire.bad_json,
        "wrong_schema": wire.wrong_schema,
        "refusal": wire.refusal,
        "low_confidence": wire.low_confidence,
    }[fault]()


def _in_code(fault: str, struck: Struck) -> Any:
    """A step's recorded result, spoilt: of a model's, what it says."""
    value = _recorded(struck)
    if fault == "cut_stream":
        own = isinstance(value, Yielded)
        raise Unfit("only a stream at the wire can be cut, not a generator" if own else "it gives no stream")
    field = spoilt.text_field(value) if struck.kind == "llm" else None
    if field is not None and not (fault == "low_confidence" and spoilt.states_confidence(value)):
        return spoilt.with_fields(value, {field: _OF_TEXT[fault](spoilt.field_of(value, field))})
    if isinstance(value, str) and (struck.kind == "llm" or fault not in {"refusal", "empty"}):
        return _OF_TEXT[fault](value)
    if fault not in _OF_VALUES:
        raise Unfit("it is no model's text" if fault == "refusal" else "its recorded result is no JSON text")
    return _OF_VALUES[fault](value)


_OF_TEXT: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "truncated": spoilt.half,
    "bad_json": spoilt.broken_json,
    "wrong_schema": spoilt.other_schema,
    "refusal": lambda _: REFUSAL,
    "low_confidence": spoilt.less_sure,
}
_OF_VALUES: dict[str, Callable[[Any], Any]] = {
    "empty": spoilt.emptied,
    "truncated": spoilt.shortened,
    "wrong_schema": spoilt.misshapen,
    "low_confidence": spoilt.doubtful,
}


def _another(struck: Struck) -> Any:
    """What the same step was answered in another trace, where that differs from the recorded answer."""
    wire = None if struck.request is None else Wire(struck.request, _recorded(struck))
    for request, value in struck.others():
        if wire is not None:
            if (response := wire.says_otherwise(request, value)) is not None:
                return response
        elif value != struck.result:
            return value
    raise Unfit("no other answer is recorded")
