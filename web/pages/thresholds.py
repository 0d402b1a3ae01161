"""``/thresholds``: the curve of a recorded cascade, the threshold to take, and the form that tries it as a canary.

Scored is by what was recorded, a score or a label. A scorer that is a function is code of the user's, which no page
runs: that is for ``playhead tune``.
"""

from __future__ import annotations

import math
import shlex
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Mapping, Sequence
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from router.errors import RegistryError, TuningError
from router.registry import Registry
from router.tuning.applying import SETTING
from router.tuning.recommend import Recommendation, above_floor, within_budget
from router.tuning.table import gap_words
from router.tuning.tune import Tuning, tune
from tracer import format as fmt
from tracer.decisions import decision_in
from tracer.store import Filter
from web.api.answers import NoThresholds, Thresholds
from web.api.described import answers, form, one_of
from web.pages.routes import decided
from web.rendering import machine, page
from web.site import CurrentSite, Site
from web.view.contexts import Choice, Chrome, Link
from web.view.contexts_of_routes import ThresholdsPage
from web.view.routing import bare
from web.view.text import sentence
from web.view.tuning import at, start, tuned_view

router = APIRouter()
_PURPOSE = "thresholds"
#: Cascades are looked for in traces this young.
_SINCE = "30d"
#: Over how many of the newest runs a curve may be counted: each takes some milliseconds, as all of it is read.
RUNS = ("500", "2000", "10000")
_QUERY: dict[str, Any] = {
    "workflow": "of the cascade; the busiest, where none is named",
    "step": "the one that decides",
    "scorer": "a score, or label:NAME",
    "goal": one_of("what value is", "floor", "budget"),
    "value": "the quality from 0 to 1, or the dollars a run",
    "accept": "a threshold to look at",
    "runs": one_of("how many runs to count, the newest first", *RUNS),
}
_FORM = {**_QUERY, "role": "whose canary it becomes", "share": "in percent", "by": "who does it"}
#: In so many traces scores are looked for.
_SAMPLE = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """The query of the page. ``goal`` is floor or budget; ``value`` a quality from 0 to 1, or dollars a run."""

    workflow: str = ""
    step: str = ""
    scorer: str = ""
    goal: str = "floor"
    value: str = ""
    accept: str = ""
    runs: str = RUNS[0]

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Asked:
        goal = "budget" if values.get("goal") == "budget" else "floor"
        rest = {name: values.get(name, "").strip() for name in ("workflow", "step", "scorer", "value", "accept")}
        runs = values.get("runs", "")
        return cls(goal=goal, runs=runs if runs in RUNS else RUNS[0], **rest)

    @property
    def kept(self) -> tuple[tuple[str, str], ...]:
        """All but the threshold, as every link and form carries it."""
        names = ("workflow", "step", "scorer", "goal", "value", "runs")
        return tuple((name, getattr(self, name)) for name in names if getattr(self, name))

    def number(self, name: str) -> float | None:
        """A field as a number of at least 0; None where it is none."""
        try:
            found = float(getattr(self, name))
        except ValueError:
            return None
        return found if math.isfinite(found) and found >= 0 else None

    @property
    def command(self) -> str:
        words = ["playhead", "tune", "--workflow", self.workflow, "--step", self.step, "--scorer", self.scorer]
        words += ["--limit", self.runs]
        if self.number("value") is not None:
            words += [f"--{self.goal}", self.value]
        return shlex.join(words)


@dataclass(frozen=True, slots=True)
class _Found:
    """What the page is about: the cascades there are, and the curve of one, or why there is none."""

    asked: Asked
    cascades: Sequence[tuple[str, str, int]]
    scorers: Sequence[str]
    told: Tuning | None
    recommendation: Recommendation | None
    problem: str = ""

    @property
    def accept(self) -> float:
        assert self.told is not None
        given = self.asked.number("accept")
        if given is None:
            return start(self.told, self.recommendation)
        return min(given, self.told.curve.points[-1].accept)


