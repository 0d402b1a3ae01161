"""Whether routing holds under a storm: no request lost, doubled or answered by the wrong arm, no breaker off by one.

    python benchmarks/routed.py [--requests 200000] [--recorded 5000] [--threads 50] [--rounds 200]

**The storm**: requests through stub models: 3 % of the calls time out and 2 % are refused with a 429 that asks for a
second, drawn from a seed. Two arms of a role out of a registry, a breaker at each, one retry, a third model behind.
Nobody sleeps: a wait moves the clock that the breakers go by. Each request's answer is held against the request and the
arm that its key gives it, each call that was made against an outcome, each way it went against the rules.

**The same, recorded**: each request a workflow of its own in a new SQLite store, which is then counted.

**Breakers**: threads that call one router at the same moment, round after round: the circuit must open once, refuse
everybody, let one probe through and no other, open again when it fails and close when it succeeds.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

from costs.rounds import table

import tracer
from router import (
    AllTargetsFailed,
    Answered,
    Attempt,
    Breaker,
    Consecutive,
    Registry,
    Retry,
    Router,
    Target,
    is_transient,
)
from router import router as routing
from tracer.decisions import TRY, decision_in
from tracer.reading import open_reading
from tracer.store import Filter

ROLE, PRODUCTION, CANARY, SPARE = "draft", "production", "canary", "spare"
SHARE = 10
OPEN_S = 30.0
ATTEMPTS = 2
_TIMEOUTS, _REFUSALS = 0.03, 0.02


class Clock:
    """Seconds that pass only where somebody waits, or ``move`` is told so."""

    def __init__(self) -> None:
        self.now = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds


class Refused(Exception):
    """A 429, as SDKs raise it."""

    status_code = 429

    def __init__(self) -> None:
        self.response = SimpleNamespace(headers={"retry-after": "1"})


class Provider:
    """Fails by a draw that is seeded with the request and the try, so that a try ends alike in every run."""

    def __init__(self) -> None:
        self.answered: Counter[int] = Counter()
        self.ended: Counter[str] = Counter()
        # Guards the two above.
        self._lock = threading.Lock()

    def ask(self, attempt: Attempt, request: int) -> tuple[int, str]:
        draw = random.Random(request * 1_000 + attempt.number).random()
        ended = "timed out" if draw < _TIMEOUTS else "refused" if draw < _TIMEOUTS + _REFUSALS else "answered"
        with self._lock:
            self.ended[ended] += 1
            self.answered[request] += ended == "answered"
        if ended == "timed out":
            raise TimeoutError
        if ended == "refused":
            raise Refused
        return request, attempt.name


@dataclass
class Seen:
    """What came of the requests, and everything that must not be."""

    by: Counter[str] = field(default_factory=Counter)
    arms: Counter[str] = field(default_factory=Counter)
    passed_over: int = 0
    wrong: Counter[str] = field(default_factory=Counter)


class Storm:
    """Requests, each with a key of its own, and the judge of their answers."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.registry = Registry(folder / "roles.toml")
        self.registry.set(ROLE, production=PRODUCTION, canary=CANARY, share=SHARE)
        self.provider, self.seen = Provider(), Seen()
        names = (PRODUCTION, CANARY)
        breakers = {name: Breaker(name, trip=Consecutive(3), open_s=OPEN_S, clock=clock) for name in names}
        retry = Retry(on=is_transient, attempts=ATTEMPTS, base_s=0.5)
        self.router = Router([SPARE], role=ROLE, registry=self.registry, retry=retry, breakers=breakers, name="storm")
        # Guards what was seen.
        self._lock = threading.Lock()

    def send(self, request: int) -> None:
        picked = self.registry.pick(ROLE, str(request))
        try:
            answered: Answered[Any] | None = self.router.keyed(str(request)).call(self.provider.ask, request)
            failed = [(each.target, each.error) for each in answered.failed]
        except AllTargetsFailed as error:
            answered, failed = None, [(name, type(each).__name__) for name, each in error.attempts]
        with self._lock:
            self._judge(request, picked, answered, failed)

    def _judge(self, request: int, picked: Any, answered: Answered[Any] | None, failed: list[tuple[str, str]]) -> None:
        seen = self.seen
        seen.arms[picked.arm] += 1
        tried = [error for name, error in failed if name == picked.target]
        is_over = "CircuitOpen" in tried or len(tried) == ATTEMPTS
        seen.passed_over += "CircuitOpen" in tried
        if answered is None:
            seen.by["nobody, and said so"] += 1
            seen.wrong["given up too early"] += not is_over or len(failed) != len(tried) + ATTEMPTS
            return
        seen.by[answered.target] += 1
        seen.wrong["another request's answer"] += answered.value[0] != request
        seen.wrong["not by whom it says"] += answered.value[1] != answered.target
        seen.wrong["of another arm"] += answered.target not in {picked.target, SPARE}
        seen.wrong["by the spare too early"] += answered.target == SPARE and not is_over

    def run(self, requests: int, threads: int, send: Callable[[int], None]) -> float:
        """Seconds that it took."""
        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(send, range(requests), chunksize=100):
                pass
        return time.perf_counter() - began

    def faults(self, requests: int) -> Counter[str]:
        """What must all be nought."""
        provider, seen = self.provider, self.seen
        given = sum(count for name, count in seen.by.items() if name != "nobody, and said so")
        found = Counter(seen.wrong)
        found["lost"] = requests - sum(seen.by.values())
        found["doubled"] = sum(count > 1 for count in provider.answered.values())
        found["answers of which nobody heard"] = provider.ended["answered"] - given
        return found


