"""What the router raises.

RouterError
├── AllTargetsFailed     every target of a fallback failed (an ExceptionGroup of what each one raised)
├── OutputRejected       a target answered, and the caller's check refused the answer
└── GuardrailFailed      a text broke a rule
"""

from __future__ import annotations

from typing import Any, Self, Sequence


class RouterError(Exception):
    """The root of this tree."""


class OutputRejected(RouterError):
    """A target answered, and ``reject`` said why its answer won't do."""

    def __init__(self, target: str, reason: str) -> None:
        self.target = target
        self.reason = reason
        super().__init__(f"the answer of {target} was refused: {reason}")


class GuardrailFailed(RouterError):
    """``text`` broke the rule named ``rule``; ``offence`` is the part of it that did, or what is missing from it."""

    def __init__(self, rule: str, offence: str, text: str) -> None:
        self.rule = rule
        self.offence = offence
        self.text = text
        super().__init__(f"broke the rule {rule!r}: {offence}")


class AllTargetsFailed(ExceptionGroup[Exception], RouterError):
    """Every target was tried and none answered. ``attempts`` pairs each name with what it raised, in order."""

    attempts: tuple[tuple[str, Exception], ...]

    def __new__(cls, attempts: Sequence[tuple[str, Exception]], *of_group: Any) -> Self:
        if of_group:  # made anew from its ``args``, as tblib (and so Dask) does: the attempts are set afterwards
            return super().__new__(cls, attempts, *of_group)  # type: ignore[arg-type]  # message and exceptions
        told = "; ".join(f"{target}: {type(error).__name__}" for target, error in attempts)
        self = super().__new__(cls, f"no target answered ({told})", [error for _, error in attempts])
        self.attempts = tuple(attempts)
        return self
