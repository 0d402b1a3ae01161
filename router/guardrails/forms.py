"""Rules about a text that is to be JSON: that it parses, that a schema holds, that a model reads it. Pure.

``JsonSchema`` stands on jsonschema, the extra ``playhead[guardrails]``; ``Typed`` takes pydantic's models as they are
and imports nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Mapping

from router.errors import MissingExtra

#: So many offences of one text are told; a list of thousands of wrong items is not made a prompt of thousands of lines.
_MOST_TOLD = 5


@dataclass(frozen=True, slots=True)
class Parses:
    """The text is one JSON object, and it has all of these keys; of a mapping, with values of these types."""

    keys: tuple[str, ...] | Mapping[str, type] = ()
    name: str = "parses"
    of_json: ClassVar[bool] = True

    def offence(self, text: str) -> str | None:
        value, problem = read(text)
        if problem is not None:
            return problem
        if not isinstance(value, dict):
            return f"a JSON {type(value).__name__}, not an object"
        missing = [key for key in self.keys if key not in value]
        if missing:
            return f"no key {', '.join(missing)}"
        wanted = self.keys if isinstance(self.keys, Mapping) else {}
        wrong = next((key for key, kind in wanted.items() if not isinstance(value[key], kind)), None)
        return None if wrong is None else f"{wrong} is a {type(value[wrong]).__name__}, not a {wanted[wrong].__name__}"


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """The text is JSON, and this JSON Schema holds of it (the draft that ``$schema`` names, else the newest one).

    A ``$ref`` is followed inside the schema and nowhere else: nothing is ever fetched. A schema that is none raises
    ValueError when the rule is made, and MissingExtra where jsonschema is not installed.
    """

    schema: Mapping[str, Any]
    name: str = "schema"
    of_json: ClassVar[bool] = True

    def __post_init__(self) -> None:
        from jsonschema.exceptions import SchemaError  # noqa: PLC0415 - an extra

        validator = _validator(self.schema)
        try:
            type(validator).check_schema(self.schema)
        except SchemaError as error:
            raise ValueError(f"the rule {self.name!r} has a schema that is none: {_at(error)}") from None

    def offence(self, text: str) -> str | None:
        from referencing.exceptions import Unresolvable  # noqa: PLC0415 - comes with jsonschema

        value, problem = read(text)
        if problem is not None:
            return problem
        try:
            errors = sorted(_validator(self.schema).iter_errors(value), key=lambda error: error.json_path)
        except Unresolvable as error:
            raise ValueError(
                f"the rule {self.name!r} refers to {error.ref!r}, which its schema does not hold"
            ) from None
        return _told([_at(error) for error in errors])


@dataclass(frozen=True, slots=True)
class Typed:
    """The text is JSON that ``model`` reads: a pydantic model, or anything with its ``model_validate_json``."""

    model: Any
    name: str = "typed"
    of_json: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not callable(getattr(self.model, "model_validate_json", None)):
            raise TypeError(f"the rule {self.name!r} needs a pydantic model, not {self.model!r}")

    def offence(self, text: str) -> str | None:
        _, problem = read(text)
        if problem is not None:
            return problem
        try:
            self.model.model_validate_json(text)
        except ValueError as error:  # pydantic's ValidationError is one, and so is what a validator of it raises
            errors = getattr(error, "errors", None)
            if not callable(errors):
                return str(error)
            return _told([f"{_path(each['loc'])}: {each['msg']}" for each in errors()])
        return None


def read(text: str) -> tuple[Any, str | None]:
    """The value of a JSON text and None; or None and why it is no JSON."""
    try:
        return json.loads(text), None
    except (ValueError, RecursionError) as error:
        return None, f"no JSON: {error}"


def _validator(schema: Mapping[str, Any]) -> Any:
    try:
        from jsonschema import validators  # noqa: PLC0415 - an extra, and 0.1 s
        from referencing import Registry  # noqa: PLC0415 - comes with it
    except ImportError:
        raise MissingExtra("JSON Schema", "jsonschema", "guardrails") from None
    kind = validators.validator_for(schema, default=validators.Draft202012Validator)
    return kind(schema, registry=Registry())  # an empty one: a reference elsewhere is not fetched, it is refused


def _at(error: Any) -> str:
    message = error.message if len(error.message) <= 200 else error.message[:199] + "…"
    return f"{error.json_path}: {message}"


def _path(loc: tuple[int | str, ...]) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)


def _told(offences: list[str]) -> str | None:
    if not offences:
        return None
    more = len(offences) - _MOST_TOLD
    return "; ".join(offences[:_MOST_TOLD]) + (f"; and {more} more" if more > 0 else "")
