"""``calculator``: a target that is no model. It works out a calculation that is written down, or says that it can't."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from tracer.messages import ChatRequest

CANT = "I can't work that out."
_SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = {word: number for number, word in enumerate(_SMALL)} | {
    word: 10 * number for number, word in enumerate(_TENS, start=2)
}
_N = r"(-?\d+(?:\.\d+)?)"
_SIGNS = {"divided by": "/", "over": "/", "times": "*", "multiplied by": "*", "plus": "+", "minus": "-"}


def answer(request: ChatRequest) -> str:
    """The result as digits, for the user's last message."""
    text = next(message.content for message in reversed(request.messages) if message.role == "user")
    found = worked_out(text)
    return CANT if found is None else f"{found:.6f}".rstrip("0").rstrip(".")


def worked_out(text: str) -> float | None:
    """The result of the calculation in a text; None where there is none of the kinds that it knows."""
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text.lower())
    plain = re.sub(r"[a-z]+", lambda word: str(_WORDS.get(word[0], word[0])), plain)
    if found := re.search(rf"average of ((?:{_N}(?:,|\s|and)*)+)", plain):
        numbers = [float(each) for each in re.findall(_N, found[1])]
        return sum(numbers) / len(numbers)
    if found := re.search(rf"square root of {_N}", plain):
        return math.sqrt(float(found[1])) if float(found[1]) >= 0 else None
    if found := re.search(rf"{_N}\s*% off (?:of )?{_N}", plain):
        return float(found[2]) * (1 - float(found[1]) / 100)
    if found := re.search(rf"{_N}\s*(?:%|percent) of {_N}", plain):
        return float(found[1]) / 100 * float(found[2])
    for words, sign in _SIGNS.items():
        plain = plain.replace(words, sign)
    if found := re.search(r"\d+(?:\.\d+)?(?:\s*[-+*/x×÷]\s*\d+(?:\.\d+)?)+", plain):
        return _value(re.findall(r"\d+(?:\.\d+)?|[-+*/x×÷]", found[0]))
    return None


def _value(parts: list[str]) -> float | None:
    """A chain of numbers and signs: products before sums, from left to right."""
    total, term, sign = Fraction(0), Fraction(parts[0]), 1
    for operation, number in zip(parts[1::2], parts[2::2], strict=True):
        by = Fraction(number)
        if operation in "+-":
            total, term, sign = total + sign * term, by, 1 if operation == "+" else -1
        elif operation in "*x×":
            term *= by
        elif by == 0:
            return None
        else:
            term /= by
    return float(total + sign * term)
