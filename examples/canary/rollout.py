"""Customers who write at a steady pace, whoever answers them and however late, and what came of each message."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

DATA = Path(__file__).parent / "data" / "tickets.jsonl"
#: So many may wait for an answer at once.
WORKERS = 24


@dataclass(frozen=True, slots=True)
class Ticket:
    text: str
    #: The intent that a person chose.
    label: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A ticket that was sent, and what came of it; where it failed only ``error`` is told."""

    number: int
    label: str
    at_ns: int
    took_s: float
    by: str = ""
    intent: str = ""
    error: str = ""

    @property
    def is_right(self) -> bool:
        return self.intent == self.label


def tickets() -> list[Ticket]:
    """All messages, in the order of the file."""
    read = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    return [Ticket(row["text"], row["label"]) for row in read]


def roll_out(asked: Sequence[Ticket], requests: int, per_s: float) -> list[Sent]:
    """Send so many tickets, the same ones again where there are fewer, each by another customer."""
    from canary.pipeline import sort_ticket  # noqa: PLC0415 - it reads MODEL_URL

    began = time.monotonic()

    def send(number: int) -> Sent:
        ticket = asked[number % len(asked)]
        time.sleep(max(0.0, began + number / per_s - time.monotonic()))
        at_ns, start = time.time_ns(), time.monotonic()
        try:
            found = sort_ticket(f"customer-{number}", ticket.text)
        except Exception as error:  # noqa: BLE001 - whatever it is, this customer got no answer: it is counted
            return Sent(number, ticket.label, at_ns, time.monotonic() - start, error=type(error).__name__)
        return Sent(number, ticket.label, at_ns, time.monotonic() - start, found.by, found.intent)

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(send, range(requests)))
