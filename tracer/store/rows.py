"""From a batch of events to rows, table by table; pure. What begins and ends in one batch becomes one row."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Mapping, NamedTuple

from tracer import codec
from tracer.errors import CodecError
from tracer.events import Event, Finished, Noted, Started
from tracer.model import Failure
from tracer.parts import Priced
from tracer.pricing import price_call
from tracer.store.bodies import digest_in
from tracer.store.pieces import digest_of
from tracer.store.statements import Row
from tracer.store.tables import to_json
from tracer.store.texts import plain, preview, squeeze

Key = tuple[str, ...]

_NAME_LENGTH = 500
_ERROR_LENGTH = 500
#: The columns that hold the buckets of a usage, by their names in model.Usage.
COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "cache_write_1h_tokens",
    "cache_audio_tokens",
    "web_searches",
)
_TEXTS = ("provider", "model_asked", "model", "finish_reason", "response_id", "error_type", "request_id")


class Begun(NamedTuple):
    """What a step's beginning says, as its columns hold it."""

    parent_id: str | None
    name: str
    kind: str
    path: str
    occurrence: int
    started_ns: int
    origin: str
    effect: int
    input: bytes | None
    input_lossy: str | None
    identity: str | None
    fingerprint: str | None
    tags: str | None
    source_step_id: str | None


class Ended(NamedTuple):
    """What a step's end says, as its columns hold it."""

    ended_ns: int
    outcome: str
    output: bytes | None
    output_lossy: str | None
    failure: bytes | None
    error_type: str | None
    error_message: str | None
    end_tags: str | None


@dataclass
class Rows:
    """A batch, by table. Keys are (trace id, step id, ...), so that an event that comes twice is there once."""

    owner: str
    trace_ids: dict[str, int] = field(default_factory=dict)
    roots: dict[str, Row] = field(default_factory=dict)
    end_plans: dict[str, Any] = field(default_factory=dict)
    begun: dict[Key, Begun] = field(default_factory=dict)
    ended: dict[Key, Ended] = field(default_factory=dict)
    asked: dict[Key, Row] = field(default_factory=dict)
    calls: dict[Key, Row] = field(default_factory=dict)
    payloads: dict[bytes, bytes] = field(default_factory=dict)
    notes: dict[Key, Row] = field(default_factory=dict)
    #: Roots whose input is an address: their preview has to be read from the store.
    preview_from: dict[str, bytes] = field(default_factory=dict)

    def forget(self, trace_ids: set[str]) -> None:
        """Take out all that belongs to these traces."""
        if not trace_ids:
            return
        for of_traces in (self.trace_ids, self.roots, self.end_plans, self.preview_from):
            for trace_id in trace_ids.intersection(of_traces):
                del of_traces[trace_id]
        for of_steps in (self.begun, self.ended, self.asked, self.calls, self.notes):
            for key in [key for key in of_steps if key[0] in trace_ids]:
                del of_steps[key]
        held = {step.input for step in self.begun.values()}
        held.update(digest for step in self.ended.values() for digest in (step.output, step.failure))
        self.payloads = {digest: data for digest, data in self.payloads.items() if digest in held}

    def add(self, event: Event) -> None:
        trace_id = event.trace_id.hex()
        if trace_id not in self.trace_ids:
            self.trace_ids[trace_id] = event.at_ns
        key = (trace_id, event.step_id.hex())
        if isinstance(event, Started):
            self._add_started(event, key)
        elif isinstance(event, Finished):
            self._add_finished(event, key)
        else:
            self._add_note(event, key)

    def _add_started(self, event: Started, key: Key) -> None:
        attrs = event.attrs
        self.begun[key] = Begun(
            None if event.parent_id is None else event.parent_id.hex(),
            _name(event.name),
            _name(event.kind),
            _path(event.path),
            event.occurrence,
            event.at_ns,
            attrs.get("origin") or "live",
            1 if attrs.get("effect") else 0,
            self._keep(event.input),
            to_json(event.input_lossy) if event.input_lossy else None,
            event.identity,
            event.fingerprint,
            to_json(attrs.get("tags") or None),
            attrs.get("source"),
        )
        if attrs.get("model"):
            self.asked[key] = _NO_CALL | {"model_asked": plain(attrs["model"])}
        if event.parent_id is None:
            self._add_root(event, key)

    def _add_root(self, event: Started, key: Key) -> None:
        attrs = event.attrs
        trace_id, step_id = key
        first = ""
        if isinstance(event.input, bytes):
            first = preview(decoded(event.input))
        elif event.input is not None:
            self.preview_from[trace_id] = digest_in(event.input)
        self.roots[trace_id] = {
            "workflow": _name(attrs.get("workflow") or event.name),
            "version": None if attrs.get("version") is None else _name(str(attrs["version"])),
            "owner": attrs.get("owner") or self.owner,
            "entry": attrs.get("entry"),
            "replay_of": attrs.get("replay_of"),
            "resume_of": attrs.get("resume_of"),
            "plan": attrs.get("plan"),
            "preview": first,
            "root_id": step_id,
        }

    def _add_finished(self, event: Finished, key: Key) -> None:
        attrs = event.attrs
        failure = None if event.failure is None else failure_in(event.failure)
        self.ended[key] = Ended(
            event.at_ns,
            event.outcome,
            self._keep(event.output),
            to_json(event.output_lossy) if event.output_lossy else None,
            self._keep(event.failure),
            None if failure is None else _name(failure.type),
            None if failure is None else first_line(failure.message),
            to_json(attrs.get("tags") or None),
        )
        if attrs.get("plan") is not None:
            self.end_plans[key[0]] = attrs["plan"]
        if attrs.get("call"):
            self.calls[key] = _call_row(attrs["call"], at_ns=event.at_ns)

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

    def _keep(self, value: bytes | str | None) -> bytes | None:
        """The digest of a value, and the value itself among the payloads, unless the store holds it already."""
        if isinstance(value, bytes):
            digest = digest_of(value)
            self.payloads[digest] = value
            return digest
        return None if value is None else digest_in(value)


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


