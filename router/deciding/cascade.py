"""Cheap first, dear when unsure: as a generator that neither calls nor draws. Pure.

It yields a target and is sent what came of it, with its confidence; it yields ``Draw()`` and is sent a number from 0 up
to 1. So one flow serves plain functions and coroutines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generator, Generic, Sequence, TypeVar

from router.confidences import Confidence
from router.deciding.bands import Band, Bands
from router.deciding.rules import name_of
from router.errors import AllTargetsFailed
from router.retry import On, lets_go_on

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What a target said, and how sure that is; ``confidence`` is None where nobody says, which is unsure."""

    target: str
    value: T
    confidence: Confidence | None


@dataclass(frozen=True, slots=True)
class Raised:
    """The call of a target ended in this."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Draw:
    """A number in [0, 1) is wanted: whether to explore."""


@dataclass(frozen=True, slots=True)
class Cascaded(Generic[T]):
    """``value`` is the answer of ``target``; ``band`` says what its confidence was taken for. ``answers`` are all that
    were given, in order; ``explored`` says that the next target was asked although this one was sure, which never
    changes the answer. ``propensity`` is the probability with which just these targets were asked."""

    value: T
    target: str
    confidence: Confidence | None
    band: Band
    answers: tuple[Answer[T], ...]
    explored: bool = False
    propensity: float = 1.0


Flow = Generator[Any, Answer[T] | Raised | float, Cascaded[T]]


def cascaded(targets: Sequence[Any], *, accept: Bands, explore: float, on: On) -> Flow[T]:
    """Ask one target after the other until an answer is sure, or hopeless, or there is none left.

    An answer of the last target is taken whatever its confidence. After an error that ``on`` names the next target is
    asked; any other is raised as it is, and AllTargetsFailed where nobody answered.
    """
    if not targets:
        raise ValueError("a cascade needs at least one target")
    if not 0.0 <= explore <= 1.0:
        raise ValueError(f"explore is a share from 0 to 1, not {explore}")
    answers: list[Answer[T]] = []
    failed: list[tuple[str, Exception]] = []
    for place, target in enumerate(targets):
        outcome = yield target
        if isinstance(outcome, Raised):
            if not lets_go_on(on, outcome.error):
                raise outcome.error
            failed.append((name_of(target), outcome.error))
            continue
        assert isinstance(outcome, Answer)
        answers.append(outcome)
        band: Band = "unsure" if outcome.confidence is None else accept.of(outcome.confidence.value)
        if band == "sure" and place + 1 < len(targets) and explore > 0.0:
            return (yield from _explored(answers, outcome, targets[place + 1], explore=explore))
        if band != "unsure":
            return _taken(outcome, band, answers)
    if not answers:
        raise AllTargetsFailed(failed)
    return _taken(answers[-1], "unsure", answers)


def _explored(answers: list[Answer[T]], sure: Answer[T], beyond: Any, *, explore: float) -> Flow[T]:
    """Now and then the next target is asked although this one was sure: only so can it be told what a higher threshold
    would have brought. Whatever it raises is nobody's loss, for there is an answer."""
    drawn = yield Draw()
    assert isinstance(drawn, float)
    if drawn >= explore:
        return _taken(sure, "sure", answers, propensity=1.0 - explore)
    outcome = yield beyond
    if isinstance(outcome, Answer):
        answers.append(outcome)
    return _taken(sure, "sure", answers, propensity=explore, explored=True)


def _taken(
    answer: Answer[T], band: Band, answers: Sequence[Answer[T]], *, propensity: float = 1.0, explored: bool = False
) -> Cascaded[T]:
    return Cascaded(answer.value, answer.target, answer.confidence, band, tuple(answers), explored, propensity)