@router.get("/thresholds")
@router.get("/thresholds.json", **answers("The curve of a cascade", Thresholds | NoThresholds, query=_QUERY))
def show_thresholds(request: Request, site: CurrentSite) -> Response:
    site.adopt()
    found = _find(site, Asked.of(request.query_params))
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        return machine(_plain(found))
    return _page(request, site, found)


@router.post("/thresholds", **form("Try a threshold as a canary", _FORM, fails=(400, 422)))
async def try_threshold(request: Request, site: CurrentSite) -> Response:
    """Make the threshold ``accept`` the canary of ``role``, for ``share`` percent; then on to the canaries."""
    sent = await request.form(max_files=0, max_fields=20)
    values = {name: value for name, value in sent.items() if isinstance(value, str)}
    return await run_in_threadpool(_handle, request, site, values)


def _handle(request: Request, site: Site, values: Mapping[str, str]) -> Response:
    asked = Asked.of(values)

    def refused(problem: str, status: int) -> Response:
        return _page(request, site, replace(_find(site, asked), problem=sentence(problem)), status=status)

    if not site.gate.form_token_holds(_PURPOSE, values.get("csrf", "")):
        return refused("This form is from before the viewer was restarted: send it again", 403)
    if not site.replays:
        return refused("This viewer was started to read only: use playhead tune --apply", 403)
    role, accept = values.get("role", ""), asked.number("accept")
    share = Asked(value=values.get("share", "")).number("value")
    if not role or accept is None or share is None:
        return refused("A canary needs a role, a threshold and a share in percent", 422)
    because = f"{SETTING} {accept:.4g}, chosen on the curve of {asked.workflow}/{asked.step} by {asked.scorer}"
    by = values.get("by", "").strip() or None
    try:
        Registry(site.store).trial(role, {SETTING: accept}, share=share, because=because, by=by)
    except RegistryError as error:
        return refused(str(error), 422)
    return RedirectResponse(f"/canaries#role-{quote(role)}", 303)


def _find(site: Site, asked: Asked) -> _Found:
    cascades = site.recent.get(("cascades",), lambda: _cascades(site))
    if not asked.workflow and not asked.step and cascades:
        asked = replace(asked, workflow=cascades[0][0], step=cascades[0][1])
    if not asked.workflow or not asked.step:
        return _Found(asked, cascades, (), None, None)
    scorers = site.recent.get(("scorers", asked.workflow, asked.step), lambda: _scorers(site, asked))
    if not asked.scorer and scorers:
        asked = replace(asked, scorer=scorers[0])
    if not asked.scorer:
        return _Found(asked, cascades, scorers, None, None)
    if ":" in asked.scorer and not asked.scorer.startswith("label:"):
        problem = f"{asked.scorer} is code, which no page runs. On a terminal: {asked.command}"
        return _Found(asked, cascades, scorers, None, None, problem)
    key, runs = ("tuned", asked.workflow, asked.step, asked.scorer, asked.runs), int(asked.runs)
    try:
        told = site.recent.get(
            key, lambda: tune(asked.workflow, asked.step, scorer=asked.scorer, limit=runs, store=site.store)
        )
    except TuningError as error:
        return _Found(asked, cascades, scorers, None, None, sentence(str(error)))
    return _Found(asked, cascades, scorers, told, _recommended(asked, told))


def _recommended(asked: Asked, told: Tuning) -> Recommendation | None:
    value = asked.number("value")
    if value is None:
        return None
    return above_floor(told.curve, value) if asked.goal == "floor" else within_budget(told.curve, round(value * 1e9))


def _cascades(site: Site) -> list[tuple[str, str, int]]:
    """Workflow and step of what decides between two by a confidence, with the number of runs, the busiest first."""
    counted: Counter[tuple[str, str]] = Counter()
    for row in decided(site, _SINCE):
        decision = decision_in(row.tags)
        if decision is not None and decision.confidence is not None and len(decision.candidates) == 2:
            path = bare(row.path)
            counted[path.partition("/")[0], path.rpartition("/")[2]] += 1
    return [(workflow, step, runs) for (workflow, step), runs in counted.most_common(50)]


