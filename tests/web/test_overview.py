"""Overview, models and steps: what is counted, what is said of it, and where each figure leads."""

from __future__ import annotations

import itertools
import re
import threading
from typing import Iterator

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NEW_YEAR_NS, Story
from tests.web.conftest import viewer
from tests.web.html import Node, read
from tracer.decisions import DECISION, Decision
from tracer.format import DAY_NS, HOUR_NS
from tracer.seen import RunSeen, Seen
from tracer.stats.intervals import Estimate
from tracer.stats.measure import measure
from tracer.stats.reading import stats_of
from tracer.store import Filter, Store
from web import create_app
from web.counting import Counting
from web.counting import read as read_seen
from web.view.bins import MOST_BINS, bins_of
from web.view.plots import HEIGHT, WIDTH, Ground, Series, Value, nice, plot
from web.view.sides import told

_moments = itertools.count(0, 10**6)
DEAR = {"told": {"price": {"input_nusd": 10**6, "output_nusd": 1}}, "input_tokens": 10, "output_tokens": 0}


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    with viewer(create_app(store)) as opened:
        yield opened


def tell(store: Store, *stories: Story) -> None:
    for told_one in stories:
        store.apply(told_one.events, owner="me")


def on(day: int, workflow: str = "support", *, fails: bool = False, **attrs: object) -> Story:
    """A run of that day of January, with a step that calls a model."""
    run = Story(workflow, at_ns=NEW_YEAR_NS + (day - 1) * DAY_NS + next(_moments), **attrs)
    draft = run.begin("draft")
    run.call("gpt-4o-mini", under=draft, **DEAR)
    run.end(draft)
    return run.finish(error=ValueError("no")) if fails else run.finish()


def tree(client: TestClient, path: str) -> Node:
    response = client.get(path)
    assert response.status_code == 200, response.text
    return read(response.text)


def card(page: Node, title: str) -> Node:
    return next(one for one in page.classed("card") if one.all("h2")[0].text == title)


def rows(page: Node, title: str) -> list[Node]:
    (grid,) = (node for node in page.classed("wide") if node.attrs["aria-label"] == title)
    return grid.all("tbody")[0].all("tr")


class TestTheOverview:
    def test_says_in_a_sentence_what_is_counted(self, client, store):
        tell(store, on(1), on(2), on(3, replay_of="ab" * 16), on(3, "filing"))
        assert tree(client, "/overview?workflow=support").classed("sentence")[0].text == (
            "2 traces of support without replays."
        )

    def test_counts_what_the_command_counts(self, client, store):
        tell(store, on(1), on(2, fails=True), on(2), on(3, "filing"))
        told_here = client.get("/overview.json").json()
        told_there = stats_of(store, Filter()).as_json()
        assert (told_here["whole"], told_here["rows"]) == (told_there["whole"], told_there["rows"])

    def test_leads_from_each_point_to_the_traces_behind_it(self, client, store):
        tell(store, on(1), on(1, fails=True), on(2), on(4, fails=True))
        columns = card(tree(client, "/overview"), "Runs").classed("plot")[0].all("a")
        listed = [len(client.get(f"/traces.json{a.attrs['href'][1:]}").json()["traces"]) for a in columns]
        said = [int(re.search(r"(\d+) runs?", a.attrs["aria-label"])[1]) for a in columns]
        assert (listed, sum(said)) == (said, 4)
        failed = card(tree(client, "/overview"), "Errors").classed("plot")[0].all("a")
        assert sum(len(client.get(f"/traces.json{a.attrs['href'][1:]}").json()["traces"]) for a in failed) == 2

    def test_never_takes_an_unknown_price_for_nothing(self, client, store):
        unknown = Story()
        unknown.call("nobody-knows", input_tokens=5, output_tokens=5)
        tell(store, unknown.finish())
        page = tree(client, "/overview")
        assert [card(page, title).classed("amount")[0].text for title in ("Cost", "Cost per run")] == ["?", "?"]
        assert "$0" not in " ".join(row.text for row in rows(page, "By model"))

    def test_gives_a_sum_with_unknown_parts_as_a_floor(self, client, store):
        partly = Story()
        partly.call("nobody-knows", input_tokens=5, output_tokens=5)
        partly.call("gpt-4o-mini", **DEAR)
        tell(store, partly.finish())
        assert card(tree(client, "/overview"), "Cost").classed("amount")[0].text == "≥ $0.01"

    def test_counts_the_newest_where_there_are_more_and_says_so(self, client, store):
        tell(store, *(on(day, fails=day < 3) for day in range(1, 6)))
        assert client.get("/overview.json?most=3").json()["whole"]["errors"]["count"] == 0
        page = tree(client, "/overview?most=3")
        assert "The newest 3 traces without replays: those since 2026-01-03" in page.classed("sentence")[0].text
        assert page.all("a", title="takes some seconds")[0].text == "count 20,000"

    def test_shows_recorded_names_as_text(self, client, store):
        tell(store, on(1, "<script>alert(1)</script>", version="<b>"), on(1, "\u202eevil", version="<i>"))
        for path in ("/overview", "/overview?compare=version:<b>,<i>", "/models", "/steps"):
            page = client.get(path).text
            assert "<script>alert" not in page
            assert "\u202e" not in page
            assert "<b>," not in page

    def test_has_something_to_say_where_nothing_is_recorded(self, client):
        for path in ("/overview", "/models", "/steps", "/overview?since=1d&compare=before:2026-01-01"):
            assert "Nothing to count" in tree(client, path).text


