"""``/canaries``: who has which role, how its canary does, and the forms that promote it, take it back or set its share.

The roles are those of the store that is shown. A registry in a file lies on its program's machine; of its roles one
sees here what traces tell.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, Mapping, Sequence
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from router.errors import RegistryError
from router.registry import Registry
from router.registry.entry import Entry, Role
from router.registry.policy import Guard, Tally, Verdict, judge
from router.registry.stored import PREFIX, entry_of
from router.registry.tally import tallies
from tracer import format as fmt
from tracer.decisions import DECISION, decision_in
from tracer.store import Filter
from tracer.store.tagged import Tagged
from web.api.answers import Canaries
from web.api.described import answers, form, one_of
from web.pages.routes import PERIODS, decided, period, periods
from web.rendering import machine, page
from web.site import CurrentSite, Site
from web.view.contexts import Chrome, Link
from web.view.contexts_of_routes import CanariesPage, RoleCard
from web.view.roles import role_card, strange_card
from web.view.text import sentence

router = APIRouter()
_PURPOSE = "canaries"
_USUAL = "7d"
_REFUSED = "This viewer was started to read only: change roles with playhead roles."


@dataclass(frozen=True, slots=True)
class _Sent:
    """What was sent about one role, and why it came to nothing."""

    role: str = ""
    values: Mapping[str, str] | None = None
    problem: str = ""
    status: int = 200

    def value(self, name: str) -> str:
        return (self.values or {}).get(name, "")


@dataclass(frozen=True, slots=True)
class Strange:
    """A role that only traces speak of: its targets by arm, and what came of them."""

    targets: Mapping[str, str]
    counted: Mapping[str, Tally]


@dataclass(frozen=True, slots=True)
class _Found:
    """The roles of the store, what came of them, and what could not be read."""

    entries: Mapping[str, Entry]
    unreadable: str
    counted: Mapping[str, Mapping[str, Tally]]
    strange: Mapping[str, Strange]

    def verdict(self, name: str) -> Verdict | None:
        if self.entries[name].role.canary is None:
            return None
        counted = self.counted[name]
        return judge(counted["production"], counted["canary"], Guard())


@router.get("/canaries")
@router.get(
    "/canaries.json", **answers("Roles, their canaries, and how they do", Canaries, query={"since": "an age: 1d, 30d"})
)
def show_canaries(request: Request, site: CurrentSite, since: str = _USUAL) -> Response:
    site.adopt()
    since = since if period(since) == since else _USUAL
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        return machine(_plain(_find(site, since), since))
    return _page(request, site, _Sent(), since)


_FORM = {
    "then": one_of("what to do", "promote", "rollback", "share"),
    "seen": "the role as it was seen, as JSON: what was changed meanwhile is not changed again",
    "share": "the canary's share in percent",
    "because": "for the history",
    "by": "who does it",
}


@router.post("/canaries/{role}", **form("Promote a canary, take it back, set its share", _FORM, fails=(400, 409, 422)))
async def change_role(request: Request, site: CurrentSite, role: str) -> Response:
    """Do what ``then`` says, promote, rollback or share, to the role that the form was made for; then back here."""
    sent = await request.form(max_files=0, max_fields=20)
    values = {name: value for name, value in sent.items() if isinstance(value, str)}
    return await run_in_threadpool(_handle, request, site, role, values)


def _handle(request: Request, site: Site, name: str, values: Mapping[str, str]) -> Response:
    def refused(problem: str, status: int) -> Response:
        return _page(request, site, _Sent(name, values, problem, status), _USUAL)

    if not site.gate.form_token_holds(_PURPOSE, values.get("csrf", "")):
        return refused("This form is from before the viewer was restarted: send it again", 403)
    if not site.replays:
        return refused(_REFUSED, 403)
    try:
        if not _changed(Registry(site.store), name, values):
            return refused("The role was changed meanwhile: look at it as it is now, and send it again", 409)
    except RegistryError as error:
        return refused(str(error), 422)
    return RedirectResponse(f"/canaries#role-{quote(name)}", 303)


def _changed(registry: Registry, name: str, values: Mapping[str, str]) -> bool:
    """Change the role, if it is the one that was seen. Raises RegistryError where it can't be changed so."""
    because, by = values.get("because", "").strip(), values.get("by", "").strip() or None
    try:
        seen = Role.of(json.loads(values.get("seen", "")))
    except ValueError:
        raise RegistryError("the form does not say which role it was made for: load the page again") from None
    there = registry.entries().get(name)
    if there is None or there.role != seen:
        return False
    match values.get("then"):
        case "promote":
            registry.promote(name, because=because, by=by)
        case "rollback":
            return registry.rollback_if(name, seen, because=because, by=by or "viewer") is not None
        case "share":
            registry.set(name, share=_percent(values.get("share", "")), because=because, by=by)
        case _:
            raise RegistryError("nothing was asked for: promote, rollback or share")
    return True


