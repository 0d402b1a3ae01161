"""A workflow that the viewer's tests record and replay: plain code, an effect, and a result that depends on a step."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from router import escalate
from tracer import effect, step, workflow


def written() -> list[str]:
    """What the effects have done to the world so far, in whichever process."""
    world = Path(os.environ["DESK_WORLD"])
    return world.read_text().splitlines() if world.exists() else []


def write(line: str) -> None:
    with Path(os.environ["DESK_WORLD"]).open("a") as world:
        world.write(f"{line}\n")


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
    write(f"sent: {reply}")
    return "sent"


@workflow
def desk(text: str) -> str:
    found = classify(text)
    reply = draft(str(found["intent"]))
    return send(reply)


@effect
def file(reply: str) -> None:
    write(f"filed: {reply}")


@workflow
def filing(text: str) -> None:
    file(draft(str(classify(text)["intent"])))


@workflow
def held(text: str) -> str:
    """Goes on as long as the file ``hold`` lies beside the world."""
    held_by = Path(os.environ["DESK_WORLD"]).with_name("hold")
    until_s = time.monotonic() + 100
    while held_by.exists() and time.monotonic() < until_s:
        threading.Event().wait(0.05)
    return classify(text)["intent"]  # type: ignore[return-value]


@workflow
def asking(text: str, hurry: float | None = None) -> str:
    what = escalate(f"What about {text}?", options=["refund", "replace"], context={"text": text}, timeout_s=hurry)
    return send(what)


@workflow
def wording(text: str) -> str:
    return send(escalate(f"What do we say to {text}?"))


@workflow
def pricing() -> str:
    return send(str(escalate("How much?", schema=dict[str, int])))
