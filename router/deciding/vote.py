"""Several voices, one answer: how they are counted. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, Generic, Literal, Sequence, TypeVar, get_args

from router.confidences import Confidence
from router.errors import NoConfidence, Undecided
from router.flow import Failed

T = TypeVar("T")
By = Literal["majority", "confidence"]
Ties = Literal["first", "refuse"]


@dataclass(frozen=True, slots=True)
class Voice(Generic[T]):
    """What one target said; ``confidence`` is None where nobody asked for it."""

    target: str
    value: T
    confidence: Confidence | None = None


@dataclass(frozen=True, slots=True)
class Voted(Generic[T]):
    """``value`` won. ``confidence`` is the share of the weight that it got, by agreement; ``tally`` pairs each
    different answer with its weight, most first; ``failed`` are the voices that gave none. ``tied``: another got as
    much."""

    value: T
    target: str
    confidence: Confidence
    tally: tuple[tuple[T, float], ...]
    voices: tuple[Voice[T], ...]
    failed: tuple[Failed, ...] = ()
    tied: bool = False


@dataclass(frozen=True, slots=True)
class Counting:
    """How votes are counted. ``by`` gives each voice the weight 1, or that of its confidence; ``quorum`` is how many
    voices must say what wins; of equal answers that of the first voice wins, or with ``ties="refuse"`` none does.
    ``same`` tells whether two answers mean the same (``==`` by default)."""

    by: By = "majority"
    quorum: int = 1
    ties: Ties = "first"
    same: Callable[[Any, Any], bool] | None = None

    def __post_init__(self) -> None:
        if self.by not in get_args(By):
            raise ValueError(f"no way to count by {self.by!r}; there are {', '.join(get_args(By))}")
        if self.ties not in get_args(Ties):
            raise ValueError(f"no rule for ties {self.ties!r}; there are {', '.join(get_args(Ties))}")
        if self.quorum < 1:
            raise ValueError(f"a quorum is a number of voices from 1 on, not {self.quorum}")

    def weight(self, voice: Voice[Any]) -> float:
        if self.by == "majority":
            return 1.0
        if voice.confidence is None:
            raise NoConfidence(f"a vote by confidence needs one of each voice, and {voice.target} gave none")
        return voice.confidence.value

    def count(self, voices: Sequence[Voice[T]], failed: Sequence[Failed] = ()) -> Voted[T]:
        """The winner among ``voices``, in the order in which they were asked. Raises Undecided."""
        groups: list[list[Voice[T]]] = []
        for voice in voices:
            group = next((group for group in groups if self._is_same(group[0].value, voice.value)), None)
            if group is None:
                groups.append([voice])
            else:
                group.append(voice)
        weighed = [(group, math.fsum(map(self.weight, group))) for group in groups]
        weighed.sort(key=lambda each: -each[1])  # stable: the first voice's stays before its equals
        tally = tuple((group[0].value, weight) for group, weight in weighed)
        if not weighed:
            raise Undecided("there is no voice", ())
        winner, most = weighed[0]
        tied = len(weighed) > 1 and math.isclose(weighed[1][1], most)
        if tied and self.ties == "refuse":
            raise Undecided(f"{sum(math.isclose(weight, most) for _, weight in weighed)} answers got as much", tally)
        if len(winner) < self.quorum:
            raise Undecided(f"{len(winner)} of {len(voices)} voices agree, and {self.quorum} must", tally)
        total = math.fsum(weight for _, weight in tally)
        # Where every voice is worth nothing, so is what they agree on.
        share = min(1.0, most / total) if total else 0.0
        sure = Confidence(share, "agreement", {"agree": len(winner), "of": len(voices), "by": self.by})
        return Voted(winner[0].value, winner[0].target, sure, tally, tuple(voices), tuple(failed), tied)

    def _is_same(self, one: Any, other: Any) -> bool:
        return bool(one == other) if self.same is None else self.same(one, other)
