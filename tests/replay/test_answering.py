"""A waiting run goes on with its answer, and nothing is done twice."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pydantic
import pytest
from click.testing import CliRunner

import tracer
from replay import PlanError, edit, faults, replay, resume, stand_in
from replay.answering.inbox import answer, assign, close_due, find, go_on, unfinished, withdraw
from replay.answering.question import AnswerRefused, parsed, question_of
from router import EscalationExpired, Human, Waiting, Workflow, escalate, fallback
from tests.replay.support import did, done
from tracer import Target, effect, random, step, workflow
from tracer.cli import main
from tracer.format import short_id
from tracer.reading import open_reading


@step(kind="tool")
def look_up(name: str) -> str:
    did(f"look up {name}")
    return f"the {name}"


@effect
def send(text: str) -> str:
    did(f"send {text}")
    return "sent"


@workflow
def support(ticket: str) -> str:
    found = look_up(ticket)
    lot = random()
    what = escalate(f"What about {found}?", options=["refund", "replace"], context={"lot": lot})
    return send(f"{what} for {found}")


def waits(flow: Any, *args: Any) -> str:
    with pytest.raises(Waiting) as raised:
        flow(*args)
    assert tracer.flush()
    done()
    return raised.value.trace_id


def say(trace: str, text: str, step: str | None = None, by: str = "ann") -> Any:
    """Answer as the command does; gives the replay, or how many questions are left."""
    with open_reading() as store:
        one = find(store, trace, step)
        left = answer(store, one, parsed(question_of(one, store.value), text), by=by)
    return left or go_on(one.trace_id)


def say_to(flow: Any, trace: str, value: Any) -> Any:
    """The same for a workflow that can't be imported."""
    with open_reading() as store:
        assert answer(store, find(store, trace), value, by="ann") == 0
    return resume(trace, fn=flow)


class TestAnAnswer:
    def test_resumes_the_run_and_nothing_is_done_twice(self, recorded):
        first = waits(support, "book")
        again = say(first, "refund")
        assert (again.output, again.error, again.waiting) == ("sent", None, None)
        assert done() == ["send refund for the book"]
        trace = recorded.trace(again.trace_id)
        assert (trace.summary.status, trace.summary.resume_of) == ("completed", first)
        assert recorded.origins(again.trace_id) == {
            "support": "live", "support/look_up": "recorded", "support/escalate": "live", "support/send": "live",
        }  # fmt: skip
        asked = recorded.step("escalate")
        assert recorded.value(asked) == "refund"
        assert (asked.tags["how"], asked.tags["answered_by"]) == ("answered", "ann")
        assert recorded.trace(first).summary.status == "waiting"
        listed = CliRunner().invoke(main, ["ls"], env={"COLUMNS": "200"}).output
        (line,) = [line for line in listed.splitlines() if "waiting" in line]
        assert f"went on as {short_id(again.trace_id)}" in line

    def test_is_served_like_any_other_value_when_the_resumed_run_is_replayed(self, recorded):
        say(waits(support, "book"), "refund")
        done()
        again = replay("latest", verify=True)
        assert (again.output, again.live, again.stopped, done()) == ("sent", 0, None, [])

    def test_that_is_none_of_the_options_is_refused_and_they_are_named(self, recorded):
        first = waits(support, "book")
        with pytest.raises(AnswerRefused, match="'maybe' is none of the options: refund, replace"):
            say(first, "maybe")
        assert say(first, "replace").output == "sent"

    def test_comes_once_and_who_comes_second_is_told(self, recorded):
        first = waits(support, "book")
        say(first, "refund")
        done()
        with pytest.raises(AnswerRefused, match="was answered with 'refund' by ann"):
            say(first, "replace", by="bob")
        assert done() == []

    def test_is_kept_where_the_run_could_not_go_on_yet(self, recorded):
        first = waits(support, "book")
        with open_reading() as store:
            answer(store, find(store, first), "refund", by="ann")
            assert unfinished(store) == [first]
        assert go_on(first).output == "sent"
        assert done() == ["send refund for the book"]
        assert go_on(first) is None
        with open_reading() as store:
            assert unfinished(store) == []
        assert done() == []

    def test_is_needed_before_the_run_is_resumed(self, recorded):
        first = waits(support, "book")
        with pytest.raises(PlanError, match=r"waits for an answer \(support/escalate\): playhead escalations answer"):
            resume(first)
        say(first, "refund")
        with pytest.raises(PlanError, match="was resumed already"):
            resume(first)

    def test_is_not_for_a_question_that_reads_otherwise_now(self, recorded, module):
        source = """
            from router import escalate
            from tracer import workflow

            @workflow
            def flow():
                return escalate("Refund?", options=["yes", "no"])
        """
        first = waits(module(source).flow)
        module(source.replace("Refund?", "Are you sure that we keep the money?"))
        again = say(first, "yes")
        assert again.waiting is not None
        assert again.waiting.question == "Are you sure that we keep the money?"


