"""Rules say who answers a question: by its length, and by whether it asks for a calculation.

Long ones go to a language model, calculations to a calculator, all others to a classifier of a bank's questions. Where
one can't answer, the next best one is asked: that is recorded as a fallback.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from calculator import CANT
from calculator import answer as calculate
from support.local_llm import missing
from support.models import INTENT_LR, SMOLLM2

import tracer
from router import FREE, Attempt, Router, Rules, Target, ask, decide, is_transient, longer_than, mentions_math
from tracer import current, workflow
from tracer.messages import Message

CALCULATOR = Target("calculator", call=calculate, price=FREE)
LONG = 110
#: How long the language model may say nothing.
TIMEOUT_S = 30.0
HAS_LLM = missing() is None
tracer.configure(models=[CALCULATOR, INTENT_LR, *([SMOLLM2] if HAS_LLM else [])])

#: Without the language model the calculator gets the long ones too, and can't do most of them.
WRITER = SMOLLM2 if HAS_LLM else CALCULATOR
RULES = Rules(
    [
        (longer_than(characters=LONG), WRITER, "more than a calculator reads, and no short question to a bank"),
        (mentions_math(), CALCULATOR, "a calculation that is written down"),
    ],
    otherwise=INTENT_LR,
)
SYSTEM = "Work the problem out in short steps. End with: The answer is NUMBER."


class Unanswered(Exception):
    """What was said is no answer: the target is not made for such a question."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered and by whom; ``meant_for`` is whom the rules chose."""

    text: str
    by: str
    meant_for: str


@workflow
def route_question(question: str, gold: str | None = None) -> Answer:
    """``gold`` is the right answer, where it is known: recorded, with whether it was given, as scores."""
    ruled = decide(RULES, question)
    others = [target for target in (WRITER, INTENT_LR) if target is not ruled.target]
    answers = Router((ruled.target, *others), on=leads_on, name="answer").call(put, question)
    answer = Answer(answers.value, answers.target, ruled.target.name)
    if gold is not None:
        current().score("gold", gold)
        current().score("right", is_right(answer.text, gold))
    return answer


def put(attempt: Attempt, question: str) -> str:
    """The answer of one target. Raises Unanswered, CallFailed."""
    if attempt.target is SMOLLM2:
        asked = [Message("system", SYSTEM), Message("user", question)]
        return ask(SMOLLM2, asked, temperature=0, max_tokens=120, timeout_s=TIMEOUT_S).text
    said = ask(attempt.target, question).text
    if said == CANT:
        raise Unanswered(f"{attempt.target.name}: {CANT}")
    return str(json.loads(said)["intent"]) if attempt.target is INTENT_LR else said


def leads_on(error: Exception) -> bool:
    """After which errors the next one is asked."""
    return isinstance(error, Unanswered) or is_transient(error)


def is_right(text: str, gold: str) -> bool:
    """The intent itself; of a number, that the text's last one is it, to six digits."""
    if not re.fullmatch(r"-?[\d,]+(?:\.\d+)?", gold):
        return text == gold
    numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)
    return bool(numbers) and abs(float(numbers[-1].replace(",", "")) - float(gold.replace(",", ""))) < 1e-5
