"""``/overview``: how often runs complete, fail, fall back and escalate, how long they take, what they cost; over time,
and on two sides.

The filter is the list's. ``compare`` is what ``playhead stats --compare`` takes, or ``before`` a day; ``most`` how many
traces are counted, the newest first.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from dataclasses import dataclass
from typing import Iterator, Sequence

from fastapi import APIRouter, Request, Response

from tracer.errors import ConfigError
from tracer.seen import RunSeen, Seen
from tracer.stats.measure import compare as compared
from tracer.stats.measure import measure
from tracer.stats.rows import Stats
from tracer.stats.sides import sides_of as named_sides
from tracer.store import Filter, Problem, Store
from web.api.answers import Overview
from web.api.described import FILTER, answers
from web.counting import Window, moment_of, most_of, read, read_sides, window
from web.rendering import machine, page
from web.site import CurrentSite, Site
from web.view import sides
from web.view.bins import bins_of
from web.view.contexts import Chrome, Link
from web.view.contexts_of_figures import OverviewPage
from web.view.overview import Figures, cards_of, grids_of, versions_of
from web.view.scope import figures_href, scope_of
from web.view.text import one_line, sentence

router = APIRouter()
_PATH = "/overview"
_ROLES = 4
#: What the pages of figures are asked by.
FIGURES = {**FILTER, "most": "how many traces to count, the newest first"}
_QUERY = {
    **FIGURES,
    "compare": "two sides: version:1,2, arm:ROLE,ONE,OTHER or before:DAY",
    "before": "a day; the same as compare=before:DAY",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address says."""

    wanted: Filter
    problems: tuple[Problem, ...]
    most: int
    compare: str


def asked_of(request: Request) -> Asked:
    told = request.query_params
    wanted, problems = Filter.read(request.url.query)
    before = told.get("before", "").strip()
    return Asked(
        wanted, problems, most_of(told.get("most", "")), told.get("compare", "") or (before and f"before:{before}")
    )


@router.get("/overview")
@router.get("/overview.json", **answers("Figures of many traces, over time and on two sides", Overview, query=_QUERY))
def show_overview(request: Request, site: CurrentSite) -> Response:
    site.adopt()
    asked = asked_of(request)
    found, age_s = site.counting.of(("overview", asked.wanted, asked.most), lambda: _count(site.store, asked))
    stats, refused = _compared(site, asked)
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        return machine(_told(found, stats, refused, age_s))
    return page(request, "overview.html", _page(asked, found, stats, refused, age_s))


def _count(store: Store, asked: Asked) -> Figures:
    of = window(store, asked.wanted, asked.most)
    seen = read(store, of.counted)
    by_step = measure(seen, by="step", what=of.counted.sentence)
    bins, called = bins_of(seen)
    names = {run.workflow for run in seen.runs}
    return Figures(
        window=of,
        whole=by_step.whole,
        workflows=measure(seen, by="workflow").rows if len(names) > 1 else (),
        models=measure(Seen((), (), seen.calls, ()), by="model").rows,
        steps=by_step.rows,
        bins=bins,
        called=called,
        versions=versions_of([(run.started_ns, run.version) for run in seen.runs]),
        arms=_arms(seen.runs),
    )


def _arms(runs: Sequence[RunSeen]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The roles of which more than one arm ran; production before the others."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for run in runs:
        for role, arm in run.arms.items():
            found[role].add(arm)
    ordered = {role: tuple(sorted(arms, key=lambda arm: (arm != "production", arm))) for role, arms in found.items()}
    return tuple((role, arms) for role, arms in sorted(ordered.items()) if len(arms) > 1)[:_ROLES]


def _compared(site: Site, asked: Asked) -> tuple[Stats | None, str]:
    """The two sides, or why there are none."""
    if not asked.compare:
        return None, ""
    try:
        named = named_sides(asked.compare)
    except ConfigError as error:
        return None, f"{sentence(str(error))}."

    def count() -> Stats:
        moment_ns = moment_of(asked.compare)
        if moment_ns is None:
            seen = read(site.store, window(site.store, asked.wanted, asked.most).counted, every_step=False)
        else:
            seen = read_sides(site.store, asked.wanted, moment_ns, asked.most)
        return compared(seen, *named, what=asked.wanted.sentence)

    return site.counting.of(("compare", asked.wanted, asked.most, asked.compare), count)[0], ""


def _told(found: Figures, stats: Stats | None, refused: str, age_s: int) -> dict[str, object]:
    of: Window = found.window
    return {
        "filter": of.counted.sentence,
        "query": of.counted.query,
        "bounded": of.more,
        "age_s": age_s,
        "refused": refused,
        **Stats("workflow", of.counted.sentence, found.whole, found.workflows).as_json(),
        "by_model": found.models,
        "by_step": found.steps,
        "by_time": found.bins,
        "bin": found.called,
        "comparison": None if stats is None else stats.as_json(),
    }


def _page(asked: Asked, found: Figures, stats: Stats | None, refused: str, age_s: int) -> OverviewPage:
    alone = figures_href(_PATH, asked.wanted, most=asked.most)
    here = figures_href(_PATH, asked.wanted, most=asked.most, compare=asked.compare)
    return OverviewPage(
        chrome=Chrome(
            title="Overview",
            crumbs=(Link("Traces", "/"),),
            here="Overview",
            json_href=here.replace(_PATH, f"{_PATH}.json", 1),
            command=command_of(asked),
        ),
        scope=scope_of(
            _PATH,
            found.window,
            counted=found.whole.traces,
            age_s=age_s,
            workflows=[row.name for row in found.workflows],
            problems=asked.problems,
            compare=asked.compare,
        ),
        compared=tuple(_ways(asked, found)),
        sides=None if stats is None else sides.sides_of(stats, asked.compare, alone),
        refused=refused,
        before=asked.compare.removeprefix("before:") if asked.compare.startswith("before:") else "",
        cards=cards_of(found) if found.whole.traces else (),
        grids=grids_of(found) if found.whole.traces else (),
    )


def _ways(asked: Asked, found: Figures) -> Iterator[Link]:
    """What can be compared here, beside a day. A comma is what parts the names of two sides."""
    pairs = [("version", found.versions[1], found.versions[0], "versions")] if len(found.versions) > 1 else []
    for role, (first, *others) in found.arms:
        pairs += [(f"arm:{role}", first, other, f"{role}:") for other in others[:2]]
    for kind, one, other, what in pairs:
        if "," not in f"{kind}{one}{other}":
            told = f"version:{one},{other}" if kind == "version" else f"{kind},{one},{other}"
            href = figures_href(_PATH, asked.wanted, most=asked.most, compare=told)
            yield Link(one_line(f"{what} {one} and {other}", 80), href)


def command_of(asked: Asked, *, by: str = "") -> str:
    """The command that says the same."""
    options = [
        ("--by", by),
        ("--workflow", asked.wanted.workflow),
        ("--since", asked.wanted.since),
        ("--compare", asked.compare),
    ]
    return " ".join(["playhead stats", *(f"{name} {shlex.quote(value)}" for name, value in options if value)])
