"""The core of a fallback, driven by hand: no call is made and nobody waits."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import AllTargetsFailed, OutputRejected, RouterError, Target
from router.attempts import Raised, Returned, accept, attempts, covers

ONE, TWO, THREE = (Target(name, base_url="http://127.0.0.1:1/v1") for name in ("one", "two", "three"))


def finish(flow, outcome):
    """Send the last outcome and give what the flow returns."""
    with pytest.raises(StopIteration) as stop:
        flow.send(outcome)
    return stop.value.value


def drive(flow, answers):
    """Answer or time out as told, to the end: the targets in the order they were tried, and what came of it."""
    tried = []
    outcome = None
    try:
        while True:
            tried.append(flow.send(outcome))
            outcome = Returned("hello") if answers[tried[-1]] else Raised(TimeoutError())
    except StopIteration as done:
        return tried, done.value
    except AllTargetsFailed as group:
        return tried, group


class TestFailure:
    def test_no_targets_at_all_is_said_before_anything_is_tried(self):
        with pytest.raises(ValueError, match="at least one target"):
            next(attempts([], on=ValueError))

    def test_an_error_that_the_caller_did_not_name_passes_as_it_is(self):
        flow = attempts([ONE, TWO], on=TimeoutError)
        next(flow)
        error = KeyError("bug")
        with pytest.raises(KeyError) as raised:
            flow.send(Raised(error))
        assert raised.value is error

    def test_when_all_fail_the_group_carries_each_attempt_in_order(self):
        flow = attempts([ONE, TWO], on=TimeoutError)
        first, second = TimeoutError("slow"), OutputRejected("two", "empty")
        assert next(flow) is ONE
        assert flow.send(Raised(first)) is TWO
        with pytest.raises(AllTargetsFailed) as raised:
            flow.send(Raised(second))
        assert raised.value.attempts == (("one", first), ("two", second))
        assert raised.value.exceptions == (first, second)
        assert "one: TimeoutError; two: OutputRejected" in str(raised.value)
        assert isinstance(raised.value, RouterError)

    def test_the_group_can_be_taken_apart_by_kind(self):
        group = AllTargetsFailed([("one", TimeoutError()), ("two", ValueError())])
        slow, rest = group.split(TimeoutError)
        assert [type(error) for error in slow.exceptions] == [TimeoutError]
        assert [type(error) for error in rest.exceptions] == [ValueError]

    def test_the_group_survives_the_way_to_another_process(self):
        group = pickle.loads(pickle.dumps(AllTargetsFailed([("one", TimeoutError("slow"))])))
        assert [(name, str(error)) for name, error in group.attempts] == [("one", "slow")]

    def test_the_group_is_made_anew_from_its_args_as_tblib_makes_exceptions(self):
        group = AllTargetsFailed([("one", TimeoutError("slow"))])
        made = AllTargetsFailed.__new__(AllTargetsFailed, *group.__reduce__()[1])
        vars(made).update(vars(group))
        assert [(name, str(error)) for name, error in made.attempts] == [("one", "slow")]


class TestOrder:
    def test_the_first_answer_ends_it_and_names_what_failed_before(self):
        flow = attempts([ONE, TWO, THREE], on=(TimeoutError, ConnectionError))
        next(flow)
        assert flow.send(Raised(ConnectionError("refused"))) is TWO
        answered = finish(flow, Returned("hello"))
        assert (answered.value, answered.target, answered.fell_back) == ("hello", "two", True)
        assert [(one.target, one.error, one.reason) for one in answered.failed] == [
            ("one", "ConnectionError", "refused")
        ]

    def test_an_answer_of_none_is_an_answer(self):
        flow = attempts([ONE, TWO], on=TimeoutError)
        next(flow)
        answered = finish(flow, Returned(None))
        assert (answered.value, answered.target, answered.fell_back) == (None, "one", False)

    @given(st.lists(st.booleans(), min_size=1, max_size=6))
    def test_targets_are_tried_in_order_and_none_after_the_first_that_answers(self, answers):
        targets = [Target(str(index)) for index in range(len(answers))]
        tried, result = drive(attempts(targets, on=TimeoutError), dict(zip(targets, answers, strict=True)))
        if any(answers):
            first = answers.index(True)
            assert (result.target, len(result.failed)) == (str(first), first)
            assert tried == targets[: first + 1]
        else:
            assert [name for name, _ in result.attempts] == [target.name for target in tried]
            assert tried == targets


class TestOn:
    @pytest.mark.parametrize(
        ("on", "error", "answer"),
        [
            (TimeoutError, TimeoutError(), True),
            (OSError, TimeoutError(), True),
            (TimeoutError, ValueError(), False),
            ((ValueError, KeyError), KeyError(), True),
            ((), ValueError(), False),
            (lambda error: "429" in str(error), ValueError("HTTP 429"), True),
            (lambda error: "429" in str(error), ValueError("HTTP 400"), False),
            ((), OutputRejected("one", "empty"), True),
            (lambda _: False, OutputRejected("one", "empty"), True),
        ],
    )
    def test_classes_and_functions_say_what_may_be_tried_again(self, on, error, answer):
        assert covers(on, error) is answer


class TestReject:
    def test_a_reason_against_the_output_becomes_the_error(self):
        with pytest.raises(OutputRejected, match="the answer of one was refused: too short") as raised:
            accept(ONE, "", reject=lambda text: None if text else "too short")
        assert (raised.value.target, raised.value.reason) == ("one", "too short")

    def test_without_a_reason_the_value_passes(self):
        assert accept(ONE, "fine", reject=lambda text: None if text else "too short") == "fine"
        assert accept(ONE, "", reject=None) == ""
