"""Every fault at every call of one trace: what came of each, and how that is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import openai
import pytest
from click.testing import CliRunner, Result

from replay import PlanError, faults
from replay.cli_faults import faults_command
from replay.injection import SLOW_S, TIMEOUT_S
from replay.plan import FAULTS
from router import Guardrails, Parses, escalate, fallback, judge
from tests.loopback import Reply
from tests.replay.support import did, done
from tracer import Target, current, effect, step, workflow
from tracer.cli import main


def ask(url: str, text: str, *, retries: int = 0, streamed: bool = False) -> str:
    with openai.OpenAI(base_url=url, api_key="not-a-real-key", max_retries=retries) as client:
        asked: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
        if not streamed:
            return client.chat.completions.create(**asked).choices[0].message.content or ""
        chunks = client.chat.completions.create(**asked, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@step
def classify(url: str, text: str) -> dict:
    return json.loads(ask(url, text))


@step(kind="tool")
def look_up(intent: str) -> list:
    did(f"look_up {intent}")
    return [f"{intent} faq", "general faq"]


@step
def draft(url: str, intent: str) -> str:
    return ask(url, f"draft for {intent}")


@effect
def send(body: str) -> str:
    did(f"send {body}")
    return "sent"


@workflow
def trusting(url: str, text: str) -> str:
    """Checks nothing."""
    return send(draft(url, classify(url, text)["intent"]))


SAYS = (Reply(words=('{"intent": "billing", "confidence": 0.9}',)), Reply(words=("Dear you, ", "it is done.")))


def outcomes(matrix: Any) -> dict[tuple[str, str], str]:
    return {(cell.path, cell.fault): cell.outcome for cell in matrix.cells}


def at(matrix: Any, path: str) -> dict[str, str]:
    return {cell.fault: cell.outcome for cell in matrix.cells if cell.path == path}


@pytest.fixture
def run(recorded, server):
    """Runs a workflow against the server, which gives these replies."""

    def record(flow: Any, *replies: Reply, **inputs: Any) -> Any:
        server.next(*replies)
        flow(server.url, "my card", **inputs)
        done()
        server.seen.clear()
        return recorded.trace()

    return record


class TestAPipelineThatChecksNothing:
    def test_shows_what_would_have_gone_out_unnoticed(self, run, server):
        trace = run(trusting, *SAYS)
        matrix = faults(trace.trace_id)
        assert matrix.faults == FAULTS
        assert matrix.steps == ("trusting/classify/chat", "trusting/draft/chat", "trusting/send")
        loud = {"timeout": "failed", "rate_limited": "failed", "server_error": "failed", "connection_reset": "failed"}
        assert at(matrix, "trusting/draft/chat") == {
            **loud, "cut_stream": "failed", "empty": "different", "truncated": "different",
            "bad_json": "not-applicable", "wrong_schema": "not-applicable", "refusal": "different",
            "low_confidence": "not-applicable", "slow": "same", "wrong_but_valid": "not-applicable",
        }  # fmt: skip
        assert at(matrix, "trusting/classify/chat") == {
            **loud, "cut_stream": "failed", "empty": "failed", "truncated": "failed", "bad_json": "failed",
            "wrong_schema": "needs-live", "refusal": "failed", "low_confidence": "same", "slow": "same",
            "wrong_but_valid": "not-applicable",
        }  # fmt: skip
        assert server.seen == []
        assert done() == []

    def test_an_effect_with_other_inputs_is_a_difference_though_it_gives_the_same(self, run):
        matrix = faults(run(trusting, *SAYS).trace_id, steps=["draft"], faults=["empty"])
        assert matrix.silent == (matrix.cell("trusting/draft/chat", "empty"),)
        assert matrix.silent[0].note == "the effect send would have got other inputs"

    def test_each_cell_is_a_replay_that_can_be_opened(self, run, recorded):
        trace = run(trusting, *SAYS)
        matrix = faults(trace.trace_id, faults=["truncated", "refusal"])
        played = [cell for cell in matrix.cells if cell.trace_id is not None]
        assert len(played) == 4
        for cell in played:
            opened = recorded.trace(cell.trace_id)
            assert opened.summary.replay_of == trace.trace_id
            assert opened.plan["rules"][0] == f"--fail {cell.path}={cell.fault}"
            assert [each.origin for each in opened.steps if each.path == cell.path] == ["injected"]

    def test_the_wrong_answer_is_one_that_the_step_gave_in_another_trace(self, run, recorded):
        run(trusting, Reply(words=('{"intent": "loans", "confidence": 0.8}',)), Reply(words=("Dear borrower",)))
        run(trusting, *SAYS)
        trace = run(trusting, *SAYS)
        matrix = faults(trace.trace_id, faults=["wrong_but_valid"])
        assert outcomes(matrix) == {
            ("trusting/classify/chat", "wrong_but_valid"): "needs-live",
            ("trusting/draft/chat", "wrong_but_valid"): "different",
            ("trusting/send", "wrong_but_valid"): "not-applicable",
        }
        sent = next(
            each
            for each in recorded.trace(matrix.cell("trusting/draft/chat", "wrong_but_valid").trace_id).steps
            if each.name == "draft"
        )
        assert recorded.value(sent) == "Dear borrower"
        assert "draft for loans" in matrix.cell("trusting/classify/chat", "wrong_but_valid").note

    def test_an_effect_may_fail_and_gives_no_answer_that_could_be_wrong(self, run):
        found = at(faults(run(trusting, *SAYS).trace_id, steps=["send"]), "trusting/send")
        assert {fault for fault, outcome in found.items() if outcome == "failed"} == {
            *("timeout", "rate_limited", "server_error", "connection_reset")
        }
        assert {outcome for fault, outcome in found.items() if fault in {"empty", "truncated", "wrong_but_valid"}} == {
            "not-applicable"
        }
        assert found["slow"] == "same"

    def test_a_step_that_was_answered_alike_in_all_traces_has_no_other_answer(self, run):
        run(trusting, *SAYS)
        matrix = faults(run(trusting, *SAYS).trace_id, faults=["wrong_but_valid"], steps=["draft"])
        assert [(cell.outcome, cell.note) for cell in matrix.cells] == [
            ("not-applicable", "no other answer is recorded")
        ]

    def test_what_the_record_does_not_hold_is_asked_only_where_that_is_allowed(self, run, server):
        run(trusting, Reply(words=('{"intent": "loans", "confidence": 0.8}',)), Reply(words=("Dear borrower",)))
        trace = run(trusting, *SAYS)
        told = {"steps": ["classify"], "faults": ["wrong_but_valid"]}
        assert faults(trace.trace_id, **told).cells[0].outcome == "needs-live"
        assert server.seen == []
        server.next(Reply(words=("Dear borrower",)))
        assert faults(trace.trace_id, **told, allow_live=True).cells[0].outcome == "different"
        assert len(server.seen) == 1
        assert faults(trace.trace_id, **told, allow_live=True, budget_usd=0).cells[0].outcome == "stopped"
        assert len(server.seen) == 1
        assert done() == []


# -- a pipeline that is ready for it ----------------------------------------------------------------------------------

TARGETS = (Target("first", model="gpt-4o-mini", base_url="http://127.0.0.1:9"), Target("canned", call=lambda _: ""))
FORM = Guardrails((Parses(("reply",)),))


@step
def canned(text: str) -> str:
    return json.dumps({"reply": f"We will look at {text}."})


@workflow
def ready(url: str, text: str) -> str:
    """Retries, falls back, checks what came, and asks a human where that is of no use."""

    def by(target: Target) -> str:
        if target.name == "canned":
            return canned(text)
        return ask(url, text, retries=2)

    written = fallback(TARGETS, by, on=openai.APIError, name="write")
    verdict = judge(written.value, FORM)
    if not verdict.passed:
        return escalate(f"What do we say to {text}?")
    return json.loads(written.value)["reply"]


class TestAPipelineThatIsReady:
    REPLY = Reply(words=('{"tone": "kind", "reply": "Dear you"}',))
    AT = "ready/write/first/chat"

    def test_nothing_slips_through(self, run, server):
        matrix = faults(run(ready, self.REPLY).trace_id)
        assert at(matrix, self.AT) == {
            "timeout": "degraded", "rate_limited": "degraded", "server_error": "degraded",
            "connection_reset": "degraded", "cut_stream": "degraded", "empty": "escalated", "truncated": "escalated",
            "bad_json": "escalated", "wrong_schema": "escalated", "refusal": "escalated",
            "low_confidence": "not-applicable", "slow": "same", "wrong_but_valid": "not-applicable",
        }  # fmt: skip
        assert matrix.silent == ()
        assert matrix.cell(self.AT, "timeout").note == (
            "ready/write/first failed, a fallback was tried; ready/write/canned answered instead; "
            "ready/write/canned/canned answered instead"
        )
        assert server.seen == []

    def test_a_fault_that_comes_once_is_answered_by_the_retry(self, run, server, recorded):
        told = ["timeout", "rate_limited", "server_error", "connection_reset"]
        matrix = faults(run(ready, self.REPLY).trace_id, faults=told, once=True)
        assert set(at(matrix, self.AT).values()) == {"degraded"}
        for cell in matrix.cells:
            assert cell.note == "ready/write/first/chat[1] answered, a retry"
            new = recorded.trace(cell.trace_id)
            assert [each.origin for each in new.steps if each.name == "chat"] == ["injected", "recorded"]
            assert recorded.value(new.root) == "Dear you"
            assert new.plan["rules"][0] == f"--fail {self.AT}={cell.fault}:once"
        assert server.seen == []

    def test_every_try_of_a_struck_call_fails(self, run, recorded):
        matrix = faults(run(ready, self.REPLY).trace_id, faults=["server_error"])
        new = recorded.trace(matrix.cells[0].trace_id)
        assert [each.origin for each in new.steps if each.name == "chat"] == ["injected"] * 3

    def test_no_time_is_waited(self, run):
        matrix = faults(run(ready, self.REPLY).trace_id, faults=["timeout", "slow"])
        assert matrix.virtual_s > 3 * TIMEOUT_S + SLOW_S


# -- loops, swallowed errors, tags, choices ----------------------------------------------------------------------------


@workflow
def persistent(url: str, text: str) -> dict:
    for _ in range(2):
        try:
            return classify(url, text)
        except (openai.APIError, ValueError):
            continue
    return classify(url, text)


@workflow
def careless(url: str, text: str) -> str:
    try:
        return ask(url, text)
    except Exception:  # noqa: BLE001 - what the test is about
        return ""


@workflow
def candid(url: str, text: str) -> str:
    try:
        return ask(url, text)
    except openai.APIError:
        current().set(tags={"degraded": True})
        return "busy"


class TestWhatTheTraceSays:
    def test_a_loop_that_tries_again_is_a_retry(self, run, server):
        trace = run(persistent, SAYS[0])
        told = {"faults": ["server_error", "bad_json"]}
        assert set(outcomes(faults(trace.trace_id, **told)).values()) == {"failed"}
        once = faults(trace.trace_id, **told, once=True)
        assert [(cell.outcome, cell.note) for cell in once.cells] == [
            (
                "degraded",
                "persistent/classify[1] answered, tried again; persistent/classify[1]/chat answered, tried again",
            )
        ] * 2
        assert server.seen == []

    def test_an_error_that_is_swallowed_is_silent(self, run):
        (cell,) = faults(run(careless).trace_id, faults=["timeout"]).cells
        assert (cell.outcome, cell.note) == ("different", "the result differs at $: 'Hello, world' -> ''")

    def test_unless_the_code_says_so(self, run):
        (cell,) = faults(run(candid).trace_id, faults=["timeout"]).cells
        assert (cell.outcome, cell.note) == ("degraded", "candid says that it is degraded")

    def test_a_run_that_failed_and_fails_the_same_way_is_the_same(self, recorded, server):
        server.next(*[Reply(status=500)] * 4)
        with pytest.raises(openai.InternalServerError):
            trusting(server.url, "my card")
        server.seen.clear()
        matrix = faults("latest", faults=["slow", "truncated", "timeout"])
        assert at(matrix, "trusting/classify/chat") == {
            "slow": "same",
            "truncated": "not-applicable",
            "timeout": "failed",
        }


@workflow
async def fanned_out(url: str, text: str) -> list:
    async def one() -> str | None:
        try:
            return (await client.chat.completions.create(**asked)).choices[0].message.content
        except openai.APIError:
            return None

    @step
    async def asks() -> str | None:
        return await one()

    asked: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
    async with openai.AsyncOpenAI(base_url=url, api_key="not-a-real-key", max_retries=1) as client:
        return await asyncio.gather(asks(), asks())


class TestEqualCallsSideBySide:
    @pytest.mark.parametrize("fault", ["server_error", "cut_stream"])
    def test_only_the_one_that_is_named_fails_with_every_try_of_it(self, recorded, server, fault):
        asyncio.run(fanned_out(server.url, "q"))
        server.seen.clear()
        for at_step, given_back in (("asks/chat", [None, "Hello, world"]), ("asks[1]/chat", ["Hello, world", None])):
            trace = recorded.trace().summary.replay_of or recorded.trace().trace_id
            (cell,) = faults(trace, steps=[f"fanned_out/{at_step}"], faults=[fault]).cells
            assert cell.outcome == "different"
            new = recorded.trace(cell.trace_id)
            assert recorded.value(new.root) == given_back
            assert sorted(each.origin for each in new.steps if each.name == "chat") == [
                "injected",
                "injected",
                "recorded",
            ]
        assert server.seen == []


# -- tools and streams -------------------------------------------------------------------------------------------------


@step(kind="llm", model="intent-lr")
def guess(text: str) -> dict:
    return {"intent": "billing", "confidence": 0.9}


@workflow
def local(text: str) -> list:
    return look_up(guess(text)["intent"])


class TestStepsWithoutAModelCall:
    def test_fail_by_what_they_give_and_raise(self, recorded):
        local("my card")
        done()
        matrix = faults("latest")
        assert at(matrix, "local/look_up") == {
            "timeout": "failed", "rate_limited": "failed", "server_error": "failed", "connection_reset": "failed",
            "cut_stream": "not-applicable", "empty": "different", "truncated": "different",
            "bad_json": "not-applicable", "wrong_schema": "different", "refusal": "not-applicable",
            "low_confidence": "not-applicable", "slow": "same", "wrong_but_valid": "not-applicable",
        }  # fmt: skip
        assert at(matrix, "local/guess")["low_confidence"] == "same"
        assert at(matrix, "local/guess")["wrong_schema"] == "needs-live"
        assert at(matrix, "local/guess")["empty"] == "failed"
        assert done() == []


@workflow
def streaming(url: str, text: str) -> str:
    return ask(url, text, streamed=True)


@workflow
async def streaming_later(url: str, text: str) -> str:
    async with openai.AsyncOpenAI(base_url=url, api_key="not-a-real-key", max_retries=0) as client:
        asked: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
        async with asyncio.timeout(SLOW_S / 2):
            chunks = await client.chat.completions.create(**asked, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])


class TestStreams:
    @pytest.mark.parametrize("flow", [streaming, streaming_later], ids=["sync", "async"])
    def test_a_streamed_call_fails_as_a_stream(self, recorded, server, flow):
        server.next(Reply(words=("one ", "two ", "three ", "four")))
        made = flow(server.url, "count")
        assert (asyncio.run(made) if flow is streaming_later else made) == "one two three four"
        matrix = faults("latest")
        found = at(matrix, f"{flow.__name__}/chat")
        assert {fault for fault, outcome in found.items() if outcome == "different"} == {
            *("empty", "truncated", "refusal")
        }
        assert found["cut_stream"] == "failed"
        cut = recorded.trace(matrix.cell(f"{flow.__name__}/chat", "cut_stream").trace_id)
        answer = recorded.value(next(each for each in cut.steps if each.name == "chat"))
        assert answer.ended == "broken"
        assert b"one" in answer.raw
        assert b"four" not in answer.raw

    def test_a_slow_answer_passes_the_deadline_around_it(self, recorded, server):
        asyncio.run(streaming_later(server.url, "count"))
        (cell,) = faults("latest", faults=["slow"]).cells
        assert (cell.outcome, cell.note) == ("failed", "TimeoutError:")


# -- what can't be tried -----------------------------------------------------------------------------------------------


@workflow
def idle(text: str) -> str:
    return text


class TestRefusals:
    def test_a_trace_that_does_not_replay_by_itself_is_not_tried(self, recorded, module):
        flow = """
            from tracer import step, workflow

            @step(kind="tool")
            def tool(text):
                return text

            @workflow
            def flow(text):
                return tool(text)
        """
        module(flow).flow("a")
        trace = recorded.trace()
        module(flow.replace("return tool(text)", "return tool(text + '!')"))
        matrix = faults(trace.trace_id)
        assert matrix.cells == ()
        assert "flow/tool: input-changed" in matrix.stopped

    @pytest.mark.parametrize(
        ("told", "said"),
        [
            ({"faults": ["meteor"]}, "no fault 'meteor'; there are timeout"),
            (
                {"steps": ["lookup"]},
                r"--step lookup names no model call and no tool of this trace \(it has local/guess",
            ),
            ({"budget_usd": -1}, "amount of dollars"),
        ],
        ids=["fault", "step", "budget"],
    )
    def test_what_is_not_there_is_said_before_anything_runs(self, recorded, told, said):
        local("my card")
        with pytest.raises(PlanError, match=said):
            faults("latest", **told)
        assert len(recorded.trace().steps) == 3
        assert recorded.trace().summary.replay_of is None

    def test_a_workflow_without_calls_has_an_empty_matrix(self, recorded):
        idle("a")
        assert faults("latest").cells == ()


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch):
    monkeypatch.setitem(main.commands, "faults", faults_command)

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["faults", *words])

    return run


class TestTheCommand:
    def test_it_ends_with_1_where_a_fault_slipped_through(self, run, command):
        trace = run(trusting, *SAYS)
        result = command(trace.trace_id, "--step", "draft", "--fault", "empty", "--fault", "timeout")
        lines = result.stdout.splitlines()
        assert result.exit_code == 1
        assert lines[1].split() == ["step", "timeout", "empty"] or lines[0].split() == ["step", "timeout", "empty"]
        assert next(line for line in lines if line.startswith("draft/chat")).split() == ["draft/chat", "x", "!"]
        assert any(line.startswith("! trusting/draft/chat  empty  the effect send would have") for line in lines)
        assert lines[-1].startswith("1 fault slipped through. 2 replays; cost $0; ")

    def test_and_with_0_where_none_did(self, run, command):
        trace = run(trusting, *SAYS)
        result = command(trace.trace_id, "--step", "draft", "--fault", "timeout", "--fault", "slow")
        assert result.exit_code == 0
        assert "No fault slipped through" in result.stdout

    def test_a_program_gets_every_cell(self, run, command):
        trace = run(trusting, *SAYS)
        result = command(trace.trace_id, "--json", "--once")
        found = json.loads(result.stdout)
        assert (found["trace_id"], found["once"], found["cost_usd"]) == (trace.trace_id, True, 0.0)
        assert len(found["cells"]) == 3 * len(FAULTS) == sum(found["counts"].values())

    def test_the_xml_has_a_test_case_for_every_cell(self, run, command, tmp_path):
        trace = run(trusting, *SAYS)
        result = command(trace.trace_id, "--step", "draft", "--junit", str(tmp_path / "faults.xml"))
        assert result.exit_code == 1
        suite = ET.parse(tmp_path / "faults.xml").getroot().find("testsuite")
        assert suite.get("tests") == str(len(FAULTS)) == str(len(suite.findall("testcase")))
        failed = {case.get("name") for case in suite.findall("testcase") if case.find("failure") is not None}
        assert failed == {"empty", "truncated", "refusal"}
        assert suite.get("failures") == "3"
        skipped = {case.get("name") for case in suite.findall("testcase") if case.find("skipped") is not None}
        assert skipped == {"bad_json", "wrong_schema", "low_confidence", "wrong_but_valid"}

    def test_text_that_xml_can_not_hold_does_not_break_it(self, run, command, tmp_path):
        trace = run(careless, Reply(words=("bell \a and <tag> ",)))
        command(trace.trace_id, "--junit", str(tmp_path / "faults.xml"))
        ET.parse(tmp_path / "faults.xml")

    @pytest.mark.parametrize(
        "words",
        [["--fault", "meteor"], ["--step", "nobody"], ["--budget-usd", "1"], ["--junit", "/no/such/folder/f.xml"]],
        ids=["fault", "step", "budget", "junit"],
    )
    def test_wrong_use_ends_with_2_and_one_line(self, run, command, words):
        trace = run(careless)
        result = command(trace.trace_id, "--fault", "timeout", *words)
        assert (result.exit_code, result.stdout) == (2, "")

    def test_a_trace_that_does_not_replay_ends_with_3(self, recorded, module, command, tmp_path: Path):
        flow = """
            from tracer import step, workflow

            @step(kind="tool")
            def tool(text):
                return text

            @workflow
            def flow(text):
                return tool(text)
        """
        module(flow).flow("a")
        trace = recorded.trace()
        module(flow.replace("return tool(text)", "return tool(text + '!')"))
        result = command(trace.trace_id, "--junit", str(tmp_path / "faults.xml"))
        assert result.exit_code == 3
        assert result.stdout.startswith("■ stopped without any fault  flow/tool: input-changed")
        assert ET.parse(tmp_path / "faults.xml").getroot().get("errors") == "1"
