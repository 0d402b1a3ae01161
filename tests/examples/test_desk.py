"""The support desk that is tuned from its own traces: what fails, what it decides, and how its threshold moves."""

from __future__ import annotations

import json
import threading

import pytest
from support import desk as example
from support import run as tuned
from support.desk import desk

import tracer
from replay import fail, replay
from replay.answering.inbox import answer, go_on
from replay.answering.question import question_of
from router import Arm, Router, Target, Waiting, tune
from tests.loopback import Loopback, Reply
from tracer.decisions import decision_in
from tracer.reading import open_reading

PIN = "How do I change my PIN?"
GOOD = "You can change your PIN at a cash machine that shows our logo."


@pytest.fixture(autouse=True)
def _role(home):
    example.ROLES.close()
    example.ROLES.set(example.ROLE, production=Arm("intent-lr", {"accept": 0.5}))
    yield
    example.ROLES.close()


@pytest.fixture
def writer(monkeypatch):
    """A provider on 127.0.0.1 in the place of the language model, so that it can fail in all ways."""
    with Loopback() as server:
        target = Target("smollm2-135m", base_url=server.url, price=tracer.FREE)
        told = {name: getattr(example.WRITERS, name) for name in ("retry", "deadline_s", "name")}
        router = Router((target, example.approved), on=example.leads_on, **told)
        monkeypatch.setattr(example, "WRITERS", router)
        yield server


def writes(text):
    return Reply(words=(json.dumps({"reply": text}),))


def trace():
    assert tracer.flush()
    with open_reading() as store:
        return store.trace(store.resolve("latest"))


def decision(found, name):
    return decision_in(next(step for step in found.steps if step.name == name).tags)


class TestTheWriter:
    @pytest.mark.parametrize(
        ("replies", "requests"),
        [
            pytest.param([Reply(words=("I would love to help",))], 1, id="no JSON"),
            pytest.param([Reply(words=('{"answer": 1}',))], 1, id="JSON of another shape"),
            pytest.param([writes("Call us at 1-800-555 and we will see to it.")], 1, id="valid but wrong"),
            pytest.param([Reply(status=429, headers={"retry-after": "60"})], 1, id="429 that asks for too long a wait"),
            pytest.param([Reply(hang_up=True), Reply(hang_up=True)], 2, id="a cut connection, twice"),
        ],
    )
    def test_that_fails_is_replaced_by_an_approved_reply(self, writer, replies, requests):
        writer.next(*replies)
        done = desk("customer-1", PIN)
        assert (done.handler, done.written_by) == ("how_to", "approved")
        assert len(writer.seen) == requests
        found = decision(trace(), "write_reply")
        assert (found.chosen, found.fell_back) == ("approved", True)

    @pytest.mark.parametrize("headers", [{}, {"retry-after": "0"}], ids=["without Retry-After", "with Retry-After"])
    def test_that_is_limited_once_is_asked_again(self, writer, headers):
        writer.next(Reply(status=429, headers=headers), writes(GOOD))
        assert desk("customer-1", PIN).written_by == "smollm2-135m"
        found = decision(trace(), "write_reply")
        assert (found.retries, found.fell_back) == (1, False)

    def test_that_is_too_late_is_replaced_in_time(self, writer, monkeypatch):
        late = threading.Event()
        writer.next(Reply(before=late), Reply(before=late))
        monkeypatch.setattr(example.WRITERS, "deadline_s", 0.3)
        assert desk("customer-1", PIN).written_by == "approved"
        late.set()

    def test_is_shown_failing_by_a_replay_with_a_fault_and_nothing_is_sent(self, writer, home):
        writer.next(writes(GOOD))
        assert desk("customer-1", PIN).written_by == "smollm2-135m"
        before = (home / "outbox.jsonl").read_bytes()
        done = replay(trace().trace_id, fail("write_reply/smollm2-135m", "timeout"))
        found = decision(trace(), "write_reply")
        assert (done.output.written_by, found.chosen, found.fell_back) == ("approved", "approved", True)
        assert len(writer.seen) == 1
        assert (home / "outbox.jsonl").read_bytes() == before


class TestTheDesk:
    def test_a_sure_ticket_is_dealt_with_by_the_handler_of_its_subject(self, home):
        done = desk("customer-1", "I want a refund for something I bought.")
        assert (done.intent, done.said_by, done.handler) == ("request_refund", "intent-lr", "money")
        assert "disputes" in (home / "cases.jsonl").read_text()

    def test_all_that_it_decided_can_be_read_back(self, home):
        desk("customer-1", "I want a refund for something I bought.")
        found = trace()
        assert decision(found, "pick triage").arm == "production"
        triaged = decision(found, "triage")
        assert (triaged.chosen, triaged.thresholds) == ("intent-lr", {"accept": 0.5, "hopeless": 0.3})
        assert (triaged.confidence > 0.5, triaged.confidence_from) == (True, "classifier")
        handled = decision(found, "handler")
        assert (handled.chosen, handled.reason) == ("money", "about money")

    def test_a_ticket_about_none_of_our_subjects_waits_for_a_person_who_has_the_ticket(self, home):
        outside = "what is the capital of peru"
        with pytest.raises(Waiting):
            desk("customer-1", outside, example.OUTSIDE)
        tracer.flush()
        with open_reading() as store:
            (one,) = store.escalations.pending()
            assert question_of(one, store.value).context["request"]["ticket"] == outside
            answer(store, one, example.OUTSIDE, by="ann")
        done = go_on(one.trace_id).output
        assert (done.intent, done.said_by, done.handler) == (example.OUTSIDE, "human", "outside")
        assert "front desk" in (home / "cases.jsonl").read_text()


class TestItsData:
    def test_no_ticket_of_a_later_week_was_trained_on_or_tuned_by(self):
        first, second = ({ticket.text for ticket in week} for week in tuned.weeks(1))
        trained = {ticket.text for ticket in tuned.read("train.jsonl")}
        assert not first & second
        assert not (first | second) & trained


class TestTuning:
    def test_a_lower_threshold_is_recommended_from_what_people_answered(self, home):
        example.ROLES.set(example.ROLE, production=Arm("intent-lr", {"accept": 0.8}))
        tuned.in_force(0.8)
        week = [*tuned.read("later.jsonl")[:40], *tuned.read("outside.jsonl")[:10]]
        silent = tuned.Console(quiet=True)
        example_writers = Router((example.approved,), on=(), name="write_reply")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(example, "WRITERS", example_writers)
            since_ns = tuned.week(silent, week)
            tuned.people(silent, week, since_ns)
        told = tune("desk", "triage", scorer="label:intent", quality_floor=0.8, human_usd=2.0)
        assert told.is_human
        assert told.chosen.accept < 0.8
        assert told.chosen.cost.value < told.curve.at(0.8).cost.value
        with open_reading() as store:
            sides = tuned.by_itself(store, since_ns)
        assert sides["production"].tickets == 50
        assert sides["production"].wrong == 0
