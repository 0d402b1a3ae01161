"""When failures are too many: in a row, or as a share of a window. Pure: frozen rules over frozen counts.

A count is whatever its rule made it; only the rule that made it reads it. ``told`` and ``retold`` are its plain form,
with ages in place of times, so that a replay can begin where the record stood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

#: A window is counted in this many slices, so what falls out of it does so a tenth at a time.
_SLICES = 10


class Trip(Protocol):
    """When a circuit opens. ``now`` is in seconds, of a clock that never goes back."""

    def empty(self) -> Any: ...
    def after(self, counted: Any, now: float, *, failed: bool) -> Any: ...
    def reason(self, counted: Any, now: float) -> str | None:
        """Why the circuit opens at this count; None: it stays closed."""

    def told(self, counted: Any, now: float) -> Any: ...
    def retold(self, told: Any, now: float) -> Any: ...


@dataclass(frozen=True, slots=True)
class Consecutive:
    """Open after ``failures`` failures in a row; a success begins the row anew."""

    failures: int = 5

    def __post_init__(self) -> None:
        if self.failures < 1:
            raise ValueError(f"Consecutive(failures={self.failures}): it takes at least 1 failure to open a circuit")

    def empty(self) -> int:
        return 0

    def after(self, counted: int, now: float, *, failed: bool) -> int:  # noqa: ARG002 - a row has no time
        return counted + 1 if failed else 0

    def reason(self, counted: int, now: float) -> str | None:  # noqa: ARG002 - likewise
        words = "1 failure" if counted == 1 else f"{counted} failures in a row"
        return None if counted < self.failures else words

    def told(self, counted: int, now: float) -> int:  # noqa: ARG002 - likewise
        return counted

    def retold(self, told: Any, now: float) -> int:  # noqa: ARG002 - likewise
        """The count that was told; empty where another rule told it."""
        return told if isinstance(told, int) and 0 <= told < self.failures else 0


#: Slice number, calls and failures in it; oldest first.
_Slices = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """Open when at least ``share`` (0 to 1) of the calls that ended within ``window_s`` seconds failed.

    Fewer than ``at_least`` calls say nothing. The window is counted in tenths: a call leaves it between 0.9 and 1.0
    times ``window_s`` after it ended.
    """

    share: float = 0.5
    window_s: float = 60.0
    at_least: int = 10

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"Rate(share={self.share}): a share above 0 and at most 1 is needed, 0.5 for half")
        if not 0.0 < self.window_s < float("inf"):
            raise ValueError(f"Rate(window_s={self.window_s}): a number of seconds above 0 is needed")
        if self.at_least < 1:
            raise ValueError(f"Rate(at_least={self.at_least}): at least 1 call is needed")

    def empty(self) -> _Slices:
        return ()

    def after(self, counted: _Slices, now: float, *, failed: bool) -> _Slices:
        number = self._slice(now)
        kept = self._within(counted, number)
        if kept and kept[-1][0] == number:
            _, calls, failures = kept[-1]
            return (*kept[:-1], (number, calls + 1, failures + failed))
        return (*kept, (number, 1, int(failed)))

    def reason(self, counted: _Slices, now: float) -> str | None:
        kept = self._within(counted, self._slice(now))
        calls, failures = sum(each[1] for each in kept), sum(each[2] for each in kept)
        if calls < self.at_least or failures < self.share * calls:
            return None
        return f"{failures} of {calls} calls failed within {self.window_s:g} s"

    def told(self, counted: _Slices, now: float) -> list[list[int]]:
        number = self._slice(now)
        return [[number - at, calls, failures] for at, calls, failures in self._within(counted, number)]

    def retold(self, told: Any, now: float) -> _Slices:
        """The count that was told; empty where another rule told it."""
        number = self._slice(now)
        try:
            slices = tuple((number - int(age), int(calls), int(failures)) for age, calls, failures in told)
        except (TypeError, ValueError, OverflowError):
            return ()
        return self._within(slices, number)

    def _slice(self, now: float) -> int:
        return int(now // (self.window_s / _SLICES))

    @staticmethod
    def _within(counted: _Slices, number: int) -> _Slices:
        return tuple(each for each in counted if number - each[0] < _SLICES)
