from __future__ import annotations

import datetime as dt
import enum
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import attrs
import pydantic
import pytest

from replay import PlanError, edit, replay
from replay.edits import shaped
from tests.replay.support import DONE, done
from tracer import step, workflow
from tracer.codec import Yielded


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Point(NamedTuple):
    x: int
    y: int


ORIGIN = Point(0, 0)


@dataclass(frozen=True)
class Guess:
    intent: str
    confidence: float = 0.5
    mood: Mood = Mood.GOOD
    at: Point = ORIGIN
    tags: tuple[str, ...] = ()
    price: Decimal = Decimal("1.50")


@dataclass
class Derived:
    base: int
    twice: int = field(init=False)

    def __post_init__(self) -> None:
        self.twice = 2 * self.base


@attrs.define
class Parcel:
    weight: int
    _code: str = "c"


class Order(pydantic.BaseModel):
    number: int = pydantic.Field(alias="orderNumber")
    guess: str = "none"
    paid: bool = False


GUESS = Guess("billing", 0.9, Mood.BAD, Point(1, 2), ("a",))


class TestJsonBecomesWhatTheRecordHeld:
    @pytest.mark.parametrize(
        ("recorded", "edited", "expected"),
        [
            (GUESS, {"intent": "loans"}, Guess("loans", 0.9, Mood.BAD, Point(1, 2), ("a",))),
            (GUESS, {"mood": "good", "at": [3, 4], "tags": ["b", "c"]},
             Guess("billing", 0.9, Mood.GOOD, Point(3, 4), ("b", "c"))),
            (GUESS, {"price": "2.25", "at": {"y": 9}},
             Guess("billing", 0.9, Mood.BAD, Point(1, 9), ("a",), Decimal("2.25"))),
            (Mood.GOOD, "bad", Mood.BAD),
            (Point(1, 2), [5, 6], Point(5, 6)),
            (Point(1, 2), {"x": 5}, Point(5, 2)),
            ((1, "a"), [2, "b"], (2, "b")),
            ({1, 2}, [3], {3}),
            ([GUESS], [{"intent": "a"}, {"intent": "b"}], [Guess("a", 0.9, Mood.BAD, Point(1, 2), ("a",)),
                                                           Guess("b", 0.9, Mood.BAD, Point(1, 2), ("a",))]),
            ({"best": GUESS, "n": 1}, {"best": {"intent": "x"}, "more": 2},
             {"best": Guess("x", 0.9, Mood.BAD, Point(1, 2), ("a",)), "more": 2}),
            (Parcel(2, "z"), {"weight": 3}, Parcel(3, "z")),
            (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-05-06T07:08:09+00:00",
             dt.datetime(2026, 5, 6, 7, 8, 9, tzinfo=dt.UTC)),
            (dt.date(2026, 1, 2), "2026-05-06", dt.date(2026, 5, 6)),
            (uuid.UUID(int=1), str(uuid.UUID(int=2)), uuid.UUID(int=2)),
            (Yielded((1, 2), "end"), [3], Yielded((3,), "end")),
            (None, {"a": 1}, {"a": 1}),
            ("text", 5, 5),
        ],
    )  # fmt: skip
    def test_of_the_same_type_with_the_fields_it_leaves_out_kept(self, recorded, edited, expected):
        found = shaped(edited, recorded)
        assert found == expected
        assert type(found) is type(expected)

    def test_a_model_is_validated_and_knows_its_fields_by_their_own_names(self):
        order = Order(orderNumber=1, guess="a")
        assert shaped({"number": 2}, order) == Order(orderNumber=2, guess="a")
        assert shaped({"number": "3"}, order).number == 3

    def test_a_value_that_is_one_already_is_taken_as_it_is(self):
        assert shaped(Guess("x"), GUESS) == Guess("x")


class TestWhatDoesNotFit:
    @pytest.mark.parametrize(
        ("recorded", "edited", "said"),
        [
            (GUESS, {"intend": 1}, "does not make a Guess: Guess has no field 'intend' (it has at, confidence, intent"),
            (GUESS, {"mood": "angry"}, "'angry' is not a valid Mood"),
            (GUESS, {"price": "much"}, "does not make a Guess"),
            (Point(1, 2), [1], "does not make a Point"),
            (Point(1, 2), {"z": 1}, "Point has no field 'z'"),
            (Order(orderNumber=1), {"nr": 1}, "Order has no field 'nr' (it has guess, number, paid)"),
            (Order(orderNumber=1), {"number": "many"}, "orderNumber: Input should be a valid integer"),
            (Derived(1), {"twice": 5}, "twice"),
            (dt.date(2026, 1, 2), "tomorrow", "'tomorrow'"),
            (Yielded(()), {"a": 1}, "give the list of its items"),
        ],
    )
    def test_is_refused_in_one_line_that_names_it(self, recorded, edited, said):
        with pytest.raises(PlanError) as refused:
            shaped(edited, recorded, path="flow/step")
        assert said in str(refused.value)
        assert "flow/step" in str(refused.value)
        assert "\n" not in str(refused.value)


@step
def guess(text: str) -> Guess:
    DONE.append("guess")
    return GUESS


@workflow
def guessing(text: str) -> Any:
    found = guess(text)
    return [found.intent, found.mood.name, found.at.x]


class TestThroughAReplay:
    def test_the_workflow_gets_an_instance_of_the_class(self, recorded):
        guessing("a")
        done()
        assert replay("latest", edit("guess", {"mood": "good", "at": [7, 8]})).output == ["billing", "GOOD", 7]
        assert done() == []

    def test_a_wrong_edit_is_refused_before_anything_runs(self, recorded):
        guessing("a")
        before = recorded.trace().trace_id
        with pytest.raises(PlanError, match="Guess has no field 'intend'"):
            replay("latest", edit("guess", {"intend": "x"}))
        assert recorded.trace().trace_id == before
