"""What Prometheus is told of runs: each is counted once, whoever asks, and whatever becomes of it later."""

from __future__ import annotations

import dataclasses
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tests.builders import NEW_YEAR_NS, Story
from tracer.decisions import DECISION, Decision
from tracer.metrics import counting
from tracer.metrics.counting import Metering
from tracer.metrics.exposition import exposition
from tracer.metrics.families import BOUNDS_S, CALLS, RUN_SECONDS, STEPS, Family, Histogram, Metric
from tracer.metrics.ledger import Ledger
from tracer.metrics.names import Names
from tracer.seen import RunSeen, StepSeen
from tracer.store import open_store

SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
#: Long after all that the stories tell.
LATER_NS = NEW_YEAR_NS + 3_600 * SECOND_NS


def tell(store, *stories):
    for told in stories:
        store.apply(told.events, owner="me")


def samples(text):
    """Every value by its name and labels, as Prometheus's own parser reads them."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(store, metering=None, *, at_ns=LATER_NS):
    metering = metering or Metering()
    metering.now_ns = lambda: at_ns
    return samples(exposition(metering.read(store).ledger.metrics()))


def value(found, name, **labels):
    return found.get((name, *sorted(labels.items())))


def runs(found, status="completed", workflow="support"):
    return value(found, "playhead_runs_total", workflow=workflow, status=status)


def priced(nusd):
    return {"price": {"input_nusd": nusd, "output_nusd": nusd}}


class TestWhatIsCounted:
    def test_runs_by_how_they_ended(self, store):
        tell(store, Story().finish(), Story().finish(), Story().finish(error=ValueError("no")), Story())
        found = scraped(store)
        assert (runs(found), runs(found, "failed"), runs(found, "running")) == (2, 1, None)

    def test_a_run_that_goes_on_is_counted_when_it_ends(self, store):
        told = Story()
        tell(store, told)
        first = scraped(store)
        told.finish()
        tell(store, told)
        assert (runs(first), runs(scraped(store))) == (None, 1)

    def test_a_run_whose_process_died_is_interrupted(self, store_url):
        with open_store(store_url, alive=lambda _: False) as store:
            tell(store, Story())
            assert runs(scraped(store), "interrupted") == 1

    def test_the_rest_of_a_run_that_just_ended_is_waited_for(self, store):
        told = Story().finish()
        tell(store, told)
        ended_ns = told.events[-1].at_ns
        assert runs(scraped(store, at_ns=ended_ns + SECOND_NS)) is None
        assert runs(scraped(store, at_ns=ended_ns + 2 * SECOND_NS)) == 1

    def test_replays_are_left_out(self, store):
        tell(store, Story().finish(), Story(replay_of="ab" * 16).finish())
        assert runs(scraped(store)) == 1

    def test_steps_by_path_with_their_kind_and_outcome(self, store):
        told = Story()
        for _ in range(3):
            told.step("search", kind="tool")
        told.step("draft", error=ValueError("no"))
        told.begin("audit")
        tell(store, told.finish())
        found = scraped(store)

        def steps(step, kind, outcome):
            path = f"support/{step}"
            return value(found, "playhead_steps_total", workflow="support", step=path, kind=kind, outcome=outcome)

        assert steps("search", "tool", "ok") == 3
        assert (steps("draft", "step", "failed"), steps("audit", "step", "open")) == (1, 1)
        assert value(found, "playhead_step_duration_seconds_count", workflow="support", step="support/search") == 3

    def test_model_calls_with_tokens_and_cost(self, store):
        told = Story()
        told.call("small", input_tokens=100, output_tokens=20, told=priced(1_000))
        told.call("small", input_tokens=5, output_tokens=1)
        tell(store, told.finish())
        found = scraped(store)
        labels = {"workflow": "support", "step": "support/chat", "model": "small"}
        assert value(found, "playhead_model_calls_total", **labels, outcome="ok") == 2
        assert value(found, "playhead_tokens_total", **labels, direction="input") == 105
        assert value(found, "playhead_tokens_total", **labels, direction="output") == 21
        assert value(found, "playhead_cost_dollars_total", **labels) == pytest.approx(120_000 / 1e9)
        assert value(found, "playhead_unpriced_calls_total", **labels) == 1
        assert value(found, "playhead_model_call_duration_seconds_count", workflow="support", model="small") == 2

    def test_what_was_served_costs_nothing(self, store):
        told = Story(resume_of="ab" * 16)
        told.call("small", input_tokens=100, told=priced(1_000), origin="recorded")
        tell(store, told.finish())
        assert not [key for key in scraped(store) if key[0] == "playhead_cost_dollars_total"]

    def test_decisions_fallbacks_and_retries(self, store):
        told = Story()
        told.end(told.begin("route", kind="router"), tags={DECISION: Decision("fallback", chosen="a").as_tag()})
        fell = Decision("fallback", chosen="b", retries=2, fell_back=True)
        told.end(told.begin("route", kind="router"), tags={DECISION: fell.as_tag()})
        again = told.begin("chat", kind="llm", tags={"attempt": 2, "retry_of": "aa"})
        told.end(again, call={"model": "m"})
        tell(store, told.finish())
        found = scraped(store)
        labels = {"workflow": "support", "step": "support/route"}
        assert value(found, "playhead_decisions_total", **labels) == 2
        assert value(found, "playhead_fallbacks_total", **labels) == 1
        assert value(found, "playhead_runs_fell_back_total", workflow="support") == 1
        assert value(found, "playhead_retries_total", **labels, by="router") == 2
        assert value(found, "playhead_retries_total", workflow="support", step="support/chat", by="call") == 1

    def test_questions_to_humans(self, store):
        told = Story()
        told.end(told.begin("approve", kind="human"), outcome="waiting")
        told.finish(outcome="waiting")
        tell(store, told)
        found = scraped(store)
        assert value(found, "playhead_escalations_total", workflow="support", step="support/approve") == 1
        assert runs(found, "waiting") == 1

    def test_durations_lie_in_the_bucket_that_holds_them(self, store):
        quick, slow = Story(), Story()
        slow.now_ns += 30 * SECOND_NS
        tell(store, quick.finish(), slow.finish())
        found = scraped(store)

        def upto(bound):
            return value(found, "playhead_run_duration_seconds_bucket", workflow="support", le=bound)

        assert (upto("0.01"), upto("20.48"), upto("40.96"), upto("+Inf")) == (1, 1, 2, 2)
        assert value(found, "playhead_run_duration_seconds_sum", workflow="support") == pytest.approx(30, abs=0.001)


class TestARun:
    def test_is_counted_once_however_often_one_asks(self, store):
        tell(store, Story().finish())
        metering = Metering()
        assert [runs(scraped(store, metering)) for _ in range(3)] == [1, 1, 1]

    def test_stays_counted_when_the_viewer_is_started_anew(self, store_url):
        with open_store(store_url) as store:
            tell(store, Story().finish())
            assert runs(scraped(store)) == 1
        with open_store(store_url) as store:
            tell(store, Story().finish())
            assert runs(scraped(store)) == 2

    def test_stays_counted_when_it_is_deleted(self, store):
        told = Story().finish()
        tell(store, told)
        before = scraped(store)
        store.delete([told.trace_id])
        assert scraped(store) == before
        tell(store, Story().finish())
        assert runs(scraped(store)) == 2

    def test_that_is_deleted_while_it_is_waited_for_is_let_go_of(self, store_url):
        ended = []
        with open_store(store_url, alive=lambda _: not ended) as store:
            told = Story()
            tell(store, told)
            metering = Metering()
            scraped(store, metering)
            ended.append(True)
            store.delete([told.trace_id])
            assert runs(scraped(store, metering), "interrupted") is None
            assert metering.read(store).waiting == []

    def test_is_counted_although_it_came_late(self, store):
        """The journal of a process that was killed yesterday, brought in today."""
        tell(store, Story(at_ns=NEW_YEAR_NS + SECOND_NS).finish())
        scraped(store)
        tell(store, Story(at_ns=NEW_YEAR_NS).finish())
        assert runs(scraped(store)) == 2

    def test_that_will_begin_by_a_clock_ahead_is_counted_when_its_time_has_come(self, store):
        tell(store, Story(at_ns=LATER_NS + SECOND_NS).finish())
        assert runs(scraped(store)) is None
        assert runs(scraped(store, at_ns=LATER_NS + 10 * SECOND_NS)) == 1

    def test_is_counted_once_by_viewers_that_count_at_once(self, store):
        tell(store, *(Story().finish() for _ in range(40)))
        gate = threading.Barrier(4)
        found = []

        def ask():
            gate.wait()
            found.append(runs(scraped(store)))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(found), set(found)) == (4, {40})
        assert runs(scraped(store)) == 40

    def test_that_another_viewer_counted_meanwhile_is_in_the_answer_of_both(self, store):
        tell(store, Story().finish())
        scraped(store)
        told = Story().finish()

        def meanwhile():
            """Between what one viewer reads of the counters and what it reads of the traces."""
            if told.events:
                tell(store, told)
                told.events.clear()
                assert runs(scraped(store)) == 2
                store.delete([told.trace_id])
                tell(store, Story().finish())
            return LATER_NS

        found = Metering(meanwhile).read(store)
        assert runs(samples(exposition(found.ledger.metrics()))) == 3


@pytest.fixture
def small(monkeypatch):
    """A window that a test can fill."""
    monkeypatch.setattr(counting, "WINDOW", 5)
    monkeypatch.setattr(counting, "_RUNS_AT_ONCE", 3)


@pytest.mark.usefixtures("small")
class TestTheWindow:
    def stories(self, number, at_ns=NEW_YEAR_NS):
        return [Story(at_ns=at_ns + index * SECOND_NS).finish() for index in range(number)]

    def test_begins_with_the_newest_where_nothing_was_counted_yet(self, store):
        tell(store, *self.stories(12))
        assert runs(scraped(store)) == 5

    def test_begins_with_so_many_as_one_answer_counts_so_that_nothing_seems_to_rise(self, store, monkeypatch):
        monkeypatch.setattr(counting, "STEPS_AT_ONCE", 3)
        goes_on = Story(at_ns=NEW_YEAR_NS + 50 * SECOND_NS)
        tell(store, *self.stories(12), goes_on)
        assert [runs(scraped(store)) for _ in range(2)] == [3, 3]
        tell(store, goes_on.finish())
        assert runs(scraped(store)) == 4

    def test_misses_none_however_many_came_since(self, store):
        tell(store, *self.stories(2))
        assert runs(scraped(store)) == 2
        tell(store, *self.stories(48, NEW_YEAR_NS + 100 * SECOND_NS))
        assert runs(scraped(store)) == 50

    def test_forgets_who_left_it_and_counts_none_of_them_again(self, store):
        for part in range(6):
            tell(store, *self.stories(4, NEW_YEAR_NS + part * 100 * SECOND_NS))
            assert runs(scraped(store)) == 4 * (part + 1)
        found = Metering(lambda: LATER_NS).read(store)
        assert len(found.taken) == 5
        assert len(store.shared(counting.NAME)[counting.NAME].value["taken"]) == 5 * 8

    def test_waits_for_a_run_that_left_it_before_it_ended(self, store):
        long = Story()
        tell(store, long)
        scraped(store)
        tell(store, *self.stories(20, NEW_YEAR_NS + SECOND_NS))
        assert runs(scraped(store)) == 20
        tell(store, long.finish())
        assert runs(scraped(store)) == 21

    def test_waits_for_a_bounded_number(self, store, monkeypatch):
        monkeypatch.setattr(counting, "WAITED_FOR", 3)
        told = [Story(at_ns=NEW_YEAR_NS + index) for index in range(5)]
        tell(store, *told)
        scraped(store)
        tell(store, *(each.finish() for each in told))
        assert runs(scraped(store)) == 3

    def test_leaves_for_the_next_answer_what_would_take_too_long(self, store, monkeypatch):
        scraped(store)
        monkeypatch.setattr(counting, "STEPS_AT_ONCE", 4)
        tell(store, *self.stories(10))
        assert [runs(scraped(store)) for _ in range(4)] == [4, 8, 10, 10]


class TestAStoreThatTakesNoWrites:
    def test_is_counted_all_the_same(self, tmp_path):
        path = tmp_path / "playhead.db"
        with open_store(path) as store:
            tell(store, Story().finish())
        with open_store(f"sqlite:///file:{path}?mode=ro&uri=true") as readonly, open_store(path) as store:
            metering = Metering()
            assert runs(scraped(readonly, metering)) == 1
            tell(store, Story().finish())
            assert runs(scraped(readonly, metering)) == 2
            assert store.shared(counting.NAME) == {}


def a_run(trace_id, workflow):
    return RunSeen(trace_id, workflow, None, "completed", 0, 1, 0, 0, 0, 0, {})


def a_step(trace_id, path):
    return StepSeen(trace_id, path, "step", 0, 1, "ok", None)


class TestNames:
    def test_that_come_first_have_places_and_the_rest_is_other(self):
        ledger = Ledger()
        for number in range(500):
            name = f"flow-{number}"
            ledger.add([a_run("a", name)], [a_step("a", f"{name}/work")], [], now_ns=number)
        told = {metric.family.name: metric.values for metric in ledger.metrics()}
        assert len(told["playhead_runs_total"]) == 31
        assert told["playhead_runs_total"]["other", "completed"] == 470
        assert {labels[1] for labels in told[STEPS.name]} == {"other", *(f"flow-{at}/work" for at in range(200))}

    def test_that_come_often_are_before_those_that_come_once(self):
        names = Names(2)
        names.admit({"once": 1, "often": 9, "twice": 2}, 0)
        assert set(names.seen_ns) == {"often", "twice"}

    def test_that_were_idle_for_a_day_give_up_their_place_with_their_counters(self):
        ledger = Ledger()
        for number in range(30):
            ledger.add([a_run("a", f"flow-{number}")], [], [], now_ns=number)
        ledger.add([a_run("a", "flow-1")], [], [], now_ns=DAY_NS - 1)
        ledger.add([a_run("a", "new"), a_run("b", "newer")], [], [], now_ns=DAY_NS + 2)
        names = {labels[0] for labels in next(iter(ledger.metrics())).values}
        assert names == {*(f"flow-{number}" for number in range(30)), "new", "newer"} - {"flow-0", "flow-2"}

    def test_that_are_empty_or_endless_are_labels_all_the_same(self):
        ledger = Ledger()
        ledger.add([a_run("a", ""), a_run("b", "x" * 5_000)], [], [], now_ns=0)
        assert {labels[0] for labels in next(iter(ledger.metrics())).values} == {"unknown", "x" * 120}


class TestTheLedger:
    def test_is_the_same_out_of_the_store(self, store):
        told = Story()
        told.call("small", input_tokens=100, told=priced(1_000))
        told.step("draft", error=ValueError("no"))
        tell(store, told.finish())
        found = Metering(lambda: LATER_NS).read(store)
        again = Ledger.from_json(found.ledger.as_json())
        assert [dataclasses.astuple(metric) for metric in again.metrics()] == [
            dataclasses.astuple(metric) for metric in found.ledger.metrics()
        ]

    def test_of_another_version_is_begun_anew(self, store):
        assert store.share(counting.NAME, {"version": 0}, version=0)
        tell(store, Story().finish())
        assert runs(scraped(store)) == 1

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**13)), max_size=30))
    def test_never_counts_back(self, told):
        ledger, before = Ledger(), {}
        for number, (workflow, took_ns) in enumerate(told):
            run = a_run("a", workflow)._replace(ended_ns=took_ns)
            ledger.add([run], [a_step("a", f"{workflow}/work")], [], now_ns=number)
            after = samples(exposition(ledger.metrics()))
            assert all(after[key] >= number for key, number in before.items())
            before = after


labels = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


class TestTheText:
    def test_names_a_metric_that_has_no_values_yet(self):
        (family,) = text_string_to_metric_families(exposition([Metric(CALLS, {})]))
        assert (family.name, family.type, family.samples) == ("playhead_model_calls", "counter", [])

    @given(st.dictionaries(st.tuples(labels, labels), st.integers(0, 2**62), max_size=5), labels)
    def test_is_read_by_prometheus_as_it_was_meant(self, values, what):
        family = Family("playhead_things_total", "counter", what, ("one", "other"))
        found = samples(exposition([Metric(family, values)]))
        assert found == {
            ("playhead_things_total", ("one", one), ("other", other)): number for (one, other), number in values.items()
        }

    @given(st.lists(st.integers(0, 100), min_size=len(BOUNDS_S) + 1, max_size=len(BOUNDS_S) + 1), st.integers(0, 2**62))
    def test_of_a_histogram_adds_up(self, counts, sum_ns):
        metric = Metric(RUN_SECONDS, {("support",): Histogram(counts, sum_ns)})
        found = samples(exposition([metric]))
        buckets = [number for key, number in found.items() if key[0].endswith("_bucket")]
        assert buckets == sorted(buckets)
        assert buckets[-1] == value(found, "playhead_run_duration_seconds_count", workflow="support") == sum(counts)
        assert value(found, "playhead_run_duration_seconds_sum", workflow="support") == sum_ns / 1e9
