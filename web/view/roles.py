"""Roles as cards: their arms and what came of each, the verdict, the changes. Pure."""

from __future__ import annotations

import json
import shlex
from typing import Any, Iterator, Mapping

from router.errors import RegistryError
from router.registry.entry import Arm, Change, Entry, Role
from router.registry.policy import RATES, Guard, Tally, Verdict
from tracer import format as fmt
from web.view.contexts_of_routes import ArmRow, RoleCard, RoleChange
from web.view.routing import rate
from web.view.text import one_line, sentence

#: So many changes of a role are listed; ``playhead roles history`` has all.
_MOST = 20


def role_card(  # noqa: PLR0913 - a role, what came of it, and how its form was sent
    name: str,
    entry: Entry,
    counted: Mapping[str, Tally],
    verdict: Verdict | None,
    *,
    period: str,
    now_ns: int,
    problem: str = "",
) -> RoleCard:
    """A role of this store. ``counted`` begins with the role's last change where it has a canary."""
    role = entry.role
    since_change = role.canary is not None and bool(entry.changes)
    return RoleCard(
        name=name,
        arms=tuple(_arms(role, counted)),
        counted=f"Traces of the last {period}" + (", from the last change on." if since_change else "."),
        is_bad=verdict is not None and verdict.action == "rollback",
        is_ready=verdict is not None and min(each.n for each in counted.values()) >= Guard().at_least,
        verdict="" if verdict is None else _told(verdict),
        changes=tuple(_changes(entry.changes, now_ns)),
        command=f"playhead roles check {shlex.quote(name)}" if role.canary else f"playhead roles history {name}",
        seen=seen_of(role),
        has_canary=role.canary is not None,
        share=f"{role.share:g}",
        back=_back(entry),
        problem=sentence(problem),
    )


def strange_card(name: str, targets: Mapping[str, str], counted: Mapping[str, Tally], *, period: str) -> RoleCard:
    """A role that only traces speak of."""
    return RoleCard(
        name=name,
        arms=tuple(
            _arm(arm, targets.get(arm, "?"), "", "", counted[arm]) for arm in ("production", "canary") if counted[arm].n
        ),
        counted=f"Traces of the last {period}.",
        is_bad=False,
        is_ready=False,
        verdict="",
        changes=(),
        command=f"playhead roles check {shlex.quote(name)} --file roles.toml",
        seen="",
        has_canary=False,
        share="",
        back="",
    )


def seen_of(role: Role) -> str:
    """A role as a form carries it along."""
    return json.dumps(role.as_plain(), sort_keys=True)


def _arms(role: Role, counted: Mapping[str, Tally]) -> Iterator[ArmRow]:
    production = "all" if role.canary is None else f"{100 - role.share:g} %"
    yield _arm("production", role.production.target, _settings(role.production), production, counted["production"])
    if role.canary is not None:
        canary = role.canary
        yield _arm("canary", canary.target, _settings(canary), f"{role.share:g} %", counted["canary"])


def _arm(arm: str, target: str, settings: str, share: str, tally: Tally) -> ArmRow:
    rates = tuple(rate(getattr(tally, name), tally.n) for name in RATES)
    return ArmRow(arm, target, settings, share, f"{tally.n:,}", rates)


def _settings(arm: Arm) -> str:
    return one_line(", ".join(f"{name} {_word(value)}" for name, value in arm.settings.items()), 120)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _told(verdict: Verdict) -> str:
    if verdict.action == "rollback":
        return f"It should go back: {verdict.reason}."
    return f"It stays: {verdict.reason}."


def _changes(changes: tuple[Change, ...], now_ns: int) -> Iterator[RoleChange]:
    for change in reversed(changes[-_MOST:]):
        before = "" if change.before is None else _role(change.before)
        at = fmt.relative_time(change.at_ns, now_ns=now_ns)
        yield RoleChange(at, one_line(change.by, 40), change.verb, _role(change.after), before, change.because)


def _role(role: Role) -> str:
    """With its settings: a change may be in them alone."""
    arms = [_arm_words(role.production)]
    if role.canary is not None:
        arms.append(f"{_arm_words(role.canary)} for {role.share:g} %")
    return ", ".join(arms)


def _arm_words(arm: Arm) -> str:
    settings = _settings(arm)
    return f"{arm.target} ({settings})" if settings else arm.target


def _back(entry: Entry) -> str:
    """What a rollback would lead to; empty where there is nothing."""
    try:
        return entry.role.rolled_back(entry.changes).production.target
    except RegistryError:
        return ""