@lru_cache(maxsize=4_096)
def _path(text: str) -> str:
    return plain(text)


@lru_cache(maxsize=4_096)
def _name(text: str) -> str:
    return plain(text)[:_NAME_LENGTH]


_NO_CALL: Row = {
    **dict.fromkeys(_TEXTS),
    **dict.fromkeys(COUNTS),
    "raw_usage": None,
    "cost_nusd": None,
    "price": None,
    "unpriced_because": None,
    "first_token_ns": None,
    "status_code": None,
    "streamed": False,
    "declared_price": None,
    "retry_after_s": None,
}


def _call_row(call: Mapping[str, Any], *, at_ns: int) -> Row:
    usage = call.get("usage") or {}
    cost, reason = storable(price_call(call, at_ns=at_ns))
    return {
        **{name: None if call.get(name) is None else _name(str(call[name])) for name in _TEXTS},
        **{name: _count(usage.get(name)) for name in COUNTS},
        "raw_usage": usage.get("raw"),
        "cost_nusd": None if cost is None else cost.nusd,
        "price": None if cost is None else cost.price,
        "unpriced_because": reason,
        "first_token_ns": _count(call.get("first_token_ns")),
        "status_code": _count(call.get("status_code")),
        "streamed": bool(call.get("streamed")),
        "declared_price": call.get("price"),
        "retry_after_s": _seconds(call.get("retry_after_s")),
    }


def storable(priced: Priced) -> Priced:
    """The same cost, unless no column holds it and its like summed up."""
    cost, _ = priced
    if cost is None or _count(cost.nusd) is not None:
        return priced
    return None, f"the cost is out of range: {cost.nusd} nano-dollars"


def _count(value: Any) -> int | None:
    """A number that 64 bits hold even when a thousand are summed up; anything else that a server sends is unknown."""
    return value if isinstance(value, int) and abs(value) < 2**53 else None


def _seconds(value: Any) -> float | None:
    """A wait that ends; what no clock counts up to is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < 2**31 else None
