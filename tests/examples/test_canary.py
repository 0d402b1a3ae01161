"""The example of a canary: what its provider refuses, what its router makes of each failure, and the whole of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading

import pytest

import tracer
from replay import fail, replay
from tests.loopback import Loopback, Reply
from tests.sources import REPOSITORY
from tracer.decisions import TRY, decision_in
from tracer.reading import open_reading

SCRIPT = REPOSITORY / "examples" / "canary" / "run.py"
TICKET = "My card still hasn't arrived, is it lost?"


def says(intent: str = "card_arrival", confidence: float = 0.9) -> Reply:
    return Reply(words=(json.dumps({"intent": intent, "confidence": confidence}),))


def refuses(**headers: str) -> Reply:
    return Reply(status=429, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.fixture
def server():
    with Loopback() as made:
        yield made


@pytest.fixture
def canary(home, server, monkeypatch):
    """The pipeline with a role whose canary has all of the work, and nothing counted against it yet."""
    from canary import pipeline
    from canary.classifiers import CANARY, PRODUCTION

    from router import Registry, Router
    from tracer import FREE, Target

    tracer.configure(
        models=[Target(name, base_url=server.url, price=FREE, timeout_s=1) for name in (PRODUCTION, CANARY)]
    )
    registry = Registry(home / "roles.toml")
    registry.set(pipeline.ROLE, production=PRODUCTION, canary=CANARY, share=100)
    was = pipeline.classify
    breaker = pipeline.Breaker(CANARY, trip=pipeline.Rate(0.5, window_s=60, at_least=2), counts=pipeline.is_transient)
    router = Router(
        was.targets,
        role=was.role,
        registry=registry,
        breakers={CANARY: breaker},
        retry=was.retry,
        on=was.leads_on,
        name=was.name,
    )
    monkeypatch.setattr(pipeline, "classify", router)
    return pipeline


def sorted_by(canary):
    """A ticket sorted, its trace, the verdicts of its tries, and its decision."""
    found = canary.sort_ticket("ann", TICKET)
    assert tracer.flush()
    with open_reading() as store:
        trace = store.trace(store.resolve("latest"))
    return found, trace, *read_back(trace)


def read_back(trace):
    tries = [(one.tags[TRY]["target"], one.tags[TRY]["verdict"]) for one in trace.steps if one.kind == "attempt"]
    decided = [decision for step in trace.steps if (decision := decision_in(step.tags)) is not None]
    return tries, next(one for one in decided if one.policy == "fallback")


class TestTheRouter:
    def test_waits_as_long_as_a_429_asks_and_takes_the_canarys_answer(self, canary, server):
        server.next(refuses(retry_after_ms="300"), says())
        found, _, tries, decided = sorted_by(canary)
        assert (found.by, tries) == ("intent-chars", [("intent-chars", "retry"), ("intent-chars", "done")])
        assert decided.waited_s >= 0.3
        assert (decided.arm, decided.fell_back, decided.retries) == ("canary", False, 1)

    def test_draws_its_own_wait_where_a_429_does_not_say(self, canary, server):
        server.next(refuses(), says())
        found, _, _, decided = sorted_by(canary)
        assert found.by == "intent-chars"
        assert 0 <= decided.waited_s <= canary.classify.retry.bound_s(1)

    def test_goes_to_production_at_once_where_a_429_asks_for_too_long(self, canary, server):
        server.next(refuses(retry_after="60"), says())
        found, _, tries, decided = sorted_by(canary)
        assert (found.by, tries) == ("intent-lr", [("intent-chars", "next"), ("intent-lr", "done")])
        assert (decided.fell_back, decided.waited_s) == (True, 0.0)

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(Reply(words=("It is about the card.",)), id="no JSON"),
            pytest.param(Reply(words=('{"intent": "card_arr',)), id="cut JSON"),
            pytest.param(says(intent="lost_luggage"), id="an intent that there is not"),
            pytest.param(says(confidence=7), id="a confidence above one"),
        ],
    )
    def test_asks_production_where_the_canarys_answer_is_none(self, canary, server, answer):
        server.next(answer, says())
        found, _, tries, _ = sorted_by(canary)
        assert (found.by, tries) == ("intent-lr", [("intent-chars", "next"), ("intent-lr", "done")])

    def test_has_no_way_to_know_a_valid_answer_that_is_wrong(self, canary, server):
        server.next(says(intent="age_limit"))
        found, _, _, decided = sorted_by(canary)
        assert (found.intent, found.by, decided.fell_back) == ("age_limit", "intent-chars", False)

    def test_stops_waiting_for_a_canary_that_trips_its_breaker(self, canary, server):
        server.next(Reply(hang_up=True), refuses(), says(), says())
        found, _, tries, decided = sorted_by(canary)
        assert (found.by, len(tries)) == ("intent-lr", 3)
        assert decided.breakers == {"intent-chars": "open"}
        assert canary.sort_ticket("bob", TICKET).by == "intent-lr"
        assert [seen.body["model"] for seen in server.seen].count("intent-chars") == 2

    def test_gives_up_a_canary_that_says_nothing(self, canary, server):
        never = threading.Event()
        server.next(Reply(before=never), refuses(retry_after="60"), says())
        found, trace, tries, decided = sorted_by(canary)
        never.set()
        assert (found.by, decided.fell_back) == ("intent-lr", True)
        assert tries == [("intent-chars", "retry"), ("intent-chars", "next"), ("intent-lr", "done")]
        (first, *_) = [step.failure for step in trace.steps if step.kind == "attempt"]
        assert first.type == "CallTimedOut"

    def test_reacts_to_a_fault_in_a_replay_of_what_it_recorded(self, canary, server):
        server.next(refuses(retry_after="60"), says())
        _, trace, before, _ = sorted_by(canary)
        asked = len(server.seen)
        again = replay(trace.trace_id, fail("classify/intent-chars/chat", "server_error"))
        assert (again.output.by, again.live, len(server.seen)) == ("intent-lr", 0, asked)
        assert tracer.flush()
        with open_reading() as store:
            after, decided = read_back(store.trace(again.trace_id))
        # a 500 does not say when to come back, as the 429 did: it is tried again, until the breaker of the replay opens
        assert before == [("intent-chars", "next"), ("intent-lr", "done")]
        assert after == [("intent-chars", "retry"), ("intent-chars", "retry"), ("intent-lr", "done")]
        assert decided.breakers == {"intent-chars": "open"}


class TestTheProvider:
    def test_refuses_what_is_beyond_its_bucket_and_says_when(self):
        from canary.provider import Bucket

        now = [100.0]
        bucket = Bucket(2.0, 3, lambda: now[0])
        assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
        now[0] += 0.5
        assert [bucket.take(), bucket.take()] == [0.0, 0.5]
        now[0] += 60
        assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]

    @pytest.mark.parametrize(("says_when", "headers"), [(True, {"retry-after": "1"}), (False, {})])
    def test_may_leave_out_when_to_come_back(self, says_when, headers):
        from canary.provider import Bucket, Provider

        with Provider({"intent-chars": Bucket(2.0, 0)}, says_when=says_when) as provider:
            status, told, _ = provider.respond({"model": "intent-chars", "messages": [{"content": TICKET}]})
        assert (status, told) == (429, headers)
        assert (provider.refused["intent-chars"], provider.answered["intent-chars"]) == (1, 0)


class TestTheExample:
    def test_ends_with_the_canary_taken_back_and_a_replay_of_one_that_failed(self, tmp_path):
        command = [
            sys.executable,
            str(SCRIPT),
            "--requests",
            "160",
            "--per-second",
            "60",
            "--share",
            "50",
            "--limit",
            "1",
        ]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PLAYHEAD_")}
        path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
        environ = {**kept, "PYTHONPATH": path, "PLAYHEAD_STRICT": "1", "COLUMNS": "160"}
        done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "not answered: 0;" in done.stdout
        assert re.search(r"taken back after .*: fallbacks: .* surely worse by", done.stdout)
        assert re.search(r"UTC +watch +rollback +intent-lr \(was intent-lr, intent-chars for 50 %\)", done.stdout)
        # its trips, its probes, and why it opened last: too many failures, or a probe that failed
        assert re.search(r"intent-chars +(closed|open|half-open) .* [1-9]\d* +\d+ +\S.*ProviderError", done.stdout)
        assert re.search(r"fallback .* more$", done.stdout, re.MULTILINE)
        refused, after = done.stdout.split("the same with a 500")
        assert "429: Rate limit reached" in refused
        assert "500: injected" in after
        assert re.search(r"calls? served from the record, 0 ran", after)
