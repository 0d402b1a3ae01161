"""What a breaker was when, as stretches of a line that a page draws. Pure."""

from __future__ import annotations

import time
from typing import Iterator, Sequence
from urllib.parse import quote

from router.breaker.history import Known, Transition
from tracer import format as fmt
from tracer.format import Shown
from web.view.contexts import Link
from web.view.contexts_of_routes import BreakerCard, ChangeRow, Stretch
from web.view.text import one_line

#: The width of a timeline, in units of its own.
WIDE = 1000.0
#: A stretch is at least this wide, so that a short trip is seen.
_LEAST = 3.0
_STATES = ("closed", "open", "half-open")
#: So many changes are drawn and listed, the newest.
MOST = 100
_TICKS = 4


def breaker_card(one: Known, changes: Sequence[Transition], *, from_ns: int, to_ns: int) -> BreakerCard:
    """A breaker from one time to another; ``changes`` are its own, oldest first."""
    newest = changes[-MOST:]
    left = len(changes) - len(newest)
    return BreakerCard(
        name=one.name,
        state=one.state if one.state in _STATES else "closed",
        facts=tuple(_facts(one, to_ns)),
        # what is closed lies below: a trip that is widened to be seen must not be painted over
        stretches=tuple(sorted(_stretches(one, newest, (from_ns, to_ns)), key=lambda part: part.state != "closed")),
        ticks=tuple(_ticks(from_ns, to_ns)),
        changes=tuple(_row(change, to_ns) for change in reversed(newest)),
        more=f"and {fmt.plural(left, 'earlier change')}" if left else "",
    )


def _facts(one: Known, now_ns: int) -> Iterator[Shown]:
    if one.since_ns:
        since = fmt.relative_time(one.since_ns, now_ns=now_ns)
        yield Shown(f"since {since.text}", since.title)
    if one.shared:
        yield Shown("shared", "all processes of this store follow it")
    else:
        yield Shown("of its process", "as the process that changed it last has it; others have their own")
    yield Shown(f"opened {one.trips:,}×" if one.trips else "did not open")
    if one.probes:
        yield Shown(fmt.plural(one.probes, "probe"))
    if one.last_error:
        yield Shown(one_line(one.last_error, 120), "why it opened last", "bad" if one.state == "open" else "")


def _stretches(one: Known, changes: Sequence[Transition], frame_ns: tuple[int, int]) -> Iterator[Stretch]:
    from_ns, to_ns = frame_ns
    if not changes:
        # it changed before this period, or where nothing records: all that is known is what it is
        began = max(from_ns, one.since_ns)
        if began > from_ns:
            yield _stretch("", (from_ns, began), frame_ns, "not known")
        yield _stretch(one.state, (began, to_ns), frame_ns, one.state)
        return
    first = changes[0]
    if first.at_ns > from_ns:
        yield _stretch(first.was, (from_ns, first.at_ns), frame_ns, first.was)
    for change, end_ns in zip(changes, [*(each.at_ns for each in changes[1:]), to_ns], strict=True):
        why = f": {one_line(change.reason, 120)}" if change.reason else ""
        title = f"{change.now} for {fmt.duration(end_ns - change.at_ns)} from {fmt.exact_time(change.at_ns)}{why}"
        yield _stretch(change.now, (change.at_ns, end_ns), frame_ns, title, _href(change))


def _stretch(state: str, time_ns: tuple[int, int], frame_ns: tuple[int, int], title: str, href: str = "") -> Stretch:
    """A state from one time to another, within the frame."""
    from_ns, to_ns = frame_ns
    whole = max(1, to_ns - from_ns)
    x, end = (WIDE * (min(max(at, from_ns), to_ns) - from_ns) / whole for at in time_ns)
    least = 0.0 if state == "closed" else _LEAST
    width = max(end - x, least)
    return Stretch(
        state if state in _STATES else "unknown", round(min(x, WIDE - width), 2), round(width, 2), title, href
    )


def _ticks(from_ns: int, to_ns: int) -> Iterator[tuple[float, str]]:
    form = "%H:%M" if to_ns - from_ns <= 86_400 * 10**9 else "%d %b"
    for at in range(_TICKS + 1):
        moment = time.gmtime((from_ns + (to_ns - from_ns) * at // _TICKS) // 10**9)
        yield WIDE * at / _TICKS, time.strftime(form, moment)


def _row(change: Transition, now_ns: int) -> ChangeRow:
    return ChangeRow(
        at=fmt.relative_time(change.at_ns, now_ns=now_ns),
        state=change.now if change.now in _STATES else "unknown",
        was=change.was,
        reason=one_line(change.reason, 200),
        link=Link(one_line(change.path, 80), _href(change)),
    )


def _href(change: Transition) -> str:
    return f"/t/{quote(change.trace_id)}"
