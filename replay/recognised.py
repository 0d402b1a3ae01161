"""What a recorded step is matched by when its record came from another store.

An identity is keyed with the secret of the store that recorded it, and means nothing in another one. So it does not
travel: it is made anew, with the secret of the store that the record comes into, from the recorded inputs. Where these
are not what the step was called with, because a secret was taken out, a size limit cut them or nothing was captured,
the step is matched by its inputs *as they are kept*: a call is the recorded one if what would be kept of it is the
same. Such an identity begins with ``r1:``; what differs only in what was taken out can't be told apart by it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterable

from tracer import codec, recorder
from tracer.errors import CodecError
from tracer.http.clean import target
from tracer.key import NO_INPUT
from tracer.model import Step
from tracer.player import Call
from tracer.wire import HttpRequest

_AS_KEPT = "r1:"
#: Of these the record holds all that they are matched by, where nothing was taken out.
_WIRE_MODELS = frozenset({"llm", "embedding"})


def imported_identity(kind: str, kept: bytes | None, lossy: Iterable[str], key: bytes) -> str:
    """The identity of a recorded step in the store with this key. ``kept`` are its recorded inputs."""
    request = _request(kept)
    # Paths that say why, "$.password (redacted)", are of what was taken out; a bare one is lossy in every recording.
    is_whole = kept is not None and not any(path.endswith(")") for path in lossy)
    if is_whole and (request is None or kind in _WIRE_MODELS):
        return codec.identity(_matched(kept, request), key)
    return _AS_KEPT + codec.identity(_matched(kept, request), key)


def known_as_kept(steps: Iterable[Step]) -> frozenset[str]:
    """Those identities of a record that are made of inputs as they are kept."""
    return frozenset(step.identity for step in steps if step.identity is not None and step.identity[:3] == _AS_KEPT)


def recognised(call: Call, known: frozenset[str]) -> Call:
    """The call under the identity by which the record knows it. ``known`` is what ``known_as_kept`` gave."""
    active = recorder.recorder() if known else None
    if active is None:
        return call
    as_kept = _AS_KEPT + codec.identity(_matched(call.kept, _request(call.kept)), active.key)
    return replace(call, identity=as_kept) if as_kept in known else call


def _matched(kept: bytes | None, request: HttpRequest | None) -> bytes:
    """A request is matched by method, path, query and body, never by its host."""
    if request is not None:
        return codec.encode((request.method, target(request.url), request.body)).data
    return NO_INPUT if kept is None else kept


def _request(kept: bytes | None) -> HttpRequest | None:
    if kept is None or b"HttpRequest" not in kept[:100]:
        return None
    try:
        value: Any = codec.decode(kept)
    except CodecError:
        return None
    return value if isinstance(value, HttpRequest) else None
