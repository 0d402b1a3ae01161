"""Ended steps delivered to a receiver: read back, made spans, sent; each of these tried again a few times."""

from __future__ import annotations

import itertools
import random
import threading
import time
from typing import Callable, Iterator, Sequence, TypeVar

from tracer.errors import StoreError, StoreUnreachable
from tracer.otlp.destination import Destination
from tracer.otlp.portions import Portion, Readable, portions
from tracer.otlp.sending import Taken, Unsent, send

#: How often something is tried before it is given up, and the seconds between: doubled each time, and in all cases at
#: most so many, also where a receiver asks for more.
TRIES = 5
FIRST_WAIT_S = 1.0
MOST_WAIT_S = 30.0
#: What a request has at least, however little time is left.
_LEAST_S = 0.1

T = TypeVar("T")


class Delivery:
    """``reach`` gives the store; ``closing`` is set when the program ends: from then on everything is tried once more
    and nothing waited for, until ``deadline()``, a time of the monotonic clock."""

    def __init__(
        self,
        to: Destination,
        reach: Callable[[], Readable],
        closing: threading.Event,
        deadline: Callable[[], float],
    ) -> None:
        self._to = to
        self._reach = reach
        self._closing = closing
        self._deadline = deadline

    def deliver(self, batch: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[int, int, str]]:
        """Deliver these (trace, step), portion by portion: how many were dealt with, how many of them the receiver did
        not get, and why not."""
        left = len(batch)
        try:
            for portion in self._tried(lambda: portions(batch, self._reach())):
                left -= portion.steps
                yield (portion.steps, *self._sent(portion))
        except Unsent as error:
            yield left, left, str(error)
        else:
            yield left, 0, ""  # what the store does not keep, nobody gets

    def _sent(self, portion: Portion) -> tuple[int, str]:
        try:
            spans = self._tried(lambda: portion.spans(self._reach(), self._to.resource))
            taken: Taken = self._tried(lambda: send(spans, self._to, timeout_s=self._timeout_s()))
        except Unsent as error:
            return portion.steps, str(error)
        return min(taken.rejected, portion.steps), f"{self._to} did not take them: {taken.why}"

    def _timeout_s(self) -> float:
        return max(_LEAST_S, min(self._to.timeout_s, self._deadline() - time.monotonic()))

    def _tried(self, attempt: Callable[[], T]) -> T:
        """Raises Unsent when it is of no use to go on."""
        for number in itertools.count(1):
            was_closing = self._closing.is_set()
            try:
                return attempt()
            except Unsent as error:
                problem = error
            except StoreUnreachable as error:
                problem = Unsent(str(error), again=True)
            except StoreError as error:
                problem = Unsent(str(error), again=False)
            if not problem.again or number >= TRIES or was_closing:
                raise problem
            wait_s = FIRST_WAIT_S * 2 ** (number - 1) * random.uniform(0.8, 1.2)  # noqa: S311 - so that many do not come at once
            self._closing.wait(min(MOST_WAIT_S, wait_s if problem.after_s is None else problem.after_s))
        raise AssertionError  # count() has no end
