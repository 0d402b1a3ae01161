"""From a batch of events to rows, table by table; pure. What begins and ends in one batch becomes one row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from tracer import codec
from tracer.errors import CodecError
from tracer.events import Event, Finished, Noted, Started
from tracer.model import Failure
from tracer.pricing import price_call
from tracer.store.texts import plain, preview, searchable, squeeze

Row = dict[str, Any]
Key = tuple[str, ...]

#: Values above this size are stored, but not looked through for words: that would hold up the rows behind them.
_SEARCHED_BYTES = 256 * 1024
_NAME_LENGTH = 500
_ERROR_LENGTH = 500
#: A step of which only the end has arrived yet.
NOT_BEGUN: Mapping[str, Any] = {
    "parent_id": None,
    "name": "",
    "kind": "step",
    "path": "",
    "occurrence": 0,
    "origin": "live",
    "effect": False,
    "input": None,
    "input_lossy": None,
    "identity": None,
    "fingerprint": None,
    "tags": None,
    "source_step_id": None,
}
_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
)


@dataclass
class Rows:
    """A batch, by table. Keys are (trace id, step id, ...), so that an event that comes twice is there once."""

    owner: str
    trace_ids: dict[str, int] = field(default_factory=dict)
    roots: dict[str, Row] = field(default_factory=dict)
    end_plans: dict[str, Any] = field(default_factory=dict)
    begun: dict[Key, Row] = field(default_factory=dict)
    ended: dict[Key, Row] = field(default_factory=dict)
    asked: dict[Key, Row] = field(default_factory=dict)
    calls: dict[Key, Row] = field(default_factory=dict)
    payloads: dict[str, bytes] = field(default_factory=dict)
    notes: dict[Key, Row] = field(default_factory=dict)
    texts: dict[Key, Row] = field(default_factory=dict)
    #: Roots whose input is an address: their preview has to be read from the store.
    preview_from: dict[str, str] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        trace_id = event.trace_id.hex()
        self.trace_ids.setdefault(trace_id, event.at_ns)
        if isinstance(event, Started):
            self._add_started(event, (trace_id, event.step_id.hex()))
        elif isinstance(event, Finished):
            self._add_finished(event, (trace_id, event.step_id.hex()))
        else:
            self._add_note(event, (trace_id, event.step_id.hex()))

    def _add_started(self, event: Started, key: Key) -> None:
        attrs = event.attrs
        self.begun[key] = {
            "parent_id": None if event.parent_id is None else event.parent_id.hex(),
            "name": _name(event.name),
            "kind": _name(event.kind),
            "path": plain(event.path),
            "occurrence": event.occurrence,
            "started_ns": event.at_ns,
            "origin": attrs.get("origin") or "live",
            "effect": bool(attrs.get("effect")),
            "input": self._keep(event.input),
            "input_lossy": event.input_lossy or None,
            "identity": event.identity,
            "fingerprint": event.fingerprint,
            "tags": attrs.get("tags") or None,
            "source_step_id": attrs.get("source"),
        }
        if attrs.get("model"):
            self.asked[key] = _NO_CALL | {"model_asked": plain(attrs["model"])}
        if event.parent_id is None:
            self._add_root(event, key[0])
        self._keep_words(key, "input", event.input)

    def _add_root(self, event: Started, trace_id: str) -> None:
        attrs = event.attrs
        first = ""
        if isinstance(event.input, bytes):
            first = preview(decoded(event.input))
        elif event.input is not None:
            self.preview_from[trace_id] = event.input
        self.roots[trace_id] = {
            "workflow": _name(attrs.get("workflow") or event.name),
            "version": None if attrs.get("version") is None else _name(str(attrs["version"])),
            "owner": attrs.get("owner") or self.owner,
            "entry": attrs.get("entry"),
            "replay_of": attrs.get("replay_of"),
            "plan": attrs.get("plan"),
            "preview": first,
        }

    def _add_finished(self, event: Finished, key: Key) -> None:
        attrs = event.attrs
        failure = None if event.failure is None else failure_in(event.failure)
        self.ended[key] = {
            "ended_ns": event.at_ns,
            "outcome": event.outcome,
            "output": self._keep(event.output),
            "output_lossy": event.output_lossy or None,
            "failure": self._keep(event.failure),
            "error_type": None if failure is None else _name(failure.type),
            "error_message": None if failure is None else first_line(failure.message),
            "end_tags": attrs.get("tags") or None,
        }
        if attrs.get("plan") is not None:
            self.end_plans[key[0]] = attrs["plan"]
        if attrs.get("call"):
            self.calls[key] = _call_row(attrs["call"], at_ns=event.at_ns)
        self._keep_words(key, "output", event.output)
        if failure is not None:
            self._keep_text(key, "error", searchable([failure.type, failure.message]))

    def _add_note(self, event: Noted, key: Key) -> None:
        name = _name(event.name)
        self.notes[(*key, event.kind, name, str(event.occurrence))] = {
            "trace_id": key[0],
            "step_id": key[1],
            "kind": event.kind,
            "name": name,
            "occurrence": event.occurrence,
            "at_ns": event.at_ns,
            "value": event.value,
        }

    def _keep(self, value: bytes | str | None) -> str | None:
        """The address of a value, and the value itself among the payloads, unless the store holds it already."""
        if not isinstance(value, bytes):
            return value
        digest = codec.address(value)
        self.payloads[digest] = value
        return digest

    def _keep_words(self, key: Key, part: str, value: bytes | str | None) -> None:
        if isinstance(value, bytes) and len(value) <= _SEARCHED_BYTES:
            self._keep_text(key, part, searchable(decoded(value)))

    def _keep_text(self, key: Key, part: str, text: str) -> None:
        if text:
            self.texts[(*key, part)] = {"trace_id": key[0], "step_id": key[1], "part": part, "text": text}


def decoded(data: bytes) -> Any:
    """The value in a payload, or None where the bytes are none: a torn one must not stop the journal behind it."""
    try:
        return codec.decode(data)
    except CodecError:
        return None


def failure_in(data: bytes) -> Failure:
    """The failure in a payload; one that can't be read becomes a failure that says so."""
    value = decoded(data)
    return value if isinstance(value, Failure) else Failure(type="Exception", message="(its record can't be read)")


