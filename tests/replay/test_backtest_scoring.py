"""When two outputs count as the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracer
from replay import PlanError
from replay.backtest.scoring import Pair, Score, apart, score, scorer_of
from replay.compare import MISSING
from tests.loopback import Loopback, Reply
from tracer import FREE, Price, Target

BEFORE = "ab" * 16

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def scored(scorer: Any, before: Any, after: Any, *, budget_nusd: int | None = None, **scores: Any) -> Score:
    return score(scorer_of(scorer), Pair(BEFORE, {"q": 1}, before, after, scores, budget_nusd))


@dataclass
class Intent:
    name: str
    sure: float


class TestExact:
    def test_counts_types(self):
        assert scored("exact", 1, 1).value == 1
        assert scored("exact", 1, 1.0).value == 0
        assert scored("exact", [1], (1,)).value == 0

    @given(json_values)
    def test_agrees_with_an_equal_value(self, value):
        assert scored("exact", value, json.loads(json.dumps(value))).value == 1


class TestJson:
    @pytest.mark.parametrize(
        ("before", "after", "same"),
        [
            ({"a": 1, "b": [True]}, {"b": [True], "a": 1.0}, True),
            ('{"a": 1}', {"a": 1}, True),
            ('{"a": 1}', '{ "a":1 }', True),
            (Intent("card", 0.5), {"name": "card", "sure": 0.5}, True),
            (True, 1, False),
            (None, "", False),
            ([], {}, False),
            ("1", 1, False),
            ({"a": []}, {}, False),
            ("[not json", "[not json", True),
        ],
    )
    def test_tells_what_json_tells_apart(self, before, after, same):
        assert scored("json", before, after).value == float(same)


class TestFields:
    def test_gives_the_share_of_equal_leaves(self):
        before = {"intent": "card", "slots": {"city": "Ulm", "day": 3}}
        assert scored("fields", before, {"intent": "card", "slots": {"city": "Ulm", "day": 4}}).value == 2 / 3

    def test_counts_fields_that_only_one_side_has(self):
        assert scored("fields", {"a": 1}, {"a": 1, "b": 2}).value == 1 / 2

    @given(json_values, json_values)
    def test_is_1_just_where_json_agrees(self, before, after):
        assert (scored("fields", before, after).value == 1) == (scored("json", before, after).value == 1)


class TestNumeric:
    @pytest.mark.parametrize(
        ("scorer", "before", "after", "same"),
        [
            ("numeric:0", "20", "20.00", True),
            ("numeric:0", "1,000", 1000, True),
            ("numeric:0", 0.1 + 0.2, 0.3, True),
            ("numeric:0.5", {"a": 1}, {"a": 1.5}, True),
            ("numeric:0.5", {"a": 1}, {"a": 1.6}, False),
            ("numeric:1%", 200, 202, True),
            ("numeric:1%", 200, 203, False),
            ("numeric:1%", "ja", "ja", True),
            ("numeric:1%", "ja", "nein", False),
            ("numeric:1", [1, 2], [1], False),
            ("numeric:1", True, 1, False),
        ],
    )
    def test_forgives_just_the_tolerance(self, scorer, before, after, same):
        assert scored(scorer, before, after).value == float(same)

    @pytest.mark.parametrize("text", ["-1", "nan", "inf", "x", "%"])
    def test_refuses_what_is_no_tolerance(self, text):
        with pytest.raises(PlanError, match="numeric:TOL"):
            scorer_of(f"numeric:{text}")


class TestALabel:
    def test_holds_both_sides_against_the_right_answer(self):
        found = scored("label:gold", "3", "4", gold="4")
        assert (found.value, found.right_before, found.right_after) == (0, False, True)

    def test_counts_a_failed_run_as_wrong(self):
        after = scored("label:gold", "4", MISSING, gold="4")
        assert (after.value, after.right_before, after.right_after) == (0, True, False)
        before = scored("label:gold", MISSING, "4", gold="4")
        assert (before.value, before.right_before, before.right_after) == (None, False, True)

    def test_may_be_a_number_within_a_tolerance(self):
        found = scored("label:gold:numeric:0", "3", "4.00", gold="4")
        assert (found.value, found.right_before, found.right_after) == (0, False, True)
        with pytest.raises(PlanError, match="numeric:TOL"):
            scorer_of("label:gold:about:4")

    def test_says_which_scores_there_are(self):
        assert "it has tone" in (scored("label:gold", "3", "4", tone=1).problem or "")


class TestAFunction:
    def test_gives_a_share_a_verdict_or_a_score(self):
        assert scored(lambda pair: pair.before == pair.after, 1, 1).value == 1
        assert scored(lambda _: 0.25, 1, 2).value == 0.25
        assert scored(lambda _: Score(0.5, right_after=True), 1, 2).right_after is True

    def test_is_found_by_its_name(self):
        assert scorer_of("operator:eq") is __import__("operator").eq

    def test_that_raises_or_gives_anything_else_leaves_the_trace_without_a_score(self):
        assert "ZeroDivisionError" in (scored(lambda _: 1 / 0, 1, 2).problem or "")
        assert "no number from 0 to 1" in (scored(lambda _: 7, 1, 2).problem or "")

    @pytest.mark.parametrize("name", ["exacd", "nowhere:f", "operator:nothing", "json:x", "label", "operator:__name__"])
    def test_that_is_none_is_refused(self, name):
        with pytest.raises(PlanError, match=name):
            scorer_of(name)


class TestAFailedRun:
    def test_before_leaves_nothing_to_compare(self):
        assert scored("exact", MISSING, 1).value is None

    def test_after_agrees_with_nothing(self):
        assert scored("exact", 1, MISSING).value == 0


class TestHowFarApart:
    @given(json_values, json_values)
    def test_is_0_for_equal_values_and_at_most_1(self, before, after):
        assert apart(before, before) == 0
        assert 0 <= apart(before, after) <= 1

    def test_grows_with_the_words_that_differ(self):
        near, far = "the card is blocked now", "no idea at all my friend"
        assert apart("the card is blocked", near) < apart("the card is blocked", far)


class TestAJudge:
    @pytest.fixture(autouse=True)
    def targets(self, own_catalogue, tmp_path):
        self.asked: list[Any] = []
        self.says = "Yes, they do."

        def judge(request: Any) -> str:
            self.asked.append(request)
            return self.says

        tracer.configure(home=tmp_path, models={"friend": Target("friend", call=judge, price=FREE)})
        yield
        tracer.shutdown()

    def test_that_is_a_callable_says_yes_or_no(self):
        assert scored("judge:friend", "four", "4").value == 1
        self.says = "No."
        assert scored("judge:friend", "four", "5").value == 0

    def test_reads_the_input_and_both_outputs_the_first_one_by_turns(self):
        scored("judge:friend", "four", "vier")
        (text,) = [message.content for message in self.asked[0].messages]
        assert text.index('{"q": 1}') < text.index("four") < text.index("vier")
        score(scorer_of("judge:friend"), Pair("0" * 32, None, "four", "vier"))
        (text,) = [message.content for message in self.asked[1].messages]
        assert text.index("vier") < text.index("four")

    def test_that_says_neither_gives_no_score(self):
        self.says = "Well."
        assert "neither yes nor no" in (scored("judge:friend", 1, 2).problem or "")

    def test_behind_an_endpoint_is_asked_there_and_paid(self):
        with Loopback() as server:
            server.next(Reply(words=("yes",)))
            tracer.configure(models={"far": Target("far", base_url=server.url, price=Price(1_000, 10_000))})
            found = scored("judge:far", "four", "vier")
            assert (found.value, server.seen[0].path) == (1, "/v1/chat/completions")
        assert found.cost_nusd == 11 * 1_000 + 7 * 10_000

    def test_is_not_asked_beyond_the_budget(self):
        with Loopback() as server:
            tracer.configure(models={"far": Target("far", base_url=server.url, price=Price(1_000, 10_000))})
            found = scored("judge:far", "four", "vier", budget_nusd=100)
            assert "budget" in (found.problem or "")
            assert server.seen == []

    def test_that_refuses_is_the_traces_problem(self):
        with Loopback() as server:
            server.next(Reply(status=500))
            tracer.configure(models={"far": Target("far", base_url=server.url, price=FREE)})
            assert "HTTP 500" in (scored("judge:far", 1, 2).problem or "")

    def test_that_nobody_knows_is_the_traces_problem(self):
        assert "no model named 'nobody'" in (scored("judge:nobody", 1, 2).problem or "")
