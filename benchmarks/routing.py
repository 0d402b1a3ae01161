"""What routing costs without the model's time, and whether it holds under a storm.

    python benchmarks/routing.py [--calls 5000] [--rounds 5] [--requests 200000] [--threads 8]

The first table: CPU time of the calling thread per routed call of a function that answers at once, outside a workflow
(recording off) and inside one (on); what a bare call of that function takes is in every round and taken off. Each
contestant runs in a fresh child process, in turns; figures are median (best to worst).

The storm: requests through stub targets of which 3 % time out and 2 % are refused with a 429, drawn from a seed, over
two arms of a role. Counted is whether each request was answered once, by the arm that was picked for it or by the
fallback behind it, and whether as many calls were made as are accounted for.
"""

from __future__ import annotations

import argparse
import random
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from costs.rounds import Spread, child, over, table
from costs.routes import CASES

import tracer
from router import Attempt, Retry, Router, Target, is_transient

_TARGET_US = 50
_TIMEOUTS, _REFUSALS = 0.03, 0.02


def overhead(rounds: int, calls: int) -> None:
    """Measure what routing adds to a call, and print it."""
    figures: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for _ in range(rounds):
        for case in CASES:
            for recording in ("off", "on"):
                figures[case, recording].append(child("costs.routes", case, recording, str(calls)))
    rows = []
    for case in CASES:
        if case == "bare":
            continue
        off, on = (over(figures[case, how], figures["bare", how], "us") for how in ("off", "on"))
        rows.append([case, off.text(1), on.text(1), "met" if off.median <= _TARGET_US else "MISSED"])
    bare = Spread(one["us"] for one in figures["bare", "off"]).text(2)
    head = ("added per call, µs of CPU", "recording off", "recording on", f"off, at most {_TARGET_US}")
    table(f"Routing: {calls:,} calls, {rounds} rounds; the bare call takes {bare} µs", head, rows)


@dataclass(frozen=True)
class _Pick:
    target: str
    arm: str
    propensity: float


class _Arms:
    """One call in ten goes to the canary, by its key."""

    def pick(self, role: str, key: str | None = None) -> _Pick:
        is_canary = int(key or 0) % 10 == 0
        return _Pick(f"{role}-canary", "canary", 0.1) if is_canary else _Pick(f"{role}-production", "production", 0.9)


class _Refused(Exception):
    status_code = 429


class _Provider:
    """Fails by a draw that is seeded with the request and the try, so that every run is the same one."""

    def __init__(self) -> None:
        self.answered: Counter[int] = Counter()
        self.calls = self.failures = 0
        # Guards the three above.
        self._lock = threading.Lock()

    def ask(self, attempt: Attempt, request: int) -> tuple[int, str]:
        draw = random.Random(request * 1_000 + attempt.number).random()
        fails = draw < _TIMEOUTS + _REFUSALS
        with self._lock:
            self.calls += 1
            self.failures += fails
            self.answered[request] += not fails
        if fails:
            raise TimeoutError if draw < _TIMEOUTS else _Refused
        return request, attempt.name


def storm(requests: int, threads: int) -> None:
    """Send the requests and print what came of them."""
    tracer.configure(models=[Target("draft-production"), Target("draft-canary")])
    retry = Retry(on=is_transient, attempts=2, base_s=0.0)
    router = Router([Target("spare")], role="draft", registry=_Arms(), retry=retry)
    provider, wrong = _Provider(), Counter[str]()
    by: Counter[str] = Counter()

    def send(request: int) -> None:
        try:
            answered = router.keyed(str(request)).call(provider.ask, request)
        except Exception as error:  # noqa: BLE001 - every target failed for this one: counted, and not lost
            by[type(error).__name__] += 1
            return
        by[answered.target] += 1
        picked = _Arms().pick("draft", str(request)).target
        wrong["other request's answer"] += answered.value[0] != request
        wrong["wrong arm"] += answered.target not in {picked, "spare"}
        wrong["not by whom it says"] += answered.value[1] != answered.target

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for done in pool.map(send, range(requests), chunksize=100):
            assert done is None
    took = time.perf_counter() - began
    doubled = sum(count > 1 for count in provider.answered.values())
    unaccounted = provider.calls - provider.failures - sum(provider.answered.values())
    lost = requests - sum(by.values())
    rows = [
        ["requests", f"{requests:,} in {took:.1f} s over {threads} threads"],
        ["calls made, of which failed", f"{provider.calls:,}, {provider.failures:,}"],
        *([f"ended by {name}", f"{count:,}"] for name, count in sorted(by.items())),
        ["lost / doubled / unaccounted for", f"{lost} / {doubled} / {unaccounted}"],
        ["answered wrongly", str(sum(wrong.values()))],
    ]
    good = not (lost or doubled or unaccounted or sum(wrong.values()))
    table(f"Storm: {'met' if good else 'MISSED'}", ("", ""), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5_000, help="per process")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--threads", type=int, default=8)
    given = parser.parse_args()
    overhead(given.rounds, given.calls)
    storm(given.requests, given.threads)


if __name__ == "__main__":
    main()
