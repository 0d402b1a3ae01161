"""Cascades: cheap first, dear when unsure."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

import replay
from router import (
    AllTargetsFailed,
    Bands,
    Confidence,
    OutputRejected,
    Target,
    cascade,
    cascade_async,
    route,
    stated,
)
from router.deciding.cascade import Answer, Draw, Raised, cascaded
from tests import recording
from tests.recording import Project, step_named
from tracer import configure, workflow
from tracer.decisions import TRY, decision_in

project = recording.project

CHEAP, DEAR = Target("cheap"), Target("dear")


def sure(value):
    return Confidence(value, "stated")


def saying(**confidences):
    """A call that answers with its target's confidence, and the list of who was asked."""
    asked = []

    def call(target):
        asked.append(target.name)
        said = confidences[target.name]
        if isinstance(said, Exception):
            raise said
        return {"by": target.name, "confidence": said}

    return call, asked


class TestACascade:
    def test_takes_a_sure_answer_of_the_cheap_one(self):
        call, asked = saying(cheap=0.9, dear=1.0)
        done = cascade([CHEAP, DEAR], call, confidence=stated, accept=0.8)
        assert (done.target, done.band, done.value["by"], asked) == ("cheap", "sure", "cheap", ["cheap"])

    def test_asks_the_dear_one_when_unsure_and_keeps_both_answers(self):
        call, asked = saying(cheap=0.5, dear=0.4)
        done = cascade([CHEAP, DEAR], call, confidence=stated, accept=0.8)
        assert (done.target, done.band, asked) == ("dear", "unsure", ["cheap", "dear"])
        assert [each.confidence.value for each in done.answers] == [0.5, 0.4]

    def test_stops_at_a_hopeless_one(self):
        call, asked = saying(cheap=0.1, dear=1.0)
        done = cascade([CHEAP, DEAR], call, confidence=stated, accept=Bands(0.8, 0.3))
        assert (done.target, done.band, asked) == ("cheap", "hopeless", ["cheap"])

    def test_an_answer_without_a_confidence_is_unsure(self):
        def call(target):
            return target.name

        done = cascade([CHEAP, DEAR], call, confidence=lambda _: None, accept=0.1)
        assert (done.target, done.confidence) == ("dear", None)
        assert cascade([CHEAP, DEAR], call, confidence=stated, accept=0.1).target == "dear"

    def test_after_an_error_that_is_named_the_next_is_asked(self):
        call, asked = saying(cheap=TimeoutError("slow"), dear=0.2)
        assert cascade([CHEAP, DEAR], call, confidence=stated, accept=0.8, on=TimeoutError).target == "dear"
        with pytest.raises(TimeoutError):
            cascade([CHEAP, DEAR], call, confidence=stated, accept=0.8)
        assert asked == ["cheap", "dear", "cheap"]

    def test_the_cheap_answer_stands_where_the_dear_one_fails(self):
        call, _ = saying(cheap=0.5, dear=TimeoutError("slow"))
        done = cascade([CHEAP, DEAR], call, confidence=stated, accept=0.8, on=TimeoutError)
        assert (done.target, done.band) == ("cheap", "unsure")

    def test_where_nobody_answers_all_errors_are_told(self):
        call, _ = saying(cheap=TimeoutError("slow"), dear=OutputRejected("dear", "empty"))
        with pytest.raises(AllTargetsFailed) as raised:
            cascade([CHEAP, DEAR], call, confidence=stated, accept=0.8, on=TimeoutError)
        assert [name for name, _ in raised.value.attempts] == ["cheap", "dear"]

    def test_a_confidence_must_say_what_it_is(self):
        call, _ = saying(cheap=0.9)
        with pytest.raises(TypeError, match=r"must give a router\.Confidence"):
            cascade([CHEAP], call, confidence=lambda value: value["confidence"], accept=0.8)

    def test_is_the_same_for_coroutines(self):
        call, asked = saying(cheap=0.5, dear=0.9)

        async def call_async(target):
            return call(target)

        done = asyncio.run(cascade_async([CHEAP, DEAR], call_async, confidence=stated, accept=0.8))
        assert done == cascade([CHEAP, DEAR], call, confidence=stated, accept=0.8)
        assert asked == ["cheap", "dear"] * 2

    @pytest.mark.parametrize("wrong", [{"targets": []}, {"explore": 1.5}, {"accept": 1.5}], ids=str)
    def test_what_makes_no_sense_is_refused(self, wrong):
        said = {"targets": [CHEAP], "accept": 0.8, **wrong}
        with pytest.raises(ValueError):
            cascade(said.pop("targets"), lambda _: 1, confidence=lambda _: None, **said)


