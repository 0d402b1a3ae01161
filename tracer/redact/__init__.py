"""Credentials out of encoded bytes, before anything reaches disk. Pure, and free where there is nothing to find.

Two kinds of rule. A *key* says that the text it holds is a secret, whatever it looks like ("password", "x-api-key"). A
*shape* finds a secret by its form inside any text ("sk-...", a bearer token, a card number). Most payloads hold
neither, which ``tracer.redact.detection`` finds out in a few microseconds; only suspects are searched by these rules.

A built-in name is found in lower, UPPER and Title case and in camelCase, its words joined by one "_", "-", " ", "." or
by nothing, with anything in front ("DB_PASSWORD", "x-api-key", "userPassword") and no letter behind ("api_key_2").
"password" and "passwd" are one word, or "passWord", "PassWord", "pass_word", "pass-word", "PASS_WORD"; "API" and "ID"
may stand before a word in lower case ("API key", "ID token"). Other mixes ("pAsSwOrD", "AUTH-token", "ID_token") are
found only where something else in the payload is under suspicion. A name of one's own is found in any mix of ASCII
case, with "_", "-" and " " anywhere; one with other letters is looked for in every payload.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from tracer.codec import Lossy, encode
from tracer.codec.tags import Tag
from tracer.codec.tree import Node, Place, dump, parse, path_text, walk
from tracer.redact.detection import Detector, Suspects
from tracer.redact.rules import HEADERS, KEYS, MARK, Shape, words_of


class Redacted(NamedTuple):
    """The bytes to keep, and the paths of what was taken out. Without a finding ``data`` is the very object given."""

    data: bytes
    paths: tuple[str, ...] = ()


_NOTHING = Suspects((), names=False)
#: One pass over the bytes that makes keys of one's own findable however they are written: lower case, no separators.
_SQUEEZED = bytes(range(256)).lower()
_SEPARATORS = b" _-"


class Redactor:
    """Takes secrets out. Beyond the built-in rules: ``keys`` are more names whose text is secret, ``patterns`` are
    (label, regular expression) pairs, where a group named ``secret`` narrows what is replaced, and ``functions`` get
    every text and give back what to keep of it. Text that a function raises on is not kept."""

    def __init__(
        self,
        *,
        keys: Iterable[str] = (),
        patterns: Iterable[tuple[str, str | re.Pattern[str]]] = (),
        functions: Iterable[Callable[[str], str]] = (),
    ) -> None:
        self._keys = frozenset((*KEYS, *("".join(words_of(key)) for key in keys)))
        self._own_needles = tuple(map(_needle, self._keys.difference(KEYS)))
        self._patterns = tuple(Shape(label, (), re.compile(pattern)) for label, pattern in patterns)
        self._functions = tuple(functions)
        self._detector = Detector()
        has_own_rules = self._own_needles or self._patterns or self._functions
        #: What may be secret in some bytes; None where nothing is, which ``treat`` then need not be asked about.
        self.suspects = self._own_suspects if has_own_rules else self._detector.suspects

    def redact(self, data: bytes) -> Redacted:
        """The codec's bytes without the secrets in them. Each one is replaced by ``[redacted: <what it was>]``."""
        search = self.suspects(data)
        return Redacted(data) if search is None else self.treat(data, search)

    def treat(self, data: bytes, search: Suspects) -> Redacted:
        """``redact``, where the suspects are known."""
        try:
            tree = parse(data)
            paths = [path for place in walk(tree) for path in self._treat(place, search)]
            return Redacted(dump(tree), tuple(dict.fromkeys(map(self.redact_text, paths)))) if paths else Redacted(data)
        except Exception:  # noqa: BLE001  # what can't be searched is not kept
            return Redacted(encode(Lossy("unreadable", "[redacted: unreadable]")).data, ("$",))

    def redact_text(self, text: str) -> str:
        """The same for a bare text, such as the message of an exception."""
        return self._clean(text, self.suspects(text.encode("utf-8", "surrogatepass")) or _NOTHING)

    def _own_suspects(self, data: bytes) -> Suspects | None:
        """With names of one's own, and patterns, which are looked for in every text."""
        shapes, names = self._detector.suspects(data) or _NOTHING
        if self._own_needles and not names:
            squeezed = data.translate(_SQUEEZED, _SEPARATORS)
            names = any(needle in squeezed for needle in self._own_needles)
        shapes = (*self._patterns, *shapes)
        return Suspects(shapes, names) if shapes or names or self._functions else None

    def _treat(self, place: Place, search: Suspects) -> Iterator[str]:
        """Replace what is secret at one place; gives the path if something was."""
        value, kind = place.value, type(place.value)
        if kind is dict:
            if self._clean_keys(value, search):
                yield path_text(place.path)
            return
        if kind is not str and kind is not bytes and kind is not Node:
            return
        label = self._secret_label(place.name) if search.names and place.name and not place.is_key else None
        kept = self._keep_node(value, label, search) if kind is Node else self._keep(value, label, search)
        if kept is not value:
            place.container[place.at] = kept
            yield path_text(place.path)

    def _secret_label(self, name: str) -> str | None:
        words = words_of(name)
        while words and words[-1].isdigit() and words[-1] not in self._keys:
            words.pop()  # "password2", "api_key_1"
        is_secret = any("".join(words[start:]) in self._keys for start in range(len(words)))
        return "-".join(words) if is_secret else None

    def _keep_node(self, node: Node, label: str | None, search: Suspects) -> Node:
        """Texts and bytes that MessagePack has no word for, and headers: tuples of a name and a value."""
        if node.tag == Tag.SURROGATE_TEXT:
            text = node.body.decode("utf-8", "surrogatepass")
            kept = self._keep(text, label, search)
            return node if kept is text else Node(node.tag, kept.encode("utf-8", "surrogatepass"))
        if node.tag == Tag.BYTEARRAY:
            kept = self._keep(node.body, label, search)
            return node if kept is node.body else Node(node.tag, kept)
        if node.tag == Tag.LOSSY:
            return self._with_last(node, label, search)
        if node.tag == Tag.TUPLE and search.names and len(parts := node.open()) == 2:
            header = parts[0].decode("latin-1") if type(parts[0]) is bytes else parts[0]
            if type(header) is str and header.lower() in HEADERS and type(parts[1]) in (str, bytes):
                return self._with_last(node, header.lower(), search)
        return node

    def _with_last(self, node: Node, label: str | None, search: Suspects) -> Node:
        *before, last = node.open()
        kept = self._keep(last, label, search)
        if kept is last:
            return node
        changed = Node(node.tag, b"")
        changed.parts = [*before, kept]
        return changed

    def _keep(self, value: Any, label: str | None, search: Suspects) -> Any:
        """What stays of a text or of bytes: the same object where nothing is secret in it."""
        text = value.decode("latin-1") if type(value) is bytes else value
        if label is not None and text:
            kept = text if MARK.fullmatch(text) else f"[redacted: {label}]"
        else:
            kept = self._clean(text, search)
        if kept == text:
            return value
        return kept.encode("latin-1", "replace") if type(value) is bytes else kept

    def _clean(self, text: str, search: Suspects) -> str:
        for shape in search.shapes:
            if not shape.needles or any(needle in text for needle in shape.needles):
                text = shape.pattern.sub(partial(_mark, shape), text)
        for function in self._functions:
            text = _apply(function, text)
        return text

    def _clean_keys(self, mapping: dict[str, Any], search: Suspects) -> bool:
        """A secret can be a key, too."""
        kept = {key: self._clean(key, search) for key in mapping}
        if all(key == new for key, new in kept.items()):
            return False
        items = list(mapping.items())
        mapping.clear()
        mapping.update((kept[key], value) for key, value in items)
        return True


def _needle(key: str) -> bytes:
    """What to look for in squeezed bytes, which are lower-cased in ASCII only; nothing is in all of them."""
    return key.encode() if key.isascii() else b""


def _mark(shape: Shape, match: re.Match[str]) -> str:
    whole = match[0]
    if not shape.holds(whole):
        return whole
    if "secret" not in shape.pattern.groupindex or match["secret"] is None:
        return f"[redacted: {shape.label}]"
    if match["secret"].startswith("[redacted:"):
        return whole
    start, end = (at - match.start() for at in match.span("secret"))
    return f"{whole[:start]}[redacted: {shape.label}]{whole[end:]}"


def _apply(function: Callable[[str], str], text: str) -> str:
    try:
        kept = function(text)
    except Exception:  # noqa: BLE001  # a user's rule must not decide by failing that a secret stays
        return "[redacted: rule failed]"
    return kept if type(kept) is str else "[redacted: rule failed]"
