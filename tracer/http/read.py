"""What a finished response says about the model call: read once, at its end. Failing to read means not knowing."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Mapping

from tracer.messages import ChatAnswer
from tracer.model import Usage
from tracer.providers import Format
from tracer.providers.headers import content_type_of, lowered
from tracer.providers.stream import framing, timed_data
from tracer.wire import HttpResponse

#: The names of what is counted. (dataclasses.asdict would copy the provider's own object too.)
_USAGE = tuple(field.name for field in fields(Usage))


@dataclass(frozen=True, slots=True)
class Facts:
    """``call`` has fields of model.ModelCall; ``error`` is the provider's error object."""

    call: dict[str, Any]
    is_whole: bool
    error: Mapping[str, Any] | None = None
    tags: dict[str, Any] = field(default_factory=dict)


def facts_of(wire_format: Format, response: HttpResponse, pieces: list[tuple[int, bytes]], *, after_ns: int) -> Facts:
    """``pieces`` is the decoded body, with times. ``after_ns`` is when it ended: a plain answer's first token came then
    as far as its reader could know."""
    body = b"".join(data for _, data in pieces)
    headers = lowered(response.headers)
    answer = wire_format.answer(response.status, headers, body)
    how = framing(content_type_of(headers), body)
    if how is not None:
        first_ns = next((at_ns for at_ns, data in timed_data(pieces, how) if wire_format.speaks(data)), None)
    else:
        first_ns = after_ns if answer.error is None and body else None
    call = {
        "status_code": response.status,
        "streamed": how is not None,
        "first_token_ns": first_ns,
        "finish_reason": answer.finish_reason,
        "response_id": answer.response_id,
        **_said(answer),
    }
    tags = {"choices": answer.choices} if answer.choices > 1 else {}
    return Facts(call, wire_format.is_whole(headers, body), answer.error, tags)


def _said(answer: ChatAnswer) -> dict[str, Any]:
    """What is only told where it is known."""
    said: dict[str, Any] = {}
    if answer.model is not None:
        said["model"] = answer.model
    for name in ("error_type", "retry_after_s", "request_id"):
        if (value := getattr(answer, name)) is not None:
            said[name] = value
    if answer.usage.raw is not None:
        said["usage"] = {name: getattr(answer.usage, name) for name in _USAGE}
    return said