class TestExploring:
    def test_asks_the_dear_one_too_and_keeps_the_sure_answer(self):
        call, asked = saying(cheap=0.9, dear=1.0)
        done = cascade([CHEAP, DEAR], call, confidence=stated, accept=0.8, explore=1.0)
        assert (done.target, done.explored, asked) == ("cheap", True, ["cheap", "dear"])
        assert [each.target for each in done.answers] == ["cheap", "dear"]

    def test_what_it_raises_is_nobodys_loss(self):
        call, _ = saying(cheap=0.9, dear=RuntimeError("no"))
        done = cascade([CHEAP, DEAR], call, confidence=stated, accept=0.8, explore=1.0)
        assert (done.value["by"], len(done.answers)) == ("cheap", 1)

    def test_an_unsure_answer_is_no_exploration(self):
        call, _ = saying(cheap=0.5, dear=1.0)
        done = cascade([CHEAP, DEAR], call, confidence=stated, accept=0.8, explore=0.05)
        assert (done.explored, done.propensity) == (False, 1.0)


_OUTCOMES = st.one_of(st.floats(0, 1), st.none(), st.sampled_from([TimeoutError("named"), KeyError("not named")]))


class TestTheFlow:
    @given(
        st.lists(_OUTCOMES, min_size=1, max_size=4),
        st.floats(0, 1),
        st.floats(0, 1),
        st.floats(0, 1),
        st.floats(0, 1, exclude_max=True),
    )
    def test_asks_each_target_at_most_once_in_order_and_no_more_than_it_must(
        self, outcomes, one, other, explore, drawn
    ):
        bands = Bands(max(one, other), min(one, other))
        flow = cascaded(list(range(len(outcomes))), accept=bands, explore=explore, on=TimeoutError)
        asked, draws, sent = [], 0, None
        try:
            while True:
                wanted = flow.send(sent)
                if isinstance(wanted, Draw):
                    draws += 1
                    sent = drawn
                    continue
                asked.append(wanted)
                said = outcomes[wanted]
                value = None if said is None or isinstance(said, Exception) else sure(said)
                sent = Raised(said) if isinstance(said, Exception) else Answer(str(wanted), wanted, value)
        except StopIteration as end:
            done = end.value
        except (KeyError, AllTargetsFailed):
            assert isinstance(outcomes[asked[-1]], Exception)
            return
        assert asked == list(range(len(asked)))
        assert draws <= 1
        before = asked.index(int(done.target))
        for each in asked[:before]:
            said = outcomes[each]
            assert said is None or isinstance(said, Exception) or bands.of(said) == "unsure"
        assert done.explored == (draws == 1 and drawn < explore)
        assert done.propensity == (1.0 if draws == 0 else explore if done.explored else 1.0 - explore)
        assert 0.0 < done.propensity <= 1.0
        if not done.explored and done.band != "unsure":
            assert asked[-1] == int(done.target)


