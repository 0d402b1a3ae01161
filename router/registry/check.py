"""Whether a canary should go back, told from traces."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Mapping

from router.errors import RegistryError, UnknownRole
from router.registry.entry import Change, Role
from router.registry.policy import Guard, Tally, Verdict, judge
from router.registry.tally import tallies
from tracer.decisions import DECISION

if TYPE_CHECKING:
    from router.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class Checked:
    """A role, what came of its arms, the verdict, and the change that was made by it, if one was."""

    name: str
    role: Role
    tallies: Mapping[str, Tally]
    verdict: Verdict
    applied: Change | None = None

    def as_plain(self) -> dict[str, Any]:
        return {
            "role": self.name,
            **self.role.as_plain(),
            "arms": {arm: asdict(tally) for arm, tally in self.tallies.items()},
            "verdict": asdict(self.verdict),
            "applied": None if self.applied is None else self.applied.as_plain(),
        }

    @property
    def lines(self) -> list[str]:
        """For people."""
        canary = None if self.role.canary is None else self.role.canary.target
        targets = {"production": self.role.production.target, "canary": canary}
        told = [
            f"{arm:<10} {targets[arm]}: {tally.n} outcomes, {tally.failures} failed, {tally.fallbacks} fell back, "
            f"{tally.escalations} escalated"
            for arm, tally in self.tallies.items()
        ]
        done = "" if self.applied is None else f"; done, {self.name} is {self.applied.after}"
        return [*told, f"{self.verdict.action}: {self.verdict.reason}{done}"]


def checked(registry: Registry, name: str, *, since: str, guard: Guard, is_applied: bool) -> Checked:
    """Judge the canary of a role by the traces that began since the role last changed; with ``is_applied`` take it back
    where the verdict says so. Raises RegistryError where there is no canary."""
    from tracer.reading import open_reading  # noqa: PLC0415 - the database library is for those who read
    from tracer.store import Filter  # noqa: PLC0415
    from tracer.store.query import parse_since  # noqa: PLC0415

    parse_since(since)
    entries = registry.entries()
    if name not in entries:
        raise UnknownRole(name, place=registry.place, known=tuple(entries))
    entry = entries[name]
    if entry.role.canary is None:
        raise RegistryError(f"{name} has no canary to check: {entry.role.production.target} has the role alone")
    young_ns = Filter(since=since).since_when_ns() or 0
    changed_ns = entry.changes[-1].at_ns if entry.changes else 0
    with open_reading() as store:
        found = tallies(store.tagged(DECISION, Filter(since_ns=max(young_ns, changed_ns), replays=False)), name)
    verdict = judge(found["production"], found["canary"], guard)
    applied = None
    if is_applied and verdict.action == "rollback":
        applied = registry.rollback_if(name, entry.role, because=verdict.reason, by="roles check")
    return Checked(name, entry.role, found, verdict, applied)
