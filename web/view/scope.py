"""Which traces a page of figures counts, in words and as the links that change it. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Iterable, Sequence
from urllib.parse import parse_qsl, urlencode

from tracer import format as fmt
from tracer.store import Filter, Problem
from web.counting import MOST, USUAL, Window
from web.view.contexts import Link
from web.view.contexts_of_figures import Scope
from web.view.contexts_of_lists import Chip
from web.view.narrowing import list_href
from web.view.text import one_line, sentence

_PERIODS = (("1d", "last day"), ("7d", "last 7 days"), ("30d", "last 30 days"))
_SHOWN = 12


def figures_href(path: str, wanted: Filter, *, most: int = USUAL, **more: str) -> str:
    """The address of a page of figures over this filter."""
    told = {"most": str(most) if most != USUAL else "", **more}
    query = "&".join(filter(None, (wanted.query, urlencode({name: value for name, value in told.items() if value}))))
    return f"{path}?{query}" if query else path


def scope_of(  # noqa: PLR0913 - what was asked, what was counted, and when
    path: str,
    seen: Window,
    *,
    counted: int,
    age_s: int,
    workflows: Iterable[str],
    problems: Sequence[Problem] = (),
    **kept: str,
) -> Scope:
    """``kept`` are parameters of the page that its links keep."""
    asked, most = seen.asked, seen.most

    def href(wanted: Filter, most: int = most) -> str:
        return figures_href(path, wanted, most=most, **kept)

    names = sorted({*workflows, *filter(None, [asked.workflow])})
    return Scope(
        path=path,
        sentence=sentence_of(seen, counted),
        age="counted just now" if age_s < 1 else f"counted {age_s} s ago",
        wider=Link(f"count {MOST:,}", href(asked, MOST), "takes some seconds") if seen.more and most < MOST else None,
        periods=(
            *(Chip(words, "", href(_since(asked, age)), asked.since == age) for age, words in _PERIODS),
            Chip("all", "", href(_since(asked, None)), asked.since is None and asked.since_ns is None),
        ),
        workflows=tuple(
            Chip(one_line(name, 40), "", href(_toggled(asked, name)), name == asked.workflow)
            for name in names[:_SHOWN]
            if len(names) > 1 or asked.workflow
        ),
        terms=tuple(
            Link(one_line(term, 80), href(left), f"take {one_line(term)} away")
            for term, left in asked.terms
            if not term.startswith(("workflow:", "since:"))
        ),
        traces=Link("these traces", list_href(seen.counted if seen.more else asked)),
        kept=tuple(parse_qsl(asked.query)),
        problems=tuple(f"{sentence(problem.why)}. It is left out." for problem in problems),
    )


def sentence_of(seen: Window, counted: int) -> str:
    """``The newest 2,000 traces of support: there are more``."""
    words = replace(seen.asked, replays=seen.counted.replays).sentence
    if not counted:
        return f"No {words}."
    if seen.more:
        since = fmt.exact_time(seen.counted.since_ns or 0)[:16]
        return f"The newest {counted:,} {words}: those since {since} UTC. There are older ones."
    return f"{counted:,} {words if counted > 1 else words.replace('traces', 'trace', 1)}."


def _since(asked: Filter, age: str | None) -> Filter:
    return replace(asked, since=age, since_ns=None, until_ns=None)


def _toggled(asked: Filter, name: str) -> Filter:
    return replace(asked, workflow=None if name == asked.workflow else name)
