"""A workflow on paper runs as the same recorded functions: what it records, and how it is replayed and resumed."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

import tracer
from replay import edit, live, replay, resume
from router import AllTargetsFailed, Bands, InvalidWorkflow, NoBranch, NotReached, RouterError, Workflow
from router.paper import workflow as workflow_module
from tests.replay.support import DONE, Recorded, done, write_module
from tests.router import paper_graphs
from tests.router.paper_graphs import by_hand, support
from tracer.decisions import decision_in
from tracer.player import ReplayStopped

BESIDE = contextvars.ContextVar("beside", default="nothing")


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYHEAD_STRICT", "1")
    DONE.clear()
    yield Recorded(tmp_path / "store")
    tracer.shutdown()


def one(ticket):
    return f"one {ticket}"


def two(ticket):
    return f"two {ticket}"


def joined(one, two):
    return one, two


def came_of(function, *inputs):
    """What a call gave, or the class of what it raised."""
    try:
        return function(*inputs)
    except BaseException as error:  # noqa: BLE001 - a question to a person may end a run with what is no Exception
        return type(error)


def tree(trace):
    return sorted((step.path, step.kind, step.status, step.effect, step.identity) for step in trace.steps)


class Waits(BaseException):
    """What a question to a person may end a run with: no Exception, so that no handler of the user's takes it."""


class TestTheTrace:
    @pytest.mark.parametrize("ticket", ["refund", "hm", "slow", "hello"])
    def test_is_the_one_that_the_same_functions_leave_when_written_by_hand(self, store, ticket):
        written = came_of(by_hand, ticket)
        by_hand_recorded = store.trace()
        done()
        assert came_of(support.run, ticket) == written
        assert tree(store.trace()) == tree(by_hand_recorded)

    @pytest.mark.parametrize("ticket", ["refund", "hm", "slow", "hello"])
    def test_is_the_same_where_it_is_awaited(self, store, ticket):
        given = came_of(support.run, ticket)
        recorded = store.trace()
        assert came_of(lambda: asyncio.run(support.arun(ticket=ticket))) == given
        assert tree(store.trace()) == tree(recorded)

    def test_keeps_what_a_route_decided(self, store):
        paper = Workflow("lanes", inputs="ticket")
        paper.route(lambda ticket: ticket, {"a": "one", "b": None}, otherwise="two")
        paper.step(one)
        paper.step(two)
        assert paper.run("a") == {"one": "one a"}
        told = decision_in(store.step("route").tags)
        assert (told.policy, told.chosen, told.candidates) == ("rules", "a", ("a", "b", "otherwise"))
        assert paper.run("b") == {}
        assert paper.run("c") == {"two": "two c"}

    def test_is_none_outside_of_recording(self, monkeypatch):
        monkeypatch.setenv("PLAYHEAD_ENABLED", "0")
        tracer.shutdown()
        assert support.run("refund") == {"receipt": "sent: About your refund"}