def _percent(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 100:
        raise RegistryError(f"the canary's share is in percent, from 0 to 100, not {text[:40]!r}")
    return share


def _find(site: Site, since: str) -> _Found:
    entries: dict[str, Entry] = {}
    unreadable = ""
    for name, shared in site.store.shared(PREFIX).items():
        try:
            entries[name.removeprefix(PREFIX)] = entry_of(name, shared.value)
        except RegistryError as error:
            unreadable = sentence(str(error))
    key = tuple((name, _from_ns(entry)) for name, entry in entries.items())
    counted, strange = site.recent.get(("tallied", since, key), lambda: _counted(site, since, dict(key)))
    return _Found(entries, unreadable, counted, strange)


def _from_ns(entry: Entry) -> int:
    """From when on outcomes count: before its last change a canary had another share, or was another one."""
    return entry.changes[-1].at_ns if entry.role.canary is not None and entry.changes else 0


def _counted(
    site: Site, since: str, from_ns: Mapping[str, int]
) -> tuple[dict[str, dict[str, Tally]], dict[str, Strange]]:
    rows = decided(site, since)
    young_ns = Filter(since=since).since_when_ns() or 0
    counted = {}
    for name, changed_ns in from_ns.items():
        fresh = rows
        if changed_ns > young_ns:
            fresh = site.store.tagged(DECISION, Filter(since_ns=changed_ns, replays=False))
        counted[name] = tallies(fresh, name)
    return counted, _strange(rows, known=set(from_ns))


def _strange(rows: Sequence[Tagged], *, known: set[str]) -> dict[str, Strange]:
    targets: defaultdict[str, defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for row in rows:
        decision = decision_in(row.tags)
        if decision is not None and decision.role is not None and decision.role not in known:
            by_arm = targets[decision.role]
            if decision.policy == "registry" and decision.arm is not None and decision.chosen is not None:
                by_arm[decision.arm][decision.chosen] += 1
    return {
        name: Strange({arm: found.most_common(1)[0][0] for arm, found in by_arm.items()}, tallies(rows, name))
        for name, by_arm in sorted(targets.items())
    }


def _page(request: Request, site: Site, sent: _Sent, since: str) -> Response:
    found, now_ns, named = _find(site, since), time.time_ns(), PERIODS.get(since, since)
    cards = tuple(_card(found, name, sent, named, now_ns) for name in sorted(found.entries))
    strange = tuple(
        strange_card(name, one.targets, one.counted, period=named) for name, one in sorted(found.strange.items())
    )
    context = CanariesPage(
        chrome=Chrome(
            title="Canaries",
            crumbs=(Link("Traces", "/"),),
            here="Canaries",
            json_href="/canaries.json?" + urlencode({"since": since}),
            command="playhead roles",
        ),
        sentence=_sentence(found),
        periods=periods("/canaries", since),
        roles=cards,
        elsewhere=strange,
        csrf=site.gate.form_token(_PURPOSE),
        by=sent.value("by"),
        because=sent.value("because"),
        refused="" if site.replays else _REFUSED,
        problem=found.unreadable or ("" if sent.role in found.entries else sentence(sent.problem)),
    )
    return page(request, "canaries.html", context, status=sent.status)


def _card(found: _Found, name: str, sent: _Sent, named: str, now_ns: int) -> RoleCard:
    problem = sent.problem if name == sent.role else ""
    counted, verdict = found.counted[name], found.verdict(name)
    return role_card(name, found.entries[name], counted, verdict, period=named, now_ns=now_ns, problem=problem)


def _sentence(found: _Found) -> str:
    trying = sum(entry.role.canary is not None for entry in found.entries.values())
    told = f"{fmt.plural(len(found.entries), 'role')} in this store, {trying or 'none'} with a canary."
    return f"{told} {fmt.plural(len(found.strange), 'role')} elsewhere." if found.strange else told


def _plain(found: _Found, since: str) -> dict[str, Any]:
    roles = {
        name: {
            **entry.role.as_plain(),
            "arms": found.counted[name],
            "verdict": found.verdict(name),
            "history": [change.as_plain() for change in reversed(entry.changes)],
        }
        for name, entry in sorted(found.entries.items())
    }
    return {"since": since, "roles": roles, "elsewhere": found.strange, "problem": found.unreadable}
