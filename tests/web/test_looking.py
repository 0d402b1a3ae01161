"""How a trace is laid out: what folds, what the run waited for, the map, the walk, what the address says."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.builders import Story
from tracer.model import ModelCall, Step, Trace, TraceSummary, Usage
from tracer.store import open_store
from web.view.critical import critical_path
from web.view.events import PAGE as EVENTS
from web.view.events import events_of
from web.view.folding import DEEPEST, LONG, RUN_FROM, lines_of
from web.view.laid import laid_out
from web.view.looking import MOST_OPEN, Looking
from web.view.minimap import FROM, HEIGHT, WIDTH, minimap
from web.view.ordering import families_of, in_tree_order
from web.view.rails import MOST
from web.view.rollup import totals_of
from web.view.stepping import stepping
from web.view.waterfall import waterfall


def step(step_id: str, parent: str | None, *, start: int = 0, end: int | None = 100, name: str = "") -> Step:
    ended = end is not None
    return Step(
        "t", step_id, parent, 0, name or step_id, "step", step_id, 0, start, end, "ok" if ended else None,
        "completed" if ended else "running",
    )  # fmt: skip


def trace_of(*steps: Step) -> Trace:
    return Trace(TraceSummary("t", "w", "completed", 0, 100), None, steps)


@some.composite
def trees(draw: some.DrawFn) -> tuple[Step, ...]:
    """Up to thirty steps under one root, overlapping as they like, some without an end."""
    steps = [step("0", None, start=0, end=draw(some.integers(1, 1_000)))]
    for number in range(1, draw(some.integers(1, 30))):
        start = draw(some.integers(0, 1_000))
        end = draw(some.none() | some.integers(start, 1_200))
        steps.append(step(str(number), str(draw(some.integers(0, number - 1))), start=start, end=end))
    return tuple(sorted(steps, key=lambda one: one.started_ns))


class TestTheCriticalPath:
    def test_waits_for_the_step_that_ended_last_and_for_what_it_waited_for_itself(self) -> None:
        steps = (
            step("root", None, end=100),
            step("fast", "root", start=10, end=30),
            step("slow", "root", start=10, end=60),
            step("inner", "slow", start=20, end=50),
            step("last", "root", start=70, end=90),
        )
        assert critical_path(steps[0], families_of(steps), end_ns=100) == {
            "root": ((90, 100), (60, 70), (0, 10)),
            "last": ((70, 90),),
            "slow": ((50, 60), (10, 20)),
            "inner": ((20, 50),),
        }

    @given(trees())
    def test_covers_the_time_of_the_root_once_and_without_a_gap(self, steps: tuple[Step, ...]) -> None:
        root = next(one for one in steps if one.parent_id is None)
        path = critical_path(root, families_of(steps), end_ns=1_200)
        stretches = sorted(stretch for mine in path.values() for stretch in mine)
        assert stretches[0][0] == root.started_ns
        assert stretches[-1][1] == root.ended_ns
        assert all(one[1] == other[0] for one, other in pairwise(stretches))

    def test_is_drawn_below_the_bars_it_runs_through(self) -> None:
        trace = trace_of(step("a", None), step("b", "a", start=0, end=40), step("c", "a", start=40, end=100))
        rows = waterfall(laid_out(trace, now_ns=0)).rows
        assert [row.critical for row in rows] == [(), ((0, 40),), ((40, 60),)]


def names(lines) -> list[str]:
    return [f"{'  ' * line.depth}{len(line.run)} x {line.step.name}" if line.run else "  " * line.depth + line.step.name
            for line in lines]  # fmt: skip


def lined(steps: list[Step], *, kept=(), opened=(), is_long: bool = False):
    roots = [one for one, depth in in_tree_order(steps) if depth == 0]
    return lines_of(roots, families_of(steps), kept=kept, opened=opened, is_long=is_long)


class TestFolding:
    @pytest.fixture
    def many(self) -> list[Step]:
        return [
            step("r", None),
            *(step(f"e{n}", "r", start=n, name="embed") for n in range(12)),
            step("z", "r", start=50),
        ]

    def test_repetitions_are_one_line(self, many: list[Step]) -> None:
        assert names(lined(many)) == ["r", "  12 x embed", "  z"]

    def test_a_few_of_one_name_are_no_repetition(self) -> None:
        few = [step("r", None), *(step(f"e{n}", "r", name="embed") for n in range(RUN_FROM - 1))]
        assert len(lined(few)) == RUN_FROM

    def test_what_one_looks_at_stands_out_of_the_fold_in_its_place(self, many: list[Step]) -> None:
        shown = lined(many, kept={"r", "e4"})
        assert names(shown) == ["r", "  4 x embed", "  embed", "  7 x embed", "  z"]
        assert {line.key for line in shown if line.run} == {"xe0"}

    def test_an_open_fold_shows_all_of_it_below_its_line(self, many: list[Step]) -> None:
        shown = lined(many, opened=("xe0",))
        assert names(shown)[:3] == ["r", "  12 x embed", "  embed"]
        assert len(shown) == 15
        assert shown[1].is_open

    def test_what_lies_deep_in_a_long_trace_is_closed_until_it_is_opened_or_looked_at(self) -> None:
        deep = [step(str(n), str(n - 1) if n else None) for n in range(8)]
        assert len(lined(deep)) == 8
        closed = lined(deep, is_long=True)
        assert len(closed) == DEEPEST + 1
        assert (closed[-1].key, closed[-1].inside) == ("3", 1)
        assert len(lined(deep, is_long=True, opened=("3",))) == DEEPEST + 2
        assert len(lined(deep, is_long=True, kept={str(n) for n in range(8)})) == 8

    @given(some.lists(some.sampled_from("abc"), max_size=60), some.sets(some.integers(0, 59)), some.booleans())
    def test_every_step_is_on_one_line_or_in_one_fold(self, called: list[str], kept: set[int], is_open: bool) -> None:  # noqa: FBT001
        steps = [step("r", None), *(step(f"s{n}", "r", start=n, name=name) for n, name in enumerate(called))]
        opened = tuple(f"xs{n}" for n in range(60)) if is_open else ()
        shown = lined(steps, kept={f"s{n}" for n in kept}, opened=opened)
        found = [one.step_id for line in shown if not line.is_open for one in (line.run or (line.step,))]
        assert found == [one.step_id for one in steps]
        assert sum(line.last for line in shown if line.depth == 1) == (1 if called else 0)

    def test_a_fold_says_how_long_one_takes_and_how_many_failed(self, tmp_path) -> None:
        told = Story("w")
        for number in range(20):
            told.now_ns += 5_000_000
            one = told.begin("embed")
            told.now_ns += 30_000_000
            told.end(one, error=TimeoutError("slow") if number in (3, 9) else None)
        told.finish()
        with open_store(tmp_path / "folds.db") as store:
            store.apply(told.events, owner="me")
            trace = store.trace(told.trace_id)
        row = waterfall(laid_out(trace, now_ns=0), around=trace.steps[0].step_id).rows[1]
        assert (row.name, row.remark, row.failures, row.is_run) == ("20 × embed", "p50 30 ms", "2 failed", True)
        assert row.toggle == "x" + trace.steps[1].step_id
        opened = waterfall(laid_out(trace, now_ns=0), opened=(row.toggle,))
        assert opened.rows[1].toggle == ""
        assert len(opened.rows) == 22


class TestVeryDeepTraces:
    def test_are_laid_out_within_bounds_even_at_their_deepest_step(self) -> None:
        deep = trace_of(*(step(str(n), str(n - 1) if n else None, start=n, end=9_000 - n) for n in range(3_000)))
        shown = waterfall(laid_out(deep, now_ns=0), around="2999")
        assert shown.rows[-1].step_id == "2999"
        assert max(len(row.rails) for row in shown.rows) == MOST


class TestRollups:
    def test_parents_know_models_tokens_and_cost_of_all_below(self, tmp_path) -> None:
        told = Story("w")
        outer = told.begin("outer")
        told.call("gpt-4o-mini", under=outer, input_tokens=1_000, output_tokens=100)
        told.call("gpt-4o", under=outer, input_tokens=500, output_tokens=50)
        told.end(outer, "x")
        told.step("beside")
        told.finish()
        with open_store(tmp_path / "sums.db") as store:
            store.apply(told.events, owner="me")
            rows = waterfall(laid_out(store.trace(told.trace_id), now_ns=0)).rows
        assert [row.tokens.text for row in rows] == ["1.5k / 150", "1.5k / 150", "1.0k / 100", "500 / 50", ""]
        assert [row.models.text for row in rows] == ["2 models", "2 models", "gpt-4o-mini", "gpt-4o", ""]
        assert rows[0].models.title == "gpt-4o-mini, gpt-4o"

    @given(trees(), some.sets(some.integers(0, 29)))
    def test_add_up_whatever_the_shape(self, steps: tuple[Step, ...], calling: set[int]) -> None:

        called = [
            replace(one, call=ModelCall(usage=Usage(input_tokens=7))) if int(one.step_id) in calling else one
            for one in steps
        ]
        totals = totals_of(in_tree_order(called))
        inside = {one.step_id: {one.step_id} for one in called}
        for one, _ in reversed(in_tree_order(called)):
            if one.parent_id is not None:
                inside[one.parent_id] |= inside[one.step_id]
        for one in called:
            calls = [each for each in called if each.step_id in inside[one.step_id] and each.call is not None]
            assert totals[one.step_id].steps == len(inside[one.step_id])
            assert totals[one.step_id].read == (7 * len(calls) if calls else None)


class TestTheMap:
    def test_is_of_bounded_size_whatever_the_trace(self) -> None:
        chance = random.Random(4)
        steps = [step("r", None, end=10**9)]
        steps += [step(f"s{n}", "r", start=(at := chance.randrange(10**9)), end=at + 50) for n in range(5_000)]
        ordered = in_tree_order(steps)
        view = minimap(ordered, families_of(steps), start=0, end=10**9, shown=(0, 299))
        assert view is not None
        assert len(view.plain) < 15_000
        assert view.seen == (0, 3)
        assert all(door.x + door.width <= WIDTH for door in view.doors)

    def test_a_short_trace_needs_none(self) -> None:
        steps = [step("r", None), *(step(str(n), "r") for n in range(FROM - 2))]
        assert minimap(in_tree_order(steps), families_of(steps), start=0, end=100, shown=(0, 1)) is None

    def test_a_door_leads_to_the_step_that_had_begun_by_then(self) -> None:
        steps = [step("r", None), *(step(str(n), "r", start=2 * n, end=2 * n + 2) for n in range(50))]
        view = minimap(in_tree_order(steps), families_of(steps), start=0, end=100, shown=(0, 50))
        assert view is not None
        for door in view.doors:
            assert door.step_id == ("0" if door.x == 0 else str(door.x // 20)), door
        assert view.seen == (0, HEIGHT)


class TestTheWalk:
    def test_goes_through_all_steps_as_they_began_and_ends_at_both_ends(self) -> None:
        trace = trace_of(step("a", None), step("b", "a", start=10), step("d", "a", start=20), step("c", "b", start=30))
        walked, at = ["a"], trace.steps[0]
        while href := stepping(trace, at, base="?").next:
            at = trace.step(href.removeprefix("?step="))
            assert at is not None
            walked.append(at.step_id)
        assert walked == ["a", "b", "d", "c"]
        there = stepping(trace, trace.steps[2], base="?in=x&")
        assert (there.number, there.total) == (3, 4)
        assert there.previous == "?in=x&step=b"
        assert stepping(trace, trace.steps[0], base="?").previous == ""


class TestTheAddress:
    @given(some.dictionaries(some.sampled_from(["view", "as", "open", "from", "rows", "in"]), some.text(max_size=40)))
    def test_whatever_it_says_a_page_opens_and_its_own_links_say_the_same(self, query: dict[str, str]) -> None:

        looking = Looking.parse(query, within="status=failed")
        again = dict(parse_qsl(looking.base.removeprefix("?")))
        assert Looking.parse(again, within=again["in"]) == looking
        assert len(looking.opened) <= MOST_OPEN

    def test_what_is_as_always_is_not_said(self) -> None:
        assert Looking().base == "?"
        assert Looking(view="graph", opened=("a", "b")).at("s") == "?view=graph&open=a,b&step=s"


class TestEvents:
    def test_are_told_in_the_order_in_which_they_happened(self) -> None:
        trace = trace_of(step("a", None), step("b", "a", start=10, end=40), step("c", "a", start=20, end=30))
        told = events_of(trace)
        assert [(one.word, one.name) for one in told.rows] == [
            ("began", "a"), ("began", "b"), ("began", "c"), ("ended", "c"), ("ended", "b"), ("ended", "a"),
        ]  # fmt: skip

    def test_of_many_a_page_is_shown_and_every_one_is_on_one(self) -> None:
        trace = trace_of(step("a", None), *(step(str(n), "a", start=n % 90) for n in range(LONG * 4)))
        pages = [events_of(trace, first=first) for first in range(0, 2 * len(trace.steps), EVENTS)]
        assert sum(len(page.rows) for page in pages) == pages[0].total == 2 * len(trace.steps)
        assert events_of(trace, first=10**6).first == 0
