"""A customer-support system: classify, decide by confidence, draft, check, send, and a human where nothing is sure.

Where it asks the human, the run ends as waiting; the answer, whenever it comes, resumes it, and the reply is sent then.

It is written as one would write it without playhead; ``@workflow``, ``@step`` and ``@effect`` are all that recording
and replaying ask of it.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai import APITimeoutError

from router import (
    Answered,
    Bands,
    Bans,
    GuardrailFailed,
    Guardrails,
    Length,
    NoPromiseOfMoney,
    Parses,
    escalate,
    fallback,
    require,
    route,
)
from support.local_llm import missing
from support.models import CATALOGUE, INTENT_LR, REPLY_TEMPLATES, SMOLLM2, Said, chat
from support.prompts import INTENTS, to_classify, to_draft
from tracer import Target, configure, effect, step, uuid4, workflow
from tracer.recorder import current_config

configure(models=CATALOGUE)

#: Where the language model can't run, the system still works, with the models that are left.
CLASSIFIER, DRAFTERS = (SMOLLM2, (SMOLLM2, REPLY_TEMPLATES)) if missing() is None else (INTENT_LR, (REPLY_TEMPLATES,))
BANDS = Bands(sure=0.6, hopeless=0.15)
FORM = Guardrails((Parses({"reply": str}),))
CONTENT = Guardrails(
    (
        Length(at_least=20, at_most=400),
        Bans(("lawyer", "lawsuit", "legal advice", "invest", "crypto", "guarantee")),
        # A small model likes to invent a telephone number, or to leave a form to fill in.
        Bans(("1-800", "[your", "call us", "calling"), name="invented contact"),
        NoPromiseOfMoney(),
    )
)


class BadAnswer(ValueError):
    """A model's answer is not what it was asked for."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What a customer wants, how sure that is (0 to 1), and who says so."""

    intent: str
    confidence: float
    model: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A reply that may be sent, and who wrote it: in a replay that may be another model than was asked."""

    reply: str
    model: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """That a reply left the house, or why it did not."""

    sent: bool
    message_id: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a ticket that was answered: what it was taken for and by whom, who wrote the reply, and its
    receipt."""

    guess: Guess
    drafted_by: str
    fell_back: bool
    receipt: Receipt


@workflow
def support(ticket: str) -> Outcome:
    guess = classify(ticket)
    choice = route(guess.confidence, BANDS)
    if choice.band == "unsure":
        guess = second_opinion(ticket)
        choice = route(guess.confidence, BANDS)
    if choice.band != "sure":
        question = f"What does this customer want? {ticket}"
        intent = escalate(question, options=INTENTS, context={"guess": guess, "reason": choice.reason})
        guess = Guess(intent, 1.0, "a human")
    written = write_reply(ticket, guess.intent)
    receipt = send(ticket, written.value.reply)
    return Outcome(guess, written.value.model, written.fell_back, receipt)


@step
def classify(ticket: str) -> Guess:
    """The intent of a ticket, by the general model. Raises BadAnswer for what is no JSON or no intent of ours."""
    return read_guess(chat(CLASSIFIER, to_classify(ticket), max_tokens=32, timeout_s=60, logprobs=True))


@step
def second_opinion(ticket: str) -> Guess:
    """The same question to the classifier that was trained on our own tickets."""
    return read_guess(chat(INTENT_LR, to_classify(ticket), max_tokens=32, timeout_s=60))


def write_reply(ticket: str, intent: str) -> Answered[Draft]:
    """A checked reply, by the first model that writes one in time."""

    def by(target: Target) -> Draft:
        return draft(ticket, intent, target.name)

    return fallback(DRAFTERS, by, on=(APITimeoutError, GuardrailFailed), name="write_reply")


@step
def draft(ticket: str, intent: str, model: str) -> Draft:
    """One reply by one model. Raises GuardrailFailed if it must not be sent, APITimeoutError if it took too long."""
    target = next(target for target in CATALOGUE if target.name == model)
    said = chat(target, to_draft(ticket, intent), max_tokens=80, timeout_s=20)
    require(said.text, FORM)
    reply: str = json.loads(said.text)["reply"]
    require(reply, CONTENT)
    return Draft(reply, said.model)


def not_sent(ticket: str, reply: str) -> Receipt:  # noqa: ARG001  # a stand-in takes what the effect takes
    """What a replay gets in place of sending."""
    return Receipt(sent=False, note="a replay sends nothing")


@effect(stand_in=not_sent)
def send(ticket: str, reply: str) -> Receipt:
    """Send the reply: append it to the outbox."""
    message_id = str(uuid4())
    line = json.dumps({"id": message_id, "ticket": ticket, "reply": reply}, ensure_ascii=False)
    path = outbox()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    return Receipt(sent=True, message_id=message_id)


def outbox() -> Path:
    """The file of sent replies, one JSON line each: SUPPORT_OUTBOX, else beside the recorded traces."""
    return Path(os.environ.get("SUPPORT_OUTBOX") or current_config().home / "outbox.jsonl")


def read_guess(said: Said) -> Guess:
    """The guess in a classifier's answer; raises BadAnswer."""
    try:
        answer: Any = json.loads(said.text)
    except ValueError:
        raise BadAnswer(f"{said.model} answered with something that is no JSON: {said.text!r}") from None
    intent = answer.get("intent") if isinstance(answer, dict) else None
    if intent not in INTENTS:
        raise BadAnswer(f"{said.model} answered with an intent that does not exist: {said.text!r}")
    if said.tokens:
        return Guess(intent, probability_of(intent, said), said.model)
    stated = answer.get("confidence")
    return Guess(intent, float(stated) if isinstance(stated, int | float) else 0.0, said.model)


def probability_of(word: str, said: Said) -> float:
    """How probable the model found the tokens that spell ``word`` in its answer, as it wrote them."""
    start = "".join(token for token, _ in said.tokens).find(word)
    total, position = 0.0, 0
    for token, logprob in said.tokens:
        if position < start + len(word) and position + len(token) > start:
            total += logprob
        position += len(token)
    return math.exp(total) if start >= 0 else 0.0
