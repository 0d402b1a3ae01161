"""Every recorded exchange with a provider: recognised, read, and checked by what must hold of any answer."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sources import REPOSITORY
from tests.tracer.corpus import Exchange, exchanges, is_whole, is_within, model_calls, mutated, strings_in
from tracer.errors import ConfigError
from tracer.messages import ChatAnswer, ChatRequest
from tracer.providers import eventstream
from tracer.providers.headers import lowered
from tracer.providers.stream import data_of, event, timed_data

GROUPS = tuple(model_calls())
#: What is no model call, or none whose format we read: by path, and why it stays a plain HTTP step.
NOT_READ = (
    (
        r"/threads(/|$)|/assistants(/|$)|/conversations(/|$)",
        "OpenAI's stored objects; a run is only asked about",
    ),
    (r"/v1/responses/(resp_|input_tokens)", "a stored answer that is fetched again; counting tokens"),
    (r"/files|/vector_stores|/fileSearchStores|/cachedContents|/traces/ingest", "uploads and stored objects"),
    (r"/realtime/", "what a realtime session is opened with"),
    (r"/images/generations$", "images"),
    (r"(?i)count.?tokens$|/tokenize$", "counting tokens"),
    (r"/rerank$", "reranking, which counts searches"),
    (r"/v1beta/interactions$", "Google's interactions"),
    (r"^/agents/|^/retrieveAndGenerate", "Bedrock's agents, which call models themselves"),
    (r"^/$", "Hugging Face's text generation at an address of one's own"),
)
#: Answers that contradict themselves; the difference is shown, never clamped.
CONTRADICTIONS = {
    "pydantic/pydantic-ai:tests/models/openrouter/cassettes/test_cache/"
    "test_openrouter_cache_instructions_gemini_real_api.yaml#0": "the same tokens are counted as read and as written",
}


def failing(group: str, holds: Any) -> list[str]:
    """The ids for which a claim doesn't hold; what it returns in place of True says why."""
    told = ((exchange, holds(exchange)) for exchange in model_calls()[group])
    return [f"{exchange.id}: {why}" for exchange, why in told if why is not True]


ASKED_IN = ("messages", "input", "prompt", "contents", "texts", "message", "inputText", "requests", "instances")


def sent_by(exchange: Exchange) -> dict[str, Any]:
    return value_of(exchange.asked.decode("utf-8", "replace")) or {}


