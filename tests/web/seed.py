"""A store full of varied traces: what a support desk's first day looks like in the viewer. No model, no network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.builders import Begun, Story
from tracer import codec
from tracer.decisions import DECISION, TRY, Decision
from tracer.events import Finished, Started
from tracer.model import Failure, Frame
from tracer.store import Store
from tracer.wire import Chunk, HttpRequest, HttpResponse

MS = 1_000_000
MINUTE = 60_000 * MS
SYSTEM = (
    "You classify messages of bank customers.\n\nAnswer with one JSON object and nothing else:\n"
    '{"intent": one of the labels, "confidence": a number from 0 to 1}\n\n'
    "Labels: card_arrival, card_lost, exchange_rate, refund_not_showing_up, pin_blocked, top_up_failed, other.\n"
    "When several fit, choose the one the customer must act on first. Never invent a label.\n"
    "Examples follow.\n"
    + "\n".join(f'Message {n}: "..."  -> {{"intent": "card_lost", "confidence": 0.9{n}}}' for n in range(1, 7))
)


@dataclass(frozen=True)
class Ticket:
    id: int
    text: str
    channel: str = "chat"
    credit: Decimal = Decimal("12.50")


@dataclass(frozen=True)
class Intent:
    label: str
    confidence: float


TICKETS = (
    "I still have not received my new card, I ordered it over a week ago. Where is it?",
    "Someone stole my wallet this morning. Please block my card right away!",
    "Why is the exchange rate on my statement different from the one in the app?",
    "The refund from the shop does not show up on my account.",
    "my pin is blocked after three tries and im standing at the till",
    "Top up failed twice but the money left my bank. What is going on here?",
    "How do I add my card to Apple Pay?",
    "Ich habe meine Karte verloren, was soll ich tun?",
)


def chat_request(model: str, messages: list[dict[str, Any]], **parameters: Any) -> HttpRequest:
    body = {"model": model, "messages": messages, **parameters}
    return HttpRequest(
        "POST", "https://api.openai.com/v1/chat/completions", (("content-type", "application/json"),), body
    )


def chat_response(model: str, text: str, *, tokens: tuple[int, int], status: int = 200, **message: Any) -> HttpResponse:
    body: dict[str, Any] = {
        "id": "chatcmpl-9fK2",
        "object": "chat.completion",
        "model": model,
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **message}}
        ],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
    }
    return HttpResponse(status, (("content-type", "application/json"),), (Chunk(400 * MS, json.dumps(body).encode()),))


def refused(status: int, message: str) -> HttpResponse:
    body = {"error": {"message": message, "type": "rate_limit_error", "code": "rate_limit_exceeded"}}
    return HttpResponse(status, (("content-type", "application/json"),), (Chunk(80 * MS, json.dumps(body).encode()),))


class Desk(Story):
    """A story with time in it, and model calls as they look on the wire."""

    def wait(self, ms: float) -> None:
        self.now_ns += int(ms * MS)

    def chat(  # noqa: PLR0913 - all that a call on the wire is made of
        self,
        model: str,
        messages: list[dict[str, Any]],
        text: str,
        *,
        under: Begun | None,
        ms: float,
        tokens: tuple[int, int] = (369, 24),
        provider: str = "openai",
        origin: str = "live",
        source: str | None = None,
        stream: bool = False,
        **message: Any,
    ) -> Begun:
        extra = {"source": source} if source else {}
        request = chat_request(model, messages, temperature=0, max_tokens=64, **({"stream": True} if stream else {}))
        begun = self.begin("chat", under=under, kind="llm", input=request, model=model, origin=origin, **extra)
        self.wait(ms)
        usage = {"input_tokens": tokens[0], "output_tokens": tokens[1]}
        told = {"status_code": 200, "streamed": stream, "finish_reason": "stop", "first_token_ns": int(ms * MS * 0.35)}
        call = {"provider": provider, "model_asked": model, "model": model, "usage": usage, **told}
        price = {"price": {"input_nusd": 0, "output_nusd": 0}} if provider == "local" else {}
        self.end(begun, chat_response(model, text, tokens=tokens, **message), call={**call, **price})
        return begun

    def refuse(self, model: str, messages: list[dict[str, Any]], *, under: Begun | None, ms: float) -> Begun:
        begun = self.begin("chat", under=under, kind="llm", input=chat_request(model, messages), model=model)
        self.wait(ms)
        answer = refused(429, "Rate limit reached for gpt-4o in organization org-7 on tokens per min (TPM).")
        failure = Failure("RateLimitError", f"Error code: 429 - {answer.raw.decode()}", "openai", _LIBRARY_FRAMES)
        self.break_off(begun, failure, answer, call={"provider": "openai", "model_asked": model, "status_code": 429})
        return begun

    def break_off(self, step: Begun, failure: Failure, output: Any = None, **attrs: Any) -> None:
        """End a step with a failure that has frames."""
        data = None if output is None else codec.encode(output).data
        wrapped = codec.encode(failure).data
        self.events.append(Finished(self.id, step.id, self._tick(), "failed", data, [], wrapped, attrs))


_LIBRARY_FRAMES = (
    Frame(
        "/app/support/drafting.py",
        41,
        "draft",
        True,
        (
            (40, "    client = OpenAI()"),
            (41, "    reply = client.chat.completions.create("),
            (42, "        model=model, messages=messages)"),
        ),
    ),
    *(
        Frame(f"/venv/site-packages/openai/{name}.py", 900 + n, name, False)
        for n, name in enumerate(("_utils", "completions", "_base_client", "_retries"))
    ),
)
_PARSE_FRAMES = (
    Frame(
        "/app/support/pipeline.py",
        112,
        "support",
        True,
        (
            (111, "    ticket = clean(ticket)"),
            (112, "    intent = classify(ticket)"),
            (113, "    route = choose(intent)"),
        ),
    ),
    Frame("/venv/site-packages/tracer/decorators.py", 61, "wrapper", False),
    Frame(
        "/app/support/pipeline.py",
        58,
        "classify",
        True,
        (
            (57, "    answer = ask(prompt(ticket))"),
            (58, "    found = json.loads(answer)"),
            (59, "    return Intent(found['intent'], found['confidence'])"),
        ),
    ),
    Frame("/usr/lib/python3.11/json/__init__.py", 346, "loads", False),
    Frame("/usr/lib/python3.11/json/decoder.py", 337, "decode", False),
    Frame("/usr/lib/python3.11/json/decoder.py", 355, "raw_decode", False),
)
BAD_JSON = Failure(
    "JSONDecodeError",
    "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    "json.decoder",
    _PARSE_FRAMES,
)


def prompt(text: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]


def handled(number: int, at_ns: int, *, model: str = "gpt-4o-mini", local: bool = False, **attrs: Any) -> Desk:
    """A ticket that went through."""
    text = TICKETS[number % len(TICKETS)]
    ticket = Ticket(4200 + number, text)
    provider = "local" if local else "openai"
    desk = Desk("support", input={"ticket": ticket}, at_ns=at_ns, entry=ENTRY, **attrs)
    classify = desk.begin("classify", input={"ticket": ticket})
    desk.chat(
        model,
        prompt(text),
        '{"intent": "card_arrival", "confidence": 0.93}',
        under=classify,
        ms=420 + 37 * number,
        provider=provider,
    )
    desk.end(classify, Intent("card_arrival", 0.93))
    desk.step("route", "sure", kind="router", input={"intent": Intent("card_arrival", 0.93)})
    draft = desk.begin("draft", input={"ticket": ticket, "intent": Intent("card_arrival", 0.93)})
    reply = "Dear customer,\n\nyour card is on its way. It takes five to seven days.\n\nKind regards\nThe support team"
    desk.chat(
        model,
        prompt(text)[1:],
        reply,
        under=draft,
        ms=900 + 61 * number,
        tokens=(412, 96 + number),
        provider=provider,
        stream=True,
    )
    desk.end(draft, reply)
    desk.wait(3)
    desk.step("check", {"parses": True, "length": len(reply), "banned": []}, kind="guardrail", input={"reply": reply})
    send = desk.begin("send", input={"ticket": ticket.id, "reply": reply}, effect=True)
    desk.wait(11)
    desk.end(send, {"queued": True, "id": f"out-{number}"})
    return desk.finish({"sent": reply, "intent": Intent("card_arrival", 0.93)})  # type: ignore[return-value]


ENTRY = {"module": "tests.web.pipeline", "qualname": "support"}


def garbled(number: int, at_ns: int) -> Desk:
    """The small model answered with no JSON, and the pipeline broke on it."""
    text = TICKETS[number % len(TICKETS)]
    ticket = Ticket(4200 + number, text)
    desk = Desk("support", input={"ticket": ticket}, at_ns=at_ns, entry=ENTRY)
    clean = desk.begin("clean", input={"ticket": ticket})
    desk.wait(2)
    desk.end(clean, ticket)
    classify = desk.begin("classify", input={"ticket": ticket})
    answer = (
        "{intent: card_lost, confidence: high}\n\nThe customer says that the wallet was stolen, so the card should be "
        'blocked.\nMessage 7: "My card was declined."'
    )
    desk.chat(
        "smollm2-135m", prompt(text), answer, under=classify, ms=1840, tokens=(369, 48), provider="local", stream=True
    )
    desk.break_off(classify, BAD_JSON)
    return _broken(desk, BAD_JSON)


def _broken(desk: Desk, failure: Failure) -> Desk:
    desk.break_off(desk.root, failure)
    return desk


def limited(number: int, at_ns: int) -> Desk:
    """Refused with 429 twice, and the pipeline gave up."""
    text = TICKETS[number % len(TICKETS)]
    ticket = Ticket(4200 + number, text)
    desk = Desk("support", input={"ticket": ticket}, at_ns=at_ns, entry=ENTRY)
    classify = desk.begin("classify", input={"ticket": ticket})
    desk.chat(
        "gpt-4o-mini", prompt(text), '{"intent": "refund_not_showing_up", "confidence": 0.71}', under=classify, ms=512
    )
    desk.end(classify, Intent("refund_not_showing_up", 0.71))
    draft = desk.begin("draft", input={"ticket": ticket, "intent": Intent("refund_not_showing_up", 0.71)})
    desk.refuse("gpt-4o", prompt(text), under=draft, ms=88)
    desk.wait(1000)
    desk.refuse("gpt-4o", prompt(text), under=draft, ms=91)
    answer = refused(429, "Rate limit reached for gpt-4o in organization org-7 on tokens per min (TPM).")
    failure = Failure("RateLimitError", f"Error code: 429 - {answer.raw.decode()}", "openai", _LIBRARY_FRAMES)
    desk.break_off(draft, failure)
    return _broken(desk, failure)


def escalated(number: int, at_ns: int) -> Desk:
    """Nobody was sure: a human was asked."""
    text = TICKETS[number % len(TICKETS)]
    ticket = Ticket(4200 + number, text)
    desk = Desk("support", input={"ticket": ticket}, at_ns=at_ns, entry=ENTRY)
    classify = desk.begin("classify", input={"ticket": ticket})
    desk.chat("gpt-4o-mini", prompt(text), '{"intent": "other", "confidence": 0.22}', under=classify, ms=390)
    desk.end(classify, Intent("other", 0.22))
    desk.step("route", "hopeless", kind="router", input={"intent": Intent("other", 0.22)})
    desk.step(
        "escalate",
        {"question": "What does this customer need?", "to": "tier 2"},
        kind="human",
        input={"ticket": ticket},
    )
    return desk.finish({"escalated": True})  # type: ignore[return-value]


def cut_off(number: int, at_ns: int) -> Desk:
    """Its process was killed while the model was answering."""
    ticket = Ticket(4200 + number, TICKETS[number % len(TICKETS)])
    desk = Desk("support", input={"ticket": ticket}, at_ns=at_ns, entry=ENTRY)
    classify = desk.begin("classify", input={"ticket": ticket})
    desk.wait(120)
    desk.begin("chat", under=classify, kind="llm", input=chat_request("gpt-4o", prompt(ticket.text)), model="gpt-4o")
    return desk


def research(at_ns: int, *, width: int = 9) -> Desk:
    """A long trace: an agent with tools, retrieval and sixty steps."""
    question = "Which of our fee changes since January did customers complain about most, and what did we answer them?"
    desk = Desk("research_assistant_for_quarterly_fee_review", input={"question": question}, at_ns=at_ns, version="2.3")
    plan = desk.begin("plan", kind="agent", input={"question": question})
    desk.chat(
        "claude-sonnet-4-5",
        [{"role": "user", "content": question}],
        "",
        under=plan,
        ms=2100,
        tokens=(1840, 212),
        provider="anthropic",
        tool_calls=[
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "search_tickets", "arguments": '{"query": "fee", "since": "2026-01-01"}'},
            }
        ],
    )
    desk.end(plan, ["fees for cash", "fees for transfers", "monthly fee"])
    for topic in range(width):
        branch = desk.begin("investigate_topic", kind="agent", input={"topic": topic})
        embed = desk.begin("embed", under=branch, kind="embedding", input={"text": f"topic {topic}"})
        desk.wait(31)
        desk.end(
            embed,
            [0.12, 0.08],
            call={
                "provider": "openai",
                "model": "text-embedding-3-small",
                "model_asked": "text-embedding-3-small",
                "usage": {"input_tokens": 12},
            },
        )
        search = desk.begin("search", under=branch, kind="retriever", input={"k": 8})
        desk.wait(64 + 9 * topic)
        desk.end(search, [{"id": n, "score": 0.9 - n / 20} for n in range(8)])
        rerank = desk.begin("rerank", under=branch, kind="reranker")
        desk.wait(22)
        desk.end(rerank, [3, 1, 2])
        lookup = desk.begin("lookup_ticket_history", under=branch, kind="tool", input={"ids": [1, 2, 3]})
        desk.wait(140)
        if topic == 4:
            desk.break_off(
                lookup,
                Failure(
                    "TimeoutError", "the ticket service did not answer within 140 ms", "builtins", _PARSE_FRAMES[:1]
                ),
            )
            lookup = desk.begin("lookup_ticket_history", under=branch, kind="tool", input={"ids": [1, 2, 3]})
            desk.wait(90)
        desk.end(lookup, {"found": 3})
        desk.chat(
            "claude-sonnet-4-5",
            [{"role": "user", "content": f"Summarise topic {topic}"}],
            "Customers mostly ask when it begins.",
            under=branch,
            ms=700 + 80 * topic,
            tokens=(2300, 180),
            provider="anthropic",
            stream=True,
        )
        desk.end(branch, {"topic": topic, "summary": "Customers mostly ask when it begins."})
    return desk.finish({"report": "…", "confidence": 0.81})  # type: ignore[return-value]


def routed(at_ns: int) -> Desk:
    """A router at work: unsure, a breaker, a wait, two tries; the answer came in pieces, and two hundred embeddings."""
    desk = Desk("triage", input={"text": TICKETS[1]}, at_ns=at_ns)
    embeds = desk.begin("index", input={"texts": 200})
    for number in range(200):
        one = desk.begin("embed", under=embeds, kind="embedding", input={"text": f"part {number}"})
        desk.wait(3 + number % 7)
        if number in (20, 70, 71):
            desk.break_off(one, Failure("TimeoutError", f"part {number} took too long", "builtins"))
        else:
            desk.end(one, [0.5], call={"provider": "openai", "model": "text-embedding-3-small", "usage": {}})
    desk.end(embeds, 197)
    asking = desk.begin("ask", kind="router", input={"targets": ["small", "large"]})
    for number, (target, sure) in enumerate((("small", 0.42), ("large", 0.91)), 1):
        tried = desk.begin(target, under=asking, kind="attempt")
        call = desk.begin(
            "chat", under=tried, kind="llm", input=chat_request(target, prompt(TICKETS[1]), stream=True), model=target
        )
        pieces = []
        for index in range(40):
            desk.wait(14 if index != 25 else 300)
            said = json.dumps({"choices": [{"index": 0, "delta": {"content": f"w{index} "}}]})
            word = f"data: {said}\n\n"
            pieces.append(Chunk((index * 14 + (286 if index >= 25 else 0) + 210) * MS, word.encode()))
        headers = (("content-type", "text/event-stream"),)
        told = {"provider": "openai", "model": target, "usage": {"input_tokens": 80, "output_tokens": 40}}
        desk.end(call, HttpResponse(200, headers, tuple(pieces)), call={**told, "streamed": True, "status_code": 200})
        tag = {"target": target, "number": number, "confidence": sure, "waited_s": 0.5 if number == 2 else 0.0}
        verdict = {"verdict": "next", "why": "not sure enough"} if number == 1 else {"verdict": "done"}
        desk.end(tried, f"answer of {target}", tags={TRY: {**tag, **verdict}})
    decision = Decision(
        "cascade",
        "large",
        "large is sure",
        ("small", "large"),
        confidence=0.42,
        confidence_from="stated",
        thresholds={"accept": 0.8},
        arm="canary",
        propensity=0.1,
        breakers={"small": "closed", "large": "half-open"},
        attempts=2,
        waited_s=0.5,
    )
    desk.end(asking, "answer of large", tags={DECISION: decision.as_tag()})
    desk.step("reply", "answer of large", input={"text": "answer of large"})
    return desk.finish("answer of large")  # type: ignore[return-value]


def replayed(origin: Desk, number: int, at_ns: int) -> Desk:
    """The garbled ticket again, classified by another model."""
    ticket = Ticket(4200 + number, TICKETS[7])
    ids = [event.step_id.hex() for event in origin.events if isinstance(event, Started)]
    desk = Desk(
        "support",
        input={"ticket": ticket},
        at_ns=at_ns,
        entry=ENTRY,
        replay_of=origin.trace_id,
        source=ids[0],
        plan={"rules": ["--model classify=intent-lr"]},
    )
    desk.step("clean", ticket, input={"ticket": ticket})
    begun = desk.events[-2]
    assert isinstance(begun, Started)
    desk.events[-2] = begun._replace(attrs={"origin": "recorded", "source": ids[1]})
    classify = desk.begin("classify", input={"ticket": ticket}, source=ids[2])
    desk.chat(
        "intent-lr",
        prompt(ticket.text),
        '{"intent": "card_lost", "confidence": 0.97}',
        under=classify,
        ms=4,
        tokens=(31, 1),
        provider="local",
        origin="substituted",
        source=ids[3],
    )
    desk.end(classify, Intent("card_lost", 0.97))
    desk.step("route", "sure", kind="router", input={"intent": Intent("card_lost", 0.97)})
    draft = desk.begin("draft", input={"ticket": ticket, "intent": Intent("card_lost", 0.97)})
    desk.chat(
        "smollm2-135m",
        prompt(ticket.text)[1:],
        "Dear customer, I have blocked your card.",
        under=draft,
        ms=1320,
        tokens=(201, 40),
        provider="local",
        stream=True,
    )
    desk.end(draft, "Dear customer, I have blocked your card.")
    send = desk.begin("send", input={"ticket": ticket.id}, effect=True, origin="stood-in")
    desk.end(send, {"queued": True})
    return desk.finish({"sent": "Dear customer, I have blocked your card."})  # type: ignore[return-value]


def fill(store: Store, *, now_ns: int, traces: int = 40) -> dict[str, str]:
    """Write it all; gives the ids of the notable traces by name."""
    notable: dict[str, Desk] = {}
    desks: list[Desk] = []
    last_garbled = 0
    for number in range(traces):
        at_ns = now_ns - (traces - number) * 7 * MINUTE - number * 3_000 * MS
        match number % 8:
            case 3:
                desk = limited(number, at_ns)
                notable["limited"] = desk
            case 6:
                desk = escalated(number, at_ns)
                notable["escalated"] = desk
            case 7:
                desk = garbled(number, at_ns)
                notable["garbled"], last_garbled = desk, number
            case _:
                desk = handled(
                    number, at_ns, model="smollm2-135m" if number % 3 else "gpt-4o-mini", local=bool(number % 3)
                )
                notable["handled"] = desk
        desks.append(desk)
    notable["research"] = research(now_ns - 5 * MINUTE)
    notable["replay"] = replayed(notable["garbled"], last_garbled, now_ns - 2 * MINUTE)
    notable["routed"] = routed(now_ns - 6 * MINUTE)
    notable["odd"] = Desk(
        "nightly_batch", input=["<script>alert(1)</script>", "\x1b[31mred\x1b[0m"], at_ns=now_ns - 26 * 60 * MINUTE
    )
    notable["odd"].finish("ok")
    for desk in (*desks, notable["research"], notable["routed"], notable["replay"], notable["odd"]):
        store.apply(desk.events, owner="desk")
    notable["interrupted"] = cut_off(5, now_ns - 4 * MINUTE)
    store.announce("gone", pid=1)
    store.apply(notable["interrupted"].events, owner="gone")
    store.withdraw("gone")
    notable["running"] = cut_off(6, now_ns - 2_000 * MS)
    store.apply(notable["running"].events, owner="desk")
    return {name: desk.trace_id for name, desk in notable.items()}
