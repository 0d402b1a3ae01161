"""Tail sampling: which traces stay once they have ended, when it is known how they did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tracer.errors import ConfigError


def number(name: str, value: Any, low: float, high: float = float("inf")) -> float:
    """A setting that is a number from ``low`` to ``high``. Raises ConfigError, which says so."""
    try:
        given = float(value)
    except (TypeError, ValueError):
        given = float("nan")
    if not low <= given <= high:
        allowed = f"from {low:g} to {high:g}" if high < float("inf") else f"of at least {low:g}"
        raise ConfigError(f"{name} is {value!r}; it takes a number {allowed}")
    return given


@dataclass(frozen=True, slots=True)
class Keep:
    """Which ended traces stay. Always those that did not end well, escalated to a human, are a replay, were scored,
    took at least ``slow_s`` seconds or cost at least ``dear_usd``; of the others a ``share`` from 0 to 1.

    A trace that has not ended is always kept. Raises ConfigError for a number that can't be.
    """

    share: float = 1.0
    slow_s: float | None = None
    dear_usd: float | None = None

    def __post_init__(self) -> None:
        number("keep: share", self.share, 0.0, 1.0)
        for name in ("slow_s", "dear_usd"):
            if getattr(self, name) is not None:
                number(f"keep: {name}", getattr(self, name), 0.0)

    def keeps(self, trace_id: str, *, is_ordinary: bool, duration_ns: int, cost_nusd: int) -> bool:
        """``is_ordinary``: it ended well, nobody was asked or scored it, and it is nobody's replay. Which of those stay
        is decided by the id alone, so that every process decides alike."""
        if not is_ordinary or self.share >= 1.0:
            return True
        if self.slow_s is not None and duration_ns >= self.slow_s * 1e9:
            return True
        if self.dear_usd is not None and cost_nusd >= self.dear_usd * 1e9:
            return True
        # The last 8 of the id's 20 random hex digits, as a fraction.
        return int(trace_id[-8:], 16) / 2**32 < self.share


KEEP_ALL = Keep()