def value_of(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def objects_in(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict) else []
    return [*own, *(each for item in inner for each in objects_in(item))]


def has_error(exchange: Exchange) -> bool:
    return exchange.status >= 400 or any(isinstance(d, dict) and d.get("error") for d in exchange.documents)


@pytest.mark.parametrize("group", GROUPS)
class TestEveryModelCall:
    def test_says_which_model_was_asked_and_whether_to_stream(self, group):
        def holds(exchange: Exchange) -> Any:
            sent = sent_by(exchange)
            in_address = re.search(r"models?/(.+?)(:\w+|/(converse|invoke)[\w-]*)$", exchange.path)
            named = sent.get("model") if in_address is None else in_address[1].replace("%3A", ":").replace("%2F", "/")
            in_address_streams = re.search(r"stream", exchange.path, re.IGNORECASE) is not None
            streams = (
                sent.get("stream", re.search("/api/(chat|generate)$", exchange.path) is not None) or in_address_streams
            )
            asked = exchange.request
            return (asked.model, asked.stream) == (named, bool(streams)) or (asked.model, asked.stream)

        assert failing(group, holds) == []

    def test_says_what_was_asked(self, group):
        def holds(exchange: Exchange) -> Any:
            sent, asked = sent_by(exchange), exchange.request.messages
            texts = [*strings_in(sent), "".join(strings_in(sent))]
            own = (message.content for message in asked if message.role in {"system", "user"})
            if not all(any(is_within(said, text) for text in texts) for said in own):
                return asked
            return bool(asked) or not any(sent.get(field) for field in ASKED_IN) or "nothing"

        assert failing(group, holds) == []

    def test_has_an_error_where_one_came_and_only_there(self, group):
        def holds(exchange: Exchange) -> Any:
            answer = exchange.answer
            if (answer.error is not None) is not has_error(exchange):
                return answer.error
            return answer.error is None or bool(answer.error["message"]) or answer.error

        assert failing(group, holds) == []

    def test_counts_tokens_whose_parts_fit_their_totals(self, group):
        def holds(exchange: Exchange) -> Any:
            usage = exchange.answer.usage
            if usage.input_tokens is None or usage.output_tokens is None:
                return True
            raw = usage.raw or {}
            total = raw.get("total_tokens", raw.get("totalTokens", raw.get("totalTokenCount")))
            return (
                (usage.fresh_input_tokens >= 0 or exchange.id in CONTRADICTIONS)
                and (usage.reasoning_tokens or 0) <= usage.output_tokens
                and (usage.cache_write_1h_tokens or 0) <= (usage.cache_write_tokens or 0)
                and (total is None or total == usage.input_tokens + usage.output_tokens)
            ) or usage

        assert failing(group, holds) == []

    def test_counts_tokens_wherever_the_answer_does(self, group):
        counted = re.compile(rb'[tT]oken_?[cC]ount"|"(input|output|prompt|completion)_?[tT]okens"|eval_count"')

        def holds(exchange: Exchange) -> Any:
            # tokens of images that a tool made are another matter
            own = (
                {key: item for key, item in document.items() if key != "tool_usage"}
                for document in exchange.documents
                if isinstance(document, dict)
            )
            in_body = any(counted.search(json.dumps(document).encode()) for document in own)
            in_headers = any(name.endswith("token-count") for name in exchange.headers)
            known = exchange.answer.usage.input_tokens is not None or exchange.answer.usage.output_tokens is not None
            return exchange.answer.error is not None or known is (in_body or in_headers) or (in_body, in_headers)

        assert failing(group, holds) == []

    def test_says_nothing_that_is_not_in_the_raw_answer(self, group):
        def holds(exchange: Exchange) -> Any:
            message, words = exchange.answer.message, exchange.words
            if not is_within(message.content, words) or not is_within(message.reasoning or "", words):
                return message
            for call in message.tool_calls:
                # arguments that came as an object are written anew
                came = is_within(call.arguments, words) or value_of(call.arguments) in objects_in(exchange.documents)
                if call.name not in words or not came:
                    return call
            return True

        assert failing(group, holds) == []

    def test_says_something_where_the_answer_does(self, group):
        """The texts of an answer, found by a cruder way: whatever stands under a name that providers give it."""

        def holds(exchange: Exchange) -> Any:
            answer, message = exchange.answer, exchange.answer.message
            if exchange.format.kind == "embedding" or answer.error is not None:
                return message.content == ""
            said = message.content or message.tool_calls or message.reasoning
            if not said and message.parts:
                return True  # a search at the provider's, say
            spoken = "".join(words for document in exchange.documents for words in texts_in(document))
            return bool(said) is bool(spoken) or (message, spoken[:100])

        assert failing(group, holds) == []

    def test_speaks_in_a_stream_exactly_where_something_was_said(self, group):
        def holds(exchange: Exchange) -> Any:
            if exchange.how is None or exchange.answer.error is not None:
                return True
            spoken = any(exchange.format.speaks(data) for data in data_of(exchange.answered, exchange.how))
            message = exchange.answer.message
            return spoken is bool(message.content or message.reasoning or message.tool_calls) or message

        known = [f for f in failing(group, holds) if "tool_search" not in f]  # a search of the provider's, in one piece
        assert known == []

    def test_says_the_same_after_it_was_dressed_again(self, group):
        def holds(exchange: Exchange) -> Any:
            answer = exchange.answer
            for stream in (False, True):
                asked = ChatRequest("m", (), {"stream_options": {"include_usage": True}}, stream=stream)
                try:
                    worn = exchange.format.dress(asked, answer)
                except ConfigError:
                    return True
                again = exchange.format.answer(worn.status, lowered(worn.headers), worn.raw)
                if told(again) != told(answer):
                    return told(again), told(answer)
                if answer.error is None and not exchange.format.is_whole(lowered(worn.headers), worn.raw):
                    return "not whole"
            return True

        assert failing(group, holds) == []


def told(answer: ChatAnswer) -> Any:
    """What survives being dressed: who said what, and what it used in total."""
    calls = [(call.id, call.name, value_of(call.arguments)) for call in answer.message.tool_calls]
    if answer.error is not None:
        return answer.error.get("message")
    usage = answer.usage
    counted = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens or 0)
    return answer.message.content, answer.message.reasoning, calls, counted


