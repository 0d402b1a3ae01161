"""An edited result, brought into the shape that the step's caller expects.

JSON knows no dataclasses: where the recorded result was one (or a pydantic model, or a named tuple), a mapping of fields
becomes one again, and fields that the edit leaves out keep their recorded values. A text given for a model call is
dressed as that model's answer.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Mapping

from replay.errors import PlanError
from tracer import providers
from tracer.messages import ChatAnswer
from tracer.wire import HttpRequest, HttpResponse


def shaped(value: Any, recorded: Any, *, request: Any = None, path: str = "this step") -> Any:
    """``value`` in the shape of ``recorded``. Raises PlanError, which names the field that does not fit."""
    if isinstance(recorded, HttpResponse) and isinstance(request, HttpRequest) and not isinstance(value, HttpResponse):
        return _answer(value, request, path)
    try:
        return _like(recorded, value)
    except (TypeError, ValueError) as error:
        kind = type(recorded).__qualname__
        raise PlanError(f"the edit of {path} does not make a {kind}: {error}") from None


def _like(recorded: Any, value: Any) -> Any:
    kind = type(recorded)
    if isinstance(recorded, enum.Enum) and not isinstance(value, enum.Enum):
        return kind(value)
    if isinstance(recorded, tuple) and isinstance(value, list):
        return kind(*value) if hasattr(kind, "_fields") else kind(value)
    if not isinstance(value, Mapping) or isinstance(recorded, Mapping):
        return value
    if dataclasses.is_dataclass(recorded) and not isinstance(recorded, type):
        names = {field.name for field in dataclasses.fields(recorded)}
        _only(value, names, kind)
        told = {name: _like(getattr(recorded, name), item) for name, item in value.items()}
        return dataclasses.replace(recorded, **told)
    if hasattr(recorded, "model_copy"):
        _only(value, set(kind.model_fields), kind)
        return kind.model_validate({**recorded.model_dump(), **value})
    if hasattr(recorded, "_replace"):
        _only(value, set(kind._fields), kind)
        return recorded._replace(**value)
    return value


def _only(value: Mapping[str, Any], names: set[str], kind: type) -> None:
    unknown = sorted(set(value) - names)
    if unknown:
        raise ValueError(f"{kind.__qualname__} has no field {unknown[0]!r} (it has {', '.join(sorted(names))})")


def _answer(value: Any, request: HttpRequest, path: str) -> HttpResponse:
    if not isinstance(value, str):
        raise PlanError(f"{path} is a model call: edit it with a text, its answer ('\"...\"')")
    dressed = providers.dress(request, ChatAnswer.of(value))
    if dressed is None:
        raise PlanError(f"{path} speaks a wire format that playhead can't write an answer in; edit the step above it")
    return dressed
