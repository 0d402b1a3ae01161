"""``playhead breakers``: what became of breakers, read back from traces and from what processes share."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import tracer
from replay import replay
from router import Breaker, CircuitOpen, Consecutive
from router.breaker.cli import breakers_command
from router.breaker.history import Known, Transition, known
from router.breaker.record import BREAKERS
from tests import recording
from tests.recording import Project
from tracer import workflow
from tracer.cli import Commands
from tracer.reading import open_reading
from tracer.store.shared import Shared

project = recording.project
PLAYHEAD = Commands(commands={"breakers": breakers_command})


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


CLOCK = Clock()
ONE = Breaker("one", trip=Consecutive(2), open_s=10.0, clock=CLOCK)


@workflow
def trips() -> str:
    for _ in range(2):
        ONE.admit().failed("429")
    with pytest.raises(CircuitOpen):
        ONE.admit()
    return "tripped"


@workflow
def heals() -> str:
    CLOCK.now += 10.0
    ONE.admit().succeeded()
    return "healed"


@workflow
def quiet() -> str:
    return "nothing"


def run(*words, code=0):
    assert tracer.flush()
    result = CliRunner().invoke(PLAYHEAD, ["breakers", *words])
    assert result.exit_code == code, result.output
    return result


class TestBreakers:
    def test_without_any_says_so(self, project: Project):
        quiet()
        assert run().output == "No breaker changed within 1d, and none is shared.\n"
        assert json.loads(run("--json").output) == {"breakers": [], "transitions": []}

    def test_names_the_state_the_trips_and_the_last_error(self, project: Project):
        trips()
        output = run().output
        for word in ("one", "open", "2 failures in a row, the last one: 429"):
            assert word in output
        heals()
        told = json.loads(run("--json").output)
        (one,) = told["breakers"]
        assert {name: one[name] for name in ("name", "state", "trips", "probes", "shared")} == {
            "name": "one",
            "state": "closed",
            "trips": 1,
            "probes": 1,
            "shared": False,
        }
        assert [(each["was"], each["now"], each["is_trip"]) for each in told["transitions"]] == [
            ("closed", "open", True),
            ("open", "half-open", False),
            ("half-open", "closed", False),
        ]

    def test_leaves_replays_out(self, project: Project):
        trace = project.record(trips)
        heals()
        replay(trace.trace_id)
        assert json.loads(run("--json").output)["breakers"][0]["trips"] == 1

    def test_counts_within_a_period_and_a_workflow(self, project: Project):
        trips()
        heals()
        assert json.loads(run("--json", "--workflow", "heals").output)["breakers"][0]["trips"] == 0
        assert "no age" in run("--since", "soon", code=2).output

    def test_says_what_processes_share(self, project: Project):
        quiet()
        assert tracer.flush()
        with open_reading() as store:
            assert store.share("breaker:two", {"state": "open", "since_ns": 5, "reason": "429"}, version=0)
        (two,) = json.loads(run("--json").output)["breakers"]
        assert (two["name"], two["state"], two["since_ns"], two["last_error"], two["shared"]) == (
            *("two", "open", 5, "429"),
            True,
        )


class TestWhatIsKnownOfABreaker:
    def change(self, now, heard, at_ns, reason=""):
        return Transition("one", "closed", now, heard, reason, at_ns, "t", "p")

    def test_counts_a_probe_that_was_given_back_as_no_trip(self):
        (one,) = known([self.change("open", "failed", 1, "429"), self.change("open", "abandoned", 3)], {})
        assert one == Known("one", "open", 3, trips=1, probes=0, last_error="429")

    def test_takes_the_shared_state_for_true(self):
        shared = {"breaker:one": Shared({"state": "closed", "since_ns": 9}, 1, 0)}
        (one,) = known([self.change("open", "failed", 1, "429")], shared)
        assert (one.state, one.since_ns, one.trips, one.shared) == ("closed", 9, 1, True)


class TestATagOfStrangers:
    @pytest.mark.parametrize("tag", ["text", 7, [1], [{"name": "one"}], {"a": 1}], ids=str)
    def test_of_the_same_name_is_passed_over(self, project: Project, tag):
        @workflow
        def strange():
            tracer.current().set(tags={BREAKERS: tag})

        strange()
        assert json.loads(run("--json").output) == {"breakers": [], "transitions": []}
