from __future__ import annotations

import pytest

from replay import PlanError, Replay, edit, live, replay
from replay.compare import Change
from replay.divergence import Divergence, Stopped
from replay.plan import parse_rule
from tracer import effect, step, workflow


class TestTheWordsOfADivergence:
    def test_two_long_texts_are_shown_where_they_part(self):
        before, after = ("x" * 5_000 + word + "y" * 5_000 for word in ("billing", "loans"))
        said = str(Divergence("input-changed", "w/draft", "stopped", changes=(Change("$.text", before, after),)))
        assert "xxbillingyy" in said
        assert "xxloansyy" in said
        assert len(said) < 400

    def test_short_ones_are_shown_whole(self):
        said = str(Divergence("input-changed", "w/draft", "stopped", changes=(Change("$.n", 1, "two"),)))
        assert said == "w/draft: input-changed, stopped; first at $.n: 1 -> 'two'"

    def test_a_stop_is_one_line_whatever_it_is_about(self):
        change = Change("$.text", "one\ntwo", "one\nthree")
        stop = Stopped(Divergence("input-changed", "w/draft", "stopped", changes=(change,)), "do this\nor that")
        assert "\n" not in str(stop)
        assert str(stop).endswith(". do this or that")


@step(kind="tool")
def look_up(text: str, limit: int = 3) -> str:
    return text.upper()


@effect
def send(text: str) -> str:
    return "sent"


@step
def write(text: str) -> str:
    return look_up(text)


@workflow
def answers(text: str) -> str:
    return send(write(text))


class TestTheFirstDivergence:
    """A changed call, told so that one can act on it."""

    def replayed(self, fn: object) -> Replay:
        answers("card lost")
        return replay("latest", fn=workflow(name="answers")(fn))

    def test_is_a_new_call_or_changed_plain_code_where_it_is_that(self, recorded):
        first = self.replayed(lambda text: look_up(text + "!", limit=4)).first
        assert first.kind == "new"  # write() is not asked for: look_up under the workflow itself is another call
        first = self.replayed(lambda text: write(f"{text}!")).first
        assert (first.kind, first.then) == ("input-changed", "its code runs")

    def test_of_a_call_names_the_nearest_candidate_and_each_rule_that_would_accept_it(self, recorded):
        def other(text: str) -> str:
            look_up(text)
            return look_up("card found")

        @workflow
        def twice(text: str) -> str:
            look_up(text)
            return look_up(text + "?")

        twice("card lost")
        done = replay("latest", fn=workflow(name="twice")(other))
        first = done.first
        assert (first.path, first.recorded_path) == ("twice/look_up[1]", "twice/look_up[1]")
        assert first.inputs == ({"text": "card lost?"}, {"text": "card found"})
        assert [(change.path, change.before, change.after) for change in first.changes] == [
            ("$.text", "card lost?", "card found")
        ]
        assert first.accept == ("--live look_up", "--edit look_up=JSON", "--on-divergence live")
        accepted = replay("latest", parse_rule("live", "look_up"), fn=workflow(name="twice")(other))
        assert accepted.stopped is None

    def test_says_where_the_nearest_candidate_stands_if_that_is_elsewhere(self):
        told = Divergence("input-changed", "w/a[2]", "stopped", recorded_path="w/a")
        assert str(told) == "w/a[2]: input-changed, stopped (recorded as w/a)"

    def test_of_an_effect_is_accepted_by_a_stand_in_or_by_its_name(self, recorded):
        answers("card lost")
        done = replay("latest", edit("write", "other"))
        assert done.first.accept == ("--stand-in send=JSON", "--live send")

    def test_of_changed_code_is_accepted_by_serving_it(self, recorded, module):
        source = """
            from tracer import step, workflow

            @step
            def shout(text):
                return text.upper()

            @workflow
            def shouts(text):
                return shout(text)
        """
        module(source).shouts("a")
        module(source.replace("text.upper()", "text.upper() + '!'"))
        done = replay("latest")
        assert (done.output, done.first.kind, done.first.accept) == ("A!", "code-changed", ("--serve shout",))

    def test_is_none_where_all_is_as_recorded(self, recorded):
        answers("card lost")
        assert replay("latest").first is None


class TestAMostOfLiveCalls:
    def test_stops_before_one_call_too_many(self, recorded):
        done_before = []

        @step(kind="tool")
        def call(n: int) -> int:
            done_before.append(n)
            return n

        @workflow
        def calls() -> int:
            return sum(call(n) for n in range(5))

        calls()
        done_before.clear()
        done = replay("latest", live("call"), fn=calls, max_live_calls=2)
        assert done_before == [0, 1]
        assert (done.live, done.stopped.divergence.kind) == (2, "budget")
        assert "--max-live-calls" in done.stopped.advice
        assert replay("latest", live("call"), fn=calls, max_live_calls=5).output == 10

    def test_counts_the_innermost_of_calls_in_each_other(self, recorded):
        @step(kind="tool")
        def inner() -> int:
            return 1

        @step(kind="tool")
        def outer() -> int:
            return inner()

        @workflow
        def nested() -> int:
            return outer()

        nested()
        assert replay("latest", live("outer"), fn=nested, max_live_calls=1).output == 1
        assert replay("latest", live("outer"), fn=nested, max_live_calls=0).stopped is not None

    def test_is_a_number_from_0_on(self, recorded):
        with pytest.raises(PlanError, match="max_live_calls"):
            replay("latest", max_live_calls=-1)
