"""How long traces stay: the rules, and what they say of which trace goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.errors import ConfigError
from tracer.retention.policy import Going, going, stories
from tracer.retention.rules import DAY_NS, Limits, Retention, Rule, read_rules, size_of
from tracer.subjects import REASONS, Subject

NOW_NS = 20_000 * DAY_NS


def aged(days: float, name: str, workflow: str = "support", **fields: Any) -> Subject:
    return Subject(name, workflow, NOW_NS - int(days * DAY_NS), **fields)


def names(found: list[Going]) -> list[str]:
    return [each.subject.trace_id for each in found]


def of(retention: Retention, *subjects: Subject, only: str = "*") -> list[str]:
    return names(going(subjects, retention, now_ns=NOW_NS, only=only))


class TestAge:
    def test_takes_what_is_older_and_the_oldest_first(self) -> None:
        subjects = (aged(31, "b"), aged(29, "a"), aged(40, "c"))
        assert of(Retention.of_days(30), *subjects) == ["c", "b"]

    def test_says_why(self) -> None:
        (one,) = going([aged(31, "a")], Retention.of_days(30), now_ns=NOW_NS)
        assert one.why == "older than 30 days"

    def test_of_nothing_takes_nothing(self) -> None:
        assert of(Retention(), aged(10_000, "a")) == []
        assert Retention().is_empty

    @pytest.mark.parametrize("reason", REASONS)
    def test_is_four_times_as_much_for_what_is_worth_more(self, reason: str) -> None:
        subjects = (aged(121, "a", reasons=frozenset({reason})), aged(119, "b", reasons=frozenset({reason})))
        assert of(Retention.of_days(30), *subjects) == ["a"]

    def test_is_that_of_the_reason_for_which_it_stays_longest(self) -> None:
        rule = Rule(days=10, longer=(("failed", 20.0), ("scored", 30.0)))
        both = frozenset({"failed", "scored"})
        subjects = (aged(25, "a", reasons=both), aged(25, "b", reasons=frozenset({"failed"})))
        assert of(Retention((rule,)), *subjects) == ["b"]

    def test_is_the_same_for_all_where_that_is_asked_for(self) -> None:
        subjects = [aged(31, reason, reasons=frozenset({reason})) for reason in REASONS]
        assert set(of(Retention.of_age(30), *subjects)) == set(REASONS)

    def test_of_a_named_workflow_holds_in_place_of_the_others(self) -> None:
        retention = Retention((Rule("support*", days=90), Rule(days=30)))
        subjects = (aged(60, "a", "support_eu"), aged(60, "b", "search"), aged(91, "c", "support"))
        assert of(retention, *subjects) == ["c", "b"]


class TestLimits:
    def test_of_a_workflow_are_for_each_workflow(self) -> None:
        retention = Retention((Rule(limits=Limits(max_traces=1)),))
        assert of(retention, aged(3, "a"), aged(2, "b"), aged(1, "c", "search")) == ["a"]

    def test_of_the_store_are_for_all(self) -> None:
        subjects = (aged(3, "a"), aged(2, "b"), aged(1, "c", "search"))
        assert of(Retention(limits=Limits(max_traces=1)), *subjects) == ["a", "b"]

    def test_take_ordinary_ones_first(self) -> None:
        failed = aged(9, "failed", reasons=frozenset({"failed"}))
        subjects = (failed, aged(3, "a"), aged(2, "b"))
        assert of(Retention(limits=Limits(max_traces=1)), *subjects) == ["a", "b"]
        assert set(of(Retention(limits=Limits(max_traces=0)), *subjects)) == {"failed", "a", "b"}

    def test_of_bytes_take_until_it_fits(self) -> None:
        subjects = [aged(10 - n, str(n), size=100) for n in range(5)]
        assert of(Retention(limits=Limits(max_size=250)), *subjects) == ["0", "1", "2"]

    def test_count_what_can_not_go(self) -> None:
        subjects = (aged(3, "a", held="pinned"), aged(2, "b"))
        assert of(Retention(limits=Limits(max_traces=1)), *subjects) == ["b"]


class TestAStory:
    def test_is_as_young_as_its_youngest(self) -> None:
        retention = Retention.of_age(30)
        assert of(retention, aged(50, "a"), aged(10, "b", origin="a")) == []
        assert of(retention, aged(50, "a"), aged(31, "b", origin="a")) == ["a", "b"]

    def test_is_held_by_any_of_its_traces(self) -> None:
        chain = (aged(50, "a"), aged(40, "b", origin="a"), aged(35, "c", origin="b", held="pinned"))
        assert of(Retention.of_age(30), *chain) == []

    def test_keeps_siblings_together_when_their_origin_is_gone(self) -> None:
        told = list(stories([aged(2, "b", origin="gone"), aged(1, "c", origin="gone"), aged(1, "d")]))
        assert sorted(len(story.subjects) for story in told) == [1, 2]

    def test_without_end_is_no_trap(self) -> None:
        assert len(list(stories([aged(1, "a", origin="b"), aged(2, "b", origin="a"), aged(1, "c", origin="c")]))) == 2

    def test_is_of_one_workflow(self) -> None:
        subjects = (aged(50, "a", "support"), aged(50, "b", "search"))
        assert of(Retention.of_age(30), *subjects, only="sea*") == ["b"]


_subjects = st.lists(
    st.builds(
        Subject,
        trace_id=st.integers(0, 40).map(str),
        workflow=st.sampled_from(["support", "search", "draft"]),
        started_ns=st.integers(0, 200).map(lambda days: NOW_NS - days * DAY_NS),
        size=st.integers(0, 1_000),
        origin=st.none() | st.integers(0, 40).map(str),
        reasons=st.frozensets(st.sampled_from(REASONS), max_size=2),
        held=st.sampled_from([None, None, None, None, "running", "waiting", "pinned"]),
    ),
    max_size=30,
    unique_by=lambda subject: subject.trace_id,
)
_limits = st.builds(Limits, st.none() | st.integers(0, 20), st.none() | st.integers(0, 8_000))
_rules = st.builds(
    Rule,
    name=st.sampled_from(["*", "s*", "support"]),
    days=st.none() | st.integers(0, 100),
    longer=st.lists(st.tuples(st.sampled_from(REASONS), st.integers(100, 300)), max_size=2).map(tuple),
    limits=_limits,
)
_retentions = st.builds(Retention, st.lists(_rules, max_size=3).map(tuple), _limits)


class TestWhateverTheRules:
    @given(_subjects, _retentions)
    def test_a_story_goes_or_stays_as_a_whole_and_what_is_held_stays(
        self, subjects: list[Subject], retention: Retention
    ) -> None:
        gone = set(of(retention, *subjects))
        for story in stories(subjects):
            mine = {subject.trace_id for subject in story.subjects}
            assert mine <= gone or not mine & gone
            assert not (story.is_held and mine & gone)

    @given(_subjects, _retentions)
    def test_what_stays_once_stays_again(self, subjects: list[Subject], retention: Retention) -> None:
        gone = set(of(retention, *subjects))
        assert len(gone) == len(of(retention, *subjects))
        assert of(retention, *(each for each in subjects if each.trace_id not in gone)) == []

    @given(_subjects, _retentions)
    def test_nothing_stays_past_its_age(self, subjects: list[Subject], retention: Retention) -> None:
        gone = set(of(retention, *subjects))
        for story in stories(each for each in subjects if each.trace_id not in gone):
            days = retention.rule_for(story.workflow).days_for(story.reasons)
            assert story.is_held or days is None or NOW_NS - story.youngest_ns <= days * DAY_NS

    @given(_subjects, _retentions)
    def test_the_limits_hold_or_nothing_that_may_go_is_left(
        self, subjects: list[Subject], retention: Retention
    ) -> None:
        gone = set(of(retention, *subjects))
        left = list(stories(each for each in subjects if each.trace_id not in gone))
        groups = [(left, retention.limits)]
        for workflow in {story.workflow for story in left}:
            mine = [story for story in left if story.workflow == workflow]
            groups.append((mine, retention.rule_for(workflow).limits))
        for mine, limits in groups:
            traces, size = sum(len(story.subjects) for story in mine), sum(story.size for story in mine)
            fits = traces <= (limits.max_traces or 0) or limits.max_traces is None
            fits = fits and (size <= (limits.max_size or 0) or limits.max_size is None)
            assert fits or all(story.is_held for story in mine)

    @given(_subjects, st.integers(0, 20))
    def test_an_ordinary_story_goes_before_one_that_is_worth_more(self, subjects: list[Subject], most: int) -> None:
        gone = set(of(Retention(limits=Limits(max_traces=most)), *subjects))
        both = [(story, story.subjects[0].trace_id in gone) for story in stories(subjects)]
        if any(is_gone and story.reasons for story, is_gone in both):
            assert not any(not is_gone and not story.reasons and not story.is_held for story, is_gone in both)

    @given(_subjects, _retentions)
    def test_what_is_asked_of_the_store_is_enough(self, subjects: list[Subject], retention: Retention) -> None:
        """By age alone, what is younger than every rule changes nothing unless it belongs to an older one's story."""
        least = retention.least_days
        if retention.needs_all:
            return
        gone = of(retention, *subjects)
        if least is None:
            assert gone == []
            return
        before_ns = NOW_NS - least * DAY_NS
        tied = {each.origin for each in subjects} | {each.trace_id for each in subjects if each.origin}
        asked = [each for each in subjects if each.started_ns < before_ns or each.trace_id in tied]
        assert of(retention, *asked) == gone


