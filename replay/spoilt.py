"""Answers spoilt on purpose: a text or a value as a failing model would have given it. Pure.

Each gives the spoilt one, or raises Unfit where there is nothing in it to spoil in that way.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, Mapping

from replay.edits import shaped
from tracer.codec import Yielded

REFUSAL = "I'm sorry, but I can't help with that."
#: What a JSON answer is taken for where the recorded one is none.
NO_JSON = '{"this": "is cut o'
#: By what a confidence is multiplied.
_LOWERED = 0.1
#: Added to the logarithm of each token's probability: a tenth of it.
_LOWERED_LOG = -2.302585092994046
_CONFIDENCES = ("confidence", "score", "probability")
_TEXTS = ("text", "content")
_FENCED = re.compile(r"\A(\s*```(?:json)?\s*\n)(.*?)(\n\s*```\s*)\Z", re.DOTALL)
_ATOMS = (str, bytes, list, tuple, dict, set, frozenset)


class Unfit(Exception):
    """This fault has no meaning here. The text says why, as half a sentence."""


def json_in(text: str) -> tuple[str, Any, str] | None:
    """The JSON value that a text is, with what stands around it (a code fence); None where it is none."""
    fenced = _FENCED.match(text)
    before, middle, after = fenced.groups() if fenced else ("", text, "")
    try:
        return before, json.loads(middle), after
    except (ValueError, RecursionError):
        return None


def half(text: str) -> str:
    """The first half of a text, as a limit of tokens leaves it."""
    if len(text) < 2:
        raise Unfit("the recorded answer is too short to be cut")
    return text[: len(text) // 2]


def broken_json(text: str) -> str:
    """JSON that does not parse."""
    found = json_in(text)
    if found is None:
        raise Unfit("the recorded answer is no JSON")
    kept = text.strip()
    for length in range(len(kept) * 2 // 3, 0, -1):
        if json_in(kept[:length]) is None:
            return kept[:length]
    return NO_JSON


def other_schema(text: str) -> str:
    """JSON that parses and is not of the recorded shape."""
    found = json_in(text)
    if found is None:
        raise Unfit("the recorded answer is no JSON")
    before, value, after = found
    return before + json.dumps(reshaped(value), ensure_ascii=False) + after


def reshaped(value: Any) -> Any:
    """JSON of another shape: of an object the last field is missing and the first is of another type."""
    if isinstance(value, dict) and value:
        names = list(value)
        kept = names[:-1] if len(names) > 1 else names
        return {name: _retyped(value[name]) if name == names[0] else value[name] for name in kept}
    return {"items": value} if isinstance(value, list) else {"value": value}


def _retyped(value: Any) -> Any:
    if isinstance(value, str):
        return {"value": value}
    if isinstance(value, bool | int | float):
        return str(value)
    return [value] if isinstance(value, dict) else None if value is not None else "null"


def less_sure(text: str) -> str:
    """The same JSON, with the confidence that it states lowered."""
    found = json_in(text)
    if found is None or not isinstance(found[1], dict):
        raise Unfit(UNSAID)
    return found[0] + json.dumps(_lowered(found[1]), ensure_ascii=False) + found[2]


UNSAID = "the recorded answer states no confidence"


def _lowered(fields: Mapping[str, Any]) -> dict[str, Any]:
    stated = [name for name in _CONFIDENCES if _is_number(fields.get(name))]
    if not stated:
        raise Unfit(UNSAID)
    return {**fields, **{name: fields[name] * _LOWERED for name in stated}}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def unlikely(body: Any) -> tuple[Any, bool]:
    """A parsed body with the logarithms of its tokens' probabilities lowered, and whether it has any."""
    if isinstance(body, list):
        parts = [unlikely(part) for part in body]
        return [part for part, _ in parts], any(has for _, has in parts)
    if not isinstance(body, dict):
        return body, False
    made, has_any = {}, False
    for name, part in body.items():
        if name in {"logprob", "logProbability"} and _is_number(part):
            made[name], has = part + _LOWERED_LOG, True
        else:
            made[name], has = unlikely(part)
        has_any = has_any or has
    return made, has_any


def emptied(value: Any) -> Any:
    """The empty value of its type; None for what has none."""
    if value is None:
        raise Unfit("its recorded result is None")
    if isinstance(value, Yielded):
        return Yielded(())
    return type(value)() if type(value) in _ATOMS else None


def shortened(value: Any) -> Any:
    """The first half of a result."""
    if isinstance(value, Yielded):
        return Yielded(_first_half(value.items), value.returned)
    if type(value) in {list, tuple}:
        return _first_half(value)
    raise Unfit(f"a {type(value).__name__} can't be cut short")


def _first_half(items: Any) -> Any:
    if not items:
        raise Unfit("its recorded result is empty")
    return items[: len(items) // 2]


def misshapen(value: Any) -> Any:
    """A result of another shape, where code can give one: a class has its fields, whatever a model said."""
    if type(value) in {dict, list}:
        return reshaped(value)
    raise Unfit(f"its result is a {type(value).__name__}, which has one shape")


def doubtful(value: Any) -> Any:
    """A result whose confidence is lowered: a mapping, or an instance with such a field."""
    if not states_confidence(value):
        raise Unfit("its recorded result states no confidence")
    numbers = {name: field_of(value, name) for name in _CONFIDENCES}
    return with_fields(value, {name: number * _LOWERED for name, number in numbers.items() if _is_number(number)})


def states_confidence(value: Any) -> bool:
    return _has_fields(value) and any(_is_number(field_of(value, name)) for name in _CONFIDENCES)


def text_field(value: Any) -> str | None:
    """The field of a model's result that holds what it said; None where it has none."""
    if not _has_fields(value):
        return None
    return next((name for name in _TEXTS if isinstance(field_of(value, name), str)), None)


def field_of(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def with_fields(value: Any, fields: Mapping[str, Any]) -> Any:
    """The same mapping or instance with other values in these fields."""
    return {**value, **fields} if isinstance(value, dict) else shaped(fields, value)


def _has_fields(value: Any) -> bool:
    if isinstance(value, type):
        return False
    known = ("model_copy", "__attrs_attrs__", "_replace")
    return isinstance(value, dict) or dataclasses.is_dataclass(value) or any(hasattr(value, name) for name in known)
