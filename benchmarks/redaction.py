"""What the search for credentials costs: CPU time of the calling thread per payload.

    python benchmarks/redaction.py

Prints a table: the size of the encoded payload, then median, best and worst of 7 rounds. The upper rows hold nothing
secret, which is what nearly every payload is like; the last ones hold what looks like a secret, or is one.
"""

from __future__ import annotations

import base64
import json
import random
import statistics
import time
from typing import Any

from tracer.codec import encode
from tracer.redact import Redactor

ROUNDS = 7
ROUND_S = 0.02
WORDS = (
    *("the", "a", "of", "to", "in", "answer", "customer", "order", "please", "kindly", "model", "returns", "because"),
    *("during", "network", "under", "weather", "garden", "morning", "station", "letter", "picture", "travel", "window"),
    *("number", "system", "question", "quickly", "between", "another", "around", "thought", "several", "market"),
    *("history", "language", "problem", "business", "remember", "important", "different", "information", "success"),
)
CHANCE = random.Random(20261122)


def prose(length: int, rarely: tuple[str, ...] = ()) -> str:
    """No two the same; a tenth of the words are among ``rarely``."""
    words = (CHANCE.choice(rarely if rarely and CHANCE.random() < 0.1 else WORDS) for _ in range(length // 3))
    return " ".join(words)[:length]


def message(length: int) -> dict[str, str]:
    return {"role": "user", "content": prose(length)}


def answer() -> dict[str, Any]:
    details = {"cached_tokens": 0, "audio_tokens": 0, "reasoning_tokens": 64}
    usage = {"prompt_tokens": 512, "completion_tokens": 220, "total_tokens": 732, "prompt_tokens_details": details}
    choice = {"index": 0, "message": {"role": "assistant", "content": prose(2_400)}, "finish_reason": "stop"}
    head = {"id": "chatcmpl-9XyZabcdefghijk", "object": "chat.completion", "created": 1_763_800_000, "model": "gpt-5"}
    return {**head, "choices": [choice], "usage": usage}


def payloads() -> dict[str, Any]:
    numbers = ("2026-11-22", "17:30", "1,250", "42", "1763800000000", "v3.11.7", "+49 30 901820", "3.14159")
    secrets = ("password", "passwords", "token", "tokens", "API key", "secret", "cookie", "access token,", "risk-free")
    pages = " ".join(f"https://www.example.com/{prose(20).replace(' ', '/')}?page={page}" for page in range(55))
    image = base64.b64encode(CHANCE.randbytes(150_000)).decode()
    return {
        "prose": prose(3_180),
        "prose with numbers": prose(3_180, numbers),
        "a chat's answer, usage included": answer(),
        "the same as JSON in bytes": json.dumps(answer()).encode(),
        "a chat of 200 messages": {"model": "gpt-5", "messages": [message(470) for _ in range(200)]},
        "an image in base64": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}},
        "prose about passwords": f"{prose(3_170, secrets)} is it.",
        "numbers only": " ".join(str(CHANCE.randrange(10 ** CHANCE.randrange(1, 12))) for _ in range(450))[:3_180],
        "URLs only": pages[:3_180],
        "URLs and an address": f"ann@example.com {pages}"[:3_180],
        "a question that ends in a name": {
            "messages": [message(470), {"role": "user", "content": "What is my password?"}],
            "model": "gpt-5",
        },
        "a password": {"config": {"password": "hunter2"}, "text": prose(3_100)},
    }


def us(redactor: Redactor, data: bytes) -> float:
    calls, began_ns = 0, time.thread_time_ns()
    while (spent_ns := time.thread_time_ns() - began_ns) < ROUND_S * 1e9:
        for _ in range(20):
            redactor.redact(data)
        calls += 20
    return spent_ns / calls / 1_000


def main() -> None:
    redactor = Redactor()
    print(f"{'redaction (µs)':36}{'bytes':>9}{'median':>9}{'best':>9}{'worst':>9}")
    for name, value in payloads().items():
        data = encode(value).data
        values = [us(redactor, data) for _ in range(ROUNDS)]
        print(f"{name:36}{len(data):9}{statistics.median(values):9.2f}{min(values):9.2f}{max(values):9.2f}")


if __name__ == "__main__":
    main()
