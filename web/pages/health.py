"""``/health``: how recording fares, what the store holds, and the settings in force with where each came from.

The settings are those of the viewer. A program that records elsewhere, or calls ``configure()``, has its own.
"""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Request, Response

from tracer import format as fmt
from tracer import recorder
from tracer.config import Config
from tracer.doctor import Recording, told_of
from tracer.errors import ConfigError, StoreError
from tracer.plain import plain
from tracer.retention.pruning import last_prune, rules_in_force
from tracer.store import StoreFacts
from tracer.store.tables import REVISION
from web.api.answers import Health
from web.api.described import answers
from web.rendering import machine, page
from web.site import CurrentSite, Site
from web.view.contexts import Chrome, Link
from web.view.contexts_of_routes import HealthPage, Section
from web.view.health import health_of
from web.view.settings import keep_words, plain_settings, setting_rows
from web.view.text import sentence

router = APIRouter()


@router.get("/health")
@router.get("/health.json", **answers("How recording fares, the store, the settings in force", Health))
def show_health(request: Request, site: CurrentSite) -> Response:
    site.adopt()
    config, sources, seen = recorder.current_config(), recorder.sources(), site.recording()
    facts: StoreFacts | None = None
    pruned: dict[str, Any] | None = None
    problem = ""
    try:
        # counts every row: not at each load
        facts = site.recent.get(("facts",), site.store.facts)
        pruned = last_prune(site.store)
    except StoreError as error:
        problem = sentence(str(error))
    status = 200 if facts is not None else 503
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        told: dict[str, Any] = {
            "playhead": version("playhead"),
            "recording": None if seen is None else {**told_of(seen), "problems": list(seen.problems())},
            "store": {"place": site.store.place, "problem": problem} if facts is None else plain(facts),
            "revision_of_program": REVISION,
            "replays": site.replays,
            "settings": plain_settings(config, sources),
        }
        return machine(told, status=status)
    context = HealthPage(
        chrome=Chrome(
            title="Health",
            crumbs=(Link("Traces", "/"),),
            here="Health",
            json_href="/health.json",
            command="playhead doctor",
        ),
        recording=None if seen is None else health_of(seen),
        totals=() if seen is None else _totals(seen),
        sections=(_store(site, facts, problem), _kept(config, pruned), _viewer(site, config)),
        settings=tuple(setting_rows(config, sources)),
    )
    return page(request, "health.html", context, status=status)


def _totals(seen: Recording) -> tuple[tuple[str, str, str], ...]:
    """Name, number, and its tone."""
    told = told_of(seen)
    failed = sum(seen.degraded.values())
    return (
        ("events waiting", f"{told['queued_events']:,}", "warn" if any(seen.late()) else ""),
        ("events written", f"{told['written_events']:,}", ""),
        ("traces refused", f"{seen.refused:,}", "bad" if seen.refused else ""),
        ("failures to record", f"{failed:,}", "bad" if seen.missing else "warn" if failed else ""),
        ("processes", f"{len(seen.living):,}", ""),
    )


def _store(site: Site, facts: StoreFacts | None, problem: str) -> Section:
    if facts is None:
        return Section("Store", (("place", site.store.place),), problem)
    program = "that of this program" if facts.revision == REVISION else f"this program's is {REVISION}"
    return Section(
        "Store",
        (
            ("place", facts.place),
            ("database", facts.database),
            ("schema", f"revision {facts.revision}, {program}"),
            ("size", f"{fmt.size(facts.size)} as it lies"),
            ("payloads", f"{facts.payloads:,}, {fmt.size(facts.payload_size)} unpacked"),
            ("traces", f"{facts.traces:,}, of {fmt.plural(facts.steps, 'step')}"),
            ("recording now", ", ".join(facts.running) or "nobody"),
        ),
    )


def _kept(config: Config, pruned: dict[str, Any] | None) -> Section:
    return Section(
        "What stays",
        (
            ("kept", keep_words(config.keep)),
            ("deleted", _retention(config, pruned)),
            ("journal", str(config.home / "journal")),
            ("journal's limit", f"{fmt.size(config.journal_cap_bytes)} waiting, then new traces are refused"),
        ),
    )


def _retention(config: Config, pruned: dict[str, Any] | None) -> str:
    """What a prune would go by, and when the last one was."""
    try:
        rules, said_by = rules_in_force(config)
    except ConfigError as error:
        return sentence(str(error))
    told = "nothing by itself: select traces in the list to delete them"
    if not rules.is_empty:
        told = f"what playhead prune takes by {said_by}"
    if pruned is None:
        return told
    when = fmt.relative_time(pruned["at_ns"], now_ns=time.time_ns()).text
    return f"{told}; last pruned {when}, {fmt.plural(pruned['traces'], 'trace')}"


def _viewer(site: Site, config: Config) -> Section:
    return Section(
        "This viewer",
        (
            ("playhead", version("playhead")),
            ("replays and changes", "allowed" if site.replays else "refused: started with --read-only"),
            ("token", "asked for" if site.gate.token is not None else "none: loopback only"),
            ("home", str(config.home)),
        ),
    )
