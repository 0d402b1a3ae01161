"""A support desk whose threshold is tuned from its own traces: a small classifier answers what it is sure of, a person
decides the rest, and what a ticket is about leads to who deals with it.

Where a person is asked, the run ends as waiting, with the ticket and the guess as context; the answer resumes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from router import (
    Attempt,
    Bands,
    Cascaded,
    Confidence,
    GuardrailFailed,
    Guess,
    Human,
    InvalidAnswer,
    Registry,
    Retry,
    Router,
    Rules,
    ask,
    cascade,
    decide,
    is_transient,
    require,
)
from support.models import INTENT_LR, SMOLLM2
from support.pipeline import CONTENT, DRAFTERS, Receipt, outbox, send
from support.prompts import INTENTS, to_draft
from support.reply_templates import ANYTHING_ELSE, REPLIES
from tracer import current, effect, step, uuid4, workflow

#: The role whose arms say from which confidence on nobody is asked: ``{"accept": 0.8}``.
ROLE = "triage"
ROLES = Registry()
#: Below this confidence the guess is worth nothing; the person is told none.
HOPELESS = 0.3
OUTSIDE = "out_of_scope"
HOW_TO = ("change_pin", "apple_pay_or_google_pay")
MONEY = ("exchange_rate", "cash_withdrawal_charge", "request_refund")
ACCOUNT = ("terminate_account", "age_limit", "card_arrival")
HUMAN: Human[str] = Human("What does this customer want?", options=(*INTENTS, OUTSIDE))


class Intent(BaseModel):
    """What the classifier answers."""

    intent: str
    confidence: float


class Draft(BaseModel):
    """What the writer answers."""

    reply: str


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a ticket: what it was taken for, who said so, who dealt with it, and who wrote the reply."""

    intent: str
    said_by: str
    handler: str
    written_by: str
    receipt: Receipt


@workflow
def desk(customer: str, ticket: str, label: str | None = None) -> Done:
    """``label`` is what a reviewer says that the customer wanted, where somebody did: recorded as a score."""
    if label is not None:
        current().score("intent", label)
    accept = float(ROLES.pick(ROLE, customer).settings["accept"])
    found = triage(ticket, accept)
    intent, said_by = found.value.value, found.target
    if found.band == "hopeless":
        intent, said_by = HUMAN({"ticket": ticket}), HUMAN.name
    handler = decide(HANDLERS, intent, name="handler").target
    reply, written_by = handler(ticket, intent)
    return Done(intent, said_by, handler.__name__, written_by, send(ticket, reply))


def triage(ticket: str, accept: float) -> Cascaded[Guess[str]]:
    """The classifier's guess where it is sure, or hopeless; else a person's."""
    guesses: list[Guess[str]] = []

    def by(target: Any) -> Guess[str]:
        if isinstance(target, Human):
            guess = {"intent": guesses[0].value, "confidence": guesses[0].confidence.value}
            return Guess(target({"ticket": ticket, "guess": guess}), Confidence(1.0, "stated"))
        guesses.append(classify(ticket))
        return guesses[0]

    bands = Bands(sure=accept, hopeless=min(HOPELESS, accept))
    return cascade((INTENT_LR, HUMAN), by, confidence=lambda one: one.confidence, accept=bands, name="triage")


@step
def classify(ticket: str) -> Guess[str]:
    """Raises InvalidAnswer for what is no guess at all."""
    said = ask(INTENT_LR.name, ticket, Intent).value
    return Guess(said.intent, Confidence(said.confidence, "classifier", {"calibrated_by": "5 folds"}))


def how_to(ticket: str, intent: str) -> tuple[str, str]:
    """A model writes; where it is late, away, or writes what must not be sent, the reply is one that was approved."""
    written = WRITERS.call(write, ticket, intent)
    return written.value, written.target


def money(ticket: str, intent: str) -> tuple[str, str]:
    """No model writes about money. A refund is a case of its own besides."""
    if intent == "request_refund":
        open_case("disputes", ticket)
    return approved(ticket, intent), approved.__name__


def account(ticket: str, intent: str) -> tuple[str, str]:
    """The same of accounts; nobody's is closed by a program."""
    if intent == "terminate_account":
        open_case("accounts", ticket)
    return approved(ticket, intent), approved.__name__


def outside(ticket: str, intent: str) -> tuple[str, str]:
    """None of our subjects: somebody else's case."""
    open_case("front desk", ticket)
    return approved(ticket, intent), approved.__name__


HANDLERS = Rules(
    [
        (lambda intent: intent in HOW_TO, how_to, "how something is done"),
        (lambda intent: intent in MONEY, money, "about money"),
        (lambda intent: intent in ACCOUNT, account, "about the account"),
    ],
    otherwise=outside,
)


def approved(ticket: str, intent: str) -> str:  # noqa: ARG001 - called as the writer is
    """The reply that was written beforehand: a rule, so that a replay has no model to ask either."""
    return REPLIES.get(intent, ANYTHING_ELSE)


def write(attempt: Attempt, ticket: str, intent: str) -> str:
    """One reply by one model. Raises CallFailed, InvalidAnswer, GuardrailFailed."""
    said = ask(
        attempt.target, to_draft(ticket, intent), Draft, temperature=0, max_tokens=64, timeout_s=attempt.timeout_s
    )
    require(said.value.reply, CONTENT)
    return said.value.reply


def leads_on(error: Exception) -> bool:
    """After which errors somebody else writes."""
    return is_transient(error) or isinstance(error, InvalidAnswer | GuardrailFailed)


WRITERS = Router(
    (SMOLLM2, approved) if SMOLLM2 in DRAFTERS else (approved,),
    retry=Retry(on=is_transient, attempts=2, cap_s=5),
    on=leads_on,
    deadline_s=20,
    name="write_reply",
)


def not_opened(team: str, ticket: str) -> str:  # noqa: ARG001  # a stand-in takes what the effect takes
    """What a replay gets in place of a case."""
    return "a replay opens no case"


@effect(stand_in=not_opened)
def open_case(team: str, ticket: str) -> str:
    """Put a ticket on a team's list: a line of cases.jsonl beside the outbox."""
    number = str(uuid4())
    path = outbox().with_name("cases.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": number, "team": team, "ticket": ticket}, ensure_ascii=False) + "\n")
    return number
