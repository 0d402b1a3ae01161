"""The course of a routed call, driven by hand: no call is made and nobody waits."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import (
    AllTargetsFailed,
    BudgetExceeded,
    CircuitOpen,
    DeadlineExceeded,
    OutputRejected,
    Retry,
    RouterError,
    Target,
)
from router.flow import Attempt, Entry, Plan, Raised, Returned, Wait, accept, course, name_of

ONE, TWO, THREE = (Target(name, base_url="http://127.0.0.1:1/v1") for name in ("one", "two", "three"))


class Given:
    """A permit that remembers how it was given back."""

    def __init__(self):
        self.state = "closed"
        self.returned = []

    def succeeded(self):
        self.returned.append("succeeded")

    def failed(self, reason):
        self.returned.append(f"failed: {type(reason).__name__}")

    def abandoned(self):
        self.returned.append("abandoned")


@dataclass
class Clocked:
    """A gate whose clock moves only when it is told to."""

    deadline_s: float | None = None
    open_circuits: tuple[str, ...] = ()
    empty_for: tuple[str, ...] = ()
    draws: list[float] = field(default_factory=list)
    passed_s: float = 0.0
    permits: list[Given] = field(default_factory=list)

    def admit(self, target):
        name = name_of(target)
        if name in self.open_circuits:
            raise CircuitOpen(name, 5.0)
        left = self.time_left()
        if left is not None and left <= 0:
            raise DeadlineExceeded(name, "the deadline passed")
        if name in self.empty_for:
            raise BudgetExceeded(name, "used up")
        self.permits.append(Given())
        return Entry(left, self.permits[-1])

    def passed_over(self, target):
        name = name_of(target)
        return CircuitOpen(name, 5.0) if name in self.open_circuits else None

    def time_left(self):
        return None if self.deadline_s is None else self.deadline_s - self.passed_s

    def draw(self):
        return self.draws.pop(0) if self.draws else 0.5

    def now_s(self):
        return 1_790_000_000.0


def finish(flow, outcome):
    """Send the last outcome and give what the course returns."""
    assert flow.send(outcome) is None
    with pytest.raises(StopIteration) as stop:
        flow.send(None)
    return stop.value.value


def after(flow, outcome):
    """Send an outcome, and give what is to be done next."""
    assert flow.send(outcome) is None
    return flow.send(None)


def begun(targets, gate=None, **plan):
    flow = course(targets, Plan(**plan), gate or Clocked())
    return flow, flow.send(None)


@dataclass
class Driven:
    """What a course did, from its beginning to its end."""

    attempts: list[Attempt] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    answer: object = None
    error: BaseException | None = None


def drive(flow, gate, outcomes, *, takes_s=0.0):
    """Answer each attempt with the next outcome (an exception, or a value), until it is over."""
    driven, sent = Driven(), None
    try:
        while True:
            asked = flow.send(sent)
            sent = None
            if isinstance(asked, Wait):
                driven.waits.append(asked.seconds)
                gate.passed_s += asked.seconds
            elif asked is not None:
                driven.attempts.append(asked)
                gate.passed_s += takes_s
                outcome = outcomes(len(driven.attempts))
                sent = Raised(outcome) if isinstance(outcome, Exception) else Returned(outcome)
    except StopIteration as done:
        driven.answer = done.value
    except Exception as error:  # noqa: BLE001 - what a course may end in is what the tests are about
        driven.error = error
    return driven


class TestFailure:
    def test_no_targets_at_all_is_said_before_anything_is_tried(self):
        with pytest.raises(ValueError, match="at least one target"):
            begun([], on=ValueError)

    def test_an_error_that_the_caller_did_not_name_passes_as_it_is(self):
        flow, attempt = begun([ONE, TWO], on=TimeoutError)
        error = KeyError("bug")
        assert flow.send(Raised(error)) is None
        assert (attempt.ruling, attempt.why) == ("raise", "no error that is named")
        with pytest.raises(KeyError) as raised:
            flow.send(None)
        assert raised.value is error

    def test_when_all_fail_the_group_carries_each_attempt_in_order(self):
        flow, attempt = begun([ONE, TWO], on=TimeoutError)
        first, second = TimeoutError("slow"), OutputRejected("two", "empty")
        assert attempt.target is ONE
        assert after(flow, Raised(first)).target is TWO
        with pytest.raises(AllTargetsFailed) as raised:
            after(flow, Raised(second))
        assert raised.value.attempts == (("one", first), ("two", second))
        assert raised.value.exceptions == (first, second)
        assert "one: TimeoutError; two: OutputRejected" in str(raised.value)
        assert isinstance(raised.value, RouterError)

    def test_the_group_can_be_taken_apart_by_kind(self):
        group = AllTargetsFailed([("one", TimeoutError()), ("two", ValueError())])
        slow, rest = group.split(TimeoutError)
        assert [type(error) for error in slow.exceptions] == [TimeoutError]
        assert [type(error) for error in rest.exceptions] == [ValueError]

    @pytest.mark.parametrize(
        "error",
        [
            AllTargetsFailed([("one", TimeoutError("slow"))]),
            OutputRejected("one", "too short"),
            DeadlineExceeded("one", "late"),
            BudgetExceeded("one", "used up"),
            CircuitOpen("one", 2.5),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_the_errors_survive_the_way_to_another_process(self, error):
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), str(back)) == (type(error), str(error))
        if isinstance(error, AllTargetsFailed):
            assert [(name, str(each)) for name, each in back.attempts] == [("one", "slow")]
        else:
            assert vars(back) == vars(error)

    def test_the_group_is_made_anew_from_its_args_as_tblib_makes_exceptions(self):
        group = AllTargetsFailed([("one", TimeoutError("slow"))])
        made = AllTargetsFailed.__new__(AllTargetsFailed, *group.__reduce__()[1])
        vars(made).update(vars(group))
        assert [(name, str(error)) for name, error in made.attempts] == [("one", "slow")]


class TestOrder:
    def test_the_first_answer_ends_it_and_names_what_failed_before(self):
        flow, _ = begun([ONE, TWO, THREE], on=(TimeoutError, ConnectionError))
        assert after(flow, Raised(ConnectionError("refused"))).target is TWO
        answered = finish(flow, Returned("hello"))
        assert (answered.value, answered.target, answered.fell_back) == ("hello", "two", True)
        assert [(one.target, one.error, one.reason) for one in answered.failed] == [
            ("one", "ConnectionError", "refused")
        ]

    def test_an_answer_of_none_is_an_answer(self):
        flow, _ = begun([ONE, TWO], on=TimeoutError)
        answered = finish(flow, Returned(None))
        assert (answered.value, answered.target, answered.fell_back) == (None, "one", False)

    @given(st.lists(st.booleans(), min_size=1, max_size=6))
    def test_targets_are_tried_in_order_and_none_after_the_first_that_answers(self, answers):
        targets = [Target(str(index)) for index in range(len(answers))]
        gate = Clocked()
        flow = course(targets, Plan(on=TimeoutError), gate)
        driven = drive(flow, gate, lambda number: "hello" if answers[number - 1] else TimeoutError())
        tried = [attempt.target for attempt in driven.attempts]
        if any(answers):
            first = answers.index(True)
            assert (driven.answer.target, len(driven.answer.failed)) == (str(first), first)
            assert tried == targets[: first + 1]
        else:
            assert [name for name, _ in driven.error.attempts] == [target.name for target in tried]
            assert tried == targets

    def test_a_function_is_called_by_its_name(self):
        def template():
            """A rule."""

        assert (name_of(template), name_of(ONE), name_of(Given())) == ("template", "one", "Given")


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
    def test_classes_and_functions_say_what_may_be_tried_elsewhere(self, on, error, answer):
        assert Plan(on=on).leads_on(error) is answer


class TestReject:
    def test_a_reason_against_the_output_becomes_the_error(self):
        with pytest.raises(OutputRejected, match="the answer of one was refused: too short") as raised:
            accept("one", "", reject=lambda text: None if text else "too short")
        assert (raised.value.target, raised.value.reason) == ("one", "too short")

    def test_without_a_reason_the_value_passes(self):
        assert accept("one", "fine", reject=lambda text: None if text else "too short") == "fine"
        assert accept("one", "", reject=None) == ""


class TestRetries:
    RETRY = Retry(on=TimeoutError, attempts=3, base_s=1.0, jitter="none")

    def test_the_same_target_is_tried_as_often_as_said_and_then_the_next(self):
        gate = Clocked()
        flow = course([ONE, TWO], Plan(on=TimeoutError, retry=self.RETRY), gate)
        driven = drive(flow, gate, lambda number: "hello" if number == 5 else TimeoutError())
        assert [(each.name, each.number, each.at_target, each.waited_s) for each in driven.attempts] == [
            ("one", 1, 1, 0.0),
            ("one", 2, 2, 1.0),
            ("one", 3, 3, 2.0),
            ("two", 4, 1, 0.0),
            ("two", 5, 2, 1.0),
        ]
        assert driven.waits == [1.0, 2.0, 1.0]
        assert [each.ruling for each in driven.attempts] == ["retry", "retry", "next", "retry", "done"]
        assert driven.attempts[2].why == "tried 3 of 3 times"

    def test_an_answer_after_a_retry_of_the_same_target_did_not_fall_back(self):
        gate = Clocked()
        driven = drive(
            course([ONE, TWO], Plan(on=(), retry=self.RETRY), gate),
            gate,
            lambda number: "hello" if number == 2 else TimeoutError(),
        )
        assert (driven.answer.target, driven.answer.fell_back, len(driven.answer.failed)) == ("one", False, 1)

    def test_a_wait_that_would_pass_the_deadline_is_not_begun_and_the_error_says_so(self):
        gate = Clocked(deadline_s=2.5)
        driven = drive(course([ONE], Plan(on=TimeoutError, retry=self.RETRY), gate), gate, lambda _: TimeoutError("no"))
        assert driven.waits == [1.0]
        assert isinstance(driven.error, DeadlineExceeded)
        assert str(driven.error) == "one was not called: a wait of 2 s would pass the deadline, 1.5 s away"
        assert str(driven.error.__cause__) == "no"

    def test_where_there_is_no_time_to_wait_the_next_target_is_tried_at_once(self):
        gate = Clocked(deadline_s=0.5)
        flow = course([ONE, TWO], Plan(on=TimeoutError, retry=self.RETRY), gate)
        driven = drive(flow, gate, lambda number: "hello" if number == 2 else TimeoutError())
        assert (driven.answer.target, driven.waits) == ("two", [])
        assert [each.error for each in driven.answer.failed] == ["TimeoutError", "DeadlineExceeded"]

    def test_a_provider_that_wants_to_be_left_alone_for_too_long_is(self):
        error = TimeoutError("busy")
        error.retry_after_s = 3600
        gate = Clocked()
        flow = course([ONE, TWO], Plan(on=TimeoutError, retry=self.RETRY), gate)
        driven = drive(flow, gate, lambda number: "hello" if number == 2 else error)
        assert (driven.answer.target, driven.waits) == ("two", [])
        assert driven.attempts[0].why == "it asks for a wait of more than 30 s"


class TestPassingOver:
    def test_a_target_whose_circuit_is_open_is_not_called(self):
        gate = Clocked(open_circuits=("one",))
        driven = drive(course([ONE, TWO], Plan(on=()), gate), gate, lambda _: "hello")
        assert [each.name for each in driven.attempts] == ["two"]
        assert [(each.target, each.error) for each in driven.answer.failed] == [("one", "CircuitOpen")]
        assert driven.answer.fell_back

    def test_all_circuits_open_is_all_targets_failed(self):
        gate = Clocked(open_circuits=("one", "two"))
        driven = drive(course([ONE, TWO], Plan(on=()), gate), gate, lambda _: "hello")
        assert [type(error) for error in driven.error.exceptions] == [CircuitOpen, CircuitOpen]

    def test_what_the_budget_has_nothing_left_for_gives_way_to_what_costs_nothing(self):
        gate = Clocked(empty_for=("one", "two"))
        assert drive(course([ONE, TWO, str], Plan(on=()), gate), gate, lambda _: "hello").answer.target == "str"
        driven = drive(course([ONE, TWO], Plan(on=()), gate), gate, lambda _: "hello")
        assert (type(driven.error), driven.error.target) == (BudgetExceeded, "two")


class TestStreams:
    def test_a_break_after_the_first_chunk_is_raised_where_nothing_else_is_said(self):
        flow, attempt = begun([ONE, TWO], on=ConnectionError)
        assert flow.send(Raised(ConnectionError("cut"), said=("a",))) is None
        assert (attempt.ruling, attempt.why) == ("raise", "its chunks were given away")
        with pytest.raises(ConnectionError, match="cut"):
            flow.send(None)

    def test_a_restart_begins_with_nothing_said(self):
        flow, _ = begun([ONE, TWO], on=ConnectionError, on_break="restart")
        assert after(flow, Raised(ConnectionError("cut"), said=("a",))).said == ()

    def test_each_that_continues_is_told_all_that_was_said(self):
        flow, _ = begun([ONE, TWO, THREE], on=ConnectionError, on_break="continue")
        assert after(flow, Raised(ConnectionError("cut"), said=("a", "b"))).said == ("a", "b")
        assert after(flow, Raised(ConnectionError("cut"), said=("c",))).said == ("a", "b", "c")


class TestPermits:
    @pytest.mark.parametrize("stop", [KeyboardInterrupt, GeneratorExit, SystemExit])
    def test_one_is_given_back_where_the_attempt_is_interrupted(self, stop):
        gate = Clocked()
        flow, _ = begun([ONE], gate, on=())
        with pytest.raises(stop):
            flow.throw(stop())
        assert [permit.returned for permit in gate.permits] == [["abandoned"]]

    def test_one_is_given_back_where_the_course_is_closed(self):
        gate = Clocked()
        flow, _ = begun([ONE], gate, on=())
        flow.close()
        assert gate.permits[0].returned == ["abandoned"]


class Named(Exception):
    """In the tests below: what may be tried again."""


class TestAnyCourse:
    @given(
        targets=st.integers(1, 4),
        attempts=st.integers(1, 4),
        base_s=st.floats(0, 5),
        cap_s=st.floats(0, 5),
        deadline_s=st.none() | st.floats(0, 10),
        takes_s=st.floats(0, 2),
        outcomes=st.lists(st.sampled_from(["answer", "named", "unnamed", "asks"]), max_size=16),
        asked_s=st.floats(0, 8),
        draws=st.lists(st.floats(0, 1, exclude_max=True), max_size=16),
        is_open=st.sets(st.integers(0, 3)),
        stop_at=st.none() | st.integers(1, 6),
    )
    def test_keeps_within_its_bounds(  # noqa: PLR0913, PLR0917 - what is drawn
        self, targets, attempts, base_s, cap_s, deadline_s, takes_s, outcomes, asked_s, draws, is_open, stop_at
    ):
        unnamed = KeyError("bug")
        asking = Named("wait")
        asking.retry_after_s = asked_s
        retry = Retry(on=Named, attempts=attempts, base_s=base_s, cap_s=cap_s)
        gate = Clocked(deadline_s, tuple(str(each) for each in is_open), draws=list(draws))
        flow = course([Target(str(each)) for each in range(targets)], Plan(on=Named, retry=retry), gate)

        def outcome(number):
            if number == stop_at:
                flow.throw(KeyboardInterrupt())
            said = outcomes[number - 1] if number <= len(outcomes) else "named"
            return {"answer": "hello", "named": Named("no"), "unnamed": unnamed, "asks": asking}[said]

        try:
            driven = drive(flow, gate, outcome, takes_s=takes_s)
        except KeyboardInterrupt:
            driven = None
        # every permit is given back, once
        assert all(len(permit.returned) == 1 for permit in gate.permits)
        if driven is None:
            assert gate.permits[-1].returned == ["abandoned"]
            return
        tries = driven.attempts
        assert len(tries) <= targets * attempts
        assert all(sum(each.name == str(target) for each in tries) <= attempts for target in range(targets))
        assert not {each.name for each in tries} & set(gate.open_circuits)
        assert all(0 <= wait <= cap_s for wait in driven.waits)
        assert sum(each.waited_s for each in tries) <= sum(driven.waits) + 1e-9
        if deadline_s is not None:
            assert sum(driven.waits) <= deadline_s
            assert all(each.timeout_s > 0 for each in tries)
        rulings = [each.ruling for each in tries]
        assert all(ruling in {"retry", "next"} for ruling in rulings[:-1])
        if driven.answer is not None:
            assert rulings[-1] == "done"
        if isinstance(driven.error, KeyError):
            assert driven.error is unnamed
            assert rulings[-1] == "raise"
        else:
            assert driven.answer is not None or isinstance(driven.error, RouterError)
