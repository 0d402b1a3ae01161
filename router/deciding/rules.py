"""Rules in order: the first that applies to a question says which target answers it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Generic, Sequence, TypeVar

from router.deciding.predicates import Look, Predicate

T = TypeVar("T")

#: (predicate, target, why), as a rule is written; ``why`` may be left out.
Written = tuple[Predicate | Callable[[Any], bool], T] | tuple[Predicate | Callable[[Any], bool], T, str]


@dataclass(frozen=True, slots=True)
class When(Generic[T]):
    """One rule: where ``predicate`` holds, ``target``."""

    predicate: Predicate | Callable[[Any], bool]
    target: T
    why: str = ""

    @property
    def name(self) -> str:
        return name_of(self.predicate)

    def applies(self, question: Any, look: Look) -> bool:
        try:
            if isinstance(self.predicate, Predicate):
                return self.predicate.holds(question, look)
            return bool(self.predicate(question))
        except Exception as error:
            error.add_note(f"raised by the rule {self.name!r}, which would choose {name_of(self.target)}")
            raise


@dataclass(frozen=True, slots=True)
class Ruled(Generic[T]):
    """What the rules say of a question: the target, the rule that applied (None: none did), why, and the rules before
    it, which did not."""

    target: T
    rule: str | None
    why: str
    passed_over: tuple[str, ...] = ()


class Rules(Generic[T]):
    """``Rules([(predicate, target, "why"), ...], otherwise=target).choose(question)``."""

    def __init__(self, rules: Sequence[When[T] | Written[T]], *, otherwise: T) -> None:
        self.rules = tuple(_read(place, rule) for place, rule in enumerate(rules))
        self.otherwise = otherwise

    @property
    def candidates(self) -> tuple[str, ...]:
        """The names of all targets that there are to choose from."""
        return tuple(
            dict.fromkeys(name_of(target) for target in (*(rule.target for rule in self.rules), self.otherwise))
        )

    def choose(self, question: Any, look: Look = lambda _, of: of()) -> Ruled[T]:
        """The target for a question. What a predicate of one's own raises goes on, with a note that names the rule."""
        passed_over: list[str] = []
        for rule in self.rules:
            if rule.applies(question, look):
                return Ruled(rule.target, rule.name, rule.why or rule.name, tuple(passed_over))
            passed_over.append(rule.name)
        return Ruled(self.otherwise, None, "no rule applies", tuple(passed_over))


def name_of(thing: Any) -> str:
    """What a target, a predicate or a function is called."""
    return str(getattr(thing, "name", None) or getattr(thing, "__name__", None) or thing)


def _read(place: int, rule: Any) -> When[Any]:
    made = rule if isinstance(rule, When) else When(*rule) if isinstance(rule, tuple) and len(rule) in {2, 3} else None
    if made is None or not (isinstance(made.predicate, Predicate) or callable(made.predicate)):
        raise TypeError(f"rule {place} must be (predicate, target) or (predicate, target, why), not {rule!r}")
    return made
