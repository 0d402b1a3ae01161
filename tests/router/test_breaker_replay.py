"""A breaker in a replay: it answers as recorded while nothing changes, by itself once something has."""

from __future__ import annotations

import pytest

from replay import fail, live, replay
from router import Breaker, CircuitOpen, Consecutive
from router.breaker.record import BREAKERS
from tests import recording
from tests.recording import Project
from tracer import step, workflow

project = recording.project

ONE = Breaker("one", trip=Consecutive(2), open_s=600.0)
#: Whether the model is down; what it is asked lies outside of what a replay knows of.
DOWN: list[bool] = []
ASKED: list[str] = []


@step(kind="llm", name="one")
def ask_one(question: str) -> str:
    ASKED.append(question)
    if DOWN:
        raise TimeoutError(question)
    return f"{question}: one"


def answer(question: str) -> str:
    try:
        with ONE.admit():
            return ask_one(question)
    except (TimeoutError, CircuitOpen) as error:
        return f"{question}: {type(error).__name__}"


@workflow
def answers(count: int) -> list[str]:
    return [answer(f"q{number}") for number in range(count)]


@pytest.fixture(autouse=True)
def fresh():
    ONE._circuit.become(Breaker("fresh", trip=Consecutive(2))._circuit.state)
    DOWN.clear()
    ASKED.clear()


def changes(trace):
    return [(each["was"], each["is"]) for each in trace.root.tags.get(BREAKERS, ())]


class TestAReplayInWhichNothingChanges:
    def test_is_answered_as_recorded_whatever_the_breaker_is_now(self, project: Project):
        DOWN.append(True)
        trace = project.record(answers, 4)
        recorded = ["q0: TimeoutError", "q1: TimeoutError", "q2: CircuitOpen", "q3: CircuitOpen"]
        assert project.value(trace.root) == recorded
        fresh_circuit = ONE._circuit.state.name
        assert fresh_circuit == "open"
        again = replay(trace.trace_id)
        assert (again.output, again.divergences) == (recorded, ())

    def test_is_let_through_where_it_was_though_the_breaker_is_open_now(self, project: Project):
        trace = project.record(answers, 2)
        for _ in range(2):
            ONE.admit().failed("timeout")
        again = replay(trace.trace_id)
        assert again.output == ["q0: one", "q1: one"]
        assert ONE.state == "open"

    def test_of_a_replay_goes_the_same_way_again(self, project: Project):
        DOWN.append(True)
        trace = project.record(answers, 3)
        once = replay(trace.trace_id)
        twice = replay(once.trace_id)
        assert twice.output == once.output == project.value(trace.root)


class TestAFaultThatIsPutIn:
    def test_trips_the_replays_own_breaker_and_never_the_real_one(self, project: Project):
        trace = project.record(answers, 4)
        again = replay(trace.trace_id, fail("one", "timeout"))
        assert [each.split(": ")[1] for each in again.output[2:]] == ["CircuitOpen"] * 2
        assert ONE.state == "closed"
        assert changes(project.trace(again.trace_id)) == [("closed", "open")]
        assert ASKED == ["q0", "q1", "q2", "q3"]

    def test_meets_the_breaker_where_the_record_left_it(self, project: Project):
        """One failure had been counted when the trace began: in the replay one fault more is enough."""
        ONE.admit().failed("earlier")
        trace = project.record(answers, 3)
        again = replay(trace.trace_id, fail("one[0]", "timeout"))
        assert [each.split(": ")[1] for each in again.output] == ["TimeoutError", "CircuitOpen", "CircuitOpen"]

    def test_trips_it_anew_in_every_replay(self, project: Project):
        trace = project.record(answers, 4)
        outputs = [replay(trace.trace_id, fail("one", "timeout")).output for _ in range(2)]
        assert outputs[0] == outputs[1]

    def test_and_the_replay_with_it_can_be_replayed(self, project: Project):
        trace = project.record(answers, 4)
        with_fault = replay(trace.trace_id, fail("one", "timeout"))
        assert replay(with_fault.trace_id).output == with_fault.output


class TestACallThatGoesWellWhereItFailed:
    def test_keeps_the_replays_breaker_closed(self, project: Project):
        """The record says that it opened; but in this replay nothing failed."""
        DOWN.append(True)
        trace = project.record(answers, 4)
        DOWN.clear()
        again = replay(trace.trace_id, live("one"), on_divergence="live")
        assert again.output == ["q0: one", "q1: one", "q2: one", "q3: one"]
        assert ONE.state == "open"
        assert changes(project.trace(again.trace_id)) == []
