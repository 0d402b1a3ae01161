"""What steps that decide came to, over a period: counted out of their tags, and put into words. Pure.

A router is known by its path without occurrences, ``support/draft``: two steps of one name in two workflows are two
routers. Decisions of the registry are no routing of their own; the page of canaries counts them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Iterable, Iterator

from tracer import format as fmt
from tracer.decisions import Decision, decision_in
from tracer.format import Shown
from tracer.stats.intervals import share
from tracer.store import Filter
from tracer.store.tagged import Tagged
from web.view.contexts_of_routes import Rate, RouterCard, TargetRow
from web.view.narrowing import list_href
from web.view.text import one_line

#: So many reasons are shown of one router.
REASONS = 6
_OCCURRENCE = re.compile(r"\[\d+\](?=/|$)")
#: What differs from one decision to the next within one reason: numbers.
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(slots=True)
class Routed:
    """The decisions of one step, counted. ``waited_s`` is the sum; ``ended`` are those whose step is over."""

    path: str
    policies: Counter[str] = field(default_factory=Counter)
    decisions: int = 0
    ended: int = 0
    failed: int = 0
    fell_back: int = 0
    retried: int = 0
    waits: int = 0
    waited_s: float = 0.0
    #: By target, in the order in which candidates were named.
    answers: Counter[str] = field(default_factory=Counter)
    candidates: dict[str, None] = field(default_factory=dict)
    breakers: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    #: By what was chosen and why, numbers aside, with one such reason as it was written.
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def workflow(self) -> str:
        return self.path.partition("/")[0]

    @property
    def step(self) -> str:
        return self.path.rpartition("/")[2]

    def add(self, row: Tagged, decision: Decision) -> None:
        self.decisions += 1
        self.policies[decision.policy] += 1
        self.ended += row.outcome is not None
        self.failed += row.outcome == "failed"
        self.fell_back += decision.fell_back
        self.retried += decision.retries > 0
        self.waits += decision.waited_s > 0
        self.waited_s += decision.waited_s
        self.candidates.update(dict.fromkeys(decision.candidates))
        if decision.chosen is not None:
            self.answers[decision.chosen] += 1
        for name, state in decision.breakers.items():
            self.breakers[name][state] += 1
        reason = (decision.chosen or "", _NUMBER.sub("#", decision.reason))
        self.reasons[reason] += 1
        self.examples.setdefault(reason, decision.reason)

    def as_plain(self) -> dict[str, Any]:
        """For a program."""
        reasons = [
            {"chosen": reason[0], "reason": self.examples[reason], "times": times}
            for reason, times in self.reasons.most_common()
        ]
        numbers = ("decisions", "ended", "failed", "fell_back", "retried", "waits", "waited_s", "answers")
        return {
            "router": self.path,
            "policies": self.policies,
            "candidates": list(self.candidates),
            **{name: getattr(self, name) for name in numbers},
            "breakers": self.breakers,
            "reasons": reasons,
        }


def routed(rows: Iterable[Tagged]) -> list[Routed]:
    """The routers of these steps, the busiest first."""
    found: dict[str, Routed] = {}
    for row in rows:
        decision = decision_in(row.tags)
        if decision is not None and decision.policy != "registry":
            path = bare(row.path)
            found.setdefault(path, Routed(path)).add(row, decision)
    return sorted(found.values(), key=lambda each: (-each.decisions, each.path))


def bare(path: str) -> str:
    """A path without its occurrences."""
    return _OCCURRENCE.sub("", path)


def rate(count: int, of: int, *, href: str = "") -> Rate:
    """A share in words, with its 95 % interval."""
    found = share(count, of)
    if found.value is None:
        return Rate("", "nothing was seen", 0.0, 0.0, 100.0)
    title = f"{count:,} of {of:,}; 95 %: {percent(found.low)} to {percent(found.high)}"
    at, low, high = (round(100 * value, 2) for value in (found.value, found.low, found.high))
    return Rate(percent(found.value), title, at, low, high, href if count else "")


def percent(value: float) -> str:
    """``12 %``, and ``0.4 %`` where whole numbers would say nothing."""
    share_of = 100 * value
    return f"{share_of:.1f} %" if 0 < share_of < 10 or 99 <= share_of < 100 else f"{share_of:.0f} %"


def card(one: Routed, *, since: str) -> RouterCard:
    """A router in words; its links lead to its traces of the same period."""
    here = Filter(workflow=one.workflow, step=one.step, since=since, replays=False)
    reasons = one.reasons.most_common(REASONS)
    left = len(one.reasons) - len(reasons)
    failed = Filter(("failed",), workflow=one.workflow, step=one.step, since=since, replays=False)
    return RouterCard(
        anchor=f"r-{one.path}",
        name=one.path,
        policy=", ".join(one.policies),
        href=list_href(here),
        facts=tuple(_facts(one)),
        targets=tuple(_targets(one)),
        rates=(
            ("fell back", rate(one.fell_back, one.decisions)),
            ("retried", rate(one.retried, one.decisions)),
            ("failed", rate(one.failed, one.ended, href=list_href(failed))),
        ),
        reasons=tuple(
            (
                one_line(reason[0] or "nobody", 60),
                one_line(one.examples[reason] or "no reason given", 160),
                f"{times:,}",
            )
            for reason, times in reasons
        ),
        more=f"and {fmt.plural(left, 'other reason')}" if left else "",
    )


def _facts(one: Routed) -> Iterator[Shown]:
    yield Shown(fmt.plural(one.decisions, "decision"), "", "strong")
    if one.decisions > one.ended:
        yield Shown(f"{one.decisions - one.ended:,} still running")
    if one.waits:
        mean_ns, all_ns = (round(seconds * 1e9) for seconds in (one.waited_s / one.waits, one.waited_s))
        yield Shown(
            f"waited in {one.waits:,}, {fmt.duration(mean_ns)} each", f"{fmt.duration(all_ns)} between attempts in all"
        )


def _targets(one: Routed) -> Iterator[TargetRow]:
    for name in dict.fromkeys([*one.candidates, *one.answers]):
        states = ", ".join(f"{state} {times:,}" for state, times in one.breakers.get(name, Counter()).most_common())
        yield TargetRow(name, rate(one.answers[name], one.decisions), states)