def texts_in(value: Any, name: str = "") -> Any:
    if isinstance(value, str) and value and name in TEXT_FIELDS:
        yield value
    for key, item in value.items() if isinstance(value, dict) else ():
        if key not in NOT_SAID:
            yield from texts_in(item, key)
    for item in value if isinstance(value, list) else ():
        yield from texts_in(item, name)


TEXT_FIELDS = frozenset(
    {
        "text",
        "content",
        "completion",
        "outputText",
        "generation",
        "response",
        "output_text",
        "thinking",
        "reasoning",
        "reasoning_content",
        "arguments",
        "partial_json",
        "name",
        "refusal",
        "value",
        "transcript",
        "tool_plan",
        "summary",
        "delta",
        "encrypted_content",
        "data",
    }
)
#: Fields that repeat the request, or tell of the answer without being said.
NOT_SAID = frozenset(
    {
        "instructions",
        "tools",
        "input",
        "prompt",
        "chat_history",
        "metadata",
        "usage",
        "meta",
        "text.format",
        "trace",
        "amazon-bedrock-trace",
        "model",
        "metrics",
        "error",
        "object",
        "item_id",
        "content_filter_results",
        "prompt_filter_results",
        "promptFeedback",
        "warnings",
    }
)


class TestTheCollection:
    def test_is_read_but_for_what_is_no_model_call(self):
        paths = {exchange.path for exchange in exchanges() if exchange.format is None and exchange.method == "POST"}
        assert [path for path in sorted(paths) if not any(re.search(rule, path) for rule, _ in NOT_READ)] == []

    def test_needs_every_reason_why_something_is_not_read(self):
        paths = {exchange.path for exchange in exchanges() if exchange.format is None}
        idle = [why for rule, why in NOT_READ if not any(re.search(rule, path) for path in paths)]
        assert idle == []

    def test_holds_every_provider_framing_and_kind_of_answer(self):
        calls = [exchange for exchange in exchanges() if exchange.format is not None]
        answers = [exchange.answer for exchange in calls]
        assert len({exchange.provider for exchange in calls}) == 19
        assert {exchange.how for exchange in calls} == {None, "sse", "lines", "frames", "array"}
        assert sum(bool(answer.message.tool_calls) for answer in answers) >= 80
        assert sum(answer.message.reasoning is not None for answer in answers) >= 50
        assert sum(answer.error is not None for answer in answers) >= 25
        assert sum(bool(answer.usage.cache_write_tokens) for answer in answers) >= 5
        assert sum(answer.request_id is not None for answer in answers) >= 100

    def test_is_the_size_that_the_docs_say(self):
        read = Counter(exchange.format is not None for exchange in exchanges())
        assert read == ({True: 1821, False: 238} if is_whole() else {True: 438, False: 76})


def damaged(exchange: Exchange, chance: random.Random) -> bytes:
    """The body cut off, with some bytes changed, or with other values in its JSON."""
    raw, way = exchange.answered, chance.random()
    if not raw or way < 0.2:
        return raw[: chance.randrange(len(raw) + 1)]
    if way < 0.4:
        changed = bytearray(raw)
        for _ in range(chance.randrange(1, 9)):
            changed[chance.randrange(len(raw))] = chance.randrange(256)
        return bytes(changed)
    documents = [json.dumps(mutated(document, chance)) for document in exchange.documents]
    match exchange.how:
        case "sse":
            return "".join(f"data: {document}\n\n" for document in documents).encode()
        case "frames":
            return b"".join(reframed(frame, chance) for frame in eventstream.split(raw)[0])
        case "array":
            return f"[{','.join(documents)}]".encode()
    return "\n".join(documents).encode()


def reframed(frame: eventstream.Frame, chance: random.Random) -> bytes:
    payload = json.dumps(mutated(json.loads(frame.payload), chance)).encode()
    return eventstream.encoded(eventstream.Frame(payload, frame.headers))


