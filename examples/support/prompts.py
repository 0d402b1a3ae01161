"""What the models are asked. A model of 135 million parameters needs examples more than it needs instructions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Sequence

from tracer.messages import Message

DATA = Path(__file__).parent / "data"
INTENTS = (
    "card_arrival",
    "change_pin",
    "exchange_rate",
    "terminate_account",
    "apple_pay_or_google_pay",
    "cash_withdrawal_charge",
    "age_limit",
    "request_refund",
)
CLASSIFY = (
    "You sort customer messages of a bank. Answer with one line of JSON: "
    f'{{"intent": LABEL}}. LABEL is one of: {", ".join(INTENTS)}.'
)
DRAFT = (
    'You answer customers of a bank. Answer with one line of JSON: {"reply": TEXT}. '
    "TEXT is one or two short, friendly sentences. Never promise money."
)
#: (what the customer wrote and meant, what a good answer is).
DRAFTS = (
    (
        "change_pin: Where can I change my PIN?",
        "You can change your PIN at any cash machine that shows our logo: choose PIN services and follow the steps.",
    ),
    (
        "card_arrival: My card still isn't here after a week.",
        "I'm sorry about the wait. New cards usually take up to ten working days; you can follow yours in the app.",
    ),
    (
        "terminate_account: I want to leave your bank.",
        "We are sorry to see you go. You can close your account in the app under Settings, then Close account.",
    ),
    (
        "exchange_rate: Which rate do you use for dollars?",
        "We use the interbank rate at the moment of your exchange. The app shows it before you confirm.",
    ),
    (
        "cash_withdrawal_charge: What is this fee on my withdrawal?",
        "Some cash withdrawals carry a fee. The app lists it next to the withdrawal, with the reason for it.",
    ),
    (
        "age_limit: Is there an account for teenagers?",
        "You can open an account of your own from the age of 18. For younger people we have a junior account.",
    ),
    (
        "request_refund: The shop took my money twice, I want it back.",
        "I'm sorry about that. Please ask the shop first, and if it doesn't answer, open a dispute in the app.",
    ),
    (
        "apple_pay_or_google_pay: How can I pay with my phone?",
        "Open your card in the app and choose Add to phone. Apple Pay and Google Pay both work with it.",
    ),
)


def _examples() -> tuple[tuple[str, str], ...]:
    rows = [json.loads(line) for line in (DATA / "examples.jsonl").read_text(encoding="utf-8").splitlines()]
    return tuple((row["text"], row["label"]) for row in rows)


#: Two real messages per intent, with the intent that a person chose for each.
EXAMPLES = _examples()


def to_classify(ticket: str) -> list[Message]:
    return _conversation(CLASSIFY, [(text, {"intent": intent}) for text, intent in EXAMPLES], ticket)


def to_draft(ticket: str, intent: str) -> list[Message]:
    return _conversation(DRAFT, [(asked, {"reply": reply}) for asked, reply in DRAFTS], f"{intent}: {ticket}")


def _conversation(system: str, examples: Sequence[tuple[str, dict[str, str]]], last: str) -> list[Message]:
    turns = [Message("system", system)]
    for asked, answered in examples:
        turns += [Message("user", asked), Message("assistant", json.dumps(answered))]
    return [*turns, Message("user", last)]
