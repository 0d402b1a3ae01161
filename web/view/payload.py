"""A recorded value as lines of text: keys, quiet type names, strings with their real newlines; bounded in every way.

The form is that of an outline, not of JSON: no braces, no escapes. The raw view and ``.json`` keep the exact form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Literal

from tracer.shapes import Branch, Leaf, shape
from web.view.text import STRING_LIMIT

Tone = Literal["key", "string", "text", "number", "constant", "binary", "opaque", "more"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line. ``mark`` says what could not be kept there ("lossy", "redacted"); ``tone`` is what the text is."""

    depth: int
    text: str
    tone: Tone
    key: str = ""
    type: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a value a page shows."""

    lines: int = 160
    characters: int = 12_000
    depth: int = 12
    string: int = STRING_LIMIT
    #: Visible lines before the rest folds; a rest of a few lines is not worth folding.
    clamp: int = 20


PANEL = Limits()
PAGE = Limits(lines=3_000, characters=200_000, depth=40, string=100_000, clamp=3_000)


@dataclass(frozen=True, slots=True)
class Block:
    """A value ready to show: the lines seen at once, those behind "show all", and whether even that is not all."""

    head: tuple[Line, ...]
    rest: tuple[Line, ...] = ()
    cut: bool = False

    @property
    def total(self) -> int:
        return len(self.head) + len(self.rest)


def block(value: Any, *, lossy: Iterable[str] = (), limits: Limits = PANEL) -> Block:
    """Lay a value out. ``lossy`` are the paths of its payload ref, marked where they occur."""
    outline = _Outline(limits, _marks(lossy))
    outline.add(value, key="", depth=0, path="$")
    return clamp(outline.lines, limits.clamp, cut=outline.cut)


def text_block(text: str, *, limits: Limits = PANEL) -> Block:
    """A text as it is, line by line."""
    outline = _Outline(limits, {})
    outline.add(text, key="", depth=0, path="$")
    return clamp(outline.lines, limits.clamp, cut=outline.cut)


def clamp(lines: list[Line], visible: int, *, cut: bool = False) -> Block:
    """Fold what comes after ``visible`` lines as a reader counts them: a long line wraps and counts for several."""
    weight = 0
    for index, line in enumerate(lines):
        weight += 1 + len(line.text) // 100
        if weight > visible and len(lines) - index > 3 and index:
            return Block(tuple(lines[:index]), tuple(lines[index:]), cut)
    return Block(tuple(lines), (), cut)


def _marks(lossy: Iterable[str]) -> dict[str, str]:
    """Path -> mark. A redacted path reads ``$.key (redacted)``."""
    marks = {}
    for entry in lossy:
        path, _, note = entry.partition(" (")
        marks[path] = note.rstrip(")") or "lossy"
    return marks


class _Outline:
    """Collects lines until a limit is met; then says once that there is more."""

    def __init__(self, limits: Limits, marks: dict[str, str]) -> None:
        self.limits = limits
        self.marks = marks
        self.lines: list[Line] = []
        self.left = limits.characters
        self.cut = False

    def add(self, value: Any, *, key: str, depth: int, path: str) -> None:
        if self.full():
            return
        form = shape(value)
        mark = self.marks.get(path, "")
        if isinstance(form, Leaf):
            self._leaf(form, key=key, depth=depth, mark=mark)
        else:
            self._branch(form, key=key, depth=depth, path=path, mark=mark)

    def full(self) -> bool:
        if self.left > 0 and len(self.lines) < self.limits.lines:
            return False
        if not self.cut:
            self.cut = True
            self.lines.append(Line(0, "more than fits here", "more"))
        return True

    def _put(self, line: Line) -> None:
        self.left -= len(line.text) + len(line.key) + 4
        self.lines.append(line)

    def _leaf(self, leaf: Leaf, *, key: str, depth: int, mark: str) -> None:
        text, missing = leaf.text, leaf.missing
        room = max(1, min(self.limits.string, self.left))
        if len(text) > room:
            text, missing = text[:room], missing + len(text) - room
        several = leaf.tone == "string" and ("\n" in text or not key)
        if several and (key or depth):
            self._put(Line(depth, "", "key", key, leaf.type, mark))
            depth, key, mark = depth + 1, "", ""
        if not several:
            self._put(Line(depth, text, leaf.tone, key, leaf.type, mark))
        else:
            for index, line in enumerate(text.split("\n")):
                if index and self.full():
                    return
                self._put(Line(depth, line, "text", "", "" if key or index else leaf.type, mark if index == 0 else ""))
        if missing:
            self.cut = True
            self._put(Line(depth + (not several), f"{missing:,} more characters", "more"))

    def _branch(self, branch: Branch, *, key: str, depth: int, path: str, mark: str) -> None:
        folded = depth >= self.limits.depth and branch.count
        if key or branch.type or mark or folded or not branch.count:
            text = branch.empty if not branch.count else f"{branch.count} inside" if folded else branch.summary
            self._put(Line(depth, text, "more" if folded else "opaque", key, branch.type, mark))
            depth += 1
        if folded:
            self.cut = True
            return
        for name, step, item in branch.items:
            self.add(item, key=name, depth=depth, path=path + step)
            if self.cut and self.full():
                return
