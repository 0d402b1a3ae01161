"""A customer-support flow on paper, and the same written by hand: what each records is compared."""

from __future__ import annotations

from dataclasses import dataclass

from router import Bands, Workflow, escalate, fallback, route
from tests.replay.support import did
from tracer import Target, effect, step, workflow

BANDS = Bands(sure=0.6, hopeless=0.2)
INTENTS = ("refund", "card lost")
SURENESS = {"refund": 0.9, "hm": 0.5, "slow": 0.9}


@dataclass(frozen=True)
class Guess:
    intent: str
    confidence: float


@step(model="smollm2")
def classify(ticket: str) -> Guess:
    did("classify")
    if ticket == "slow":
        raise TimeoutError("too slow")
    return Guess("refund", SURENESS.get(ticket, 0.1))


@step
def keywords(ticket: str) -> Guess:
    return Guess("card lost", 0.7)


@step(model="intent-lr")
def second(ticket: str) -> Guess:
    return Guess("refund", 0.8)


@step(kind="router")
def still_unsure(guess: Guess) -> bool:
    return guess.confidence < 0.6


@step
def draft(intent: str) -> str:
    did("draft")
    return f"About your {intent}"


@effect(stand_in="not sent")
def send(reply: str) -> str:
    did("send")
    return f"sent: {reply}"


support = Workflow("support", inputs="ticket", returns=("receipt", "asked"))
support.step(classify, gives="guess", model="smollm2", fallback=keywords, on=TimeoutError, name="guessing")
support.route(
    lambda guess: guess.confidence, {"sure": "draft", "unsure": "second", "hopeless": "ask"}, bands=BANDS, name="sure"
)
support.step(second, gives="guess", model="intent-lr", fallback=None)
support.route(still_unsure, {False: "draft", True: "ask"}, after="second", name="still_unsure")
support.step(draft, gives="reply", takes={"intent": "guess.intent"})
support.human("What does this customer want? {ticket}", options=INTENTS, context="guess", name="ask", gives="asked")
support.effect(send, gives="receipt")


@workflow(name="support")
def by_hand(ticket: str):
    def call(target):
        return {"classify": classify, "keywords": keywords}[target.name](ticket=ticket)

    guess = fallback([Target("classify"), Target("keywords")], call, on=TimeoutError, name="guessing").value
    band = route(confidence=guess.confidence, bands=BANDS).band
    if band == "unsure":
        guess = second(ticket=ticket)
        band = "hopeless" if still_unsure(guess=guess) else "sure"
    if band == "hopeless":
        context = {"ticket": ticket, "guess": guess}
        question = f"What does this customer want? {ticket}"
        return {"asked": escalate(question=question, options=INTENTS, context=context)}
    return {"receipt": send(reply=draft(intent=guess.intent))}
