"""What has a side effect on the world happens once, and again only when it is named."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from replay import edit, fail, from_step, live, replay, stand_in
from tests.replay.support import DONE, done
from tracer import effect, step, workflow


@step
def decide(value: Any) -> Any:
    return value + 1


@effect
def send(to: str, body: Any) -> str:
    DONE.append(f"sent {body} to {to}")
    return f"receipt {body}"


@effect(stand_in="not sent")
def post(body: Any) -> str:
    DONE.append(f"posted {body}")
    return f"posted {body}"


@effect(stand_in=lambda body: [f"would write {body}", DONE.append("asked")][0])
def write(body: Any) -> str:
    DONE.append(f"wrote {body}")
    return f"wrote {body}"


def _no(body: Any) -> None:
    raise ConnectionError(body)


@effect(stand_in=_no)
def dial(body: Any) -> str:
    DONE.append(f"dialled {body}")
    return "yes"


async def _later(body: Any) -> str:
    await asyncio.sleep(0)
    return f"later {body}"


@effect(stand_in=_later)
async def queue(body: Any) -> str:
    DONE.append(f"queued {body}")
    return "queued"


@effect(stand_in=post)
def relay(body: Any) -> str:
    DONE.append(f"relayed {body}")
    return "relayed"


@step
def inside(value: Any) -> str:
    DONE.append("inside")
    return send("bob", value)


@workflow
def mailing(value: int) -> str:
    return inside(decide(value))


@workflow
def posting(value: int) -> str:
    return post(decide(value))


@workflow
def writing(value: int) -> str:
    return write(decide(value))


@workflow
def dialling(value: int) -> str:
    return dial(decide(value))


@workflow
async def queueing(value: int) -> str:
    return await queue(decide(value))


@workflow
def relaying(value: int) -> str:
    return relay(decide(value))


class TestAnEffectOfTheRecord:
    def test_it_is_served_and_does_not_happen(self, recorded):
        mailing(1)
        done()
        again = replay("latest")
        assert (again.output, again.served, done()) == ("receipt 2", 1, [])

    def test_it_does_not_happen_inside_a_step_that_is_live(self, recorded):
        mailing(1)
        done()
        for rule in (live("inside"), live("mailing"), from_step("decide")):
            again = replay(recorded.trace("latest").trace_id, rule)
            assert (again.output, done()) == ("receipt 2", ["inside"])

    def test_it_happens_where_it_is_named_itself(self, recorded):
        mailing(1)
        done()
        again = replay("latest", live("send"))
        assert (again.output, again.live, done()) == ("receipt 2", 1, ["inside", "sent 2 to bob"])

    def test_changed_code_of_its_own_does_not_make_it_happen(self, recorded, module):
        source = """
            from tracer import effect, workflow
            from tests.replay.support import did

            @effect
            def charge(amount):
                did("charged")
                return amount

            @workflow
            def paying(amount):
                return charge(amount)
        """
        module(source).paying(3)
        trace = recorded.trace()
        done()
        module(source.replace("return amount\n\n", "return amount + 0\n\n"))
        again = replay(trace.trace_id)
        assert (again.output, done()) == (3, [])
        assert [each.kind for each in again.divergences] == ["code-changed"]

    def test_a_fault_takes_its_place(self, recorded):
        mailing(1)
        done()
        again = replay("latest", fail("send", "timeout"))
        assert type(again.error) is TimeoutError
        assert done() == ["inside"]


class TestAnEffectThatTheRecordDoesNotHold:
    def test_it_ends_the_replay_saying_what_it_would_have_done(self, recorded):
        mailing(1)
        done()
        again = replay("latest", edit("decide", 9))
        said = str(again.stopped)
        assert done() == ["inside"]
        assert said.startswith("mailing/inside/send: input-changed, stopped; first at $.body: 2 -> 9.")
        assert "{'to': 'bob', 'body': 9}" in said
        assert "--stand-in send=JSON" in said
        assert "--live send" in said
        assert "\n" not in said

    def test_leave_to_go_live_is_not_leave_for_effects(self, recorded):
        mailing(1)
        done()
        again = replay("latest", edit("decide", 9), live("inside"), on_divergence="live")
        assert again.stopped.divergence.path == "mailing/inside/send"
        assert done() == ["inside"]

    def test_a_rule_stands_in_for_it(self, recorded):
        mailing(1)
        done()
        again = replay("latest", edit("decide", 9), stand_in("send", "kept"))
        assert (again.output, again.stopped, done()) == ("kept", None, ["inside"])
        assert recorded.origins()["mailing/inside/send"] == "stood-in"

    def test_a_rule_may_be_a_function_of_its_inputs(self, recorded):
        mailing(1)
        assert replay("latest", edit("decide", 9), stand_in("send", lambda to, body: [to, body])).output == ["bob", 9]

    @pytest.mark.parametrize(
        ("run", "expected"),
        [(posting, "not sent"), (writing, "would write 9"), (queueing, "later 9")],
        ids=["a value", "a function", "an async function"],
    )
    def test_what_it_declares_stands_in_for_it(self, recorded, run, expected):
        result = run(1)
        if asyncio.iscoroutine(result):
            asyncio.run(result)
        done()
        again = replay("latest", edit("decide", 9))
        assert (again.output, again.stopped) == (expected, None)
        assert [each for each in done() if each != "asked"] == []

    def test_what_its_stand_in_raises_is_what_it_raises(self, recorded):
        dialling(1)
        done()
        again = replay("latest", edit("decide", 9))
        assert (type(again.error), again.error.args, done()) == (ConnectionError, (9,), [])

    def test_a_stand_in_that_calls_another_effect_makes_nothing_happen(self, recorded):
        relaying(1)
        done()
        again = replay("latest", edit("decide", 9))
        assert (again.output, done()) == ("not sent", [])


class TestAnEffectThatWasCutOff:
    @pytest.fixture
    def cut(self, recorded):
        mailing(1)
        posting(1)
        recorded.trace()
        engine = create_engine(recorded.url)
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE steps SET outcome = NULL, output = NULL WHERE name IN ('send', 'post', 'inside')")
            )
            connection.execute(text("UPDATE traces SET outcome = NULL"))
            found = dict(connection.execute(text("SELECT workflow, trace_id FROM traces")).all())
        engine.dispose()
        done()
        return found

    def test_it_may_have_happened_and_needs_a_decision(self, cut):
        again = replay(cut["mailing"])
        assert "may have happened" in str(again.stopped)
        assert again.stopped.divergence.kind == "interrupted"
        assert done() == ["inside"]

    def test_each_way_that_it_names_works(self, cut):
        assert replay(cut["mailing"], stand_in("send", "ok")).output == "ok"
        assert "sent 2 to bob" not in done()
        assert replay(cut["mailing"], live("send")).output == "receipt 2"
        assert "sent 2 to bob" in done()

    def test_a_declared_stand_in_is_a_decision(self, cut):
        assert replay(cut["posting"]).output == "not sent"
        assert done() == []
