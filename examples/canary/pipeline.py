"""The system as one's own code writes it: one call of a role, and all that a rollout needs declared around it.

``MODEL_URL`` is the provider's endpoint, up to ``/v1``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from canary.classifiers import CANARY, PRODUCTION
from router import Attempt, Breaker, Guard, InvalidAnswer, Rate, Registry, Retry, Router, ask, is_transient
from tracer import FREE, Target, configure, workflow
from tracer.messages import Message

ROLE = "classify"
# Without a provider, as in a replay that is not to ask anybody: the port of which nothing is ever heard.
URL = os.environ.get("MODEL_URL", "http://127.0.0.1:9/v1")
configure(models=[Target(name, base_url=URL, price=FREE, timeout_s=3) for name in (PRODUCTION, CANARY)])


class Intent(BaseModel):
    """What a customer wants."""

    intent: Literal[
        "card_arrival",
        "change_pin",
        "exchange_rate",
        "terminate_account",
        "apple_pay_or_google_pay",
        "cash_withdrawal_charge",
        "age_limit",
        "request_refund",
    ]
    confidence: Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Sorted:
    """A ticket's intent, and who said so."""

    intent: str
    by: str


def leads_on(error: Exception) -> bool:
    """What passes by itself, and an answer that is none of ours: the other model may do better."""
    return is_transient(error) or isinstance(error, InvalidAnswer)


#: Roles are kept in the store, where ``playhead roles`` finds them.
registry = Registry()
#: The canary's: half of ten calls refused is too many; it is tried again after a second.
breaker = Breaker(CANARY, trip=Rate(0.5, window_s=30, at_least=10), open_s=1.0, counts=is_transient)
#: It is told by the router. The open breaker alone decides nothing: how much of the work falls back does.
watch = registry.watch(ROLE, guard=Guard(at_least=40, worse_by=0.05))
classify = Router(
    [PRODUCTION],
    role=ROLE,
    registry=registry,
    watch=watch,
    breakers={CANARY: breaker},
    retry=Retry(on=is_transient, attempts=3, base_s=0.25, cap_s=2.0),
    on=leads_on,
    deadline_s=10,
    name=ROLE,
)


def asked(attempt: Attempt, ticket: str) -> Intent:
    messages = [Message("system", "Which of our intents is it? Answer in JSON."), Message("user", ticket)]
    return ask(attempt.target, messages, Intent, timeout_s=attempt.timeout_s).value


@workflow
def sort_ticket(customer: str, ticket: str) -> Sorted:
    answered = classify.keyed(customer).call(asked, ticket)
    return Sorted(answered.value.intent, answered.target)
