"""Where a replay ended early, in words: from what its process told, or, later, from its trace alone. Pure."""

from __future__ import annotations

from typing import Any, Mapping
from urllib.parse import quote

from tracer.model import Trace
from web.view.contexts import Link
from web.view.contexts_of_replays import StopView
from web.view.text import one_line, sentence

_SHOWN = 12
_MOST = 400


def stop_of(after: Trace, told: Mapping[str, Any]) -> StopView | None:
    """None for a replay that came to its end. ``told`` is what its process printed, empty where that is not known."""
    if after.summary.status != "stopped":
        return None
    failure = None if after.root is None else after.root.failure
    said = one_line(str(told.get("stopped") or (failure.message if failure is not None else "")), 2_000)
    divergence = _last_stopped(told)
    form = f"/t/{after.summary.replay_of}/replay?like={after.trace_id}"
    head, _, advice = said.partition(". ")
    if divergence.get("changes"):  # which the table shows
        head = head.partition("; first at ")[0]
    return StopView(
        sentence=sentence(head),
        advice=advice,
        changes=tuple(
            (str(change["path"]), one_line(_shown(change["before"]), _MOST), one_line(_shown(change["after"]), _MOST))
            for change in divergence.get("changes", ())[:_SHOWN]
        ),
        ways=tuple(_way(form, str(way), divergence) for way in divergence.get("accept", ()))
        or (Link("Change the plan", form),),
    )


def _last_stopped(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """The divergence that it stopped at."""
    stopped = [one for one in told.get("divergences") or () if one.get("then") == "stopped"]
    return stopped[-1] if stopped else {}


def _way(form: str, way: str, divergence: Mapping[str, Any]) -> Link:
    """What would let it pass, as a link to the form that has it; a result is for the reader to write there."""
    if way.startswith("--edit ") and divergence.get("recorded_path"):
        anchor = f"#{divergence['recorded_step_id']}" if divergence.get("recorded_step_id") else ""
        return Link(way, f"{form}&edit={quote(str(divergence['recorded_path']))}{anchor}")
    return Link(way, f"{form}&add={quote(way)}")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
