"""From readings to alerts: which fire, which go on, which resolve. Pure.

An alert fires above one value and resolves at a lower one, so that a measure which trembles around the first is told
once. Where too little happened to say, it stays as it was; for a whole window, and it resolves: what is not used does
not fail.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Iterable, Literal, Mapping

from tracer.alerts.measured import Reading
from tracer.alerts.rules import COSTS, SHARES, Rule
from tracer.digest import blake2b
from tracer.format import duration


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that fires: since when, when its measure was last known, and what it was."""

    since_ns: int
    known_ns: int
    value: float


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told: ``state`` firing or resolved. ``value`` None: too little happened to say. ``id`` is of this alert's
    firing and its state; who is told twice knows by it."""

    id: str
    state: Literal["firing", "resolved"]
    rule: str
    of: str
    measure: str
    value: float | None
    above: float
    count: int
    unpriced: int
    since_ns: int
    at_ns: int
    text: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def advance(
    rule: Rule, firing: Mapping[str, Firing], readings: Iterable[Reading], *, now_ns: int
) -> tuple[dict[str, Firing], list[Notice]]:
    """The alerts of a rule that fire now, by what they are of, and what is to be told."""
    read = {reading.of: reading for reading in readings}
    left: dict[str, Firing] = {}
    notices: list[Notice] = []
    for of in sorted({*firing, *read}):
        reading, before = read.get(of) or _unseen(rule, of), firing.get(of)
        after = _after(rule, before, reading, now_ns)
        if after is not None:
            left[of] = after
        if (before is None) != (after is None):
            notices.append(_notice(rule, reading, before or after, is_firing=after is not None, now_ns=now_ns))
    return left, notices


def _unseen(rule: Rule, of: str) -> Reading:
    """Nothing was seen of it: a cost is then known."""
    return Reading(of, 0.0 if rule.measure in COSTS else None, 0)


def _after(rule: Rule, before: Firing | None, reading: Reading, now_ns: int) -> Firing | None:
    if reading.value is None:
        return None if before is None or now_ns - before.known_ns > rule.window_ns else before
    if before is None:
        return Firing(now_ns, now_ns, reading.value) if reading.value > rule.above else None
    if reading.value <= rule.resolve_at:
        return None
    return replace(before, known_ns=now_ns, value=reading.value)


def _notice(rule: Rule, reading: Reading, alert: Firing | None, *, is_firing: bool, now_ns: int) -> Notice:
    assert alert is not None
    state: Literal["firing", "resolved"] = "firing" if is_firing else "resolved"
    named = json.dumps([rule.name, reading.of, alert.since_ns, state]).encode()
    return Notice(
        id=blake2b(named, digest_size=8).hexdigest(),
        state=state,
        rule=rule.name,
        of=reading.of,
        measure=rule.measure,
        value=reading.value,
        above=rule.above,
        count=reading.count,
        unpriced=reading.unpriced,
        since_ns=alert.since_ns,
        at_ns=now_ns,
        text=f"{'Firing' if is_firing else 'Resolved'}: {sentence(rule, reading)}",
    )


def sentence(rule: Rule, reading: Reading) -> str:
    """``support fails (gpt-4o): failure rate 12.0 % of 40 calls, above 5.0 % fires``."""
    name = f"{rule.name} ({reading.of})" if reading.of else rule.name
    found = "too few to say," if reading.value is None else amount(rule, reading.value, reading.unpriced)
    kind = rule.subject.removesuffix("s") if reading.count == 1 else rule.subject
    return f"{name}: {rule.measure.replace('_', ' ')} {found} of {reading.count:,} {kind}; fires above " + amount(
        rule, rule.above
    )


def amount(rule: Rule, value: float, unpriced: int = 0) -> str:
    """A value in the unit of the rule's measure."""
    if rule.measure in SHARES:
        return f"{100 * value:.1f} %"
    if rule.measure in COSTS:
        return f"{'at least ' if unpriced else ''}${value:,.2f}"
    return duration(round(value * 1e9))
