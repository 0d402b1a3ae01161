"""What narrows the traces list: chips, menus of facets, terms to take away, saved filters. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Iterator, Mapping, get_args
from urllib.parse import parse_qsl, urlencode

from tracer import format as fmt
from tracer.model import Status
from tracer.store import Facets, Filter
from web.view.contexts import Link
from web.view.contexts_of_lists import Chip, Menu, Saved
from web.view.text import one_line

_STATUSES: tuple[Status, ...] = get_args(Status)
#: Statuses that have a chip even when no trace has them.
_ALWAYS = ("completed", "failed")
_PERIODS = (("1h", "last hour"), ("1d", "last day"), ("7d", "last 7 days"), ("30d", "last 30 days"))
_SHOWN = 12


def list_href(wanted: Filter, *, before: str = "") -> str:
    """The address of the list under this filter."""
    query = "&".join(part for part in (wanted.query, urlencode({"before": before}) if before else "") if part)
    return f"/?{query}" if query else "/"


def chips_of(wanted: Filter, counted: Facets) -> tuple[Chip, ...]:
    """A chip for all, and one per status that occurs."""
    total = fmt.count(counted.total) + ("+" if counted.bounded else "")
    chips = [Chip("all", total, list_href(replace(wanted, statuses=())), not wanted.statuses)]
    for status in _STATUSES:
        current = status in wanted.statuses
        if counted.statuses.get(status) or status in _ALWAYS or current:
            href = list_href(replace(wanted, statuses=() if current else (status,)))
            chips.append(Chip(status, fmt.count(counted.statuses.get(status, 0)), href, current, status))
    return tuple(chips)


def menus_of(wanted: Filter, counted: Facets) -> tuple[Menu, ...]:
    """The facets beside the status. A menu with nothing to choose is left out."""
    found = [
        Menu("workflow", wanted.workflow or "", tuple(_values(wanted, "workflow", counted.workflows))),
        Menu("model", wanted.model or "", tuple(_values(wanted, "model", counted.models))),
        Menu("error", fmt.type_name(wanted.error), tuple(_values(wanted, "error", counted.errors))),
        Menu("when", dict(_PERIODS).get(wanted.since or "", wanted.since or ""), tuple(_periods(wanted))),
        Menu("replays", {True: "only", False: "none", None: ""}[wanted.replays], tuple(_replays(wanted))),
    ]
    return tuple(menu for menu in found if menu.chips)


def _values(wanted: Filter, field: str, counts: Mapping[str, int]) -> Iterator[Chip]:
    chosen = getattr(wanted, field)
    if chosen and chosen not in counts:
        counts = {chosen: 0, **counts}
    for name, number in list(counts.items())[:_SHOWN]:
        nothing, this = {field: None}, {field: name}
        left = replace(wanted, **(nothing if name == chosen else this))
        label = one_line(fmt.type_name(name) if field == "error" else name, 60)
        yield Chip(label, fmt.count(number), list_href(left), name == chosen)


def _periods(wanted: Filter) -> Iterator[Chip]:
    for age, words in _PERIODS:
        current = wanted.since == age
        yield Chip(words, "", list_href(replace(wanted, since=None if current else age, since_ns=None)), current)


def _replays(wanted: Filter) -> Iterator[Chip]:
    for value, words in ((False, "without replays"), (True, "replays only")):
        current = wanted.replays is value
        yield Chip(words, "", list_href(replace(wanted, replays=None if current else value)), current)


def terms_of(wanted: Filter) -> tuple[Link, ...]:
    return tuple(
        Link(one_line(term, 80), list_href(left), f"take {one_line(term)} away") for term, left in wanted.terms
    )


def saved_of(kept: Mapping[str, str], wanted: Filter) -> tuple[Saved, ...]:
    """``kept`` are query strings by name."""
    filters = ((name, Filter.read(query)[0]) for name, query in sorted(kept.items()))
    return tuple(Saved(name, list_href(one), one == wanted) for name, one in filters)


def sentence_of(wanted: Filter, *, shown: int, more: bool, first: bool) -> str:
    """What the list shows, in words: ``25 failed traces of support, last 7 days, newest first``."""
    if not shown:
        return f"No {wanted.sentence}" if first else f"No older {wanted.sentence}"
    if more and first:
        return f"The newest {shown} {wanted.sentence}"
    number = f"The next {shown}" if more else str(shown) if first else f"The last {shown}"
    words = wanted.sentence
    if shown == 1:
        words = words.replace("traces", "trace", 1).replace("replays", "replay", 1)
    return f"{number} {words}, newest first" if shown > 1 else f"{number} {words}"


def kept_of(wanted: Filter) -> tuple[tuple[str, str], ...]:
    """What the search form must carry on because it has no field of its own for it."""
    return tuple(parse_qsl(replace(wanted, text="").query))
