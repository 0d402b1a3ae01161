"""What the journal holds: three kinds of event, each one MessagePack array with its letter first.

Ids are raw bytes here (16 for a trace, 8 for a step). ``input`` and ``output`` are the codec's bytes, or the text
address of a payload that the store already holds (a served step repeats nothing).
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Sequence

import ormsgpack


class Started(NamedTuple):
    """A step begins. ``attrs`` (all optional): effect, origin, source, model, tags; on a root also workflow, entry,
    version, replay_of, resume_of, plan, owner."""

    trace_id: bytes
    step_id: bytes
    parent_id: bytes | None
    name: str
    kind: str
    path: str
    occurrence: int
    at_ns: int
    input: bytes | str | None
    input_lossy: Sequence[str]
    #: Only where it can't be derived from ``input``: redaction changed it, or it is a model call's wire identity.
    identity: str | None
    fingerprint: str | None
    attrs: dict[str, Any]


class Finished(NamedTuple):
    """A step ends. ``failure`` is the codec's bytes of a model.Failure. ``attrs`` (all optional): tags, plan, and
    ``call``, a mapping with the fields of model.ModelCall (usage as a mapping of model.Usage, no cost) and ``price``,
    the price that the catalogue declares for the model ({"input_nusd": per token, "output_nusd": per token})."""

    trace_id: bytes
    step_id: bytes
    at_ns: int
    outcome: str
    output: bytes | str | None
    output_lossy: Sequence[str]
    failure: bytes | None
    attrs: dict[str, Any]


class Noted(NamedTuple):
    """Something said about a running step: a value of time or chance, or a score. ``value`` is the codec's bytes."""

    trace_id: bytes
    step_id: bytes
    kind: str
    name: str
    occurrence: int
    at_ns: int
    value: bytes


Event = Started | Finished | Noted
_INPUT, _IDENTITY = Started._fields.index("input"), Started._fields.index("identity")
_LETTERS: dict[str, type[Started | Finished | Noted]] = {"s": Started, "f": Finished, "n": Noted}


def letter_of(event: Event) -> str:
    return "s" if isinstance(event, Started) else "f" if isinstance(event, Finished) else "n"


def pack(event: Event) -> bytes:
    return ormsgpack.packb((letter_of(event), *event))


def unpack(frame: bytes, identify: Callable[[bytes | None], str] | None = None) -> Event:
    """The event in one journal frame; raises ValueError when the bytes are no event of this version.

    ``identify`` gives the identity that the recording thread left to the writer, from the input.
    """
    try:
        fields = ormsgpack.unpackb(frame)
        kind = _LETTERS[fields.pop(0)]
        if identify and kind is Started and fields[_IDENTITY] is None and not isinstance(fields[_INPUT], str):
            fields[_IDENTITY] = identify(fields[_INPUT])
        return kind._make(fields)
    except (ormsgpack.MsgpackDecodeError, AttributeError, TypeError, LookupError, ValueError) as error:
        raise ValueError(f"not a journal event: {error}") from error
