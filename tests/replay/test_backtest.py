"""One plan over many traces: what comes back, from one process or several, and that it can be trusted."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator

import pytest

import tracer
from replay import PlanError, Report, backtest, edit, fail, live, substitute
from replay.backtest.run import WorkerLost
from replay.backtest.work import TAG, Work, do
from tests.loopback import Loopback
from tracer import Price, Target
from tracer.errors import TraceNotFound
from tracer.model import TraceSummary
from tracer.recover import recover
from tracer.store import Filter, open_store

#: Two model calls, of which one is substituted; the answer is how long the text is, so that models differ by a number.
SOURCE = """
    import os
    import httpx
    import tracer
    from tracer import effect, step, workflow

    def ask(model, text):
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        with httpx.Client(trust_env=False, verify=False) as client:
            said = client.post(os.environ["MODEL_URL"] + "/chat/completions", json=body)
        said.raise_for_status()
        return said.json()["choices"][0]["message"]["content"]

    @step
    def plan(text):
        return ask("planner", text)

    @step
    def draft(text):
        return ask("writer", text)

    @workflow(tags={"team": "cards"})
    def support(text):
        tracer.current().score("gold", "Hello, world")
        plan(text)
        return draft(text)

    @step(kind="tool")
    def look_up(number):
        return number * 10

    @effect
    def send(number):
        return number

    @workflow
    def shop(number):
        found = look_up(number)
        if found > 30:
            raise ValueError("too much")
        return {"found": found, "parity": found % 20}

    @workflow
    def talk(number):
        print("said by the workflow")
        return look_up(number)

    @workflow
    def mail(number):
        return send(look_up(number))

    @workflow
    def fragile(number):
        if look_up(number) == 0:
            os._exit(3)
        return number