def _scorers(site: Site, asked: Asked) -> list[str]:
    """What the newest runs are scored by: a score of the step that answered is named, any other taken for a label."""
    own: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    wanted = Filter(workflow=asked.workflow, step=asked.step, replays=False)
    for row in site.store.traces(wanted, limit=_SAMPLE):
        trace = site.store.trace(row.trace_id)
        deciding = {step.step_id for step in trace.steps if step.name == asked.step}
        for step in trace.steps:
            names = {note.name for note in step.notes if note.kind == "score"}
            if step.parent_id in deciding:
                own.update(names)
            else:
                labels.update(names)
    return [name for name, _ in own.most_common()] + [f"label:{name}" for name, _ in labels.most_common()]


def _page(request: Request, site: Site, found: _Found, *, status: int = 200) -> Response:
    asked, told = found.asked, found.told
    gap = "" if told is None or told.curve.gap is None else gap_words(told, asked.scorer)
    view = None
    if told is not None:
        view = replace(tuned_view(told, found.accept, found.recommendation, asked.kept), command=asked.command, gap=gap)
    names = dict.fromkeys([*found.scorers, *([asked.scorer] if asked.scorer else [])])
    context = ThresholdsPage(
        chrome=Chrome(
            title="Thresholds",
            crumbs=(Link("Traces", "/"),),
            here="Thresholds",
            json_href="/thresholds.json?" + urlencode([*asked.kept, ("accept", asked.accept)]),
            command=asked.command if told is not None else "playhead tune --help",
        ),
        sentence=_sentence(found),
        cascades=tuple(_cascade_link(found, *one) for one in found.cascades),
        kept=asked.kept,
        scorers=tuple(Choice(name, name, name == asked.scorer) for name in names),
        goals=tuple(
            Choice(goal, label, goal == asked.goal)
            for goal, label in (("floor", "quality at least"), ("budget", "dollars a run at most"))
        ),
        goal_value=asked.value,
        runs=tuple(Choice(runs, f"{int(runs):,}", runs == asked.runs) for runs in RUNS),
        tuned=view,
        problem=found.problem,
        roles=_roles(site) if told is not None else (),
        csrf=site.gate.form_token(_PURPOSE),
        refused="" if site.replays else "This viewer was started to read only.",
    )
    return page(request, "thresholds.html", context, status=status)


def _cascade_link(found: _Found, workflow: str, step: str, runs: int) -> tuple[Link, bool]:
    href = "/thresholds?" + urlencode({"workflow": workflow, "step": step})
    chosen = (workflow, step) == (found.asked.workflow, found.asked.step)
    return Link(f"{workflow}/{step}", href, fmt.plural(runs, "run")), chosen


def _roles(site: Site) -> tuple[Choice, ...]:
    """The roles that could try it; one that has a canary can't."""
    try:
        entries = Registry(site.store).entries()
    except RegistryError:
        return ()
    return tuple(Choice(name, name, False) for name, one in sorted(entries.items()) if one.role.canary is None)


def _sentence(found: _Found) -> str:
    if found.told is None:
        if not found.cascades:
            return f"No cascade in the traces of the last {_SINCE.removesuffix('d')} days."
        return "Choose a cascade, and what an answer is scored by."
    told, runs = found.told, int(found.asked.runs)
    most = f", by its newest {runs:,} runs" if told.curve.runs + sum(told.left.values()) >= runs else ""
    return f"What each threshold of {told.workflow}/{told.step} would have come to{most}; intervals of 95 %."


def _plain(found: _Found) -> dict[str, Any]:
    told = found.told
    cascades = [{"workflow": workflow, "step": step, "runs": runs} for workflow, step, runs in found.cascades]
    head = {"cascades": cascades, "scorers": list(found.scorers), "problem": found.problem}
    if told is None:
        return {**head, "tuning": None, "at": None}
    recommended = replace(told, recommendation=found.recommendation)
    return {**head, "scorer": found.asked.scorer, "tuning": recommended.as_json(), "at": at(told, found.accept)}
