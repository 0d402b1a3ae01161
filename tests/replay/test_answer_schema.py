"""What fits a JSON Schema: whatever the type itself takes, and not much more."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from replay.answering.schema import breach


class Tone(enum.Enum):
    KIND = "kind"
    STERN = "stern"


@dataclass(frozen=True)
class Line:
    amount: Annotated[int, Field(ge=0, le=100)]
    why: Annotated[str, Field(min_length=1, max_length=9)] = "late"


class Tree(BaseModel, extra="forbid"):
    name: Annotated[str, Field(pattern="^[a-z]*$")]
    tone: Tone = Tone.KIND
    lines: Annotated[list[Line], Field(max_length=3)] = []
    below: Tree | None = None
    pair: tuple[int, str] | None = None


TYPES: tuple[Any, ...] = (int, float, bool, str, Literal["a", "b"], Tone, Line, Tree, list[Line], int | str | None)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-200, 200) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "amount", "why", "x"]), inner),
    max_leaves=8,
)
lines = st.builds(Line, st.integers(0, 100), st.text(min_size=1, max_size=9))
trees = st.recursive(
    st.builds(Tree, name=st.from_regex("^[a-z]{0,4}$", fullmatch=True).map(str.strip)),
    lambda below: st.builds(
        Tree,
        name=st.just("a"),
        tone=st.sampled_from(Tone),
        lines=st.lists(lines, max_size=3),
        below=st.none() | below,
        pair=st.none() | st.tuples(st.integers(), st.text()),
    ),
    max_leaves=4,
)


class TestAValue:
    @given(trees)
    def test_that_the_type_itself_gave_fits(self, tree):
        adapter = TypeAdapter(Tree)
        assert breach(adapter.json_schema(), adapter.dump_python(tree, mode="json")) is None

    @given(st.sampled_from(TYPES), JSON)
    def test_that_fits_is_one_that_the_type_takes(self, kind, value):
        adapter = TypeAdapter(kind)
        if breach(adapter.json_schema(), value) is None:
            adapter.validate_python(value)

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ({}, "$.name: is missing"),
            ({"name": "A"}, "$.name: 'A' does not match ^[a-z]*$"),
            ({"name": "a", "x": 1}, "$.x: is not known; there are name, tone, lines, below, pair"),
            ({"name": "a", "tone": "odd"}, "$.tone: 'odd' is none of 'kind', 'stern'"),
            ({"name": "a", "lines": [{"amount": 101}]}, "$.lines[0].amount: 101 is not at most 100"),
            ({"name": "a", "lines": [{"amount": True}]}, "$.lines[0].amount: True is no integer"),
            ({"name": "a", "lines": [{"amount": 1, "why": ""}]}, "$.lines[0].why: '' has not at least 1 characters"),
            ({"name": "a", "below": {"name": 3}}, "$.below.name: 3 is no string"),
            ({"name": "a", "pair": [1, 2]}, "$.pair[1]: 2 is no string"),
            ([], "$: [] is no object"),
        ],
        ids=["missing", "pattern", "unknown", "enum", "bound", "bool", "length", "nested", "pair", "list"],
    )
    def test_that_does_not_fit_is_told_of_by_its_place(self, value, told):
        schema = TypeAdapter(Tree).json_schema()
        assert breach(schema, value) == told
        with pytest.raises(ValidationError):
            TypeAdapter(Tree).validate_python(value, strict=True)

    def test_is_not_looked_for_in_a_circle(self):
        assert breach({"$ref": "#"}, 3) is None
        assert breach({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, 3) is None
