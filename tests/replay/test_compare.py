from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.compare import MISSING, MOST_CHANGES, compare


@dataclass
class Guess:
    intent: str
    parts: Any = None


class Point(NamedTuple):
    x: int
    y: int


class Touchy:
    def __init__(self, value: int) -> None:
        self.__dict__["value"] = value

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    __hash__ = None  # type: ignore[assignment]


def places(before, after):
    return [change.path for change in compare(before, after)]


class TestWhereTwoValuesDiffer:
    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            (1, 2, ["$"]),
            ({"a": 1, "b": 2}, {"a": 1, "b": 3}, ["$.b"]),
            ({"a key": [1, {"x": 1}]}, {"a key": [1, {"x": 2}]}, ["$['a key'][1].x"]),
            ([1, 2], [1], ["$[1]"]),
            ([1], [1, 2], ["$[1]"]),
            (Guess("a", [1]), Guess("b", [2]), ["$.intent", "$.parts[0]"]),
            (Point(1, 2), Point(1, 3), ["$.y"]),
            (ValueError("a"), ValueError("b"), ["$.args[0]"]),
            (1, 1.0, ["$"]),
            ([True], [1], ["$[0]"]),
            ({"n": 1}, {"n": 1.0}, ["$.n"]),
            ([1, 2], (1, 2), ["$"]),
            (np.arange(5000), np.arange(5000) * np.where(np.arange(5000) == 2500, 2, 1), ["$"]),
            (np.zeros(3), np.zeros(3, dtype="f4"), ["$"]),
            ({1, 2}, {1, 3}, ["$"]),
            (Touchy(1), Touchy(2), ["$.value"]),
        ],
    )
    def test_is_told_by_path(self, before, after, expected):
        assert places(before, after) == expected

    def test_what_one_side_lacks_is_missing_there(self):
        (change,) = compare({"a": None}, {})
        assert (change.before, change.after) == (None, MISSING)

    @pytest.mark.parametrize("value", [float("nan"), np.arange(9), [float("nan")], Guess("a", Point(1, 2))])
    def test_a_value_does_not_differ_from_its_like(self, value):
        import copy

        assert places(value, copy.deepcopy(value)) == []

    def test_the_order_of_keys_is_no_difference(self):
        assert places({"a": 1, "b": 2}, OrderedDict([("b", 2), ("a", 1)])) == ["$"]
        assert places({"a": 1, "b": 2}, {"b": 2, "a": 1}) == []

    def test_a_difference_all_over_is_bounded(self):
        assert len(compare(list(range(10_000)), list(range(1, 10_001)))) == MOST_CHANGES

    def test_what_is_nested_beyond_reason_is_compared_as_a_whole(self):
        deep: Any = 1
        other: Any = 2
        for _ in range(100):
            deep, other = [deep], [other]
        assert len(compare(deep, other)) == 1
        assert compare(deep, deep) == ()

    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )

    @given(values, values)
    def test_there_is_a_difference_exactly_where_they_are_not_the_same(self, before, after):
        assert bool(compare(before, after)) == (repr_of(before) != repr_of(after))


def repr_of(value):
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{repr_of(value[key])}" for key in sorted(value)) + "}"
    return f"[{','.join(map(repr_of, value))}]" if isinstance(value, list) else repr(value)