class TestTwoSides:
    def test_are_told_apart_in_a_sentence(self, client, store):
        tell(store, *(on(1, fails=number % 2 == 0) for number in range(40)), *(on(3) for _ in range(40)))
        (sides,) = tree(client, "/overview?before=2026-01-02").classed("sides")
        assert "fewer failures: −50.0 points" in sides.text
        assert "Nobody drew lots" in sides.text

    def test_are_each_the_newest_of_their_own(self, client, store):
        tell(store, *(on(1) for _ in range(3)), *(on(5) for _ in range(4)))
        whole = client.get("/overview.json?before=2026-01-02&most=2").json()["comparison"]["compared"][0]
        assert (whole["before"]["traces"], whole["after"]["traces"]) == (2, 2)

    def test_are_offered_as_links_where_there_are_versions_and_arms(self, client, store):
        arms = {"drafts": {"arm": "canary"}}
        tell(store, on(1, version="1"), on(2, version="2"), on(2, tags={"arms": arms}))
        tell(store, on(2, tags={"arms": {"drafts": {"arm": "production"}}}))
        offered = {a.text: a.attrs["href"] for a in tree(client, "/overview").classed("beside-what")[0].all("a")}
        assert list(offered) == ["versions 1 and 2", "drafts: production and canary"]
        for href in offered.values():
            assert tree(client, href).classed("sides")

    @pytest.mark.parametrize("asked", ["before:soon", "colour:red", "version:1"], ids=["date", "kind", "one"])
    def test_that_can_not_be_are_refused_with_the_way_out(self, client, store, asked):
        tell(store, on(1))
        page = tree(client, f"/overview?compare={asked}")
        assert asked.partition(":")[2] in page.classed("banner")[0].text
        assert page.classed("card")

    def test_differ_by_points_time_and_money_with_their_bounds(self):
        assert told("errors", Estimate(-0.032, -0.051, -0.012, 9))[0] == "fewer failures: −3.2 points, −5.1 to −1.2"
        assert told("p95", Estimate(2e8, 1e8, 3e8, 9)) == ("slower: +200 ms, +100 ms to +300 ms", "bad")
        assert told("cost", Estimate(-2e6, -5e6, 1e6, 9)) == ("can't tell: −$0.002, −$0.005 to +$0.001", "dim")
        assert told("p99", Estimate(2.0, None, None, 9)) == ("too few to say", "dim")


class TestModels:
    def test_show_calls_tokens_money_and_the_price_they_went_by(self, client, store):
        tell(store, on(1), on(2))
        (row,) = rows(tree(client, "/models"), "Models")
        assert "gpt-4o-mini 2 0% 0%" in row.text
        assert "20 / 0" in row.text
        assert "$0.02" in row.text
        assert "declared · 2026-01-02" in row.text
        assert client.get(row.all("a")[0].attrs["href"]).status_code == 200

    def test_say_why_a_price_is_unknown_and_what_to_do(self, client, store):
        unknown = Story()
        unknown.call("my model", input_tokens=5, output_tokens=5)
        tell(store, unknown.finish())
        page = tree(client, "/models")
        assert "unknown: no price known for my model" in rows(page, "Models")[0].text
        assert "playhead reprice --model 'my model' --prices prices.toml --apply" in page.classed("notes")[0].text


class TestSteps:
    def test_lead_to_their_slowest_run(self, client, store):
        quick, slow = Story(), Story()
        quick.step("draft")
        slow.step("draft")
        drawn = slow.begin("draft")
        slow.now_ns += DAY_NS
        slow.end(drawn)
        tell(store, quick.finish(), slow.finish())
        (row,) = (one for one in rows(tree(client, "/steps"), "Steps") if one.text.startswith("draft"))
        page = tree(client, row.all("a", title="go to it")[0].attrs["href"])
        (chosen,) = (node for node in page.all("tr") if "aria-current" in node.attrs)
        assert f"step={drawn.hex}" in chosen.all("a")[0].attrs["href"]

    def test_lead_from_failures_to_the_failed_traces(self, client, store):
        failed = Story()
        failed.step("draft", error=ValueError("no"))
        tell(store, failed.finish(error=ValueError("no")), on(1))
        (row,) = (one for one in rows(tree(client, "/steps"), "Steps") if one.text.startswith("draft"))
        (href,) = (a.attrs["href"] for a in row.all("a") if a.text == "50.0%")
        (listed,) = client.get(f"/traces.json{href[1:]}").json()["traces"]
        assert listed["trace_id"] == failed.trace_id


