"""A recorded value as a reader compares it: a model call's bytes become the request's body and the answer's message."""

from __future__ import annotations

from typing import Any, Mapping
from urllib.parse import urlsplit

from replay.compare import Change, compare
from tracer import codec, providers, recorder
from tracer.http.volatile import steadied
from tracer.model import Step
from tracer.player import Call
from tracer.wire import HttpRequest, HttpResponse

_HIDDEN = "[redacted: by name]"


def readable(step: Step | None, request: Any, value: Any) -> Any:  # noqa: ARG001 - whose value it is: for lenses to come
    """``value``, or for an HTTP response of a known format what it says. ``request`` is the step's recorded input."""
    if isinstance(value, HttpRequest):
        return {"method": value.method, "path": urlsplit(value.url).path, "body": steadied(value.body)}
    if not isinstance(value, HttpResponse) or not isinstance(request, HttpRequest):
        return value
    answer = providers.read(request, value)
    if answer is None:
        return {"status": value.status, "body": value.raw.decode("utf-8", "replace")}
    said = {"status": value.status, "text": answer.message.content, "tool_calls": answer.message.tool_calls}
    if answer.error is not None:
        said["error"] = answer.error
    return {key: part for key, part in said.items() if part not in ((), None)}


def differences(source: Step, recorded: Any, call: Call) -> tuple[Change, ...]:
    """Where the inputs of a call differ from the recorded ones. Of a secret nobody can tell: it is not recorded."""
    changes = compare(readable(source, None, recorded), readable(source, None, shown_input(call)))
    return tuple(change for change in changes if not (_is_redacted(change.before) and _is_redacted(change.after)))


def shown_input(call: Call) -> Any:
    """The inputs of a call as they may be shown and compared with recorded ones: secrets are taken out."""
    if call.input is None:
        return None
    active = recorder.recorder()
    value = codec.decode(call.input if active is None else active.keeper.redactor.redact(call.input).data)
    if not isinstance(value, Mapping):
        return value
    hidden = {path.removeprefix("$.").removesuffix(" (redacted)") for path in call.input_lossy if "(redacted)" in path}
    return {name: _HIDDEN if name in hidden and not _is_redacted(item) else item for name, item in value.items()}


def _is_redacted(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("[redacted: ")
