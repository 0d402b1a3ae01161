"""What is said of many traces: told as stories into real stores, and worked out by hand here."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from replay import resume
from replay.answering import inbox
from router import Waiting, escalate
from tests import recording
from tests.builders import NEW_YEAR_NS, Story
from tracer import Price, Target, current, recorder, span, step, workflow
from tracer.cli import Commands
from tracer.decisions import ARMS, DECISION, Decision
from tracer.errors import ConfigError
from tracer.reading import open_reading
from tracer.stats.cli import stats_command
from tracer.stats.measure import covered_ns
from tracer.stats.reading import stats_of
from tracer.stats.sides import sides_of
from tracer.store import Filter

project = recording.project
DAY_NS = 86_400 * 10**9


def tell(store, *stories):
    for told in stories:
        store.apply(told.events, owner="me")


def dear(nusd):
    """What is told of a call that costs this much; None: nobody knows."""
    price = {} if nusd is None else {"price": {"input_nusd": 1, "output_nusd": 1}}
    return {"told": price, "input_tokens": nusd or 1, "output_tokens": 0}


def stats(store, **how):
    return stats_of(store, Filter(), **how)


def row(found, name):
    return next(each for each in found.rows if each.name == name)


def routed(decision, *, kind="router", error=None):
    told = Story()
    decided = told.begin("route", kind=kind)
    told.end(decided, error=error, tags={DECISION: decision.as_tag()})
    return told.finish()


class TestRates:
    def test_completion_and_errors_are_of_the_runs_that_ended(self, store):
        tell(store, Story().finish(), Story().finish(), Story().finish(error=ValueError("no")), Story())
        whole = stats(store).whole
        assert (whole.traces, whole.statuses) == (4, {"completed": 2, "failed": 1, "running": 1})
        assert ((whole.completion.count, whole.completion.of), (whole.errors.count, whole.errors.of)) == (
            (2, 3),
            (1, 3),
        )

    def test_a_run_fell_back_where_a_decision_says_so(self, store):
        tell(store, routed(Decision("fallback", fell_back=True)), routed(Decision("fallback", chosen="a")))
        assert (stats(store).whole.fallback.count, stats(store).whole.fallback.of) == (1, 2)

    def test_a_run_retried_where_a_decision_or_a_later_attempt_of_a_call_says_so(self, store):
        again = Story()
        again.end(again.begin("chat", kind="llm", tags={"attempt": 2, "retry_of": "aa"}), call={"model": "m"})
        tell(store, routed(Decision("fallback", retries=2)), again.finish(), Story().finish())
        assert (stats(store).whole.retry.count, stats(store).whole.retry.of) == (2, 3)

    def test_a_run_escalated_where_it_asked_a_human(self, store):
        asked = Story()
        asked.step("escalate", kind="human")
        tell(store, asked.finish(), Story().finish())
        assert stats(store).whole.escalation.count == 1

    def test_replays_are_left_out(self, store):
        tell(store, Story().finish(), Story(replay_of="0" * 32).finish())
        assert stats(store).whole.traces == 1

    def test_of_no_traces_nothing_is_known(self, store):
        whole = stats(store).whole
        assert (whole.traces, whole.completion.value, whole.latency.p50.value, whole.cost.mean.value) == (0,) + (
            None,
        ) * 3


@step(kind="llm", model="m")
def say(text: str) -> str:
    current().set(usage={"input_tokens": 100, "output_tokens": 0})
    return text


@workflow
def asks(text: str) -> str:
    with span("draft", kind="router"):
        said = say(text)
    answer = escalate("Send it?", options=["yes", "no"])
    return say(f"{said}, {answer}")


class TestARunThatWasResumed:
    def test_is_one_with_what_it_was_resumed_by(self):
        recorder.configure(models=[Target("m", call=str, price=Price(1, 1))])
        with pytest.raises(Waiting):
            asks("hello")
        recorder.flush()
        with open_reading() as store:
            alone = stats(store)
            inbox.answer(store, inbox.find(store, store.resolve("latest")), "yes", by="ann")
        assert (alone.whole.traces, alone.whole.statuses) == (1, {"waiting": 1})
        resume("latest")
        with open_reading() as store:
            found = stats(store, by="step")
        whole = found.whole
        assert (whole.traces, whole.statuses, whole.escalation.count) == (1, {"completed": 1}, 1)
        assert (whole.cost.total_nusd, whole.cost.unpriced) == (200, 0)
        assert {each.name: each.runs for each in found.rows} == {
            "asks": 1, "asks/draft": 1, "asks/draft/say": 1, "asks/say": 1, "asks/escalate": 1,
        }  # fmt: skip


class TestTime:
    def test_calls_that_ran_at_once_are_counted_once(self, store):
        told = Story(at_ns=NEW_YEAR_NS)
        one = told.begin("chat", kind="llm")
        other = told.begin("chat", kind="llm")
        told.end(one, call={"model": "m"})
        told.end(other, call={"model": "m"})
        told.step("look_up", kind="tool")
        tell(store, told.finish())
        # begun at 1 us; calls 2..4 and 3..5, the tool 6..7, the end at 8
        time = stats(store).whole.time
        assert (time.models_ns, time.outside_ns, time.own_ns) == (3_000, 1_000, 3_000)
        assert time.model_share.value == pytest.approx(3 / 7)

    def test_a_tool_that_calls_a_model_is_the_models_time_while_it_does(self, store):
        told = Story()
        tool = told.begin("search", kind="tool")
        told.call("m", under=tool)
        told.end(tool)
        tell(store, told.finish())
        time = stats(store).whole.time
        assert (time.models_ns, time.outside_ns) == (1_000, 2_000)

    @given(st.lists(st.tuples(st.integers(-20, 120), st.integers(0, 40)).map(lambda at: (at[0], at[0] + at[1]))))
    def test_covered_is_every_moment_that_lies_in_an_interval(self, intervals):
        moments = sum(any(began <= at < ended for began, ended in intervals) for at in range(100))
        assert covered_ns(intervals, 0, 100) == moments


class TestMoney:
    def calls(self, store):
        known, unknown = Story(), Story()
        for told, nusd in ((known, 100), (known, 50), (unknown, 30), (unknown, None)):
            draft = told.begin("draft")
            told.call("a" if nusd != 50 else "b", under=draft, **dear(nusd))
            told.end(draft)
        tell(store, known.finish(), unknown.finish())

    def test_what_is_unpriced_makes_the_sum_a_floor_and_is_no_part_of_the_mean(self, store):
        self.calls(store)
        cost = stats(store).whole.cost
        assert (cost.total_nusd, cost.unpriced, cost.mean.value, cost.mean.of) == (180, 1, 150, 1)

    def test_a_step_costs_what_the_calls_in_it_cost_and_a_step_without_calls_nothing_known(self, store):
        self.calls(store)
        rows = stats(store, by="step")
        assert (row(rows, "support/draft").cost_nusd, row(rows, "support/draft").unpriced) == (180, 1)
        assert row(rows, "support/draft").runs == 4
        plain = Story("plain")
        plain.step("tidy")
        tell(store, plain.finish())
        assert row(stats(store, by="step"), "plain/tidy").cost_nusd is None

    def test_a_model_costs_what_its_calls_cost(self, store):
        self.calls(store)
        rows = stats(store, by="model")
        assert [(each.name, each.calls, each.cost.total_nusd, each.cost.unpriced) for each in rows.rows] == [
            ("a", 3, 130, 1),
            ("b", 1, 50, 0),
        ]

    def test_of_a_call_around_another_only_the_inner_costs(self, store):
        told = Story()
        outer = told.begin("answer", kind="llm", model="a")
        told.call("a", under=outer, **dear(70))
        told.end(outer, call={"model": "a", "usage": {"input_tokens": 70}, **dear(70)["told"]})
        tell(store, told.finish())
        assert [(each.calls, each.cost.total_nusd) for each in stats(store, by="model").rows] == [(1, 70)]


class TestTheRows:
    def test_by_version_day_workflow_and_arm(self, store):
        arms = {ARMS: {"drafts": {"arm": "canary", "target": "b", "propensity": 0.1}}}
        tell(store, Story(version="1").finish(), Story("other", at_ns=NEW_YEAR_NS + DAY_NS).finish(tags=arms))
        names = {by: [each.name for each in stats(store, by=by).rows] for by in ("version", "day", "workflow", "arm")}
        assert names == {
            "version": ["1", "none"],
            "day": ["2026-01-01", "2026-01-02"],
            "workflow": ["other", "support"],
            "arm": ["drafts: canary"],
        }

    def test_what_a_step_changed_is_said_where_the_record_tells_and_nowhere_else(self, store):
        other = Decision("cascade", chosen="b", candidates=("a", "b"))
        same = Decision("cascade", chosen="a", candidates=("a", "b"))
        stopped = Story()
        stopped.step("require", kind="guardrail", error=ValueError("no"))
        stopped.step("require", kind="guardrail")
        stopped.step("judge", kind="guardrail", output="a verdict that somebody may act upon")
        stopped.step("draft")
        tell(store, routed(other), routed(same), routed(same), stopped.finish())
        rows = stats(store, by="step")
        changed = {each.name: each.changed and (each.changed.count, each.changed.of) for each in rows.rows}
        assert changed == {
            "support": None,
            "support/route": (1, 3),
            "support/require": (1, 2),
            "support/judge": None,
            "support/draft": None,
        }


class TestTwoSides:
    def test_around_a_date(self, store):
        early = [Story(number=900 + n, at_ns=NEW_YEAR_NS).finish() for n in range(30)]
        late = [
            Story(number=950 + n, at_ns=NEW_YEAR_NS + DAY_NS).finish(**({"error": ValueError("no")} if n < 15 else {}))
            for n in range(30)
        ]
        tell(store, *early, *late)
        (whole, _) = stats(store, compare="before:2026-01-02").compared
        found = whole.differences["completion"]
        assert found.value == -0.5
        assert found.low < -0.5 < found.high < 0
        assert (whole.before.traces, whole.after.traces) == (30, 30)

    def test_versions_leave_all_others_out(self, store):
        tell(store, *(Story(version=name).finish() for name in "AABC"))
        found = stats(store, compare="version:A,B")
        assert found.sides == ("A", "B")
        assert [(each.name, each.before.traces, each.after.traces) for each in found.compared] == [
            ("all", 2, 1),
            ("support", 2, 1),
        ]

    def test_arms_of_a_role(self, store):
        def in_arm(arm):
            return Story().finish(tags={ARMS: {"drafts": {"arm": arm, "target": "x", "propensity": 0.5}}})

        tell(store, in_arm("production"), in_arm("canary"), in_arm("canary"), Story().finish())
        found = stats(store, compare="arm:drafts", by="step")
        assert [(each.before.traces, each.after.traces) for each in found.compared[:1]] == [(1, 2)]
        assert [each.name for each in found.compared] == ["all", "support"]

    @pytest.mark.parametrize("text", ["before:", "before:x", "version:A", "version:A,A", "arm:", "arm:a,b", "x"])
    def test_what_names_no_two_sides_is_refused_with_what_does(self, text):
        with pytest.raises(ConfigError, match="write"):
            sides_of(text)


class TestAChain:
    def test_holds_the_product_of_its_steps_against_the_end(self, store):
        for found, drafted, end in ((True, True, True), (True, False, False), (False, True, True), (True, True, True)):
            told = Story()
            one, other = told.step("find"), told.step("draft")
            told.note(one, "good", found, kind="score")
            told.note(other, "good", 0.9 if drafted else 0.2, kind="score")
            told.note(told.root, "answered", end, kind="score")
            tell(store, told.finish())
        (chain,) = stats(store).chains
        assert (chain.workflow, chain.score) == ("support", "answered")
        assert (chain.end.count, chain.end.of, chain.all_right.count) == (3, 4, 2)
        assert chain.product.value == pytest.approx(9 / 16)
        draft = next(link for link in chain.links if link.path == "support/draft")
        assert (draft.end_if_right.value, draft.end_if_wrong.value, draft.matters.value) == (1.0, 0.0, 1.0)

    def test_a_label_is_neither_right_nor_wrong(self, store):
        told = Story()
        told.note(told.step("find"), "good", 1, kind="score")
        told.note(told.step("find"), "label", "refund", kind="score")
        told.note(told.root, "answered", True, kind="score")
        tell(store, told.finish())
        (chain,) = stats(store).chains
        assert (chain.unread, [link.score for link in chain.links]) == (1, ["good"])


@step(kind="llm", model="m")
def answer(text):
    current().set(usage={"input_tokens": 1, "output_tokens": 1})
    return text


@workflow
def support(text):
    return answer(text)


class TestTheCommand:
    def run(self, *words, code=0):
        group = Commands(name="playhead")
        group.add_command(stats_command)
        done = CliRunner().invoke(group, ["stats", *words])
        assert done.exit_code == code, done.output
        return done.output

    @pytest.mark.parametrize("by", ["workflow", "step", "model", "arm", "day", "version"])
    def test_shows_a_table_and_says_what_it_does_not_know(self, by):
        support("hello")
        recorder.flush()
        shown = self.run("--by", by)
        assert "1 run: " in shown
        assert re.search(r"completion +100.0% \(20.7% to 100.0%\)", shown)
        assert re.search(r"cost per run +\?", shown)

    def test_compares(self):
        support("hello")
        recorder.flush()
        assert "only from 2020-01-01 on" in self.run("--compare", "before:2020-01-01")

    def test_gives_json_with_every_share_and_its_interval(self):
        support("hello")
        recorder.flush()
        told = json.loads(self.run("--json", "--by", "step"))
        assert told["whole"]["completion"]["value"] == 1.0
        assert [each["name"] for each in told["rows"]] == ["support", "support/answer"]

    def test_refuses_what_can_not_be(self):
        assert "names no two sides" in self.run("--compare", "x", code=2)