class TestBins:
    @given(st.lists(st.integers(0, 4 * 365 * DAY_NS), min_size=1, max_size=60))
    def test_hold_every_run_once_and_are_few(self, began):
        runs = tuple(
            RunSeen(str(n), "w", None, "completed", at, at + HOUR_NS, 0, 1, 0, 0, {}) for n, at in enumerate(began)
        )
        bins, _ = bins_of(Seen(runs, (), (), ()))
        assert len(bins) <= MOST_BINS
        assert [one.until_ns for one in bins[:-1]] == [one.since_ns for one in bins[1:]]
        assert [one.runs for one in bins] == [sum(one.since_ns <= at < one.until_ns for at in began) for one in bins]
        assert sum(one.cost_nusd for one in bins) == len(began)

    def test_count_as_the_stats_count(self, store):
        routed = Story()
        decided = routed.begin("route", kind="router")
        decision = Decision(policy="fallback", candidates=("a", "b"), chosen="b", fell_back=True, retries=1)
        routed.end(decided, tags={DECISION: decision.as_tag()})
        routed.step("look", kind="tool")
        asking = Story()
        asking.step("ask", kind="human")
        tell(store, routed.finish(), asking.finish(error=ValueError("no")), on(1), Story())
        seen = read_seen(store, Filter())
        (found,), _ = bins_of(seen)
        whole = measure(seen).whole
        for name in ("completion", "errors", "fallback", "escalation", "retry", "latency"):
            assert getattr(found, name) == getattr(whole, name), name
        assert (found.fallback.count, found.retry.count, found.escalation.count) == (1, 1, 1)
        assert (found.model_share, found.own_share) == pytest.approx(
            (whole.time.model_share.value, whole.time.own_share.value)
        )
        assert (found.cost_nusd, found.mean_nusd) == (whole.cost.total_nusd, whole.cost.mean.value)


class TestPlots:
    @given(st.lists(st.none() | st.floats(0, 1e15), min_size=1, max_size=32), st.booleans())
    def test_stay_within_their_frame(self, values, bars):
        ground = Ground(("",) * len(values), ("/",) * len(values), ("",) * len(values), ("", ""))
        drawn = plot("x", ground, [Series("rate", tuple(map(Value, values)))], str, bars=bars)
        points = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", " ".join(path for _, path in drawn.lines))
        marks = re.findall(r"M(-?[\d.]+) (-?[\d.]+)", " ".join(path for one in drawn.columns for _, path in one.marks))
        assert len(marks) == sum(value is not None for value in values)
        assert all(0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT for x, y in [*points, *marks])

    def test_leave_a_gap_where_nothing_is_known(self):
        ground = Ground(("",) * 3, ("/",) * 3, ("",) * 3, ("", ""))
        drawn = plot("x", ground, [Series("rate", (Value(1.0), Value(None), Value(1.0)))], str)
        assert (drawn.lines[0][1].count("M"), drawn.lines[0][1].count("L")) == (2, 0)

    @given(st.floats(1e-9, 1e18))
    def test_end_their_scale_at_a_round_number_above(self, value):
        assert value <= nice(value) <= value * 2.6


class TestCounting:
    def test_is_done_once_for_all_who_ask_at_the_same_time(self):
        counting, counted, started, go_on = Counting(), list[int](), threading.Event(), threading.Event()

        def count() -> int:
            started.set()
            assert go_on.wait(20)
            counted.append(1)
            return 7

        found: list[tuple[int, int]] = []
        threads = [threading.Thread(target=lambda: found.append(counting.of("x", count))) for _ in range(3)]
        threads[0].start()
        assert started.wait(20)
        for one in threads[1:]:
            one.start()
        go_on.set()
        for one in threads:
            one.join(20)
        assert ([value for value, _ in found], counted) == ([7, 7, 7], [1])
        assert counting.of("y", lambda: 8)[0] == 8


class TestAnyFilterOfTheList:
    @pytest.mark.parametrize("page", ["overview", "models", "steps"])
    @pytest.mark.parametrize(
        "query", ["q=draft", "step=draft", "model=gpt-4o-mini", "q=nothing", "error=ValueError", "step=draft&q=support"]
    )
    def test_narrows_the_figures(self, store: Store, client: TestClient, page: str, query: str) -> None:
        tell(store, on(1), on(2, "filing", fails=True))
        listed = len(client.get(f"/traces.json?{query}").json()["traces"])
        told_of = client.get(f"/{page}.json?{query}").json()
        assert bool(told_of["by_step"] if page == "overview" else told_of[page]) == bool(listed)