class TestAFileOfRules:
    def test_says_days_limits_and_workflows(self, tmp_path: Path) -> None:
        path = tmp_path / "retention.toml"
        path.write_text(
            'days = 30\nfailed_days = 180\nmax_size = "5 GB"\n'
            '[[workflow]]\nname = "support*"\ndays = 90\nmax_traces = 200\n'
        )
        assert read_rules(path) == Retention(
            (Rule("support*", 90.0, (), Limits(200)), Rule("*", 30.0, (("failed", 180.0),))), Limits(None, 5 * 10**9)
        )

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("day = 3", "day is none of days, failed_days"),
            ("days = -1", "days is -1; it takes a number of days"),
            ("days = true", "days is True"),
            ("days = 30\nfailed_days = 3", "failed_days is 3, less than the 30"),
            ('max_size = "5 pounds"', "max_size is '5 pounds'"),
            ("max_traces = 1.5", "max_traces is 1.5; it takes a whole number"),
            ("[[workflow]]\ndays = 3", "needs its name"),
            ('[[workflow]]\nname = "a"\ndays = "x"', "workflow a: days is 'x'"),
            ("workflow = 3", "a [[workflow]] of its own"),
            ("days = ", "is no TOML"),
        ],
        ids=["name", "minus", "bool", "less", "size", "count", "unnamed", "inside", "shape", "toml"],
    )
    def test_is_refused_with_the_file_the_name_and_what_it_takes(self, tmp_path: Path, text: str, said: str) -> None:
        path = tmp_path / "retention.toml"
        path.write_text(text)
        with pytest.raises(ConfigError) as refused:
            read_rules(path)
        assert str(path) in str(refused.value)
        assert said in str(refused.value)

    def test_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="can't be read: no such file"):
            read_rules(tmp_path / "retention.toml")

    @pytest.mark.parametrize(
        ("given", "size"), [("5 GB", 5 * 10**9), ("1.5mb", 1_500_000), ("20", 20), (7, 7)], ids=["gb", "mb", "b", "n"]
    )
    def test_takes_sizes_with_a_unit(self, given: Any, size: int) -> None:
        assert size_of(given) == size
