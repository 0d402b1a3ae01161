"""An answer that breaks a rule: repaired, asked for again, fallen back from; and all of it recorded."""

from __future__ import annotations

import asyncio
import json

import pytest
from pydantic import BaseModel

from replay import fail, replay
from router import (
    Bans,
    GuardrailFailed,
    Guardrails,
    JsonSchema,
    Length,
    Matches,
    Parses,
    PromptTokens,
    Quotes,
    Typed,
    asked,
    checked,
    checked_async,
    guarded,
    judge,
)
from tests.recording import path_of, project  # noqa: F401 - a fixture
from tracer import recorder, step, workflow
from tracer.decisions import decision_in

FORM = Guardrails((Parses(("reply",)),))


class Model:
    """Gives these answers, one after the other, and keeps what it was asked with."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, more):
        self.asked.append(tuple(more))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def later(self, more):
        await asyncio.sleep(0)
        return self(more)


def both(*answers, **how):
    """The same by either driver: what came of it, and what the model was asked with."""
    sync, later = Model(*answers), Model(*answers)
    done = checked(sync, FORM, **how)
    assert asyncio.run(checked_async(later.later, FORM, **how)) == done
    assert later.asked == sync.asked
    return done, sync.asked


class TestAnAnswer:
    def test_that_holds_is_given_as_it_is(self):
        done, asked = both('{"reply": "Hello"}')
        assert (done.text, done.how, done.asked, asked) == ('{"reply": "Hello"}', "answer", 1, [()])

    def test_that_can_be_repaired_is_not_asked_for_again(self):
        done, asked = both("```json\n{'reply': 'Hello',}\n```")
        assert json.loads(done.text) == {"reply": "Hello"}
        assert (done.how, len(asked)) == ("repaired", 1)
        assert done.repairs == ("a code fence", "single quotes", "a comma before a closing bracket")

    def test_that_does_not_parse_is_asked_for_again_with_what_was_wrong(self):
        done, asked = both('{"reply": "I am sor', '{"reply": "I am sorry."}')
        assert (done.how, done.asked) == ("asked again", 2)
        (said, told) = asked[1]
        assert said == {"role": "assistant", "content": '{"reply": "I am sor'}
        assert told["role"] == "user"
        assert "- parses: no JSON: Unterminated string" in told["content"]

    def test_that_was_repaired_and_is_still_wrong_is_asked_for_again_as_repaired(self):
        done, asked = both("{'answer': 1}", '{"reply": "x"}')
        assert done.how == "asked again"
        assert asked[1][0]["content"] == '{"answer": 1}'
        assert "no key reply" in asked[1][1]["content"]

    def test_of_plain_text_is_never_repaired(self):
        rails = Guardrails((Length(at_most=3),))
        with pytest.raises(GuardrailFailed) as raised:
            checked(Model("see: {'a': 1}"), rails, reask=0)
        assert raised.value.text == "see: {'a': 1}"

    def test_is_not_repaired_where_that_is_not_wanted(self):
        with pytest.raises(GuardrailFailed, match="broke the rule 'parses'"):
            checked(Model("{'reply': 1}"), FORM, repair=False, reask=0)

    def test_that_never_holds_raises_with_the_last_offence(self):
        with pytest.raises(GuardrailFailed, match="no key reply"):
            both("no", "{}", reask=1)

    def test_that_never_holds_falls_back_to_a_text_or_a_function_of_what_was_broken(self):
        done, _ = both("no", "no", fallback='{"reply": "A person will write to you."}')
        assert (done.how, done.fell_back, done.asked) == ("fallback", True, 2)
        done, _ = both("no", reask=0, fallback=lambda failed: json.dumps({"reply": failed.rule}))
        assert done.text == '{"reply": "parses"}'

    def test_that_is_fallen_back_to_is_held_against_the_rules_too(self):
        with pytest.raises(GuardrailFailed, match="no key reply") as raised:
            both("no", reask=0, fallback="{}")
        assert isinstance(raised.value.__cause__, GuardrailFailed)

    def test_may_come_from_a_fallback_that_is_a_coroutine(self):
        async def person(failed):
            await asyncio.sleep(0)
            return '{"reply": "me"}'

        done = asyncio.run(checked_async(Model("no").later, FORM, reask=0, fallback=person))
        assert done.text == '{"reply": "me"}'

    def test_that_can_not_be_had_raises_what_asking_raised(self):
        with pytest.raises(TimeoutError):
            both(TimeoutError("too slow"))

    def test_is_told_everything_that_is_wrong_where_the_rules_are_asked_for_all(self):
        model = Model("no way", '{"reply": 1}')
        checked(model, Guardrails((Parses(("reply",)), Bans(("way",))), all=True))
        assert "- parses: no JSON" in model.asked[1][1]["content"]
        assert "- banned topic: way" in model.asked[1][1]["content"]

    def test_can_not_be_asked_for_less_than_once(self):
        with pytest.raises(ValueError, match="reask is how often to ask again, not -1"):
            checked(Model("x"), FORM, reask=-1)


class TestGuarded:
    def test_a_function_is_asked_again_with_more(self):
        model = Model("no", '{"reply": "Hello"}')

        @guarded(FORM)
        def draft(ticket, *, more=()):
            return model([ticket, *more])

        assert draft("T1") == '{"reply": "Hello"}'
        assert model.asked[0] == ("T1",)
        assert [each["role"] for each in model.asked[1][1:]] == ["assistant", "user"]

    def test_a_coroutine_too(self):
        model = Model("no", '{"reply": "Hello"}')

        @guarded(FORM)
        async def draft(*, more=()):
            return await model.later(more)

        assert asyncio.run(draft()) == '{"reply": "Hello"}'

    def test_one_that_can_not_take_more_is_refused_unless_it_is_asked_once(self):
        def draft(ticket):
            return "{}"

        with pytest.raises(TypeError, match="draft is asked again with more="):
            guarded(FORM)(draft)
        with pytest.raises(GuardrailFailed):
            guarded(FORM, reask=0)(draft)("T1")


ANSWERS: list[str] = []


@step(kind="llm", model="drafts")
def said(more: list) -> str:
    return ANSWERS.pop(0)


@workflow
def support(ticket: str) -> str:
    return checked(said, FORM, fallback='{"reply": "later"}', name="draft").text


class TestTheRecord:
    def decided(self, trace):
        (router,) = [step for step in trace.steps if step.kind == "router"]
        return decision_in(router.tags)

    def test_has_each_question_verdict_and_repair_as_a_step(self, project):  # noqa: F811
        ANSWERS[:] = ["{'reply': 1", "{'reply': 1}"]
        trace = project.record(support, "T1")
        assert path_of(trace) == [
            "support",
            "support/draft",
            "support/draft/ask",
            "support/draft/ask/said",
            "support/draft/judge",
            "support/draft/repair",
            "support/draft/ask[1]",
            "support/draft/ask[1]/said",
            "support/draft/judge[1]",
            "support/draft/repair[1]",
            "support/draft/judge[2]",
        ]
        kinds = {step.path.rsplit("/", 1)[-1]: step.kind for step in trace.steps}
        assert (kinds["ask"], kinds["judge"], kinds["repair"]) == ("attempt", "guardrail", "guardrail")
        verdicts = [project.value(step).passed for step in trace.steps if step.name == "judge"]
        assert verdicts == [False, False, True]

    def test_says_how_it_was_decided(self, project):  # noqa: F811
        ANSWERS[:] = ["{'reply': 1", "{'reply': 1}"]
        decision = self.decided(project.record(support, "T1"))
        assert (decision.policy, decision.chosen, decision.attempts, decision.retries) == (
            "guardrail",
            "repaired",
            2,
            1,
        )
        assert decision.reason.startswith("parses: no JSON: Expecting property name enclosed in double quotes")
        assert not decision.fell_back

    def test_says_that_it_fell_back(self, project):  # noqa: F811
        ANSWERS[:] = ["no", "no"]
        decision = self.decided(project.record(support, "T1"))
        assert (decision.chosen, decision.fell_back) == ("fallback", True)

    def test_says_why_nothing_held(self, project):  # noqa: F811
        ANSWERS[:] = ["no"]

        @workflow
        def strict():
            return checked(said, FORM, reask=0)

        trace = project.record(strict)
        assert isinstance(project.raised, GuardrailFailed)
        decision = self.decided(trace)
        assert (decision.chosen, decision.attempts) == (None, 1)
        assert decision.reason.startswith("parses: no JSON")
        (router,) = [step for step in trace.steps if step.kind == "router"]
        assert router.status == "failed"

    def test_of_a_request_that_is_judged_holds_the_request(self, project):  # noqa: F811
        @workflow
        def before():
            return judge(asked(messages="Hello", model="m"), Guardrails((PromptTokens(2),))).passed

        trace = project.record(before)
        (verdict,) = [step for step in trace.steps if step.kind == "guardrail"]
        assert project.value(verdict, "input")["text"].messages[0].content == "Hello"
        assert project.value(verdict).offence == "about 8 tokens, more than 2"


class Reply(BaseModel):
    reply: str


RULES = Guardrails(
    (
        Typed(Reply),
        JsonSchema({"type": "object", "required": ["reply"]}),
        Quotes("the source itself"),
        Matches(r"\{.*\}"),
        Parses({"reply": str}),
    ),
    all=True,
)


@workflow
def strictly() -> str:
    return checked(said, RULES).text


class TestAReplay:
    def test_knows_every_kind_of_rule_again(self, project):  # noqa: F811
        ANSWERS[:] = ['{"reply": 1}', '{"reply": "x"}']
        project.record(strictly)
        ANSWERS[:] = []
        again = replay("latest", fn=strictly)
        assert (again.output, again.divergences) == ('{"reply": "x"}', ())

    def test_serves_it_all_and_asks_nobody(self, project):  # noqa: F811
        ANSWERS[:] = ["no", '{"reply": "x"}']
        project.record(support, "T1")
        ANSWERS[:] = []
        again = replay("latest", fn=support)
        assert (again.output, again.divergences) == ('{"reply": "x"}', ())

    def test_with_a_fault_shows_the_guardrail_asking_again(self, project):  # noqa: F811
        ANSWERS[:] = ['{"reply": "a long answer"}']
        project.record(support, "T1")
        ANSWERS[:] = ['{"reply": "the second"}']
        again = replay("latest", fail("draft/ask/said", "truncated"), fn=support, on_divergence="live")
        assert again.output == '{"reply": "the second"}'
        recorder.flush()
        decision = self.decided(project.trace(again.trace_id))
        assert (decision.chosen, decision.attempts) == ("asked again", 2)

    decided = TestTheRecord.decided
