"""A workflow that the viewer's tests record and replay: plain code, an effect, and a result that depends on a step."""

from __future__ import annotations

from tracer import effect, step, workflow

sent: list[str] = []
filed: list[str] = []


@step
def classify(text: str) -> dict[str, object]:
    return {"intent": "card_lost" if "lost" in text else "other", "confidence": 0.9}


@step
def draft(intent: str) -> str:
    if intent == "other":
        raise ValueError("nothing is known about 'other'")
    return f"Dear customer, about {intent}."


@effect(stand_in="not sent")
def send(reply: str) -> str:
    sent.append(reply)
    return "sent"


@workflow
def desk(text: str) -> str:
    found = classify(text)
    reply = draft(str(found["intent"]))
    return send(reply)


@effect
def file(reply: str) -> None:
    filed.append(reply)


@workflow
def filing(text: str) -> None:
    file(draft(str(classify(text)["intent"])))
