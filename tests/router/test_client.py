"""Asking models through the client: over real connections to a provider on this machine, and recorded like any call."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import pickle
import threading
from itertools import pairwise
from typing import Any, Iterator, Literal

import httpx
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict  # pydantic's wish before Python 3.12

import replay
from router import (
    CallTimedOut,
    InvalidAnswer,
    NoConnection,
    NotAskable,
    PromptTooLong,
    ProviderError,
    StreamBroke,
    Undecided,
    ask,
    ask_async,
    ask_stream,
    ask_stream_async,
    from_classifier,
)
from router import Reply as AReply
from router.client.asking import prepared
from router.client.shape import Shape
from router.client.streams import Hearing
from tests import recording
from tests.loopback import MODEL, Loopback, Reply
from tests.recording import Project, step_named
from tracer import FREE, Price, Target, codec, configure, recorder, step, workflow
from tracer.messages import ChatAnswer, Message
from tracer.model import Usage
from tracer.providers import CHAT, MESSAGES

project = recording.project

FORMATS = ("openai", "anthropic")


class Ticket(pydantic.BaseModel):
    intent: Literal["card", "loan"]
    urgent: bool = False


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Pair(TypedDict):
    a: int
    b: str


class Tree(pydantic.BaseModel):
    name: str
    below: list[Tree] = []


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as made:
        yield made


def target(server: Loopback, wire: Any = "openai", **fields: Any) -> Target:
    return Target("one", model="m-1", base_url=server.url, format=wire, **fields)


def says(value: Any) -> Reply:
    return Reply(words=(value if isinstance(value, str) else json.dumps(value),))


@pytest.mark.parametrize("wire", FORMATS)
class TestAskingAnEndpoint:
    def test_gives_the_text_with_who_said_it_and_what_it_used(self, server, wire):
        reply = ask(target(server, wire), "hi", max_tokens=9, temperature=0)
        assert (reply.value, reply.text, reply.target, reply.model) == ("Hello, world",) * 2 + ("one", MODEL)
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (11, 7)
        (seen,) = server.seen
        assert seen.path == ("/v1/messages" if wire == "anthropic" else "/v1/chat/completions")
        assert (seen.body["model"], seen.body["max_tokens"], seen.body["temperature"]) == ("m-1", 9, 0)

    def test_is_the_same_for_coroutines(self, server, wire):
        one = target(server, wire)
        assert asyncio.run(ask_async(one, "hi")) == ask(one, "hi")

    def test_reads_the_key_from_the_environment_at_the_call(self, server, wire, monkeypatch):
        monkeypatch.setenv("KEY_OF_ONE", "k-1")
        ask(target(server, wire, api_key_env="KEY_OF_ONE"), "hi")
        (seen,) = server.seen
        sent = seen.headers.get("x-api-key") if wire == "anthropic" else seen.headers.get("authorization")
        assert sent == ("k-1" if wire == "anthropic" else "Bearer k-1")

    def test_sends_a_conversation_as_it_is_given(self, server, wire):
        ask(target(server, wire), [Message("system", "be brief"), {"role": "user", "content": "hi"}])
        body = server.seen[0].body
        if wire == "anthropic":
            assert body["system"] == [{"type": "text", "text": "be brief"}]
            assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
        else:
            assert [turn["content"] for turn in body["messages"]] == ["be brief", "hi"]

    def test_a_typed_answer_is_asked_for_by_its_schema_and_comes_as_its_type(self, server, wire):
        server.next(says({"intent": "card", "urgent": True}))
        reply = ask(target(server, wire), "hi", Ticket)
        assert reply.value == Ticket(intent="card", urgent=True)
        body = server.seen[0].body
        schema = (
            body["output_config"]["format"]["schema"]
            if wire == "anthropic"
            else body["response_format"]["json_schema"]["schema"]
        )
        assert schema["required"] == ["intent", "urgent"]
        assert schema["additionalProperties"] is False

    def test_an_answer_that_is_no_json_says_so_and_keeps_its_usage(self, server, wire):
        server.next(says("I think it is a card"))
        with pytest.raises(InvalidAnswer, match=r"the answer of one is not what was asked for: Invalid JSON") as raised:
            ask(target(server, wire), "hi", Ticket)
        assert raised.value.text == "I think it is a card"
        assert raised.value.reply.usage.output_tokens == 7

    def test_a_valid_but_wrong_answer_says_where(self, server, wire):
        server.next(says({"intent": "pizza", "urgent": 3}))
        with pytest.raises(InvalidAnswer) as raised:
            ask(target(server, wire), "hi", Ticket)
        assert [line.split(":")[0] for line in raised.value.errors] == ["intent", "urgent"]

    @pytest.mark.parametrize("wait", ["2", None])
    def test_a_429_is_raised_at_once_with_how_long_to_wait(self, server, wire, wait):
        server.next(Reply(status=429, headers={} if wait is None else {"retry-after": wait}))
        with pytest.raises(ProviderError, match=r"one: 429: no, 429") as raised:
            ask(target(server, wire), "hi")
        assert (raised.value.status_code, raised.value.request_id) == (429, "req-1")
        assert raised.value.retry_after_s == (None if wait is None else 2.0)
        assert len(server.seen) == 1

    def test_a_401_names_the_variable_that_is_not_set(self, server, wire):
        server.next(Reply(status=401))
        with pytest.raises(ProviderError, match=r"the environment variable NO_SUCH_KEY is not set"):
            ask(target(server, wire, api_key_env="NO_SUCH_KEY"), "hi")

    def test_a_timeout_and_a_dropped_connection_are_the_builtin_errors_too(self, server, wire):
        server.next(Reply(before=threading.Event()))
        with pytest.raises(TimeoutError) as timed_out:
            ask(target(server, wire), "hi", timeout_s=0.05)
        assert isinstance(timed_out.value, CallTimedOut)
        server.next(Reply(hang_up=True))
        with pytest.raises(ConnectionError) as dropped:
            ask(target(server, wire), "hi")
        assert isinstance(dropped.value, NoConnection)

    def test_a_stream_gives_pieces_and_then_the_whole(self, server, wire):
        server.next(says({"intent": "loan", "urgent": False}))
        with ask_stream(target(server, wire), "hi", Ticket) as spoken:
            pieces = list(spoken)
        assert "".join(pieces) == spoken.text == spoken.reply.text
        assert spoken.reply.value == Ticket(intent="loan")
        assert (spoken.reply.usage.input_tokens, spoken.reply.model) == (11, MODEL)

    def test_a_stream_comes_as_it_is_said(self, server, wire):
        gate = threading.Event()
        server.next(Reply(words=("Hello", " you"), gates={3: gate}))
        spoken = iter(ask_stream(target(server, wire), "hi"))
        assert next(spoken) == ("Hello you" if wire == "anthropic" else "Hello")
        gate.set()
        assert "".join(spoken) == ("" if wire == "anthropic" else " you")

    def test_a_cut_stream_is_told_with_what_was_said(self, server, wire):
        server.next(Reply(words=("Hello", " you"), cut_after=3))
        with pytest.raises(StreamBroke) as raised:
            list(ask_stream(target(server, wire), "hi"))
        assert raised.value.text.startswith("Hello")

    def test_a_refused_stream_is_raised_before_its_first_word(self, server, wire):
        server.next(Reply(status=529))
        with pytest.raises(ProviderError, match="529"):
            ask_stream(target(server, wire), "hi")

    def test_an_error_in_the_middle_of_a_stream_is_told_with_what_was_said(self, server, wire):
        said = MESSAGES if wire == "anthropic" else CHAT
        asked = said.request(b'{"stream": true, "messages": []}')
        begun, hello, after = said.dress(asked, ChatAnswer.of("Hello")).raw.partition(b"Hello")
        broken = begun + hello + after.partition(b"\n\n")[0] + b"\n\n"
        broken += b'data: {"type": "error", "error": {"type": "overloaded_error", "message": "too busy"}}\n\n'
        server.next(Reply(body=broken, headers={"content-type": "text/event-stream"}))
        with pytest.raises(StreamBroke, match="too busy") as raised:
            list(ask_stream(target(server, wire), "hi"))
        assert raised.value.text == "Hello"

    def test_streams_for_coroutines_do_all_that_too(self, server, wire):
        async def talk():
            spoken = await ask_stream_async(target(server, wire), "hi")
            pieces = [piece async for piece in spoken]
            server.next(Reply(words=("Hello", " you"), cut_after=3), Reply(status=500))
            with pytest.raises(StreamBroke):
                async for _ in await ask_stream_async(target(server, wire), "hi"):
                    pass
            with pytest.raises(ProviderError):
                await ask_stream_async(target(server, wire), "hi")
            return "".join(pieces), spoken.reply

        text, reply = asyncio.run(talk())
        assert text == reply.value == "Hello, world"


class TestAskingAtAll:
    def test_a_compressed_answer_and_a_server_that_does_not_stream(self, server):
        server.next(Reply(compressed=True), Reply(body=b'{"choices": [{"message": {"content": "all at once"}}]}'))
        assert ask(target(server), "hi").value == "Hello, world"
        assert list(ask_stream(target(server), "hi")) == ["all at once"]

    def test_a_target_may_be_named_by_the_catalogue(self, server):
        configure(models={"short": target(server)})
        assert ask("short", "hi").target == "short"

    def test_a_client_of_ones_own_sends_it(self, server):
        with httpx.Client(headers={"x-mine": "1"}) as mine:
            ask(target(server), "hi", client=mine)
            server.next(Reply(before=threading.Event()))
            with pytest.raises(CallTimedOut):
                ask(target(server), "hi", timeout_s=0.05, client=mine)
        assert server.seen[0].headers["x-mine"] == "1"

    @pytest.mark.parametrize("sample", [1.0, 0.0], ids=["recorded", "left-out"])
    def test_a_model_that_has_to_be_started_is_started_before_it_is_asked(self, server, sample):
        started = []

        class Engine:
            url = server.url

            def start(self):
                started.append(1)

            def stop(self):
                """Nothing was started."""

        configure(models=[Target("local", launcher=Engine())], sample=sample)
        assert ask("local", "hi").target == "local"
        assert workflow(lambda: ask("local", "hi").text)() == "Hello, world"
        assert started == [1]

    def test_further_fields_go_along(self, server):
        ask(target(server), "hi", options={"seed": 7, "stop": ["\n"]})
        assert (server.seen[0].body["seed"], server.seen[0].body["stop"]) == (7, ["\n"])

    def test_logprobs_come_as_tokens(self, server):
        token = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}
        choice = {"message": {"role": "assistant", "content": "Hi"}, "logprobs": {"content": [token]}}
        server.next(Reply(body=json.dumps({"choices": [choice]}).encode()))
        (said,) = ask(target(server), "hi", logprobs=True).tokens
        assert (said.text, said.logprob, said.data) == ("Hi", -0.5, b"Hi")
        assert server.seen[0].body["logprobs"] is True

    @pytest.mark.parametrize(
        ("kind", "said", "value"),
        [
            (Point, {"x": 1, "y": 2}, Point(1, 2)),
            (Pair, {"a": 1, "b": "c"}, {"a": 1, "b": "c"}),
            (list[int], {"value": [1, 2]}, [1, 2]),
            (Literal["yes", "no"], {"value": "no"}, "no"),
            (Tree, {"name": "a", "below": [{"name": "b", "below": []}]}, Tree(name="a", below=[Tree(name="b")])),
            (dict[str, int], {"k": 1}, {"k": 1}),
        ],
        ids=["dataclass", "typed-dict", "list", "literal", "recursive", "open"],
    )
    def test_any_type_that_pydantic_knows_can_be_asked_for(self, server, kind, said, value):
        server.next(says(said))
        assert ask(target(server), "hi", kind).value == value
        wanted = server.seen[0].body["response_format"]["json_schema"]
        assert wanted["schema"]["type"] == "object"
        assert wanted["strict"] is (kind != dict[str, int])

    def test_a_wrapped_answer_without_its_field_is_invalid(self, server):
        server.next(says("[1, 2]"))
        with pytest.raises(InvalidAnswer, match="no object with the field 'value'"):
            ask(target(server), "hi", list[int])


def streamed(wire: str, text: str) -> tuple[Any, bytes]:
    """A question that asks for a stream, and the bytes of one that answers it."""
    asking = prepared(
        Target("one", base_url="http://127.0.0.1/v1", format=wire),  # type: ignore[arg-type]  # one of FORMATS
        "hi",
        None,
        temperature=None,
        max_tokens=None,
        logprobs=False,
        timeout_s=None,
        count=None,
        options={},
        stream=True,
    )
    answer = ChatAnswer.of(text, model="m", usage=Usage(3, 4))
    return asking, asking.wire.dress(asking.wire.request(asking.content), answer).raw


class TestHearing:
    @given(st.sampled_from(FORMATS), st.text(max_size=40), st.lists(st.integers(0, 2000), max_size=6))
    def test_a_stream_says_the_same_wherever_its_bytes_are_cut(self, wire, text, cuts):
        asking, raw = streamed(wire, text)
        hearing = Hearing(asking, 200, {"content-type": "text/event-stream"})
        places = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
        pieces = [piece for start, end in pairwise(places) for piece in hearing.feed(raw[start:end])]
        reply = hearing.end()
        assert "".join(pieces) == reply.text == text
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (3, 4)

    @given(st.sampled_from(FORMATS), st.text(min_size=1, max_size=40), st.integers(0, 400))
    def test_a_stream_that_ends_before_its_model_is_never_taken_for_whole(self, wire, text, missing):
        asking, raw = streamed(wire, text)
        last = raw.rindex(b"data: ", 0, raw.rindex(b'"end_turn"' if wire == "anthropic" else b'"stop"'))
        hearing = Hearing(asking, 200, {"content-type": "text/event-stream"})
        hearing.feed(raw[: max(last - missing, 0)])
        with pytest.raises(StreamBroke) as raised:
            hearing.end()
        assert text.startswith(raised.value.text)

    def test_a_server_that_never_says_done_is_whole_where_its_model_said_why_it_stopped(self):
        asking, raw = streamed("openai", "Hello")
        hearing = Hearing(asking, 200, {"content-type": "text/event-stream"})
        hearing.feed(raw.replace(b"data: [DONE]\n\n", b""))
        assert hearing.end().text == "Hello"


class TestReadingATypedAnswer:
    @given(st.sampled_from([Ticket, Point, Tree, list[int], dict[str, int]]), st.text(max_size=30))
    def test_any_text_is_read_or_refused_with_reasons(self, kind, text):
        _, errors = Shape(kind).read(text)
        assert errors or json.loads(text) is not None

    @given(
        st.recursive(
            st.builds(Tree, name=st.text(max_size=5)),
            lambda below: st.builds(Tree, name=st.text(max_size=5), below=st.lists(below, max_size=2)),
            max_leaves=5,
        )
    )
    def test_what_follows_the_schema_comes_back_equal(self, tree):
        assert Shape(Tree).read(tree.model_dump_json()) == (tree, ())


class TestWhatIsNotSent:
    def test_a_prompt_that_the_window_cannot_hold(self, server):
        def words(messages, model):
            return sum(len(message.content.split()) for message in messages)

        small = target(server, context_tokens=10)
        assert ask(small, "one two", max_tokens=8, count=words).value
        with pytest.raises(PromptTooLong) as raised:
            ask(small, "one two three", max_tokens=8, count=words)
        assert (raised.value.tokens, raised.value.limit, raised.value.target) == (3, 2, "one")
        assert len(server.seen) == 1

    def test_a_prompt_is_counted_by_the_tokenizer_there_is(self, server):
        small = target(server, context_tokens=20)
        assert ask(small, "word " * 10).value
        with pytest.raises(PromptTooLong, match="the prompt has about 38 tokens, and one takes 20"):
            ask(small, "word " * 30)
        assert len(server.seen) == 1

    @pytest.mark.parametrize(
        ("fields", "wishes", "told"),
        [
            ({"base_url": None}, {}, "it has no address"),
            ({"format": "same"}, {}, "say 'openai' or 'anthropic'"),
            ({"max_output_tokens": 5}, {"max_tokens": 6}, "it answers with at most 5"),
            ({"format": "anthropic"}, {"logprobs": True}, "logprobs"),
            ({}, {"options": {"seed": object()}}, "no JSON"),
            ({}, {"temperature": float("nan")}, "no JSON"),
            ({}, {"options": {"stream": True, "seed": 1}}, "options can't hold stream"),
        ],
        ids=["no-address", "same", "max-tokens", "logprobs", "no-json", "nan", "ours"],
    )
    def test_what_the_target_cannot_be_asked(self, server, fields, wishes, told):
        with pytest.raises(NotAskable, match=told):
            ask(dataclasses.replace(target(server), **fields), "hi", **wishes)
        assert server.seen == []

    def test_a_wish_that_there_is_not(self, server):
        with pytest.raises(TypeError, match="ask takes no temprature"):
            ask(target(server), "hi", temprature=0)

    @pytest.mark.parametrize("messages", [[], ["hi"], [{"content": "hi"}]], ids=["none", "text", "no-role"])
    def test_what_is_no_conversation(self, server, messages):
        with pytest.raises(NotAskable, match="message"):
            ask(target(server), messages)


class TestTheErrors:
    @pytest.mark.parametrize(
        "error",
        [
            ProviderError("one", "429: no", status_code=429, error_type="limit", retry_after_s=2.0, request_id="r"),
            StreamBroke("one", "cut", "Hel"),
            CallTimedOut("one", "no answer for 1 s"),
            PromptTooLong(11, 10, "one"),
            InvalidAnswer("one", "x", ("a: b",), AReply("x", "x", "one", "m")),
            Undecided("tied", [("x", 1.0)]),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_come_back_from_the_record_and_from_another_process_with_all_they_say(self, error):
        encoded = codec.encode(error)
        again = codec.decode(encoded.data)
        assert encoded.lossy == ()
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
        moved = pickle.loads(pickle.dumps(error))
        assert (type(moved), str(moved), vars(moved)) == (type(error), str(error), vars(error))


def shout(request):
    return request.messages[-1].content.upper()


class TestAskingAPythonFunction:
    def test_gives_what_it_returns_under_its_name(self):
        reply = ask(Target("shout", call=shout), "hi")
        assert (reply.value, reply.model, reply.target) == ("HI", "shout", "shout")
        assert asyncio.run(ask_async(Target("shout", call=shout), "hi")) == reply

    def test_knows_usage_types_and_streams(self):
        def classify(request):
            assert request.parameters["response_format"]["type"] == "json_schema"
            return ChatAnswer.of('{"intent": "loan", "urgent": false}', usage=Usage(3, 4))

        one = Target("lr", call=classify)
        assert ask(one, "hi", Ticket).value.intent == "loan"
        assert ask(one, "hi", Ticket).usage.input_tokens == 3
        with ask_stream(one, "hi", Ticket) as spoken:
            assert "".join(spoken) == '{"intent": "loan", "urgent": false}'
        assert spoken.reply.value == Ticket(intent="loan")

    def test_raises_what_it_raises(self):
        def broken(request):
            raise KeyError("weights")

        with pytest.raises(KeyError, match="weights"):
            ask(Target("broken", call=broken), "hi")

    def test_must_give_a_text_or_an_answer(self):
        with pytest.raises(TypeError, match="the call of count must give a text or a ChatAnswer, not 3"):
            ask(Target("count", call=lambda _: 3), "hi")  # type: ignore[arg-type, return-value]

    def test_an_error_that_it_answers_with_is_a_providers_error(self):
        def refuse(request):
            return ChatAnswer.of("", error={"message": "not today"})

        with pytest.raises(ProviderError, match="not today"):
            ask(Target("refuse", call=refuse), "hi")


@step
def classify(ticket: str, name: str) -> Ticket:
    return ask(name, ticket, Ticket).value


@workflow
def triage(ticket: str, name: str = "one") -> str:
    return classify(ticket, name).intent


def always_loan(request):
    return '{"intent": "loan", "urgent": false}'


class TestTheRecord:
    def test_an_asked_endpoint_is_a_model_call_with_its_price(self, server, project: Project):
        server.next(says({"intent": "card", "urgent": False}))
        configure(models=[target(server, price=Price(1000, 2000))])
        trace = project.record(triage, "my card")
        call = step_named(trace, "chat")
        assert (call.path, call.kind) == ("triage/classify/chat", "llm")
        assert call.call is not None
        assert (call.call.model_asked, call.call.model) == ("m-1", MODEL)
        assert call.call.cost is not None
        assert call.call.cost.nusd == 11 * 1000 + 7 * 2000

    def test_a_target_that_is_in_no_catalogue_has_its_price_all_the_same(self, server, project: Project):
        one = target(server, price=FREE)

        @workflow
        def once():
            return ask(one, "hi").text

        call = step_named(project.record(once), "chat").call
        assert call is not None
        assert call.cost is not None
        assert call.cost.nusd == 0
        assert "one" in recorder.catalogue()

    def test_an_asked_function_is_a_model_call_too_and_what_it_calls_is_its_own_affair(self, project: Project):
        @step
        def inner(text):
            return text

        def answer(request):
            inner("not the pipeline's")
            return always_loan(request)

        configure(models={"lr": answer})
        trace = project.record(triage, "my card", "lr")
        assert [(each.path, each.kind) for each in trace.steps] == [
            ("triage", "workflow"),
            ("triage/classify", "step"),
            ("triage/classify/chat", "llm"),
        ]
        call = trace.steps[-1].call
        assert call is not None
        assert (call.provider, call.model) == ("local", "lr")

    def test_replies_and_guesses_pass_between_steps_as_they_are(self, project: Project):
        configure(models={"lr": always_loan})

        @step
        def reply_to(ticket):
            return ask("lr", ticket, Ticket)

        @step
        def guess(ticket):
            return from_classifier(["card", "loan"], [0.25, 0.75])

        said = []

        @workflow
        def both(ticket):
            said.extend([reply_to(ticket), guess(ticket)])

        trace = project.record(both, "hi")
        assert [project.value(step_named(trace, name)) for name in ("reply_to", "guess")] == said
        assert [step_named(trace, name).output.lossy for name in ("reply_to", "guess")] == [(), ()]

    def test_the_typed_value_is_what_the_step_gives(self, project: Project):
        configure(models={"lr": always_loan})
        trace = project.record(triage, "my card", "lr")
        assert project.value(step_named(trace, "classify")) == Ticket(intent="loan")

    @pytest.mark.parametrize("kind", ["endpoint", "function"])
    def test_a_replay_serves_it_and_asks_nobody(self, server, project: Project, kind):
        asked = []

        def answer(request):
            asked.append(request)
            return always_loan(request)

        configure(models={"one": answer} if kind == "function" else [target(server)])
        server.next(says({"intent": "loan", "urgent": False}))
        trace = project.record(triage, "my card")
        before = len(asked), len(server.seen)
        again = replay.replay(trace.trace_id, fn=triage, verify=True)
        assert again.output == "loan"
        assert (len(asked), len(server.seen)) == before

    @pytest.mark.parametrize("kind", ["endpoint", "function"])
    def test_a_replay_puts_another_model_in_its_place(self, server, project: Project, kind):
        one = Target("one", call=lambda _: '{"intent": "card", "urgent": true}')
        configure(models=[one if kind == "function" else target(server), Target("loan", call=always_loan)])
        server.next(says({"intent": "card", "urgent": True}))
        trace = project.record(triage, "my card")
        again = replay.replay(trace.trace_id, replay.substitute("classify", model="loan"), fn=triage)
        assert again.output == "loan"

    def test_a_function_is_no_provider_of_other_models(self, project: Project):
        configure(models=[Target("one", call=always_loan), Target("sibling")])
        trace = project.record(triage, "my card")
        again = replay.replay(trace.trace_id, replay.substitute("classify", model="sibling"), fn=triage)
        assert "sibling can't be asked" in str(again.error)

    @pytest.mark.parametrize(
        ("fault", "raised"),
        [
            ("timeout", "CallTimedOut"),
            ("rate_limited", "ProviderError"),
            ("connection_reset", "NoConnection"),
            ("bad_json", "InvalidAnswer"),
            ("wrong_schema", "InvalidAnswer"),
        ],
    )
    def test_a_replay_makes_it_fail(self, server, project: Project, fault, raised):
        configure(models=[target(server)])
        server.next(says({"intent": "card", "urgent": True}))
        trace = project.record(triage, "my card")
        again = replay.replay(trace.trace_id, replay.fail("classify", fault), fn=triage)
        failure = project.trace(again.trace_id).steps[0].failure
        assert failure is not None
        assert failure.type.endswith(raised)