_DAMAGED = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("group", GROUPS)
class TestADamagedExchange:
    @_DAMAGED
    @given(data=st.data(), seed=st.integers(0, 2**32), status=st.sampled_from([200, 429]))
    def test_is_read_without_an_exception(self, group, data, seed, status):
        chance = random.Random(seed)
        exchange = data.draw(st.sampled_from([e for e in model_calls()[group] if len(e.answered) < 60_000]))
        body, wire_format = damaged(exchange, chance), exchange.format
        answer = wire_format.answer(status, exchange.headers, body)
        assert isinstance(answer, ChatAnswer)
        assert (answer.error is not None) or status == 200
        wire_format.is_whole(exchange.headers, body)
        for text in exchange.documents[:20]:
            wire_format.speaks(json.dumps(mutated(text, chance)))
        asked = json.dumps(mutated(sent_by(exchange), chance)).encode()
        request = wire_format.request(asked)
        texts = (answer.model, answer.finish_reason, answer.error_type, answer.request_id, request.model)
        assert all(text is None or isinstance(text, str) for text in texts)
        for message in (answer.message, *request.messages):
            assert all(isinstance(text, str) for text in (message.content, message.role, message.reasoning or ""))
            assert all(isinstance(x, str) for call in message.tool_calls for x in (call.id, call.name, call.arguments))


@pytest.mark.parametrize("how", ["sse", "lines", "frames", "array"])
class TestAStreamedExchange:
    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_says_the_same_wherever_the_network_cuts_it(self, how, data):
        streamed = [e for group in model_calls().values() for e in group if e.how == how and len(e.answered) < 40_000]
        raw = data.draw(st.sampled_from(streamed)).answered
        cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=30)))
        pieces = [(number, raw[a:b]) for number, (a, b) in enumerate(zip([0, *cuts], [*cuts, len(raw)], strict=True))]
        assert [text for _, text in timed_data(pieces, how)] == list(data_of(raw, how))


def frames_of(given: dict[str, Any]) -> bytes:
    """A plain answer of converse as it would have been streamed."""
    events: list[tuple[str, Any]] = [("messageStart", {"role": "assistant"})]
    for index, block in enumerate(given["output"]["message"]["content"]):
        at, delta = {"contentBlockIndex": index}, dict(block)
        if use := block.get("toolUse"):
            events.append(("contentBlockStart", {**at, "start": {"toolUse": {**use, "input": ""}}}))
            delta = {"toolUse": {"input": json.dumps(use["input"], ensure_ascii=False)}}
        elif thought := block.get("reasoningContent"):
            delta = {"reasoningContent": thought["reasoningText"]}
        events.append(("contentBlockDelta", {**at, "delta": delta}))
    events += [("messageStop", {"stopReason": given["stopReason"]}), ("metadata", {"usage": given["usage"]})]
    named = (
        (json.dumps(payload).encode(), {":message-type": "event", ":event-type": kind}) for kind, payload in events
    )
    return b"".join(eventstream.encoded(eventstream.Frame(*frame)) for frame in named)


class TestAStreamJoined:
    """What a provider gave at once says the same when it comes in pieces."""

    def equal(self, group: str, turned: Any, content_type: str) -> int:
        plain = [each for each in model_calls()[group] if each.how is None and each.status == 200]
        for exchange in plain:
            streamed = exchange.format.answer(
                200, {"content-type": content_type}, turned(json.loads(exchange.answered))
            )
            assert told(streamed) == told(exchange.answer), exchange.id
            assert streamed.finish_reason == exchange.answer.finish_reason
            assert streamed.usage.input_tokens == exchange.answer.usage.input_tokens
        return len(plain)

    def test_of_converse_is_its_plain_form(self):
        assert self.equal("bedrock-BedrockConverse", frames_of, "application/vnd.amazon.eventstream") >= 30

    def test_of_gemini_is_its_plain_form(self):
        def pieces(given: dict[str, Any]) -> bytes:
            first = (given.get("candidates") or [{}])[0]
            parts = first.get("content", {}).get("parts", [])
            chunks = [{"candidates": [{"content": {"parts": [part]}, "index": 0}]} for part in parts]
            last = {**given, "candidates": [{**first, "content": {}}]}
            return b"".join(event(json.dumps(chunk)) for chunk in [*chunks, last])

        assert self.equal("google-Gemini", pieces, "text/event-stream") >= 50


class TestThePageAboutIt:
    def test_counts_what_is_read_of_each_provider(self):
        page = (REPOSITORY / "docs" / "providers.md").read_text(encoding="utf-8")
        said = {name: int(number) for name, number in re.findall(r"^\| ([\w-]+) \| (\d+) \|$", page, re.MULTILINE)}
        found = Counter(exchange.provider for group in model_calls().values() for exchange in group)
        assert said.keys() == found.keys()
        assert not is_whole() or said == found
