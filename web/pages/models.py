"""``/models``: how each model does, what it costs, by which price; and what to do where no price is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from fastapi import APIRouter, Request, Response

from tracer.seen import Seen
from tracer.stats.measure import measure
from tracer.stats.rows import ModelRow
from tracer.store import Store
from web.api.answers import Models
from web.api.described import answers
from web.counting import Window, read, window
from web.pages.overview import FIGURES, Asked, asked_of, command_of
from web.rendering import machine, page
from web.site import CurrentSite
from web.view.contexts import Chrome, Link
from web.view.contexts_of_figures import GridPage
from web.view.models import Told, models_grid, told_of, ways_out
from web.view.scope import figures_href, scope_of

router = APIRouter()
_PATH = "/models"


@dataclass(frozen=True, slots=True)
class _Found:
    window: Window
    runs: int
    workflows: tuple[str, ...]
    rows: tuple[ModelRow, ...]
    told: Mapping[str, Told]


@router.get("/models")
@router.get("/models.json", **answers("How each model does, and what it costs", Models, query=FIGURES))
def show_models(request: Request, site: CurrentSite) -> Response:
    site.adopt()
    asked = asked_of(request)
    found, age_s = site.counting.of(("models", asked.wanted, asked.most), lambda: _count(site.store, asked))
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        of = found.window
        rows = [{"figures": row, "calls": found.told.get(row.name)} for row in found.rows]
        return machine({"filter": of.counted.sentence, "query": of.counted.query, "bounded": of.more, "models": rows})
    href = figures_href(_PATH, asked.wanted, most=asked.most)
    context = GridPage(
        chrome=Chrome(
            title="Models and prices",
            crumbs=(Link("Traces", "/"),),
            here="Models",
            json_href=href.replace(_PATH, f"{_PATH}.json", 1),
            command=command_of(asked, by="model"),
        ),
        title="Models and prices",
        scope=scope_of(
            _PATH, found.window, counted=found.runs, age_s=age_s, workflows=found.workflows, problems=asked.problems
        ),
        grid=models_grid(found.rows, found.told, found.window.counted),
        notes=tuple(ways_out(found.told)),
        empty="No model was called by these traces.",
    )
    return page(request, "grid.html", context)


def _count(store: Store, asked: Asked) -> _Found:
    of = window(store, asked.wanted, asked.most)
    seen = read(store, of.counted, every_step=False)
    rows = measure(Seen((), (), seen.calls, ()), by="model").rows
    names = tuple(sorted({run.workflow for run in seen.runs}))
    return _Found(
        of, len(seen.runs), names, tuple(row for row in rows if isinstance(row, ModelRow)), told_of(seen.calls)
    )