def storm(requests: int, threads: int, clock: Clock) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        tracer.configure(models=[Target(name) for name in (PRODUCTION, CANARY, SPARE)])
        one = Storm(Path(folder), clock)
        took = one.run(requests, threads, one.send)
    seen, provider, faults = one.seen, one.provider, one.faults(requests)
    rows = [
        ["requests", f"{requests:,} over {threads} threads, {took:.1f} s, {requests / took:,.0f} a second"],
        ["calls", ", ".join(f"{count:,} {name}" for name, count in sorted(provider.ended.items()))],
        ["arms picked", ", ".join(f"{count:,} {name}" for name, count in sorted(seen.arms.items()))],
        ["answered by", ", ".join(f"{count:,} {name}" for name, count in sorted(seen.by.items()))],
        ["passed over, their breaker being open", f"{seen.passed_over:,}"],
        ["waited, on the clock", f"{clock.now:,.0f} s"],
        *([name, str(count)] for name, count in sorted(faults.items())),
    ]
    is_good = not +faults and not -faults
    table(f"Storm: {_word(is_good=is_good)}", ("", ""), rows)
    return is_good


def recorded(requests: int, threads: int, clock: Clock) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        tracer.configure(database_url=str(Path(folder, "playhead.db")), home=Path(folder))
        one = Storm(Path(folder), clock)
        took = one.run(requests, threads, tracer.workflow(name="request")(one.send))
        is_written = tracer.flush(timeout_s=600)
        with open_reading() as store:
            wanted = Filter(workflow="request")
            decided = [(row, decision_in(row.tags)) for row in store.tagged("decision", wanted)]
            tries = len(store.tagged(TRY, wanted))
        tracer.shutdown()
    routed = [(row, one) for row, one in decided if one is not None and one.policy == "fallback"]
    by = Counter(one.chosen or "nobody, and said so" for _, one in routed)
    faults = one.faults(requests)
    faults["traces missing in the store"] = requests - len({row.trace_id for row, _ in routed})
    faults["decisions missing in the store"] = requests - len(routed)
    faults["tries missing in the store"] = sum(one.provider.ended.values()) - tries
    faults["answers told otherwise by the store"] = sum(((by - one.seen.by) + (one.seen.by - by)).values())
    faults["not written in time"] = not is_written
    rows = [
        ["requests", f"{requests:,} over {threads} threads, {took:.1f} s, {requests / took:,.0f} a second"],
        ["in the store", f"{len(routed):,} decisions, {tries:,} tries"],
        *([name, str(int(count))] for name, count in sorted(faults.items())),
    ]
    is_good = not +faults and not -faults
    table(f"The same, recorded: {_word(is_good=is_good)}", ("", ""), rows)
    return is_good


class Rounds:
    """A breaker that all threads ask at once; ``reached`` counts the calls that it let through."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.clock = Clock()
        self.breaker = Breaker("one", trip=Consecutive(5), open_s=OPEN_S, clock=self.clock)
        self.router = Router([Target("one"), Target("two")], on=TimeoutError, breakers={"one": self.breaker})
        self.reached = self.answered = 0
        self._counted = threading.Condition()

    def phase(self, pool: ThreadPoolExecutor, *, fails: bool, let: int) -> tuple[int, str]:
        """All call at once; those that are let through end when ``let`` are in and all others are answered. Gives how
        many were let through, and what became of the circuit."""
        self.reached = self.answered = 0

        def ask(attempt: Attempt) -> str:
            if attempt.name == "two":
                with self._counted:
                    self.answered += 1
                    self._counted.notify_all()
                return "two"
            with self._counted:
                self.reached += 1
                self._counted.notify_all()
                # a failed call goes on to the second model, and must not be waited for
                self._counted.wait_for(lambda: self.reached + self.answered >= self.threads, timeout=60)
            if fails:
                raise TimeoutError
            return "one"

        together = threading.Barrier(self.threads)

        def call(_: int) -> str:
            together.wait(timeout=60)
            return self.router.call(ask).value

        list(pool.map(call, range(self.threads)))
        return self.reached - let, self.breaker.state


def breakers(rounds: int, threads: int) -> bool:
    one, wrong = Rounds(threads), Counter[str]()
    steps = (
        ("all fail at once", 0.0, True, threads, "open"),
        ("open", 0.0, True, 0, "open"),
        ("a probe fails", OPEN_S, True, 1, "open"),
        ("a probe succeeds", OPEN_S, False, 1, "closed"),
        ("closed again", 0.0, False, threads, "closed"),
    )
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(rounds):
            for name, seconds, fails, let, state in steps:
                one.clock.move(seconds)
                found = one.phase(pool, fails=fails, let=let)
                wrong[name] += found != (0, state)
    took = time.perf_counter() - began
    calls = rounds * len(steps) * threads
    rows = [
        ["rounds of five phases", f"{rounds:,}, {calls:,} routed calls by {threads} threads at once, {took:.1f} s"],
        *([f"{name}: let through {let}, then {state}", f"{wrong[name]} wrong"] for name, _, _, let, state in steps),
    ]
    is_good = not +wrong
    table(f"Breakers: {_word(is_good=is_good)}", ("", ""), rows)
    return is_good


def _word(*, is_good: bool) -> str:
    return "met" if is_good else "MISSED"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--recorded", type=int, default=5_000)
    parser.add_argument("--threads", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    clock = Clock()
    routing.pause = clock.move
    good = [
        storm(given.requests, given.threads, clock),
        recorded(given.recorded, given.threads, clock),
        breakers(given.rounds, given.threads),
    ]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