class TestAReplay:
    def test_serves_everything_and_sends_nothing_again(self, store):
        support.run("slow")
        done()
        again = replay("latest")
        assert again.output == {"receipt": "sent: About your card lost"}
        assert (done(), again.divergences) == ([], ())

    def test_follows_an_edited_answer_down_another_way(self, store):
        support.run("refund")
        done()
        replay("latest", edit("classify", {"intent": "refund", "confidence": 0.1}))
        ways = [step.name for step in store.trace().steps if step.kind in {"human", "tool"}]
        assert (ways, done()) == (["escalate"], [])

    def test_runs_a_step_again_that_is_named(self, store):
        support.run("refund")
        done()
        assert replay("latest", live("draft")).output == {"receipt": "sent: About your refund"}
        assert done() == ["draft"]

    def test_of_an_awaited_run_is_one_of_that_run(self, store):
        asyncio.run(support.arun(ticket="hm"))
        done()
        assert replay("latest").output == {"receipt": "sent: About your refund"}
        assert done() == []

    def test_finds_its_own_answers_for_steps_that_ran_at_once(self, store):
        beside = Workflow("beside", inputs="ticket")
        beside.step(one)
        beside.step(two)
        beside.step(joined)
        beside.run("x")
        again = replay("latest", fn=beside.run)
        assert (again.output, again.divergences) == (("one x", "two x"), ())
        assert set(store.origins().values()) <= {"recorded", "live"}

    SOURCE = """
        from router import Workflow

        def one(ticket):
            return "one"

        paper = Workflow("paper", inputs="ticket", returns="answer")
        paper.step(one, gives="answer")
    """

    def test_of_a_workflow_in_a_module_finds_it_by_its_name(self, store, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(tmp_path)
        module = write_module(tmp_path, "on_paper_found", self.SOURCE)
        module.paper.run(ticket="x")
        trace = store.trace()
        assert (trace.entry.module, trace.entry.qualname) == ("on_paper_found", "paper.run")
        assert replay("latest").output == "one"

    def test_sees_that_the_graph_itself_has_changed(self, store, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr("sys.dont_write_bytecode", True)
        prints = []
        more = '\n        paper.step(one, name="again", after="one")'
        for source in (self.SOURCE, f"\n\n{self.SOURCE}", self.SOURCE.rstrip() + more):
            write_module(tmp_path, "on_paper_changed", source).paper.run(ticket="x")
            prints.append(store.trace().root.fingerprint)
        assert prints[0] == prints[1]
        assert prints[0] != prints[2]

    def test_is_held_against_its_record_as_any_other(self, store):
        support.run("refund")
        assert replay("latest").diff().same
        changed = replay("latest", edit("classify", {"intent": "refund", "confidence": 0.1}))
        assert not changed.diff().same


class TestAResume:
    def test_goes_on_where_a_step_failed_and_pays_for_nothing_twice(self, store, monkeypatch):
        monkeypatch.setitem(paper_graphs.SURENESS, "later", "no number")
        with pytest.raises(TypeError):
            support.run("later")
        done()
        monkeypatch.setitem(paper_graphs.SURENESS, "later", 0.9)
        gone_on = resume("latest", edit("classify", {"intent": "refund", "confidence": 0.9}))
        assert gone_on.output == {"receipt": "sent: About your refund"}
        assert done() == ["draft", "send"]


class TestSteps:
    def test_that_wait_for_nothing_of_one_another_run_at_once(self):
        both = threading.Barrier(2, timeout=20)
        paper = Workflow("beside", inputs="ticket")
        paper.step(lambda ticket: (both.wait(), 1)[1], name="one")
        paper.step(lambda ticket: (both.wait(), 2)[1], name="two")
        paper.step(joined)
        assert paper.run("x") == (1, 2)
        assert asyncio.run(paper.arun("x")) == (1, 2)

    @pytest.mark.parametrize("verb", ["run", "arun"])
    def test_run_at_most_so_many_at_once(self, verb):
        lock, running, most = threading.Lock(), [], []

        def busy(ticket):
            with lock:
                running.append(1)
                most.append(len(running))
            threading.Event().wait(0.005)
            with lock:
                running.pop()

        paper = Workflow("bounded", inputs="ticket", parallel=2)
        for number in range(8):
            paper.step(busy, name=f"busy{number}")
        given = paper.run("x") if verb == "run" else asyncio.run(paper.arun("x"))
        assert len(given) == 8
        assert max(most) <= 2

    def test_beside_one_another_see_what_their_caller_keeps_in_its_context(self):
        paper = Workflow("context", inputs="ticket")
        paper.step(lambda ticket: BESIDE.get(), name="one")
        paper.step(lambda ticket: BESIDE.get(), name="two")
        token = BESIDE.set("something")
        assert paper.run("x") == {"one": "something", "two": "something"}
        BESIDE.reset(token)

    def test_beside_a_failing_one_come_to_their_end_and_are_recorded(self, store):
        begun, failed = threading.Event(), threading.Event()

        def fails(ticket):
            assert begun.wait(20)
            try:
                raise ValueError("broken")
            finally:
                failed.set()

        def ends(ticket):
            begun.set()
            assert failed.wait(20)
            return "whole"

        paper = Workflow("beside", inputs="ticket")
        paper.step(fails)
        paper.step(ends)
        paper.step(lambda fails, ends: None, name="after")
        for call in (lambda: paper.run("x"), lambda: asyncio.run(paper.arun("x"))):
            begun.clear()
            failed.clear()
            with pytest.raises(ValueError, match="broken"):
                call()
            statuses = {step.name: step.status for step in store.trace().steps}
            assert statuses == {"beside": "failed", "fails": "failed", "ends": "completed"}

    @pytest.mark.parametrize("verb", ["run", "arun"])
    @pytest.mark.parametrize(
        ("raised", "beside", "wins"),
        [(Waits, None, Waits), (Waits, ValueError, ValueError), (ReplayStopped, ValueError, ReplayStopped)],
        ids=["a question alone", "a failure before a question", "a stop before a failure"],
    )
    def test_let_through_what_is_no_exception_once_the_others_have_ended(self, verb, raised, beside, wins):
        both, ended = threading.Barrier(2, timeout=20), []

        def ends(ticket):
            both.wait()
            ended.append(ticket)
            if beside is not None:
                raise beside

        def stops(ticket):
            both.wait()
            raise raised

        paper = Workflow("beside", inputs="ticket")
        paper.step(ends)
        paper.step(stops)
        with pytest.raises(wins):
            paper.run("x") if verb == "run" else asyncio.run(paper.arun("x"))
        assert ended == ["x"]

    def test_that_fail_together_are_all_told(self):
        both = threading.Barrier(2, timeout=20)

        def fails(ticket):
            both.wait()
            raise ValueError(threading.current_thread().name)

        paper = Workflow("beside", inputs="ticket")
        paper.step(fails, name="a")
        paper.step(fails, name="b")
        with pytest.raises(ValueError, match="playhead-workflow") as raised:
            paper.run("x")
        assert raised.value.__notes__[0].startswith("beside it b failed: ValueError")

    def test_are_cancelled_with_the_workflow(self):
        started, cancelled = asyncio.Event(), []

        async def waits(ticket):
            try:
                started.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(ticket)
                raise

        paper = Workflow("waiting", inputs="ticket")
        paper.step(waits)

        async def main():
            task = asyncio.create_task(paper.arun("x"))
            await started.wait()
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())
        assert cancelled == ["x"]

    def test_that_are_coroutines_are_only_awaited(self):
        async def later(ticket):
            return f"later {ticket}"

        paper = Workflow("later", inputs="ticket")
        paper.step(later)
        assert asyncio.run(paper.arun("x")) == "later x"
        with pytest.raises(RouterError, match=r"later is a coroutine function: call the workflow with await arun"):
            paper.run("x")

    def test_take_the_last_value_of_a_name_and_attributes_of_values(self):
        paper = Workflow("names", inputs="text")
        paper.step(lambda text: text.strip(), name="strip", gives="text")
        paper.step(lambda text: text.upper(), name="upper", gives="text")
        paper.step(lambda real, more="default": (real, more), name="last", takes={"real": "number.real"}, after="upper")
        paper.step(lambda text: f"[{text}]", name="framed")
        paper.step(lambda: 4 + 2j, name="number")
        with pytest.raises(InvalidWorkflow, match=r"number"):
            Workflow("nobody").step(one, takes={"number": "x"})
        assert paper.run("  a ") == {"last": (4.0, "default"), "framed": "[A]"}

    def test_say_which_input_an_attribute_is_missing_for(self):
        paper = Workflow("names", inputs="ticket")
        paper.step(one, takes={"ticket": "ticket.text"})
        with pytest.raises(AttributeError) as raised:
            paper.run("x")
        assert "an input of one is that attribute" in raised.value.__notes__[0]


class TestAWorkflowInAnother:
    def test_is_a_step_of_it(self, store):
        inner = Workflow("inner", inputs="ticket")
        inner.step(one)
        outer = Workflow("outer", inputs="ticket")
        outer.step(inner.run)
        outer.step(lambda inner: inner.upper(), name="loud")
        assert outer.run("x") == "ONE X"
        assert [step.path for step in store.trace().steps] == [
            "outer",
            "outer/inner",
            "outer/inner/one",
            "outer/loud",
        ]
        awaited = Workflow("awaited", inputs="ticket")
        awaited.step(inner.arun)
        assert asyncio.run(awaited.arun("x")) == "one x"


class TestTheInputs:
    def test_are_given_by_name_or_in_order_and_no_others(self):
        assert support.run("refund") == support.run(ticket="refund")
        with pytest.raises(TypeError, match="missing a required argument: 'ticket'"):
            support.run()
        with pytest.raises(TypeError, match="unexpected keyword argument 'tickt'"):
            support.run("x", tickt="y")

    def test_have_names_that_python_can_say(self):
        with pytest.raises(ValueError, match="can't be the name of an input"):
            Workflow("x", inputs="two words")
        with pytest.raises(ValueError, match="parallel is 0"):
            Workflow("x", parallel=0)


class TestARoute:
    def test_that_decides_for_nothing_it_knows_names_its_branches(self):
        paper = Workflow("lanes", inputs="ticket")
        paper.route(lambda ticket: ticket, {"a": "one"})
        paper.step(one)
        with pytest.raises(
            NoBranch, match=r"test_paper.py:\d+: route decided for 'z', .* its branches are 'a'\. Add"
        ) as raised:
            paper.run("z")
        assert (raised.value.route, raised.value.value) == ("route", "z")

    def test_with_a_confidence_that_is_no_number_is_hopeless(self):
        paper = Workflow("bands", inputs="confidence")
        paper.route(lambda confidence: confidence, {"sure": None, "unsure": None, "hopeless": "one"}, bands=Bands())
        paper.step(lambda confidence: "asked", name="one")
        assert paper.run(float("nan")) == "asked"

    def test_is_awaited_where_it_is_a_coroutine(self):
        async def by(ticket):
            return ticket

        paper = Workflow("lanes", inputs="ticket")
        paper.route(by, {"a": "one"}, otherwise=None)
        paper.step(one)
        assert asyncio.run(paper.arun("a")) == "one a"


class TestAFallback:
    def test_passes_errors_that_were_not_named(self):
        paper = Workflow("falls", inputs="ticket")
        paper.step(lambda ticket: 1 / 0, name="first", fallback=two, on=TimeoutError)
        with pytest.raises(ZeroDivisionError):
            paper.run("x")

    def test_also_helps_where_an_answer_is_refused(self, store):
        paper = Workflow("falls", inputs="ticket")
        refuse: Any = lambda said: None if said.startswith("two") else "not two"  # noqa: E731
        paper.step(one, fallback=[two], on=TimeoutError, reject=refuse)
        assert paper.run("x") == "two x"
        paper = Workflow("falls", inputs="ticket")
        paper.step(one, fallback=[two], on=TimeoutError, reject=lambda _: "never")
        with pytest.raises(AllTargetsFailed):
            paper.run("x")


class TestARepeat:
    @staticmethod
    def paper(**more):
        def better(ticket, draft=""):
            return draft + ticket

        paper = Workflow("better", inputs="ticket")
        paper.repeat(better, until=lambda draft: len(draft) >= 3, gives="draft", **more)
        return paper

    def test_gives_each_round_what_the_last_one_gave_and_stops_when_it_is_good(self, store):
        assert self.paper(at_most=5).run("x") == "xxx"
        assert [step.path for step in store.trace().steps] == [
            "better",
            "better/better",
            "better/better[1]",
            "better/better[2]",
        ]

    def test_never_goes_on_past_its_bound(self):
        with pytest.raises(NotReached, match=r"test_paper.py:\d+: better ran 2 times and until= never held") as raised:
            self.paper(at_most=2).run("x")
        assert raised.value.last == "xx"
        assert self.paper(at_most=2, otherwise="last").run("x") == "xx"
        with pytest.raises(InvalidWorkflow, match="at_most is 0"):
            self.paper(at_most=0)


class TestThePicture:
    def test_says_in_words_what_each_box_does(self):
        boxes = {box.label: (box.kind, box.lines) for box in support.graph().boxes}
        assert boxes == {
            "ticket": ("start", ()),
            "guessing": ("model", ("smollm2", "if that fails: keywords")),
            "sure": ("decision", ()),
            "second": ("model", ("intent-lr",)),
            "still unsure": ("decision", ()),
            "draft": ("code", ()),
            "ask": ("person", ("What does this customer want? (the ticket)", "one of: refund, card lost")),
            "send": ("action", ()),
            "receipt, asked": ("end", ()),
        }

    def test_has_an_arrow_for_each_way_and_none_that_a_longer_way_says(self):
        graph = support.graph()
        label = {box.id: box.label for box in graph.boxes}
        assert sorted((label[edge.source], label[edge.target], edge.label) for edge in graph.edges) == [
            ("ask", "receipt, asked", ""),
            ("draft", "send", ""),
            ("guessing", "sure", ""),
            ("second", "still unsure", ""),
            ("send", "receipt, asked", ""),
            ("still unsure", "ask", "yes"),
            ("still unsure", "draft", "no"),
            ("sure", "ask", "hopeless"),
            ("sure", "draft", "sure"),
            ("sure", "second", "unsure"),
            ("ticket", "guessing", ""),
        ]

    def test_is_drawn_of_a_workflow_that_could_not_run(self):
        paper = Workflow("broken", inputs="ticket")
        paper.step(one, after="two")
        paper.step(two, after=["one", "nobody"])
        assert "▲" in paper.text() or "one" in paper.text()
        assert paper.svg().startswith("<svg")
        assert paper.mermaid().count("-->") >= 2

    def test_costs_nothing_to_who_only_runs(self):
        assert not hasattr(workflow_module, "svg")
