"""What a Router waits for, and what it does not wait for, beside a breaker."""

from __future__ import annotations

import pytest

from router import Breaker, CircuitOpen, Consecutive, Rate, Retry, Router, Target
from tests import recording
from tests.recording import Project
from tracer import workflow
from tracer.decisions import TRY, decision_in

project = recording.project

ONE, TWO = Target("one"), Target("two")
#: Long enough to be seen, and a test that waits for it in vain still ends.
LATER = Retry(on=TimeoutError, attempts=3, base_s=0.2, jitter="none")


def said_by(attempt):
    if attempt.name == "one":
        raise TimeoutError("too slow")
    return f"said by {attempt.name}"


class OpensWhileOneWaits:
    """A breaker that others trip: it is asked, asked again before the wait, and open after it."""

    state = "closed"

    def __init__(self):
        self.asked = 0

    def admit(self):
        self.asked += 1
        if self.asked > 2:
            raise CircuitOpen("one", 3.0)
        return self

    def succeeded(self):
        """It is never told so here."""

    def failed(self, reason):
        """What it counts is not what opens it."""

    def abandoned(self):
        """Asked, and not called."""


def decided(project: Project, router: Router):
    trace = project.record(workflow(lambda: router.call(said_by).value, name="answer"))
    (step,) = [step for step in trace.steps if step.kind == "router"]
    return decision_in(step.tags), [step.tags[TRY] for step in trace.steps if step.kind == "attempt"]


class TestAWait:
    def test_is_not_begun_where_the_breaker_is_open_already(self, project: Project):
        breaker = Breaker("one", trip=Consecutive(2), counts=TimeoutError)
        told, tries = decided(project, Router([ONE, TWO], retry=LATER, breakers={"one": breaker}))
        # after the first failure it waits and tries again; that trips the breaker, and there is nothing to wait for
        assert [one["target"] for one in tries] == ["one", "one", "two"]
        assert told.waited_s == pytest.approx(0.2)
        assert told.breakers == {"one": "open"}

    def test_leaves_a_breaker_that_it_asked_as_it_was(self):
        breaker = Breaker("one", trip=Rate(1.0, window_s=60, at_least=3), counts=TimeoutError)
        answered = Router([ONE, TWO], retry=LATER, breakers={"one": breaker}).call(said_by)
        # three calls failed, and that it was asked between them counts for none
        assert [each.error for each in answered.failed] == ["TimeoutError"] * 3
        with pytest.raises(CircuitOpen, match="3 of 3 calls failed"):
            breaker.admit()

    def test_is_told_also_where_the_breaker_opened_meanwhile(self, project: Project):
        told, tries = decided(project, Router([ONE, TWO], retry=LATER, breakers={"one": OpensWhileOneWaits()}))
        assert [one["target"] for one in tries] == ["one", "two"]
        assert told.waited_s == pytest.approx(0.2)
