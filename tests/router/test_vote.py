"""Votes: several voices, one answer."""

from __future__ import annotations

import asyncio
import collections
import threading

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import replay
from router import AllTargetsFailed, Confidence, NoConfidence, Target, Undecided, ask, stated, vote, vote_async
from router.deciding.vote import Counting, Voice
from tests import recording
from tests.recording import Project, step_named
from tracer import configure, workflow
from tracer.decisions import TRY, decision_in

project = recording.project

A, B, C = Target("a"), Target("b"), Target("c")


def voices(*said):
    return [Voice(str(place), value, Confidence(sure, "stated")) for place, (value, sure) in enumerate(said)]


class TestCounting:
    def test_by_majority_each_voice_counts_one(self):
        voted = Counting().count(voices(("x", 0.1), ("y", 0.9), ("x", 0.2)))
        assert (voted.value, voted.target, voted.tally) == ("x", "0", (("x", 2.0), ("y", 1.0)))
        assert (voted.confidence.value, voted.confidence.source) == (pytest.approx(2 / 3), "agreement")

    def test_by_confidence_it_counts_as_much_as_it_is_sure(self):
        voted = Counting(by="confidence").count(voices(("x", 0.1), ("y", 0.9), ("x", 0.2)))
        assert (voted.value, voted.target, voted.confidence.value) == ("y", "1", pytest.approx(0.75))

    def test_a_voice_without_a_confidence_has_no_weight_by_confidence(self):
        with pytest.raises(NoConfidence, match="a gave none"):
            Counting(by="confidence").count([Voice("a", "x")])

    def test_a_tie_goes_to_the_first_voice_or_to_nobody(self):
        tied = voices(("y", 0.5), ("x", 0.5))
        assert (Counting().count(tied).value, Counting().count(tied).tied) == ("y", True)
        with pytest.raises(Undecided, match="2 answers got as much") as raised:
            Counting(ties="refuse").count(tied)
        assert raised.value.tally == (("y", 1.0), ("x", 1.0))

    def test_a_quorum_is_how_many_must_agree(self):
        split = voices(("x", 1), ("x", 1), ("y", 1))
        assert Counting(quorum=2).count(split).value == "x"
        with pytest.raises(Undecided, match="2 of 3 voices agree, and 3 must"):
            Counting(quorum=3).count(split)

    def test_what_is_the_same_may_be_said(self):
        counting = Counting(same=lambda one, other: abs(one - other) < 0.1)
        assert counting.count(voices((1.0, 1), (2.0, 1), (2.05, 1))).value == 2.0

    @pytest.mark.parametrize("wrong", [{"by": "volume"}, {"ties": "coin"}, {"quorum": 0}], ids=str)
    def test_what_makes_no_sense_is_refused(self, wrong):
        with pytest.raises(ValueError):
            Counting(**wrong)

    @given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), min_size=1, max_size=12), st.integers(1, 5))
    def test_nobody_wins_with_fewer_voices_than_another_or_than_the_quorum(self, said, quorum):
        counts = collections.Counter(value for value, _ in said)
        try:
            voted = Counting(quorum=quorum).count(voices(*said))
        except Undecided:
            assert max(counts.values()) < quorum
            return
        assert counts[voted.value] == max(counts.values()) >= quorum
        assert sum(weight for _, weight in voted.tally) == len(said)
        assert voted.tied == (list(counts.values()).count(max(counts.values())) > 1)
        weighed = Counting(by="confidence").count(voices(*said))
        assert 0.0 <= weighed.confidence.value <= 1.0


SAID = {"a": "x", "b": "y", "c": "x"}