def first_line(message: str) -> str:
    return squeeze(next(iter(message.strip().splitlines()), ""), _ERROR_LENGTH)


def _name(text: str) -> str:
    return plain(text)[:_NAME_LENGTH]


_NO_CALL: Row = {
    "provider": None,
    "model_asked": None,
    "model": None,
    **dict.fromkeys(_COUNTS),
    "raw_usage": None,
    "cost_nusd": None,
    "price": None,
    "unpriced_because": None,
    "first_token_ns": None,
    "finish_reason": None,
    "response_id": None,
    "status_code": None,
    "streamed": False,
}


def _call_row(call: Mapping[str, Any], *, at_ns: int) -> Row:
    usage = call.get("usage") or {}
    cost, reason = price_call(call, at_ns=at_ns)
    if cost is not None and _count(cost.nusd) is None:
        reason = f"the cost is out of range: {cost.nusd} nano-dollars"
        cost = None
    texts = ("provider", "model_asked", "model", "finish_reason", "response_id")
    return {
        **{name: None if call.get(name) is None else _name(str(call[name])) for name in texts},
        **{name: _count(usage.get(name)) for name in _COUNTS},
        "raw_usage": usage.get("raw"),
        "cost_nusd": None if cost is None else cost.nusd,
        "price": None if cost is None else cost.price,
        "unpriced_because": reason,
        "first_token_ns": _count(call.get("first_token_ns")),
        "status_code": _count(call.get("status_code")),
        "streamed": bool(call.get("streamed")),
    }


def _count(value: Any) -> int | None:
    """A number that 64 bits hold even when a thousand are summed up; anything else that a server sends is unknown."""
    return value if isinstance(value, int) and abs(value) < 2**53 else None
