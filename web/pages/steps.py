"""``/steps``: for each step how often it ran and failed, how long it takes, what it costs, and its slowest run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from fastapi import APIRouter, Request, Response

from tracer.stats.measure import measure
from tracer.stats.rows import StepRow
from tracer.store import Store
from web.api.answers import Steps
from web.api.described import answers
from web.counting import Window, read, window
from web.pages.overview import FIGURES, Asked, asked_of, command_of
from web.rendering import machine, page
from web.site import CurrentSite
from web.view.contexts import Chrome, Link
from web.view.contexts_of_figures import GridPage
from web.view.scope import figures_href, scope_of
from web.view.steps import Example, slowest_of, steps_grid

router = APIRouter()
_PATH = "/steps"


@dataclass(frozen=True, slots=True)
class _Found:
    window: Window
    runs: int
    workflows: tuple[str, ...]
    rows: tuple[StepRow, ...]
    slowest: Mapping[str, Example]
    total_nusd: int


@router.get("/steps")
@router.get("/steps.json", **answers("How each step does", Steps, query=FIGURES))
def show_steps(request: Request, site: CurrentSite) -> Response:
    site.adopt()
    asked = asked_of(request)
    found, age_s = site.counting.of(("steps", asked.wanted, asked.most), lambda: _count(site.store, asked))
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        of = found.window
        rows = [{"figures": row, "slowest": found.slowest.get(row.name)} for row in found.rows]
        return machine({"filter": of.counted.sentence, "query": of.counted.query, "bounded": of.more, "steps": rows})
    href = figures_href(_PATH, asked.wanted, most=asked.most)
    context = GridPage(
        chrome=Chrome(
            title="Steps",
            crumbs=(Link("Traces", "/"),),
            here="Steps",
            json_href=href.replace(_PATH, f"{_PATH}.json", 1),
            command=command_of(asked, by="step"),
        ),
        title="Steps",
        scope=scope_of(
            _PATH, found.window, counted=found.runs, age_s=age_s, workflows=found.workflows, problems=asked.problems
        ),
        grid=steps_grid(found.rows, found.slowest, found.window.counted, found.total_nusd),
        notes=(),
        empty="No step was recorded by these traces.",
    )
    return page(request, "grid.html", context)


def _count(store: Store, asked: Asked) -> _Found:
    of = window(store, asked.wanted, asked.most)
    seen = read(store, of.counted)
    stats = measure(seen, by="step")
    rows = tuple(row for row in stats.rows if isinstance(row, StepRow))
    names = tuple(sorted({run.workflow for run in seen.runs}))
    return _Found(of, len(seen.runs), names, rows, slowest_of(seen.steps), stats.whole.cost.total_nusd)
