"""What the router raises.

RouterError
├── AllTargetsFailed     every target of a fallback failed (an ExceptionGroup of what each one raised)
├── OutputRejected       a target answered, and the caller's check refused the answer
├── CircuitOpen          a breaker lets no call through now
├── GuardrailFailed      a text broke a rule
├── InvalidWorkflow      a workflow on paper can't run: what is wrong with it, and where it was declared
├── NoBranch             a route decided for what no branch of it is for
├── NotReached           a bounded repeat came to its end, and what it was for was not reached
└── RegistryError        the registry of roles can't be read, or can't become what it was told to
    └── UnknownRole      it has no role of that name
"""

from __future__ import annotations

from functools import partial
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


class CircuitOpen(RouterError):
    """The breaker ``name`` lets no call through; after ``retry_after_s`` seconds it may let one try."""

    def __init__(self, name: str, retry_after_s: float, reason: str = "") -> None:
        self.name = name
        self.retry_after_s = retry_after_s
        self.reason = reason
        super().__init__(name, retry_after_s, reason)

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return f"the circuit of {self.name} is open{why}: try again in {self.retry_after_s:.1f} s, or another target"


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


class InvalidWorkflow(RouterError):
    """The workflow named ``workflow`` can't run. ``problems`` say what is wrong, one line each, with its place."""

    def __init__(self, workflow: str, problems: Sequence[str]) -> None:
        self.workflow = workflow
        self.problems = tuple(problems)
        told = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"the workflow {workflow!r} can't run:{told}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.workflow, self.problems)


class NoBranch(RouterError):
    """The route named ``route`` decided for ``value``, and has no branch for it."""

    def __init__(self, route: str, value: Any, branches: Sequence[Any], place: str) -> None:
        self.route = route
        self.value = value
        self.branches = tuple(branches)
        self.place = place
        known = ", ".join(map(repr, branches))
        super().__init__(
            f"{place}: {route} decided for {value!r}, which leads nowhere: its branches are {known}. Add one to to=, "
            "or say otherwise="
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.route, self.value, self.branches, self.place)


class NotReached(RouterError):
    """The repeat named ``name`` ran ``times`` times without what it was for; ``last`` is what it gave at the end."""

    def __init__(self, name: str, times: int, last: Any, place: str) -> None:
        self.name = name
        self.times = times
        self.last = last
        self.place = place
        super().__init__(
            f"{place}: {name} ran {times} times and until= never held. Allow more with at_most=, or go on with the "
            'last value: otherwise="last"'
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.times, self.last, self.place)


class RegistryError(RouterError):
    """The registry of roles can't be read, or can't be changed in this way."""

    #: What the command line ends with: wrong use.
    exit_code = 2


class UnknownRole(RegistryError):
    """The registry at ``place`` has no role ``role``."""

    def __init__(self, role: str, *, place: str, known: Sequence[str]) -> None:
        self.role = role
        self.place = place
        self.known = tuple(sorted(known))
        names = ", ".join(self.known) or "none"
        super().__init__(
            f"no role {role!r} in {place} (it has {names}); make it with: playhead roles set {role} --production MODEL"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), self.role, place=self.place, known=self.known), ()
