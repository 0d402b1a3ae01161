"""Reads one value that is meant to be JSON, and writes it as JSON. Only what can be read in one way is read. Pure.

Beyond JSON it takes: commas before a closing bracket; strings in single or curly quotes; True, False and None; line
breaks and other control characters in strings; the escapes \\' and \\x41. A string ends at the first quote of its kind,
and what follows must be grammar: so a quote inside a string that is not escaped is an error here, never a guess.
"""

from __future__ import annotations

import json
import re

#: Deeper than any answer, and far from the end of Python's stack: a level takes three calls.
_DEEPEST = 64
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])", re.ASCII)
_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SPACE = re.compile(r"[ \t\r\n]*")
_CLOSES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019"}
_QUOTES = {"'": "single quotes", "\u201c": "curly quotes", "\u2018": "curly quotes"}
_WORDS = {"true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null"}
_ESCAPES = re.compile(r"""\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}|'|x[0-9a-fA-F]{2})""")


class NotRead(ValueError):
    """``at`` is where it stopped making sense; ``open_brackets`` counts those that were open when the text ended, and
    is 0 where it did not end. ``begun`` says that it had an opening, a key and a colon: no stray bracket of a sentence.
    """

    def __init__(self, problem: str, at: int, *, open_brackets: int = 0, begun: bool = False) -> None:
        self.at = at
        self.open_brackets = open_brackets
        self.begun = begun
        super().__init__(f"{problem} at character {at}")


class Reader:
    """One reading of ``text``. ``done`` collects what had to be put right, each thing once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._open = 0
        self._begun = False
        self.done: dict[str, None] = {}

    def value(self, at: int) -> tuple[str, int]:
        """The value that begins at ``at`` as JSON, and where it ends. Raises NotRead."""
        at = self._space(at)
        sign = self._text[at : at + 1]
        if sign in {"{", "["}:
            return self._brackets(at, "}" if sign == "{" else "]")
        if sign in _CLOSES:
            return self._string(at)
        if number := _NUMBER.match(self._text, at):
            return number.group(), number.end()
        if (word := _WORD.match(self._text, at)) and word.group() in _WORDS:
            if word.group() not in {"true", "false", "null"}:
                self.done["Python's True, False and None"] = None
            return _WORDS[word.group()], word.end()
        raise self._not("no value", at)

    def _brackets(self, at: int, closing: str) -> tuple[str, int]:
        self._open += 1
        if self._open > _DEEPEST:
            raise self._not("nested too deeply", at)
        written = [self._text[at]]
        at, first = self._copy_space(at + 1, written), True
        while not self._text.startswith(closing, at):
            if not first:
                at = self._comma(at, closing, written)
                if self._text.startswith(closing, at):
                    break
            at = self._member(at, written) if closing == "}" else self._item(at, written)
            at, first = self._copy_space(at, written), False
        self._open -= 1
        return "".join([*written, closing]), at + 1

    def _comma(self, at: int, closing: str, written: list[str]) -> int:
        """Past a comma; one that nothing follows is left out."""
        if not self._text.startswith(",", at):
            raise self._not(f"no comma and no {closing}", at)
        after = self._space(at + 1)
        if self._text.startswith(closing, after):
            self.done["a comma before a closing bracket"] = None
        else:
            written.append(",")
        written.append(self._text[at + 1 : after])
        return after

    def _member(self, at: int, written: list[str]) -> int:
        if self._text[at : at + 1] not in _CLOSES:
            raise self._not("no key", at)
        key, at = self._string(at)
        written.append(key)
        at = self._copy_space(at, written)
        if not self._text.startswith(":", at):
            raise self._not("no colon behind a key", at)
        self._begun = True
        written.append(":")
        return self._item(self._copy_space(at + 1, written), written)

    def _item(self, at: int, written: list[str]) -> int:
        value, at = self.value(at)
        written.append(value)
        return at

    def _string(self, at: int) -> tuple[str, int]:
        quote, start = self._text[at], at + 1
        end = start
        while not self._text.startswith(_CLOSES[quote], end):
            if end >= len(self._text):
                raise self._not("a string that is not closed", end)
            if self._text[end] == "\\":
                escape = _ESCAPES.match(self._text, end)
                if escape is None:
                    raise self._not("an escape that means nothing", end)
                end = escape.end()
            else:
                end += 1
        inner = self._text[start:end]
        if quote in _QUOTES:
            self.done[_QUOTES[quote]] = None
        return f'"{self._plain(inner)}"', end + 1

    def _plain(self, inner: str) -> str:
        """What stands between two quotes, as it must stand between JSON's."""
        plain: list[str] = []
        at = 0
        while at < len(inner):
            sign = inner[at]
            escape = _ESCAPES.match(inner, at) if sign == "\\" else None
            if escape is not None:
                plain.append(self._escape(escape.group()))
                at = escape.end()
                continue
            if sign < " ":
                self.done["control characters in a string"] = None
            plain.append(json.dumps(sign)[1:-1] if sign < " " or sign == '"' else sign)
            at += 1
        return "".join(plain)

    def _escape(self, escape: str) -> str:
        if escape[1] not in "'x":
            return escape
        self.done["Python's escapes"] = None
        return "'" if escape[1] == "'" else json.dumps(chr(int(escape[2:4], 16)))[1:-1]

    def _copy_space(self, at: int, written: list[str]) -> int:
        end = self._space(at)
        written.append(self._text[at:end])
        return end

    def _space(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        assert match is not None  # it matches the empty string too
        return match.end()

    def _not(self, problem: str, at: int) -> NotRead:
        ended = self._space(at) >= len(self._text)
        return NotRead(problem, at, open_brackets=self._open if ended else 0, begun=self._begun)
