"""A pipeline as it stands in production: ask a model, read the number out of its answer. Nothing here knows of a
backtest; the right answer is recorded as a score where the pipeline knows it.

``MODEL_URL`` is the provider's endpoint, up to ``/v1``.
"""

from __future__ import annotations

import os
import re
from functools import cache

from openai import OpenAI

import tracer
from tracer import Price, Target, step, workflow

MODEL = "mistralai/Mixtral-8x7B-Instruct-v0.1"

# What a token costs, in billionths of a dollar: $0.60 a million for the one, $10 and $30 for the other.
tracer.configure(
    models=[
        Target(MODEL, price=Price(600, 600)),
        Target("gpt-4-1106-preview", price=Price(10_000, 30_000)),
    ]
)


@cache
def client() -> OpenAI:
    return OpenAI(base_url=os.environ["MODEL_URL"], api_key="none")


@step
def ask(question: str) -> str:
    messages = [{"role": "user", "content": question}]
    return client().chat.completions.create(model=MODEL, messages=messages).choices[0].message.content or ""


@step
def final_number(text: str) -> str | None:
    """The last number of a text, without its sign: what the authors of the data count."""
    found = re.findall(r"\d[\d,]*(?:\.\d+)?", text)
    return found[-1].replace(",", "") if found else None


@workflow
def solve(question: str, gold: str | None = None) -> str | None:
    answer = final_number(ask(question))
    if gold is not None:
        tracer.current().score("gold", final_number(gold) or "")
    return answer
