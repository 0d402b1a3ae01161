"""A payload as JSON that people can review, and back to the very same bytes. Pure.

What JSON has a word for stands as it is. All else is an object with one key that begins with ``$``:
``{"$tuple": [1, 2]}``, ``{"$dataclass": ["shop:Order", {"id": 7}]}``, ``{"$decimal": "1.50"}``. Long text is
``{"$lines": [...]}``; bytes are ``{"$json": ...}``, ``{"$utf8": ...}`` or ``{"$base64": ...}``, the first that can say
them; an HTTP exchange has a short form (replay.cassette.exchanges). A key of the value's own that begins with ``$``
gets one more. The order of keys is kept, for a workflow may depend on it.

Every value is read back before it is written: one that this form can't give again byte by byte (it is nested too deep,
its bytes are torn) is written as ``{"$packed": ...}``, the codec's bytes in base64. No class is needed, nor imported.
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from typing import Any, Callable
from uuid import UUID

import ormsgpack

from replay.cassette.exchanges import exchange_node, shown_exchange
from tracer.codec.atoms import READ_RAW
from tracer.codec.tags import Tag
from tracer.codec.tree import Node, dump, parse

#: Text with this many characters and a line break in it is shown line by line.
_LONG = 60
#: The ways in which JSON is commonly written, by name. A body in none of them is shown as text.
_STYLES: dict[str, dict[str, Any]] = {
    "compact": {"separators": (",", ":"), "ensure_ascii": False},
    "spaced": {"ensure_ascii": False},
    "compact ascii": {"separators": (",", ":")},
    "spaced ascii": {},
    "indented": {"indent": 2, "ensure_ascii": False},
    "indented ascii": {"indent": 2},
}


def readable(data: bytes) -> Any:
    """A payload as JSON; ``packed`` of it gives the same bytes."""
    try:
        shown = _shown(parse(data)[0])
        if packed(shown) == data:
            return shown
    except (ValueError, TypeError, RecursionError, LookupError):
        pass
    return {"$packed": base64.b64encode(data).decode()}


def packed(shown: Any) -> bytes:
    """The payload that ``readable`` showed. Raises ValueError, which names what is none of its words."""
    if type(shown) is dict and shown.keys() == {"$packed"}:
        return _from_base64(shown["$packed"])
    try:
        return dump([_value(shown)])
    except ormsgpack.MsgpackEncodeError as error:
        raise ValueError(str(error)) from None


# -- to JSON ---------------------------------------------------------------------------------------------------------


def _shown(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return {"$lines": value.split("\n")} if len(value) >= _LONG and "\n" in value else value
    if kind is list:
        return [_shown(part) for part in value]
    if kind is dict:
        return {f"${key}" if key.startswith("$") else key: _shown(part) for key, part in value.items()}
    if kind is bytes:
        return _shown_bytes(value)
    if kind is Node:
        return shown_exchange(value, _shown) or {f"${Tag(value.tag).name.lower()}": _shown_body(value)}
    if kind is float and not math.isfinite(value):
        usual = struct.pack(">d", value) == struct.pack(">d", float(str(value)))
        return {"$float": str(value) if usual else struct.pack(">d", value).hex()}
    return value


def _shown_body(node: Node) -> Any:
    """An extension's body: a list where it is an array, text where it is text, otherwise bytes."""
    if node.tag in _TEXTS:
        return _TEXTS[Tag(node.tag)][0](node.body)
    text = _text_of(node.body)
    if text is not None:
        return text
    if node.tag in READ_RAW:
        return {"$base64": base64.b64encode(node.body).decode()}
    return [_shown(part) for part in node.open()]


def _shown_bytes(data: bytes) -> Any:
    text = _text_of(data)
    if text is None:
        return {"$base64": base64.b64encode(data).decode()}
    if text[:1] in {"{", "["}:
        value = json.loads(text) if _is_json(text) else None
        for style, options in _STYLES.items():
            if value is not None and json.dumps(value, **options) == text:
                shown = {"$json": _shown(value)}
                return shown if style == "compact" else {**shown, "$style": style}
    return {"$utf8": _shown(text)}


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _text_of(data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if all(each.isprintable() or each in "\n\r\t" for each in text) else None


# -- and back --------------------------------------------------------------------------------------------------------


def _value(shown: Any) -> Any:
    kind = type(shown)
    if kind is list:
        return [_value(part) for part in shown]
    if kind is not dict:
        return shown
    word = next((key for key in shown if key[:1] == "$" and key[:2] != "$$"), None)
    if word is None:
        return {key.removeprefix("$") if key[:2] == "$$" else key: _value(part) for key, part in shown.items()}
    if shown.keys() - {word} - ({"$style"} if word == "$json" else set()):
        raise ValueError(f"{word} stands alone in its braces; a value's own key that begins with $ has two of them")
    return _special(word, shown[word], shown.get("$style", "compact"))


def _special(word: str, said: Any, style: str) -> Any:
    if word == "$float":
        return _float(said)
    if word == "$lines":
        return "\n".join(_texts(word, said))
    if word == "$utf8":
        return str(_value(said)).encode()
    if word == "$base64":
        return _from_base64(said)
    if word == "$json" and style in _STYLES:
        return json.dumps(_value(said), **_STYLES[style]).encode()
    if word in {"$request", "$response"}:
        return exchange_node(word, said, _value)
    tag = Tag.__members__.get(word[1:].upper())
    if tag is None:
        raise ValueError(f"{word} is no word of a cassette of this version")
    return _node(tag, said)


def _float(said: Any) -> float:
    """One that is no number: by name, or a NaN of its own by its bits."""
    if said in {"nan", "inf", "-inf"}:
        return float(said)
    if type(said) is not str or not re.fullmatch("[0-9a-f]{16}", said):
        raise ValueError(f"$float takes nan, inf, -inf or 16 hex digits, not {said!r}")
    (value,) = struct.unpack(">d", bytes.fromhex(said))
    return float(value)


def _node(tag: Tag, said: Any) -> Node:
    if type(said) is list:
        node = Node(tag, b"")
        node.parts = [_value(part) for part in said]
        return node
    if type(said) is dict and said.keys() == {"$base64"}:
        return Node(tag, _from_base64(said["$base64"]))
    if type(said) is not str:
        raise ValueError(f"${tag.name.lower()} takes a list or a text, not {type(said).__name__}")
    return Node(tag, _TEXTS[tag][1](said) if tag in _TEXTS else said.encode())


def _texts(word: str, said: Any) -> list[str]:
    if type(said) is not list or not all(type(line) is str for line in said):
        raise ValueError(f"{word} takes a list of texts")
    return said


def _from_base64(said: Any) -> bytes:
    try:
        return base64.b64decode(said, validate=True)
    except (ValueError, TypeError):
        raise ValueError("what stands for bytes is no base64") from None


def _write_int(text: str) -> bytes:
    value = int(text)
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


#: Bodies that read better as something else than their bytes.
_TEXTS: dict[Tag, tuple[Callable[[bytes], str], Callable[[str], bytes]]] = {
    Tag.BIG_INT: (lambda body: str(int.from_bytes(body, "big", signed=True)), _write_int),
    Tag.UUID: (lambda body: str(UUID(bytes=body)), lambda text: UUID(text).bytes),
}
