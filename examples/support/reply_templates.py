"""``reply-templates``: the cautious second model. It writes nothing, but picks a reply that was written beforehand."""

from __future__ import annotations

import json

from tracer.messages import ChatAnswer, ChatRequest

NAME = "reply-templates"
ANYTHING_ELSE = "Thank you for your message. We have passed it to the right team, who will answer you soon."
REPLIES = {
    "card_arrival": "Thank you for asking. New cards take up to ten working days; you can follow yours in the app.",
    "change_pin": "You can change your PIN at any cash machine with our logo, under PIN services.",
    "exchange_rate": "We use the interbank rate at the moment of your exchange. The app shows it before you confirm.",
    "terminate_account": "We are sorry to see you go. You can close your account in the app, under Settings.",
    "apple_pay_or_google_pay": "You can add your card to Apple Pay or Google Pay from the card's page in the app.",
    "cash_withdrawal_charge": "Some withdrawals carry a fee. The app lists each fee next to its withdrawal.",
    "age_limit": "You can open your own account from the age of 18. For younger people there is a junior account.",
    "request_refund": "Please ask the seller first. If that does not help, open the payment in the app and dispute it.",
}


def answer(request: ChatRequest) -> ChatAnswer:
    """The model as a target: the last message of the user reads ``intent: what the customer wrote``."""
    asked = next(message.content for message in reversed(request.messages) if message.role == "user")
    intent = asked.partition(":")[0].strip()
    return ChatAnswer.of(json.dumps({"reply": REPLIES.get(intent, ANYTHING_ELSE)}), model=NAME)
