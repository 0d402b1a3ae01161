"""An edited result, brought into the shape that the step's caller expects.

JSON knows no dataclasses: where the recorded result was one (or a pydantic model, or a named tuple), a mapping of
fields becomes one again, and fields that the edit leaves out keep their recorded values. A text given for a model call
is dressed as that model's answer.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any, Callable, Mapping

from replay.divergence import one_line
from replay.errors import PlanError
from tracer import providers
from tracer.codec import Yielded
from tracer.messages import ChatAnswer
from tracer.wire import HttpRequest, HttpResponse


def shaped(value: Any, recorded: Any, *, request: HttpRequest | None = None, path: str = "this step") -> Any:
    """``value`` in the shape of ``recorded``; for a model call, whose ``request`` is given, as its answer.

    Raises PlanError, which names the field that does not fit.
    """
    if request is not None and not isinstance(value, HttpResponse | ChatAnswer):
        return _answer(value, request, path)
    try:
        return _like(recorded, value)
    except (TypeError, ValueError, ArithmeticError) as error:
        kind = type(recorded).__qualname__
        raise PlanError(f"the edit of {path} does not make a {kind}: {_said(error)}") from None


#: Types that JSON writes as a text.
_FROM_TEXT: tuple[tuple[type, Callable[[str], Any]], ...] = (
    (dt.datetime, dt.datetime.fromisoformat),
    (dt.date, dt.date.fromisoformat),
    (dt.time, dt.time.fromisoformat),
    (Decimal, Decimal),
    (uuid.UUID, uuid.UUID),
)


def _like(recorded: Any, value: Any) -> Any:
    kind = type(recorded)
    if isinstance(recorded, Yielded) and not isinstance(value, Yielded):
        if not isinstance(value, list | tuple):
            raise TypeError("it is a generator: give the list of its items")
        return Yielded(tuple(_items(recorded.items, value)), recorded.returned)
    if isinstance(recorded, enum.Enum) and not isinstance(value, enum.Enum):
        return kind(value)
    if isinstance(value, str):
        read = next((read for known, read in _FROM_TEXT if isinstance(recorded, known)), None)
        return value if read is None else read(value)
    if isinstance(value, list) and isinstance(recorded, list | tuple | set | frozenset):
        return _sequence(recorded, value)
    return _record(recorded, value) if isinstance(value, Mapping) else value


def _sequence(recorded: Any, value: list[Any]) -> Any:
    if hasattr(recorded, "_fields"):
        return type(recorded)(*_items(recorded, value))
    items = _items(tuple(recorded), value)
    return items if isinstance(recorded, list) else type(recorded)(items)


def _items(recorded: Any, value: Any) -> list[Any]:
    """Each item like the recorded one in its place; beyond those, like the last."""
    return [_like(recorded[min(at, len(recorded) - 1)] if recorded else None, item) for at, item in enumerate(value)]


def _record(recorded: Any, value: Mapping[str, Any]) -> Any:
    """A mapping of fields as an instance of the recorded class: fields it leaves out keep their recorded values."""
    kind = type(recorded)
    if isinstance(recorded, Mapping):
        return {name: _like(recorded[name], item) if name in recorded else item for name, item in value.items()}
    if hasattr(recorded, "model_copy"):
        return _model(recorded, value)
    if dataclasses.is_dataclass(recorded):
        names = {field.name for field in dataclasses.fields(recorded)}
    elif hasattr(recorded, "__attrs_attrs__"):
        names = {attribute.name for attribute in recorded.__attrs_attrs__}
    elif hasattr(recorded, "_replace"):
        names = set(kind._fields)
    else:
        return value
    _only(value, names, kind)
    told = {name: _like(getattr(recorded, name), item) for name, item in value.items()}
    if hasattr(recorded, "_replace"):
        return recorded._replace(**told)
    if dataclasses.is_dataclass(recorded) and not isinstance(recorded, type):
        return dataclasses.replace(recorded, **told)
    return kind(**{name.lstrip("_"): getattr(recorded, name) for name in names} | told)


def _model(recorded: Any, value: Mapping[str, Any]) -> Any:
    """A pydantic model, validated. It reads its fields by their aliases, where they have them."""
    kind = type(recorded)
    _only(value, set(kind.model_fields), kind)
    merged = {name: getattr(recorded, name) for name in kind.model_fields}
    for name, item in value.items():
        merged[name] = _like(merged[name], item)
    aliases = {name: field.validation_alias or field.alias for name, field in kind.model_fields.items()}
    known_as = {name: alias if isinstance(alias, str) else name for name, alias in aliases.items()}
    return kind.model_validate({known_as[name]: item for name, item in merged.items()})


def _said(error: Exception) -> str:
    """An error in one line; of a pydantic one, the field and what is wrong with it."""
    try:
        first = error.errors()[0]  # type: ignore[attr-defined]  # pydantic's, which need not be installed
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (AttributeError, LookupError, TypeError):
        return one_line(str(error))


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