class TestTheRecord:
    def run(self, project: Project, *, explore=0.0, **confidences):
        call, _ = saying(**confidences)

        @workflow
        def answer():
            return cascade([CHEAP, DEAR], call, confidence=stated, accept=Bands(0.8, 0.2), explore=explore).target

        return project.record(answer)

    def test_the_step_holds_the_decision_and_each_attempt_its_answer_and_confidence(self, project: Project):
        trace = self.run(project, cheap=0.5, dear=0.9)
        step = step_named(trace, "cascade")
        assert step.tags["decision"] == {
            "policy": "cascade",
            "chosen": "dear",
            "reason": "dear is sure: 0.90 is at least 0.80",
            "candidates": ["cheap", "dear"],
            "confidence": 0.5,
            "confidence_from": "stated",
            "thresholds": {"accept": 0.8, "hopeless": 0.2},
            "propensity": 1.0,
            "attempts": 2,
        }
        cheap, dear = step_named(trace, "cheap"), step_named(trace, "dear")
        assert (cheap.kind, cheap.parent_id) == ("attempt", step.step_id)
        assert cheap.tags[TRY] == {
            "target": "cheap",
            "number": 1,
            "confidence": 0.5,
            "confidence_from": "stated",
            "band": "unsure",
        }
        assert project.value(dear) == {"by": "dear", "confidence": 0.9}

    def test_an_exploration_is_told_with_its_propensity(self, project: Project):
        decision = decision_in(step_named(self.run(project, explore=1.0, cheap=0.9, dear=0.1), "cascade").tags)
        assert decision is not None
        assert (decision.chosen, decision.attempts, decision.propensity) == ("cheap", 2, 1.0)
        assert decision.reason.endswith("asked to explore")

    def test_a_cascade_that_nobody_answered_says_so(self, project: Project):
        trace = self.run(project, cheap=KeyError("no"))
        step = step_named(trace, "cascade")
        decision = decision_in(step.tags)
        assert decision is not None
        assert (step.status, decision.chosen, decision.reason, decision.attempts) == (
            "failed",
            None,
            "nobody answered",
            1,
        )

    def test_a_replay_draws_as_the_run_drew(self, project: Project, monkeypatch):
        call, asked = saying(cheap=0.9, dear=0.9)

        @workflow
        def answer():
            return cascade([CHEAP, DEAR], call, confidence=stated, accept=0.8, explore=0.5).explored

        trace = project.record(answer)
        explored = len(asked) == 2
        for _ in range(6):
            assert replay.replay(trace.trace_id, fn=answer).output is explored

    def test_a_replay_with_a_less_sure_model_asks_the_dear_one(self, project: Project):
        def answers(confidence):
            return lambda _: f'{{"intent": "card", "confidence": {confidence}}}'

        cheap, dear = Target("cheap", call=answers(0.9)), Target("dear", call=answers(0.95))
        configure(models=[cheap, dear, Target("doubter", call=answers(0.3))])

        @workflow
        def triage(ticket):
            from router import ask

            def call(target):
                return ask(target, ticket).text

            return cascade([cheap, dear], call, confidence=stated, accept=0.8).target

        trace = project.record(triage, "my card")
        again = replay.replay(trace.trace_id, replay.substitute("cheap", model="doubter"), fn=triage)
        assert (again.output, len(trace.steps)) == ("dear", 4)
        decision = decision_in(step_named(project.trace(again.trace_id), "cascade").tags)
        assert decision is not None
        assert (decision.confidence, decision.chosen) == (0.3, "dear")


class TestRouteOnAConfidence:
    def test_its_decision_says_where_the_number_comes_from(self, project: Project):
        @workflow
        def answer():
            return route(Confidence(0.5, "logprobs"), Bands(0.8, 0.3)).band

        decision = decision_in(step_named(project.record(answer), "route").tags)
        assert decision is not None
        assert (decision.policy, decision.chosen, decision.confidence, decision.confidence_from) == (
            "confidence",
            "unsure",
            0.5,
            "logprobs",
        )
        assert decision.thresholds == {"sure": 0.8, "hopeless": 0.3}

    def test_what_is_no_number_is_hopeless_and_recorded_all_the_same(self, project: Project):
        @workflow
        def answer():
            return route(float("nan"), Bands()).band

        step = step_named(project.record(answer), "route")
        assert (step.tags["decision"]["chosen"], "confidence" in step.tags["decision"]) == ("hopeless", False)

    def test_a_served_one_keeps_its_decision(self, project: Project):
        @workflow
        def answer():
            return route(0.9, Bands()).band

        trace = project.record(answer)
        again = project.trace(replay.replay(trace.trace_id, fn=answer).trace_id)
        assert step_named(again, "route").tags["decision"] == step_named(trace, "route").tags["decision"]
