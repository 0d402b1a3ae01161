"""What the loopback provider's model says: a plain function of the question. No chance, no clock, no wire format.

The rules, in this order:

1. A tool is called if the client forces one, or if the last thing the user said holds a word of the tool's name and the
   tool was not called since: ``lookup_order`` answers "Where is my order 1042?". One call at a time, in their order.
2. A schema is filled from the text: of an enum the label that occurs in what the user said, numbers as they occur, and
   strings with the user's words.
3. Labels that are listed ("one of: billing, delivery, other") are answered with the one that occurs, else the last.
4. Anything else gets a sentence or two that repeat the user's words, or what the tools gave.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

_LISTED = re.compile(
    r"\b(?:one of|labels|categories|choose)\b[^:\n]{0,40}:\s*([\w \-]+(?:,\s*[\w \-]+)+)", re.IGNORECASE
)
_TOKEN = re.compile(r"\w+|[^\w\s]")
_DIMENSIONS = 8


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation. ``role`` is system, user, assistant or tool; ``calls`` names tools that it calls."""

    role: str
    text: str = ""
    calls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tool:
    name: str
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """A request in normal form. ``must_call`` is a tool's name, "any", or None; ``schema`` is of an answer in JSON."""

    model: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    must_call: str | None = None
    schema: Mapping[str, Any] | None = None
    stream: bool = False

    @property
    def asked(self) -> str:
        """The last thing the user said."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user" and turn.text), "")

    @property
    def since(self) -> tuple[Turn, ...]:
        """What came after it."""
        last = max((at for at, turn in enumerate(self.turns) if turn.role == "user" and turn.text), default=-1)
        return self.turns[last + 1 :]

    @property
    def text(self) -> str:
        return "\n".join(turn.text for turn in self.turns)


@dataclass(frozen=True)
class Said:
    """An answer in normal form: a text, or a call of a tool with its arguments."""

    text: str = ""
    tool: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """The pieces of a stream; joined, the text."""
        return re.findall(r"\S+\s*|\s+", self.text) or [""]

    @property
    def tokens(self) -> int:
        return tokens(self.text if self.tool is None else self.tool + json.dumps(self.arguments))


def tokens(text: str) -> int:
    return len(_TOKEN.findall(text))


def answer(question: Question) -> Said:
    if (tool := _called(question)) is not None:
        return Said(tool=tool.name, arguments=filled(tool.schema, question.asked) or {})
    if question.schema is not None:
        return Said(json.dumps(filled(question.schema, _material(question))))
    if (label := _labelled(question)) is not None:
        return Said(label)
    found = " ".join(turn.text for turn in question.since if turn.role == "tool")
    if found:
        return Said(f"This is what I found: {_first(found, 40)}")
    return Said(f"Thank you for writing to us. You said: {_first(question.asked, 30)}. We look after it today.")


def vector(text: str) -> list[float]:
    """An embedding: the same text gives the same numbers, between -1 and 1 and exact in 32 bits."""
    return [(byte - 128) / 128 for byte in hashlib.blake2b(text.encode(), digest_size=_DIMENSIONS).digest()]


def _called(question: Question) -> Tool | None:
    done = {name for turn in question.since for name in turn.calls}
    left = [tool for tool in question.tools if tool.name not in done]
    named = next((tool for tool in question.tools if tool.name == question.must_call), None)
    wanted = next((tool for tool in left if _asks_for(question.asked, tool.name)), None)
    if named is not None or question.must_call is None:
        return named or wanted
    return wanted or next(iter(left or question.tools), None)


def _asks_for(text: str, tool: str) -> bool:
    words = {word for word in re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", tool).lower()) if len(word) > 3}
    return not words.isdisjoint(re.findall(r"[a-z]+", text.lower()))


def _labelled(question: Question) -> str | None:
    """The label that occurs in the conversation outside the list of labels."""
    found = _LISTED.search(question.text)
    if found is None:
        return None
    labels = [label.strip() for label in found[1].split(",")]
    rest = question.text.replace(found[0], " ")
    return _occurring(labels, rest) or labels[-1]


def _occurring(labels: Sequence[Any], text: str) -> Any:
    """The label that stands first in a text, told by its first letters: "refunded" speaks of the label "refund"."""
    at = {label: text.lower().find(str(label).lower()[:6]) for label in labels}
    return min((label for label in labels if at[label] >= 0), key=lambda label: at[label], default=None)


def _material(question: Question) -> str:
    return "\n".join([question.asked, *(turn.text for turn in question.since if turn.role == "tool")])


def _first(text: str, words: int) -> str:
    return " ".join(text.split()[:words]).rstrip(".")


def filled(schema: Mapping[str, Any], text: str) -> Any:
    """A value that the schema allows, made of the text. Understands what the SDKs write: $ref, anyOf, enum, bounds."""
    return _value(schema, text, schema)


def _value(schema: Mapping[str, Any], text: str, root: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return _value(target, text, root)
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            options = [option for option in schema[union] if option.get("type") != "null"]
            return _value(options[0], text, root) if options else None
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return _occurring(schema["enum"], text) or schema["enum"][-1]
    return _typed(schema, text, root)


def _typed(schema: Mapping[str, Any], text: str, root: Mapping[str, Any]) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = next((each for each in kind if each != "null"), "string") if isinstance(kind, list) else kind
    match str(kind).lower():
        case "object":
            return {name: _value(part, text, root) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [_value(schema.get("items", {}), text, root)]
        case "integer" | "number" as number:
            return _number(schema, text, whole=number == "integer")
        case "boolean":
            return True
        case "null":
            return None
    return _first(text, 12) or "nothing"


def _number(schema: Mapping[str, Any], text: str, *, whole: bool) -> float:
    """The first number in the text, within the bounds; without one, the lower bound or 1."""
    found = re.search(r"-?\d+" if whole else r"-?\d+(?:\.\d+)?", text)
    number = float(found[0]) if found else float(schema.get("minimum", 1))
    number = max(min(number, schema.get("maximum", number)), schema.get("minimum", number))
    return int(number) if whole else number
