"""Circuit breakers: a target that keeps failing is left alone for a while, then tried with one call.

``state`` and ``trips`` decide and do nothing else; ``circuit`` holds the lock for a transition, ``sharing`` lets
processes have one circuit, ``record`` writes down what was answered and gives a replay its own copy, ``breaker`` is
the face, ``history`` reads back from traces what happened.
"""

from router.breaker.breaker import Breaker, Permit
from router.breaker.trips import Consecutive, Rate

__all__ = ["Breaker", "Consecutive", "Permit", "Rate"]
