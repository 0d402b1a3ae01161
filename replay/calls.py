"""What a call is, as far as a plan must know: a model call at the wire, a request that may change something. Pure."""

from __future__ import annotations

from replay.record import MODEL_KINDS, REACHING_KINDS
from tracer.player import Call
from tracer.wire import HttpRequest

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def accepting(kind: str, call: Call) -> tuple[str, ...]:
    """The rules of which each would let this call pass; none for what passes anyway."""
    if kind in {"moved", "never-reached", "undecided"}:
        return ()
    if kind == "budget":
        return ("--budget-usd", "--max-live-calls")
    if call.effect:
        return (f"--stand-in {call.name}=JSON", f"--live {call.name}")
    if kind == "code-changed":
        return (f"--serve {call.name}",)
    if is_unsafe_http(call):
        return (f"--allow '{call.name}'", f"--live '{call.name}'")
    if call.kind not in REACHING_KINDS:
        return (f"--edit {call.name}=JSON",)
    return (f"--live {call.name}", f"--edit {call.name}=JSON", "--on-divergence live")


def is_model_call(call: Call) -> bool:
    """A model call at the wire. A decorated step of kind llm is code of the user's, and not one."""
    return call.kind in MODEL_KINDS and wire_request(call) is not None


def is_unsafe_http(call: Call) -> bool:
    """An HTTP request, no model call, whose method says that it may change something."""
    request = wire_request(call)
    return call.kind == "http" and request is not None and request.method.upper() not in _SAFE_METHODS


def wire_request(call: Call) -> HttpRequest | None:
    first = call.arguments[0][0] if call.arguments[0] else None
    return first if isinstance(first, HttpRequest) else None
