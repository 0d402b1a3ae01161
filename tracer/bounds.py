"""A payload cut to a size, honestly: what was cut says so where it stood, and how long it was. Pure."""

from __future__ import annotations

from bisect import bisect_left
from typing import Sequence

from tracer.codec import Lossy, encode
from tracer.codec.tags import Tag
from tracer.codec.tree import Node, Place, dump, parse, path_text, walk

#: Texts and bytes below this are never cut: what is left would not be worth its mark.
_SHORTEST = 200
#: What the mark around a cut text takes beyond the text itself, generously.
_MARK_BYTES = 120


def bounded(data: bytes, most_bytes: int) -> tuple[bytes, Sequence[str]]:
    """The codec's bytes with the longest texts and bytes cut until they fit, and the paths that were cut.

    Where there is too much of everything, one mark stands for the whole value.
    """
    tree = parse(data)
    long = [place for place in walk(tree) if _length(place) > _SHORTEST]
    share = _share([_length(place) for place in long], len(data) - most_bytes)
    if share is None:
        return _instead(data, most_bytes), ("$ (cut)",)
    paths = []
    for place in long:
        if _length(place) > share + _MARK_BYTES:
            place.container[place.at] = _cut(place, share)
            paths.append(f"{path_text(place.path)} (cut)")
    kept = dump(tree)
    return (kept, tuple(paths)) if len(kept) <= most_bytes else (_instead(data, most_bytes), ("$ (cut)",))


def _length(place: Place) -> int:
    # The key of a mapping is structure: cut, it could fall together with another one.
    value = place.value
    if place.is_key or type(value) not in (str, bytes):
        return 0
    return len(value.encode()) if type(value) is str and not value.isascii() else len(value)


def _share(lengths: list[int], excess: int) -> int | None:
    """The most that may stay of each so that the longer ones give ``excess`` up together; None where they can't."""

    def is_too_much(share: int) -> bool:
        return sum(length - share - _MARK_BYTES for length in lengths if length > share + _MARK_BYTES) < excess

    shares = range(_SHORTEST, max(lengths, default=0))
    allowed = bisect_left(shares, True, key=is_too_much)
    return shares[allowed - 1] if allowed else None


def _cut(place: Place, share: int) -> Node:
    value = place.value
    if type(value) is bytes:
        return _lossy(Lossy("bytes", f"(cut: {len(value):,} bytes) {value[: share // 4].hex()}..."))
    # A character takes up to four bytes; its count is what a reader can check.
    shown = value.encode()[:share].decode("utf-8", "ignore")
    return _lossy(Lossy("str", f"{shown}... (cut: {len(shown):,} of {len(value):,} characters)"))


def _lossy(mark: Lossy) -> Node:
    (node,) = parse(encode(mark).data)
    assert isinstance(node, Node)
    assert node.tag == Tag.LOSSY
    return node


def _instead(data: bytes, most_bytes: int) -> bytes:
    return encode(Lossy("value", f"(cut: {len(data):,} bytes encoded, the limit is {most_bytes:,})")).data
