"""A cascade as one's own code writes it: the cheap model first, the dear one where that seems unsure; and now and then
the dear one although it seems sure, for the threshold's sake. What is decided is recorded as a Decision, which is all
that ``playhead tune`` needs.

``MODEL_URL`` is the provider's endpoint, up to ``/v1``.
"""

from __future__ import annotations

import os
import re
from functools import cache
from typing import Any

from answers import STRONG, WEAK
from confidence import confidence
from openai import OpenAI

import tracer
from router import Target
from tracer import Price, span, workflow
from tracer.decisions import DECISION, Decision

# What a token costs, in billionths of a dollar: $0.60 a million for the one, $10 and $30 for the other.
CHEAP = Target("mixtral", model=WEAK, price=Price(600, 600))
DEAR = Target("gpt-4", model=STRONG, price=Price(10_000, 30_000))
tracer.configure(models=[CHEAP, DEAR])


@cache
def client() -> OpenAI:
    return OpenAI(base_url=os.environ["MODEL_URL"], api_key="none")


def ask(target: Target, question: str) -> str:
    with span(target.name, kind="attempt") as attempt:
        messages: Any = [{"role": "user", "content": question}]
        answer = client().chat.completions.create(model=target.asked_as, messages=messages)
        attempt.output = answer.choices[0].message.content or ""
        return str(attempt.output)


def cascade(question: str, accept: float, explore: float) -> str:
    with span("cascade", kind="router") as decided:
        text = ask(CHEAP, question)
        sure = confidence(question, text)
        is_sure = sure >= accept
        explores = is_sure and tracer.random() < explore
        dear = ask(DEAR, question) if explores or not is_sure else None
        chosen = CHEAP if is_sure or dear is None else DEAR
        decision = Decision(
            "cascade",
            chosen=chosen.name,
            candidates=(CHEAP.name, DEAR.name),
            confidence=sure,
            confidence_from="classifier",
            thresholds={"accept": accept},
            propensity=(explore if explores else 1 - explore) if is_sure else 1.0,
        )
        decided.set(tags={DECISION: decision.as_tag()})
        return text if chosen is CHEAP or dear is None else dear


def final_number(text: str) -> str | None:
    """The last number of a text, without its sign: what the authors of the data count."""
    found = re.findall(r"\d[\d,]*(?:\.\d+)?", text)
    return found[-1].replace(",", "") if found else None


@workflow
def solve(question: str, gold: str, accept: float, explore: float) -> str | None:
    answer = final_number(cascade(question, accept, explore))
    tracer.current().score("gold", gold)
    return answer
