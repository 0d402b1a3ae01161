"""When a call is tried again, and how long after. Pure: draws and times are passed in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Literal

from router.errors import OutputRejected
from router.waits import asked_wait_s

#: Which exceptions are meant: classes, or a function that says so of one exception.
On = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Up to ``attempts`` calls of one target, the first included, after the exceptions that ``on`` names: there is no
    default for them. ``router.is_transient`` is one to name.

    Before the n-th retry the wait is drawn between 0 and ``base_s * factor ** (n - 1)`` seconds, at most ``cap_s``
    (``jitter="none"``: it is just that). Where the provider says how long to stay away, no shorter than that; where it
    says longer than ``cap_s``, the target is given up.
    """

    on: On
    attempts: int = 3
    base_s: float = 0.5
    factor: float = 2.0
    cap_s: float = 30.0
    jitter: Literal["full", "none"] = "full"

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"a retry needs attempts >= 1, the first call included, not {self.attempts}")
        for name, least in (("base_s", 0.0), ("factor", 1.0), ("cap_s", 0.0)):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least):
                raise ValueError(f"a retry needs a finite {name} >= {least:g}, not {value}")
        if self.jitter not in {"full", "none"}:
            raise ValueError(f'a retry\'s jitter is "full" or "none", not {self.jitter!r}')

    def covers(self, error: Exception) -> bool:
        """Whether this error is one to try again after."""
        return names(self.on, error)

    def bound_s(self, retry: int) -> float:
        """The longest wait of our own before that retry, counted from 1."""
        try:
            return min(self.cap_s, self.base_s * self.factor ** (retry - 1))
        except OverflowError:  # so late a retry that the power is more than a float holds
            return self.cap_s if self.base_s else 0.0

    def wait_s(
        self, error: Exception, retry: int, *, draw: Callable[[], float], now_s: Callable[[], float]
    ) -> float | None:
        """Seconds before that retry, counted from 1; None where the provider asks for more than ``cap_s``.

        ``draw`` gives a number in [0, 1), ``now_s`` the seconds since 1970; each is asked only where it matters.
        """
        asked = asked_wait_s(error, now_s)
        if asked is not None and asked > self.cap_s:
            return None
        bound = self.bound_s(retry)
        own = bound * draw() if self.jitter == "full" and bound > 0 else bound
        return max(own, asked or 0.0)


def names(on: On, error: Exception) -> bool:
    """Whether ``on`` names this error."""
    return isinstance(error, on) if isinstance(on, type | tuple) else on(error)


def lets_go_on(on: On, error: Exception) -> bool:
    """Whether another target may be asked after this error. A refused output always means that."""
    return isinstance(error, OutputRejected) or names(on, error)