def test_a_workflow_on_paper_waits_and_goes_on_as_well(recorded):
    paper = Workflow("letters", inputs="name", returns="receipt")
    paper.step(look_up, gives="found")
    paper.human("What about {found}?", options=("yes", "no"), name="ask", gives="text")
    paper.effect(send, gives="receipt")
    again = say_to(paper.run, waits(paper.run, "book"), "yes")
    assert (again.output, done()) == ("sent", ["send yes"])


def test_a_workflow_on_paper_says_what_an_answer_has_to_be_and_what_is_taken_when_nobody_gives_one(recorded):
    paper = Workflow("letters", inputs="name", returns="copies")
    paper.human("How many of {name}?", schema=int, timeout_s=60, default=1, gives="copies")
    first = waits(paper.run, "book")
    with pytest.raises(AnswerRefused, match="integer"):
        say_to(paper.run, first, "some")
    assert say_to(paper.run, first, 3).output == 3
    second = waits(paper.run, "book")
    with open_reading() as store:
        close_due(store, find(store, second).due_ns)
    assert resume(second, fn=paper.run).output == 1


@dataclasses.dataclass(frozen=True)
class Refund:
    amount: int
    reason: str

    def __post_init__(self) -> None:
        if self.amount > 100:
            raise ValueError("nobody may refund more than 100")


class Reply(pydantic.BaseModel):
    text: str
    tags: list[str] = []


@workflow
def refunds() -> Any:
    return escalate("How much?", schema=Refund)


@workflow
def replies() -> Any:
    return escalate("What do we say?", schema=Reply)


class TestAnAnswerOfAType:
    def test_is_one_of_that_type(self, recorded):
        assert say(waits(refunds), '{"amount": 3, "reason": "late"}').output == Refund(3, "late")
        assert say(waits(replies), '{"text": "Sorry"}').output == Reply(text="Sorry")

    @pytest.mark.parametrize(
        ("wrong", "why"),
        [
            ('{"amount": 3}', r"\$.reason: is missing"),
            ('{"amount": "x", "reason": "late"}', r"\$.amount: 'x' is no integer"),
            ("three", "is not JSON"),
        ],
        ids=["missing", "type", "no JSON"],
    )
    def test_is_refused_where_it_does_not_fit(self, recorded, wrong, why):
        first = waits(refunds)
        with pytest.raises(AnswerRefused, match=why):
            say(first, wrong)
        assert say(first, '{"amount": 3, "reason": "late"}').output == Refund(3, "late")

    def test_is_asked_for_again_where_only_the_type_itself_can_tell(self, recorded):
        again = say(waits(refunds), '{"amount": 300, "reason": "late"}')
        assert again.waiting is not None
        with open_reading() as store:
            question = question_of(find(store, again.trace_id), store.value)
        assert "nobody may refund more than 100" in question.refused
        assert question.refused_answer == {"amount": 300, "reason": "late"}
        assert say(again.trace_id, '{"amount": 30, "reason": "late"}').output == Refund(30, "late")


@workflow
def twice(ticket: str) -> str:
    what = escalate(f"What about {ticket}?")
    send(f"{what} begins")
    how = escalate(f"How do we {what}?")
    return send(f"{what} {how}")


@workflow
async def both() -> list[str]:
    async def ask(name: str) -> str:
        look_up(name)
        await asyncio.sleep(0)
        return send(escalate(f"What of {name}?"))

    return await asyncio.gather(ask("this"), ask("that"))


@workflow
async def beside() -> list[str]:
    async def ask() -> str:
        await asyncio.sleep(0)
        return escalate("Well?")

    async with asyncio.TaskGroup() as group:
        asked, other = group.create_task(ask()), group.create_task(long_look_up("slow"))
    return [asked.result(), other.result()]


@step(kind="tool")
async def long_look_up(name: str) -> str:
    did(f"begin {name}")
    if not _answered:
        await asyncio.Event().wait()
    return f"the {name}"


_answered: list[str] = []