"""

PER_CALL = 11 * 1_000 + 7 * 1_000


@pytest.fixture
def flows(recorded, own_catalogue, module, monkeypatch) -> Iterator[Any]:
    with Loopback() as server:
        monkeypatch.setenv("MODEL_URL", server.url)
        made = module(SOURCE)
        made.server = server
        tracer.configure(models=[Target(name, price=Price(1_000, 1_000)) for name in ("planner", "writer", MODEL)])
        yield made


MODEL = "loopback-1-2026-10-01"


def summaries(recorded: Any, *, replays: bool) -> list[TraceSummary]:
    tracer.flush()
    with open_store(recorded.url) as store:
        return store.traces(Filter(replays=replays), limit=1_000)


def told(report: Report) -> list[Any]:
    """What does not depend on when and where it ran."""
    return [
        (row.trace_id, row.status_after, row.score, row.change, row.cost_after_nusd, row.before, row.after)
        for row in report.outcomes
    ]


class TestABacktest:
    def test_replays_every_trace_of_the_filter_and_no_replay(self, recorded, flows):
        for number in range(3):
            flows.shop(number)
        flows.mail(1)
        first = backtest(Filter(workflow="shop"), edit("look_up", 0), workers=1)
        again = backtest(Filter(workflow="shop"), edit("look_up", 0), workers=1)
        assert len(first.outcomes) == len(again.outcomes) == 3
        assert first.traces == again.traces
        assert len(summaries(recorded, replays=True)) == 6

    def test_takes_the_newest_up_to_the_limit(self, recorded, flows):
        for number in range(4):
            flows.shop(number)
        newest = [row.trace_id for row in summaries(recorded, replays=False)]
        assert list(backtest(Filter(), edit("look_up", 0), workers=1, limit=2).traces) == newest[:2]

    def test_takes_ids_and_their_beginnings_each_once(self, recorded, flows):
        flows.shop(1)
        trace = recorded.trace().trace_id
        assert backtest([trace, trace[:20], "latest"], edit("look_up", 0), workers=1).traces == (trace,)

    def test_says_how_often_the_answer_stays(self, recorded, flows):
        for number in (0, 2, 1):
            flows.shop(number)
        report = backtest(Filter(), edit("look_up", 20), scorer="fields", workers=1)
        scores = {row.before: row.score for row in report.outcomes}
        assert scores == {
            "{'found': 0, 'parity': 0}": 0.5,
            "{'found': 20, 'parity': 0}": 1.0,
            "{'found': 10, 'parity': 10}": 0.0,
        }
        assert (report.agreement.count, report.agreement.of, report.mean_score) == (1, 3, 0.5)
        assert [row.before[:12] for row in report.most_changed()] == ["{'found': 10", "{'found': 0,"]

    def test_counts_failures_that_are_new_and_that_are_gone(self, recorded, flows):
        flows.shop(1)
        with pytest.raises(ValueError, match="too much"):
            flows.shop(9)
        report = backtest(Filter(), edit("look_up", 50), workers=1)
        assert (report.failures.before, report.failures.after, report.failures.new) == (1, 2, 1)
        gone = backtest(Filter(), edit("look_up", 5), workers=1).failures
        assert (gone.before, gone.after, gone.gone) == (1, 0, 1)
        assert report.most_changed()[0].after == "ValueError: too much"

    def test_tags_each_new_trace_with_its_id_beside_the_workflows_own_tags(self, recorded, flows):
        flows.support("a")
        report = backtest(Filter(), substitute("draft", model=MODEL), workers=1)
        (replayed,) = summaries(recorded, replays=True)
        assert replayed.tags == {"team": "cards", TAG: report.backtest_id}
        assert replayed.trace_id == report.outcomes[0].new_trace_id

    def test_knows_the_cost_of_both_sides_and_what_it_spent_itself(self, recorded, flows):
        tracer.configure(models=[Target("dear", model=MODEL, base_url=flows.server.url, price=Price(5_000, 5_000))])
        for text in "abc":
            flows.support(text)
        report = backtest(Filter(), substitute("draft", model="dear"), workers=1)
        dear = 18 * 5_000
        assert report.cost.before == 3 * 2 * PER_CALL
        assert (report.cost.after, report.spent_nusd) in {
            (3 * (PER_CALL + dear), 3 * dear),
            (6 * PER_CALL, 3 * PER_CALL),
        }
        assert report.cost.pairs == 3

    def test_counts_the_time_of_served_calls_as_recorded(self, recorded, flows):
        flows.support("a")
        calls = [step for step in recorded.trace().steps if step.kind == "llm"]
        (row,) = backtest(Filter(), substitute("draft", model=MODEL), workers=1).outcomes
        (ran,) = (step for step in recorded.trace(row.new_trace_id).steps if step.origin == "substituted")
        assert row.calls_before_ns == sum(step.duration_ns for step in calls)
        assert row.calls_after_ns == calls[0].duration_ns + ran.duration_ns

    def test_holds_both_sides_against_a_recorded_label(self, recorded, flows):
        flows.support("a")
        report = backtest(Filter(), edit("draft", "Good night"), scorer="label:gold", workers=1)
        labels = report.labels
        assert labels is not None
        assert (labels.only_before, labels.only_after, labels.both, labels.neither) == (1, 0, 0, 0)

    def test_never_touches_the_recorded_traces(self, recorded, flows):
        flows.shop(1)
        before = recorded.trace()
        backtest(Filter(), edit("look_up", 20), workers=1)
        assert recorded.trace(before.trace_id) == before


class TestWhatCanNotBeReplayed:
    def test_is_a_trace_with_a_problem_and_the_others_go_on(self, recorded, flows):
        flows.shop(1)
        flows.mail(1)
        report = backtest(Filter(), edit("look_up", 20), workers=1)
        (stopped,) = report.stopped
        assert (stopped.before, stopped.score) == ("10", None)
        assert "--live send" in (stopped.problem or "")
        assert report.agreement.of == 1

    def test_is_refused_for_a_workflow_that_is_gone(self, recorded, flows, module):
        flows.shop(1)
        module(SOURCE.replace("def shop", "def shop_2"))
        (row,) = backtest(Filter(), edit("look_up", 20), workers=1).refused
        assert "has no shop any more" in (row.problem or "")

    def test_is_refused_for_a_rule_that_names_no_step(self, recorded, flows):
        flows.shop(1)
        (row,) = backtest(Filter(), edit("lookup", 20), workers=1).refused
        assert "no step of this trace is named 'lookup'" in (row.problem or "")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"workers": 0}, "workers is a number from 1 on"),
            ({"scorer": "exacd"}, "no scorer 'exacd'"),
            ({"budget_usd": -1}, "a budget is"),
            ({"backtest_id": "../x"}, "a backtest's id"),
        ],
        ids=["workers", "scorer", "budget", "id"],
    )
    def test_what_can_not_be_meant_is_refused_before_anything_runs(self, recorded, flows, arguments, words):
        flows.shop(1)
        with pytest.raises(PlanError, match=words):
            backtest(Filter(), edit("look_up", 20), **{"workers": 1, **arguments})
        assert summaries(recorded, replays=True) == []

    def test_no_rule_and_no_trace_are_refused(self, recorded, flows):
        with pytest.raises(PlanError, match="no traces of shop to backtest"):
            backtest(Filter(workflow="shop"), edit("look_up", 20), workers=1)
        flows.shop(1)
        with pytest.raises(PlanError, match="without a rule"):
            backtest(Filter(), workers=1)
        with pytest.raises(TraceNotFound):
            backtest(["ffffff"], edit("look_up", 20), workers=1)


class TestOnSeveralProcesses:
    def test_all_ways_to_run_it_come_to_the_same(self, recorded, flows):
        for number in range(6):
            (flows.support if number % 2 else flows.shop)(str(number) if number % 2 else number / 2)
        rules = substitute("draft", model=MODEL), edit("look_up", 20)
        here = backtest(Filter(), *rules, workers=1)
        assert told(backtest(Filter(), *rules, workers=2)) == told(here)
        with ThreadPoolExecutor(3) as threads:
            assert told(backtest(Filter(), *rules, executor=threads, workers=3)) == told(here)
        assert here.agreement.of == 6

    def test_a_given_executor_gets_as_many_at_a_time_as_it_has_workers_and_stays_open(self, recorded, flows):
        for _ in range(5):
            flows.shop(1)
        with Counting(ThreadPoolExecutor(1)) as executor:
            backtest(Filter(), edit("look_up", 20), executor=executor, workers=2)
            assert (executor.submitted, executor.most_open) == (5, 2)
            assert executor.submit(lambda: 7).result() == 7

    def test_the_workers_know_the_models_of_the_process_that_began(self, recorded, flows):
        flows.support("a")
        tracer.configure(models=[Target("cheap", model=MODEL, base_url=flows.server.url, price=Price(1, 1))])
        report = backtest(Filter(), substitute("draft", model="cheap"), workers=2)
        assert (report.outcomes[0].status_after, report.unpriced) == ("completed", 0)

    def test_its_workers_say_goodbye_and_leave_nothing_in_their_journals(self, recorded, flows):
        for number in range(3):
            flows.shop(number)
        backtest(Filter(), edit("look_up", 20), workers=2)
        tracer.shutdown()
        with open_store(recorded.url) as store:
            assert store.facts().running == ()
        assert list(recover()) == []

    def test_what_a_workflow_prints_is_kept_out_of_standard_output(self, recorded, flows, capfd):
        flows.talk(1)
        capfd.readouterr()
        backtest(Filter(), edit("look_up", 20), workers=2)
        out, err = capfd.readouterr()
        assert (out, "said by the workflow" in err) == ("", True)

    def test_a_function_that_can_not_be_sent_is_refused_with_the_way_out(self, recorded):
        @tracer.workflow
        def local(number: int) -> int:
            return made(number)

        @tracer.step
        def made(number: int) -> int:
            return number

        local(1)
        with pytest.raises(PlanError, match="workers=1"):
            backtest(Filter(), edit("made", 2), fn=local, workers=2)
        assert backtest(Filter(), edit("made", 2), fn=local, workers=1).outcomes[0].after == "2"

    def test_a_worker_that_dies_is_told_and_the_rest_can_go_on(self, recorded, flows):
        flows.fragile(2)
        flows.fragile(1)
        with pytest.raises(WorkerLost, match="--resume mine"):
            backtest(Filter(), edit("look_up", 0), workers=2, backtest_id="mine")


class Counting(Executor):
    """Another executor, watched: how many tasks it got, and how many of them were open at once."""

    def __init__(self, inner: Executor) -> None:
        self.inner, self.submitted, self.most_open = inner, 0, 0
        self._open: list[Any] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        self._open = [future for future in self._open if not future.done()]
        future = self.inner.submit(fn, *args, **kwargs)
        self._open.append(future)
        self.submitted += 1
        self.most_open = max(self.most_open, len(self._open))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the interface's
        self.inner.shutdown(wait, cancel_futures=cancel_futures)


class TestATask:
    def work(self, recorded: Any, *rules: Any, scorer: str = "exact") -> Work:
        return Work("b1", rules, scorer, recorded.url, Path(recorded.folder))

    def test_done_twice_is_done_once(self, recorded, flows):
        flows.support("a")
        trace = recorded.trace().trace_id
        work = self.work(recorded, substitute("draft", model=MODEL))
        first = do(work, trace, None)
        asked = len(flows.server.seen)
        assert do(work, trace, None) == first
        assert len(flows.server.seen) == asked
        assert len(summaries(recorded, replays=True)) == 1

    def test_of_another_backtest_is_another(self, recorded, flows):
        flows.shop(1)
        trace = recorded.trace().trace_id
        one = do(self.work(recorded, edit("look_up", 20)), trace, None)
        other = do(Work("b2", (edit("look_up", 20),), "exact", recorded.url, Path(recorded.folder)), trace, None)
        assert one.new_trace_id != other.new_trace_id

    def test_that_was_stopped_is_done_again(self, recorded, flows):
        flows.mail(1)
        trace = recorded.trace().trace_id
        do(self.work(recorded, edit("look_up", 20)), trace, None)
        again = do(self.work(recorded, edit("look_up", 20), live("send")), trace, None)
        assert (again.status_after, again.after) == ("completed", "20")


class TestABudget:
    def begin(self, flows: Any, number: int) -> None:
        for text in range(number):
            flows.support(str(text))
        flows.server.seen.clear()

    @pytest.mark.parametrize("workers", [1, 2])
    def test_is_never_exceeded_and_what_it_did_not_reach_is_left(self, recorded, flows, workers):
        self.begin(flows, 6)
        report = backtest(Filter(), substitute("draft", model=MODEL), workers=workers, budget_usd=3.5 * PER_CALL / 1e9)
        assert len(flows.server.seen) == 3
        assert (report.spent_nusd, len(report.outcomes), len(report.left)) == (3 * PER_CALL, 3, 3)

    def test_is_used_up_although_each_slice_is_too_small(self, recorded, flows):
        self.begin(flows, 3)
        with ThreadPoolExecutor(3) as threads:
            report = backtest(
                Filter(),
                substitute("draft", model=MODEL),
                executor=threads,
                workers=3,
                budget_usd=2.5 * PER_CALL / 1e9,
            )
        assert (report.spent_nusd, len(report.left)) == (2 * PER_CALL, 1)

    def test_that_is_raised_lets_the_rest_go_on_and_counts_what_was_spent_before(self, recorded, flows):
        self.begin(flows, 4)
        rule = substitute("draft", model=MODEL)
        first = backtest(Filter(), rule, workers=1, budget_usd=2.5 * PER_CALL / 1e9, backtest_id="b")
        second = backtest(None, workers=1, budget_usd=3.5 * PER_CALL / 1e9, backtest_id="b")
        third = backtest(None, workers=1, budget_usd=1.0, backtest_id="b")
        assert [len(report.left) for report in (first, second, third)] == [2, 1, 0]
        assert third.spent_nusd == 4 * PER_CALL
        assert len(flows.server.seen) == 4

    def test_lets_what_costs_nothing_run(self, recorded, flows):
        self.begin(flows, 2)
        report = backtest(Filter(), fail("draft", "timeout"), workers=1, budget_usd=0)
        assert (report.failures.new, report.left) == (2, ())