class TestAVote:
    def test_asks_everyone_and_takes_what_most_say(self):
        voted = vote([A, B, C], lambda target: SAID[target.name])
        assert (voted.value, [voice.target for voice in voted.voices]) == ("x", ["a", "b", "c"])

    def test_asks_several_at_once_and_no_more_than_it_may(self):
        barrier, running, most = threading.Barrier(2, timeout=30), set(), []

        def call(target):
            running.add(threading.get_ident())
            most.append(len(running))
            barrier.wait()
            running.discard(threading.get_ident())
            return "x"

        assert vote([A] * 6, call, at_most=2).confidence.detail == {"agree": 6, "of": 6, "by": "majority"}
        assert max(most) == 2

    def test_a_voice_that_fails_as_named_is_not_counted(self):
        def call(target):
            if target is B:
                raise TimeoutError("slow")
            return SAID[target.name]

        voted = vote([A, B, C], call, on=TimeoutError)
        assert (voted.confidence.value, [each.target for each in voted.failed]) == (1.0, ["b"])
        with pytest.raises(TimeoutError):
            vote([A, B, C], call)

    def test_where_every_voice_fails_all_errors_are_told(self):
        def call(target):
            raise TimeoutError(target.name)

        with pytest.raises(AllTargetsFailed) as raised:
            vote([A, B], call, on=TimeoutError)
        assert [name for name, _ in raised.value.attempts] == ["a", "b"]

    def test_can_be_weighted_by_what_the_voices_state(self):
        def call(target):
            return {"a": ("x", 0.2), "b": ("y", 0.9), "c": ("x", 0.3)}[target.name]

        voted = vote(
            [A, B, C],
            call,
            by="confidence",
            confidence=lambda said: stated(said, "1"),
            same=lambda one, other: one[0] == other[0],
        )
        assert voted.target == "b"

    @pytest.mark.parametrize(
        "wrong", [{"targets": []}, {"at_most": 0}, {"by": "confidence"}], ids=["none", "at-most", "no-confidence"]
    )
    def test_what_makes_no_sense_is_refused(self, wrong):
        said = {"targets": [A], **wrong}
        with pytest.raises(ValueError):
            vote(said.pop("targets"), lambda _: 1, **said)

    @pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
    def test_is_the_same_for_coroutines(self, run):
        async def call(target):
            return SAID[target.name]

        async def main():
            return await vote_async([A, B, C], call)

        voted = asyncio.run(main()) if run is asyncio.run else trio.run(main)
        assert voted == vote([A, B, C], lambda target: SAID[target.name])

    def test_for_coroutines_an_error_ends_it_and_cancels_the_others(self):
        cancelled = []

        async def call(target):
            if target is A:
                raise KeyError("weights")
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(target.name)

        async def main():
            await vote_async([B, A, C], call)

        with pytest.raises(KeyError, match="weights"):
            asyncio.run(main())
        assert "b" in cancelled


class TestTheRecord:
    def test_each_voice_is_an_attempt_and_the_step_says_who_won(self, project: Project):
        @workflow
        def answer():
            return vote([A, B, C], lambda target: SAID[target.name], quorum=2).value

        trace = project.record(answer)
        step = step_named(trace, "vote")
        assert step.tags["decision"] == {
            "policy": "vote",
            "chosen": "a",
            "reason": "2 of 3 agree",
            "candidates": ["a", "b", "c"],
            "confidence": pytest.approx(2 / 3),
            "confidence_from": "agreement",
            "thresholds": {"quorum": 2.0},
            "attempts": 3,
        }
        attempts = sorted((each for each in trace.steps if each.kind == "attempt"), key=lambda each: each.name)
        assert [(each.tags[TRY]["number"], each.parent_id) for each in attempts] == [
            (n, step.step_id) for n in (1, 2, 3)
        ]

    def test_a_vote_that_decided_nothing_says_why(self, project: Project):
        @workflow
        def answer():
            return vote([A, B, C], lambda target: SAID[target.name], quorum=3)

        step = step_named(project.record(answer), "vote")
        decision = decision_in(step.tags)
        assert decision is not None
        assert (step.status, decision.chosen) == ("failed", None)
        assert "2 of 3 voices agree" in decision.reason

    @pytest.mark.parametrize("seed", range(3))
    def test_a_replay_gives_each_voice_its_own_answer_whichever_is_first(self, project: Project, seed):
        drawn = iter("xyxzx")
        lock = threading.Lock()

        def sample(request):
            with lock:
                return next(drawn)

        one = Target("one", call=sample)
        configure(models=[one])

        @workflow
        def answer():
            voted = vote([one] * 5, lambda target: ask(target, "hi").text)
            return [voice.value for voice in voted.voices]

        said = []
        trace = project.record(lambda: said.append(answer()))
        for order in ("at-once", "recorded", "shuffled"):
            again = replay.replay(trace.trace_id, fn=answer, order=order, seed=seed)
            assert again.error is None
            assert again.output == said[0]