class TestARunWithSeveralQuestions:
    def test_asks_one_after_the_other(self, recorded):
        second = say(waits(twice, "a bear"), "feed it")
        assert second.waiting is not None
        assert done() == ["send feed it begins"]
        third = say(second.trace_id, "with honey")
        assert (third.output, done()) == ("sent", ["send feed it with honey"])
        with open_reading() as store:
            assert len(store.escalations.story(third.trace_id)) == 3

    def test_asked_at_once_goes_on_when_all_are_answered(self, recorded):
        first = waits(lambda: asyncio.run(both()))
        with open_reading() as store:
            paths = [one.path for one in store.escalations.of(first)]
        assert paths == ["both/escalate", "both/escalate[1]"]
        with pytest.raises(PlanError, match=r"asks 2 questions: say which step: both/escalate, both/escalate\[1\]"):
            say(first, "a")
        assert say(first, "b", "escalate[1]") == 1
        assert done() == []
        again = say(first, "a")
        assert (again.output, sorted(done())) == (["sent", "sent"], ["send a", "send b"])

    def test_makes_again_what_was_cancelled_for_the_question(self, recorded):
        _answered.clear()
        with pytest.raises(BaseExceptionGroup):
            asyncio.run(beside())
        trace = recorded.trace()
        assert [step.status for step in trace.steps if step.name == "long_look_up"] == ["cancelled"]
        _answered.append("yes")
        assert say(trace.trace_id, "well").output == ["well", "the slow"]


@workflow
def in_time(deadline: float) -> str:
    try:
        return escalate("Refund?", options=["yes", "no"], timeout_s=deadline)
    except EscalationExpired as late:
        return f"too late: {late.question}"


@workflow
def by_default() -> str:
    return send(escalate("Refund?", options=["yes", "no"], timeout_s=60, default="no"))


class TestTime:
    def test_when_it_is_over_the_default_is_taken(self, recorded):
        first = waits(by_default)
        with open_reading() as store:
            assert close_due(store, 0) == []
            (closed,) = close_due(store, find(store, first).due_ns)
            assert (closed.state, closed.answer, closed.closed_by) == ("defaulted", "no", "timeout")
            assert unfinished(store) == [first]
        assert (go_on(first).output, done()) == ("sent", ["send no"])

    def test_when_it_is_over_without_a_default_the_workflow_is_told(self, recorded):
        first = waits(in_time, 5.0)
        with open_reading() as store:
            close_due(store, find(store, first).due_ns)
        assert go_on(first).output == "too late: Refund?"

    def test_an_answer_before_anybody_looked_still_counts(self, recorded):
        first = waits(in_time, 1e-9)
        assert say(first, "yes").output == "yes"


class TestTheList:
    def test_says_who_is_to_answer(self, recorded):
        first = waits(support, "book")
        with open_reading() as store:
            assign(store, find(store, first), "bob")
            assert find(store, first).assignee == "bob"
            withdraw(store, find(store, first), by="ann")
            with pytest.raises(AnswerRefused, match="was withdrawn by ann"):
                assign(store, find(store, first), "carl")

    def test_names_what_a_run_that_asks_nothing_is(self, recorded):
        send_only("x")
        recorded.trace()
        with open_reading() as store, pytest.raises(PlanError, match="waits for no answer"):
            find(store, "latest")


@workflow
def send_only(text: str) -> str:
    return send(text)


class TestAReplay:
    def test_of_a_waiting_run_waits_as_well_and_asks_nobody(self, recorded):
        first = waits(support, "book")
        again = replay(first)
        assert (again.output, again.error) == (None, None)
        assert again.waiting is not None
        assert recorded.trace(again.trace_id).summary.status == "waiting"
        with open_reading() as store:
            assert [one.trace_id for one in store.escalations.pending()] == [first]

    def test_of_a_waiting_run_goes_on_with_an_edited_answer_and_sends_nothing(self, recorded):
        first = waits(support, "book")
        again = replay(first, edit("escalate", "refund"), stand_in("send", "not sent"))
        assert (again.output, again.waiting, done()) == ("not sent", None, [])

    def test_with_a_fault_that_ends_at_a_human_is_told_as_escalated(self, recorded):
        assert careful("book") == "the book"
        done()
        matrix = faults(recorded.trace().trace_id, faults=["timeout"])
        assert {cell.outcome for cell in matrix.cells} == {"escalated"}
        assert "it waits for a human: What about book?" in matrix.cells[0].note
        assert done() == []


@workflow
def careful(ticket: str) -> str:
    human: Any = Human(f"What about {ticket}?")
    return fallback([FAST, human], lambda _: look_up(ticket), on=Exception).value


FAST = Target("fast")
