"""``/routes``: what steps that decide came to, and what became of breakers. Read from tags: no payload is opened."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Sequence
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from router.breaker.history import Known, Transition, known, transitions
from router.breaker.sharing import PREFIX
from tracer import format as fmt
from tracer.decisions import DECISION
from tracer.errors import ConfigError
from tracer.store import Filter
from tracer.store.query import parse_since
from tracer.store.tagged import Tagged
from web.api.answers import Routes
from web.api.described import answers
from web.rendering import machine, page
from web.site import CurrentSite, Site
from web.view.contexts import Chrome, Link
from web.view.contexts_of_routes import BreakerCard, RoutesPage
from web.view.routing import Routed, card, routed
from web.view.timeline import breaker_card

router = APIRouter()
PERIODS = {"1h": "hour", "1d": "day", "7d": "week", "30d": "30 days"}
USUAL = "1d"
#: So many routers and breakers are shown; the JSON has all.
_MOST = 100


@router.get("/routes")
@router.get("/routes.json", **answers("Routers and breakers over a period", Routes, query={"since": "an age: 1d, 30d"}))
def show_routes(request: Request, site: CurrentSite, since: str = USUAL) -> Response:
    site.adopt()
    since = period(since)
    found = site.recent.get(("routed", since), lambda: routed(decided(site, since)))
    changes, breakers = site.recent.get(("breakers", since), lambda: _breakers(site, since))
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        told = [{**asdict(each), "is_trip": each.is_trip} for each in changes]
        routers = [one.as_plain() for one in found]
        return machine({"since": since, "routers": routers, "breakers": breakers, "transitions": told})
    context = RoutesPage(
        chrome=Chrome(
            title="Routes",
            crumbs=(Link("Traces", "/"),),
            here="Routes",
            json_href="/routes.json?" + urlencode({"since": since}),
            command=f"playhead breakers --since {since}",
        ),
        sentence=_sentence(found, breakers, since),
        periods=periods("/routes", since),
        routers=tuple(card(one, since=since) for one in found[:_MOST]),
        breakers=_cards(breakers[:_MOST], changes, since),
    )
    return page(request, "routes.html", context)


def period(since: str) -> str:
    """An age that can be read; the usual one for what can't."""
    try:
        parse_since(since)
    except ConfigError:
        return USUAL
    return since


def periods(path: str, since: str) -> tuple[tuple[Link, bool], ...]:
    """The choice of a period, and which is taken."""
    named = PERIODS if since in PERIODS else {**PERIODS, since: since}
    return tuple((Link(label, f"{path}?{urlencode({'since': age})}"), age == since) for age, label in named.items())


def decided(site: Site, since: str) -> Sequence[Tagged]:
    """The steps that hold a decision; replays decide nothing."""
    return site.store.tagged(DECISION, Filter(since=since, replays=False))


def _breakers(site: Site, since: str) -> tuple[Sequence[Transition], Sequence[Known]]:
    changes = transitions(site.store, Filter(since=since, replays=False))
    return changes, known(changes, site.store.shared(PREFIX))


def _cards(breakers: Sequence[Known], changes: Sequence[Transition], since: str) -> tuple[BreakerCard, ...]:
    now_ns = time.time_ns()
    from_ns = now_ns - parse_since(since)
    by_name: dict[str, list[Transition]] = {}
    for change in changes:
        by_name.setdefault(change.name, []).append(change)
    # what is open is what one came for
    ordered = sorted(breakers, key=lambda one: (one.state == "closed", one.name))
    return tuple(breaker_card(one, by_name.get(one.name, ()), from_ns=from_ns, to_ns=now_ns) for one in ordered)


def _sentence(found: Sequence[Routed], breakers: Sequence[Known], since: str) -> str:
    decisions = sum(one.decisions for one in found)
    open_now = sum(one.state != "closed" for one in breakers)
    said = (
        f"{fmt.plural(decisions, 'decision')} of {fmt.plural(len(found), 'router')}, last {PERIODS.get(since, since)}."
    )
    if not breakers:
        return said
    return f"{said} {fmt.plural(len(breakers), 'breaker')}, {open_now or 'none'} not closed."
