"""``playhead reprice``: a period by another price, shown, and written only where that is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from tests import recording
from tests.builders import NEW_YEAR_NS, Story
from tests.recording import Project
from tracer import recorder
from tracer.cli import Failed
from tracer.errors import TracerError
from tracer.model import Cost
from tracer.pricing import price_call
from tracer.reprice import Repricing, reprice_command
from tracer.store import Filter, Store, open_store
from tracer.store.tables import model_calls

project = recording.project

DAY_NS = 86_400 * 10**9
OLD = "genai-prices 0.0.1 openai/gpt-4o-mini"


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, project: Project) -> Iterator[Store]:
    """The store that the command opens, on either database."""
    if request.param == "postgres":
        recorder.configure(database_url=request.getfixturevalue("postgres_url"))
    with open_store(recorder.current_config().database_url) as opened:
        yield opened


def told(*models: str, at_ns: int = NEW_YEAR_NS, **usage: Any) -> Story:
    story = Story(at_ns=at_ns)
    for model in models:
        story.call(model, **(usage or {"input_tokens": 1_000, "output_tokens": 100}))
    return story.finish()


def keep(store: Store, *stories: Story) -> None:
    for story in stories:
        store.apply(story.events, owner="me")


def make_old(store: Store, **values: Any) -> None:
    """Every figure as an older table had it: one nano-dollar each."""
    with store._engine.begin() as connection:
        values = values or {"cost_nusd": 1, "price": OLD, "unpriced_because": None}
        connection.execute(update(model_calls).values(**values))
        connection.exec_driver_sql(
            "UPDATE traces SET cost_nusd = (SELECT coalesce(sum(cost_nusd), 0) FROM model_calls"
            " WHERE model_calls.trace_id = traces.trace_id),"
            " unpriced = (SELECT count(*) - count(cost_nusd) FROM model_calls"
            " WHERE model_calls.trace_id = traces.trace_id)"
        )


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(reprice_command, words)
    if isinstance(result.exception, TracerError):
        result.exit_code = result.exception.exit_code
    assert result.exit_code == code, result.output
    return result


def refused(*words: str) -> str:
    return Failed(run(*words, code=2).exception).message


def said(*words: str) -> dict[str, Any]:
    return json.loads(run(*words, "--json").stdout)


def figures(store: Store) -> list[tuple[int | None, str | None, str | None]]:
    columns = (model_calls.c.cost_nusd, model_calls.c.price, model_calls.c.unpriced_because)
    query = select(*columns).order_by(model_calls.c.trace_id, model_calls.c.step_id)
    with store._engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def priced(model: str, **usage: int) -> Cost:
    usage = usage or {"input_tokens": 1_000, "output_tokens": 100}
    cost, _ = price_call({"provider": "openai", "model": model, "usage": usage}, at_ns=NEW_YEAR_NS)
    assert cost is not None
    return cost


def price_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


class TestDryRun:
    def test_shows_per_model_what_was_recorded_and_what_it_costs_now(self, store: Store) -> None:
        keep(store, told("gpt-4o-mini", "gpt-4o-mini", "gpt-4o"))
        make_old(store)
        report = said()
        mini, large = priced("gpt-4o-mini").nusd, priced("gpt-4o").nusd
        rows = {row["model"]: (row["calls"], row["recorded_nusd"], row["new_nusd"]) for row in report["models"]}
        assert rows == {"gpt-4o-mini": (2, 2, 2 * mini), "gpt-4o": (1, 1, large)}
        assert report["total"]["difference_nusd"] == 2 * mini + large - 3
        assert (report["changed"], report["traces"], report["applied"]) == (3, 1, False)

    def test_changes_nothing(self, store: Store) -> None:
        keep(store, told("gpt-4o-mini"))
        make_old(store)
        before = figures(store), store.traces()
        run()
        assert (figures(store), store.traces()) == before

    def test_says_that_nothing_is_written_and_how_it_would_be(self, store: Store) -> None:
        keep(store, told("gpt-4o-mini"))
        make_old(store)
        assert "1 figure in 1 trace would change" in run().stdout
        assert "Nothing is written without --apply" in run().stdout

    def test_what_stays_unknown_is_said_with_its_reason(self, store: Store) -> None:
        keep(store, told("nobody-knows-me", "gpt-4o-mini"))
        assert "unknown: 1 call of nobody-knows-me: no price known for nobody-knows-me" in run().stdout
        (row,) = (row for row in said()["models"] if row["model"] == "nobody-knows-me")
        assert (row["new_unknown"], row["unknown"]) == (1, {"no price known for nobody-knows-me": 1})

    def test_what_was_priced_by_this_very_table_does_not_change(self, store: Store) -> None:
        keep(store, told("gpt-4o-mini", "nobody-knows-me", "o3"))
        assert said()["changed"] == 0

    def test_sums_up_what_the_traces_say(self, store: Store) -> None:
        """A call around a call, and one that was served, are in no total, and so in no sum here."""
        story = Story()
        outer = story.begin("ask", kind="llm")
        story.call("gpt-4o-mini", under=outer, input_tokens=10, output_tokens=1)
        story.end(outer, call={"provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 9}})
        story.call("gpt-4o", origin="recorded", told={"served": True}, input_tokens=5, output_tokens=5)
        keep(store, story.finish(), told("o3"))
        report = said()
        assert report["total"]["recorded_nusd"] == sum(row.cost_nusd for row in store.traces())
        assert report["total"]["new_nusd"] == report["total"]["recorded_nusd"]
        assert report["total"]["calls"] == 2

    def test_an_empty_store_is_no_error(self, store: Store) -> None:
        assert run().stdout == "No model calls there.\n"


class TestApply:
    def test_writes_the_figures_with_their_identity_and_the_totals(self, store: Store) -> None:
        stories = [told("gpt-4o-mini", "gpt-4o"), told("gpt-4o-mini")]
        keep(store, *stories)
        before = figures(store), store.traces()
        make_old(store)
        assert "Wrote 3 figures in 2 traces, by genai-prices" in run("--apply").stdout
        assert (figures(store), store.traces()) == before
        assert store.verify_totals() == []

    def test_a_second_time_finds_nothing_to_write(self, store: Store) -> None:
        keep(store, told("gpt-4o-mini"))
        make_old(store)
        assert said("--apply")["changed"] == 1
        assert said("--apply")["changed"] == 0

    def test_what_was_unknown_and_is_known_now_is_unpriced_no_more(self, store: Store) -> None:
        story = told("gpt-4o-mini")
        keep(store, story)
        make_old(store, cost_nusd=None, price=None, unpriced_because="no price known for gpt-4o-mini")
        assert store.trace(story.trace_id).summary.unpriced == 1
        run("--apply")
        summary = store.trace(story.trace_id).summary
        assert (summary.unpriced, summary.cost_nusd) == (0, priced("gpt-4o-mini").nusd)

    def test_a_known_figure_never_becomes_unknown(self, store: Store) -> None:
        keep(store, told("nobody-knows-me"))
        make_old(store)
        ran = run("--apply")
        assert "kept as recorded: 1 call of nobody-knows-me: no price known" in ran.stdout
        assert figures(store) == [(1, OLD, None)]

    def test_a_declared_price_stays_what_it_is(self, store: Store) -> None:
        story = Story()
        story.call("gpt-4o-mini", told={"price": {"input_nusd": 7, "output_nusd": 11}}, input_tokens=1, output_tokens=1)
        keep(store, story.finish())
        run("--apply")
        assert figures(store) == [(18, "declared", None)]

    def test_a_declared_price_of_which_only_the_sum_was_kept_is_left(self, store: Store) -> None:
        keep(store, told("gpt-4o-mini"))
        make_old(store, cost_nusd=5, price="declared")
        assert "left as recorded: 1 call with a declared price that was not kept" in run("--apply").stdout
        assert figures(store) == [(5, "declared", None)]

    def test_what_openrouter_charged_and_what_was_served_stay(self, store: Store) -> None:
        story = Story()
        usage = {"input_tokens": 1, "output_tokens": 1, "raw": {"cost": 0.5}}
        story.call("openai/gpt-4o", provider="openrouter", told={"usage": usage})
        story.call("gpt-4o", origin="recorded", told={"served": True}, input_tokens=5, output_tokens=5)
        keep(store, story.finish())
        before = figures(store)
        assert said("--apply")["changed"] == 0
        assert figures(store) == before

    def test_a_call_that_has_not_ended_is_left(self, store: Store) -> None:
        story = Story()
        story.begin("chat", kind="llm", model="gpt-4o-mini")
        keep(store, story)
        assert run("--apply").stdout == "No model calls there.\n"
        assert figures(store) == [(None, None, None)]

    def test_many_pages_are_one_period(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tracer.store.repricing.PAGE", 7)
        monkeypatch.setattr("tracer.store.repricing.TRACES", 2)
        keep(store, *(told(*["gpt-4o-mini"] * 5) for _ in range(6)), told(*["gpt-4o"] * 40))
        before = figures(store)
        make_old(store)
        report = said("--apply")
        assert (report["total"]["calls"], report["changed"], report["traces"]) == (70, 70, 7)
        assert figures(store) == before
        assert store.verify_totals() == []

    def test_one_that_was_stopped_half_way_is_whole_and_goes_on(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tracer.store.repricing.PAGE", 3)
        keep(store, *(told("gpt-4o-mini", "gpt-4o") for _ in range(5)))
        before = figures(store)
        make_old(store)
        pages = store.reprice(Filter(), Repricing(None, {}).price, write=True)
        next(pages)
        next(pages)
        pages.close()
        assert sum(row[1] == OLD for row in figures(store)) == 4
        assert store.verify_totals() == []
        assert said("--apply")["changed"] == 4
        assert figures(store) == before


class TestWhichCalls:
    def test_a_period(self, store: Store) -> None:
        keep(store, *(told("gpt-4o-mini", at_ns=NEW_YEAR_NS + days * DAY_NS) for days in range(5)))
        make_old(store)
        assert said("--since", "2026-01-02", "--until", "2026-01-04T00:00")["total"]["calls"] == 2
        assert said("--since", "1h")["total"]["calls"] == 0
        assert said("--until", "1h")["total"]["calls"] == 5

    def test_a_model_means_its_calls_and_not_their_traces(self, store: Store) -> None:
        keep(store, told("gpt-4o-mini", "gpt-4o"), told("gpt-4o"))
        make_old(store)
        assert [(row["model"], row["calls"]) for row in said("--model", "gpt-4o")["models"]] == [("gpt-4o", 2)]

    def test_a_workflow(self, store: Store) -> None:
        other = Story("billing")
        other.call("gpt-4o", input_tokens=1, output_tokens=1)
        keep(store, told("gpt-4o-mini"), other.finish())
        assert [row["model"] for row in said("--workflow", "billing")["models"]] == ["gpt-4o"]

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--since", "soon"), "--since 'soon' is neither an age, like 7d, nor a day, like 2026-11-01"),
            (("--until", "2026-13-01"), "--until '2026-13-01' is no day and no time"),
            (("--as", "gpt-4o"), "--as 'gpt-4o': write OLD=NEW"),
            (("--as", "a=nobody-knows-me"), "no price is known for nobody-knows-me; write PROVIDER/MODEL"),
            (("--as", "a=gpt-4o", "--apply"), "--as is a question and writes nothing"),
            (("--prices", "none.toml"), "the price file none.toml can't be read: no such file"),
            (("--status", "odd"), "status 'odd' is none"),
        ],
        ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
    )
    def test_what_can_not_be_asked_is_said_in_one_line(self, project: Project, words: Any, message: str) -> None:
        assert message in refused(*words)


class TestPriceFile:
    def test_prices_the_models_that_it_names_and_no_others(self, store: Store, tmp_path: Path) -> None:
        keep(store, told("gpt-4o-mini", "gpt-4o"))
        before = figures(store)
        path = price_file(tmp_path, "[models.gpt-4o]\ninput = 1\noutput = 10\n")
        ran = run("--prices", path, "--apply")
        assert "left as recorded: 1 call of models that mine.toml does not name" in ran.stdout
        (mini, large) = figures(store)
        assert mini == before[0]
        assert large[0] == 1_000 * 1_000 + 100 * 10_000
        assert large[1].startswith("mine.toml@")

    def test_and_what_is_installed_takes_it_back(self, store: Store, tmp_path: Path) -> None:
        story = Story()
        story.call("gpt-4o", told={"price": {"input_nusd": 7, "output_nusd": 11}}, input_tokens=1, output_tokens=1)
        keep(store, story.finish(), told("gpt-4o"))
        before = figures(store)
        run("--prices", price_file(tmp_path, "[models.gpt-4o]\ninput = 1\noutput = 10\n"), "--apply")
        assert all(price.startswith("mine.toml@") for _, price, _ in figures(store))
        run("--apply")
        assert figures(store) == before

    def test_a_change_of_price_applies_to_calls_from_its_day_on(self, store: Store, tmp_path: Path) -> None:
        keep(store, *(told("gpt-4o", at_ns=NEW_YEAR_NS + days * DAY_NS) for days in range(3)))
        dated = (
            "[[models.gpt-4o]]\ninput = 1\noutput = 0\n[[models.gpt-4o]]\nfrom = 2026-01-02\ninput = 2\noutput = 0\n"
        )
        run("--prices", price_file(tmp_path, dated), "--apply")
        costs = [(cost, (price or "").partition(" from ")[2]) for cost, price, _ in figures(store)]
        assert costs == [(1_000_000, ""), (2_000_000, "2026-01-02"), (2_000_000, "2026-01-02")]


class TestWhatIf:
    def test_the_same_tokens_are_priced_as_another_model_of_another_provider(self, store: Store) -> None:
        keep(store, told("gpt-4o", "gpt-4o-mini"))
        before = figures(store)
        (row,) = said("--as", "gpt-4o=claude-haiku-4-5")["models"]
        assert (row["model"], row["recorded_nusd"]) == ("gpt-4o", priced("gpt-4o").nusd)
        assert row["new_nusd"] == 1_000 * 1_000 + 100 * 5_000
        assert figures(store) == before
        assert "A question only: nothing is changed." in run("--as", "gpt-4o=claude-haiku-4-5").stdout

    def test_a_provider_may_be_named(self, store: Store) -> None:
        keep(store, told("gpt-4o"))
        (row,) = said("--as", "gpt-4o=azure/gpt-4o-mini")["models"]
        assert row["new_nusd"] == priced("gpt-4o-mini").nusd

    def test_the_other_models_price_may_be_ones_own(self, store: Store, tmp_path: Path) -> None:
        keep(store, told("gpt-4o"))
        path = price_file(tmp_path, "[models.next-year]\ninput = 0.001\noutput = 0\n")
        (row,) = said("--as", "gpt-4o=next-year", "--prices", path)["models"]
        assert row["new_nusd"] == 1_000

    def test_a_declared_price_does_not_follow_the_tokens(self, store: Store) -> None:
        story = Story()
        story.call("mine", told={"price": {"input_nusd": 0, "output_nusd": 0}}, input_tokens=1_000, output_tokens=100)
        keep(store, story.finish())
        (row,) = said("--as", "mine=gpt-4o-mini")["models"]
        assert (row["recorded_nusd"], row["new_nusd"]) == (0, priced("gpt-4o-mini").nusd)


_calls = st.lists(
    st.tuples(st.sampled_from(["gpt-4o-mini", "gpt-4o", "nobody-knows-me"]), st.integers(0, 10**6)), max_size=12
)


class TestAccounting:
    @settings(max_examples=25, deadline=None)
    @given(calls=_calls)
    def test_the_rows_sum_to_the_total_and_the_total_to_the_traces(self, tmp_path_factory: Any, calls: Any) -> None:
        with open_store(tmp_path_factory.mktemp("any") / "p.db") as store:
            for model, count in calls:
                keep(store, told(model, input_tokens=count, output_tokens=1))
            make_old(store)
            repricing = Repricing(None, {})
            for page in store.reprice(Filter(), repricing.price, write=True):
                repricing.take(page)
            total = repricing.report.total
            assert total.new_nusd == sum(row.cost_nusd for row in store.traces(limit=100))
            assert total.recorded_nusd == len(calls)
            assert total.calls == len(calls)
            assert store.verify_totals() == []


class TestCommand:
    def test_it_is_one_of_playheads_commands(self) -> None:
        from tests.test_architecture import PROJECT

        named = PROJECT["project"]["entry-points"]["playhead.commands"]["reprice"]
        assert named == "tracer.reprice:reprice_command"

    def test_names_are_shown_without_what_a_terminal_obeys(self, store: Store) -> None:
        keep(store, told("\x1b[31mred"))
        assert "\x1b" not in run().stdout
