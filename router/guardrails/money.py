"""A rule of a support desk: what no text may promise. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from router.guardrails.text import found

_SUM = r"(?:[$€£]\s?\d[\d.,]*|\d+(?:\.\d+)? ?(?:dollars|euros|pounds|usd|eur|gbp)\b)"
_GIVES = r"(?:refund|reimburse|compensate|credit|pay|waive|return your money)"
_GIVEN = r"(?:refunded|reimbursed|compensated|credited|paid|waived)"
_SOME_MONEY = r"(?:refund|reimbursement|compensation|cashback|credit|money)"
#: What a promise of money looks like in a reply. It errs on the side of stopping one.
PROMISES = (
    rf"\b(?:we|i)(?:'ll| will| can| shall| are going to| am going to)(?: \w+)? {_GIVES}\b",
    rf"\b(?:we|i)(?:'ve| have)(?: \w+)? {_GIVEN}\b",
    rf"\byou(?:'ll| will| shall| are going to)(?: \w+)? be {_GIVEN}\b",
    rf"\byou(?:'ll| will| shall| are going to)(?: \w+)? (?:receive|get|be given)(?: \w+){{0,3}} {_SOME_MONEY}\b",
    rf"\b(?:receive|get|give|send|pay|refund|credit)(?:ed|s)?(?: \w+){{0,3}} {_SUM}",
    rf"\b{_SOME_MONEY}(?: \w+){{0,2}} (?:is|was|will be|has been) (?:guaranteed|approved|issued|processed|credited)\b",
)


@dataclass(frozen=True, slots=True)
class NoPromiseOfMoney:
    """The text promises nobody money: no refund, credit, waiver or sum. ``patterns`` are searched for in any case."""

    patterns: tuple[str, ...] = PROMISES
    name: str = "no promise of money"

    def offence(self, text: str) -> str | None:
        plain = " ".join(text.replace("\u2019", "'").split())
        return next((hit for pattern in self.patterns if (hit := found(pattern, plain)) is not None), None)
