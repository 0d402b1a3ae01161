"""How likely an answer of the cheap model is right, from its own text: a small classifier on the data alone.

It looks at the question and at the cheap model's answer: how long both are, how many numbers, whether the equations in
the answer are right when they are worked out again, whether the question's numbers are used, and some words. It sees
neither the right answer nor anything of the dear model. The questions are in two halves, drawn by a digest of their
text; each question is judged by the classifier that was trained on the other half.
"""

from __future__ import annotations

import math
import re
from functools import cache
from hashlib import blake2b

from answers import WEAK, rows
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

_NUMBER = r"-?\$?(\d[\d,]*(?:\.\d+)?)"
_EQUATION = re.compile(rf"{_NUMBER}\s*([+\-*/x×÷])\s*{_NUMBER}\s*=\s*{_NUMBER}")
_HEDGES = ("however", "assum", "but ", "approximately", "about ", "if ", "not ", "cannot", "total of")


def half(question: str) -> int:
    """0 or 1."""
    return blake2b(question.encode(), digest_size=1).digest()[0] % 2


def features(question: str, text: str) -> list[float]:
    """What the classifier looks at."""
    asked, said = _numbers(question), _numbers(text)
    right, equations = _equations(text)
    return [
        math.log(1 + len(text)),
        math.log(1 + len(question)),
        float(len(asked)),
        float(len(said)),
        float(equations),
        float(equations - right),
        right / equations if equations else 0.5,
        len(set(asked) & set(said)) / len(set(asked)) if asked else 1.0,
        float(bool(said) and said[-1] in said[:-1]),
        float(bool(said) and said[-1] == int(said[-1])),
        math.log(1 + abs(said[-1])) if said else 0.0,
        float(text.count("\n")),
        float("%" in question),
        float("/" in question or "half" in question or "third" in question or "quarter" in question),
        *(float(text.lower().count(word)) for word in _HEDGES),
    ]


def confidence(question: str, text: str) -> float:
    """The probability that the answer is right, as the classifier of the other half tells it."""
    (probability,) = _trained(1 - half(question)).predict_proba([features(question, text)])[:, 1]
    return round(float(probability), 4)


@cache
def _trained(on: int) -> Pipeline:
    known = [row for row in rows() if half(row.question) == on]
    found = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=1_000))
    found.fit([features(row.question, row.texts[WEAK]) for row in known], [row.correct[WEAK] for row in known])
    return found


def _numbers(text: str) -> list[float]:
    return [float(each.replace(",", "")) for each in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def _equations(text: str) -> tuple[int, int]:
    """How many equations of two numbers are right, and how many there are."""
    right = number = 0
    for one, sign, other, result in _EQUATION.findall(text):
        left, by, told = (float(each.replace(",", "")) for each in (one, other, result))
        worked = {"+": left + by, "-": left - by, "/": left / by if by else math.inf}
        worked["÷"] = worked["/"]
        number += 1
        right += math.isclose(worked.get(sign, left * by), told, rel_tol=0.01, abs_tol=0.01)
    return right, number
