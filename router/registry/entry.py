"""What a role is: its arms, the canary's share, its changes; and which arm a key falls into. Pure.

In a file and in the store a role is plain data of one shape: ``{"production": ARM, "canary": ARM, "share": 10,
"salt": "..."}``, where an arm is a target's name, or ``{"target": NAME, "settings": {...}}``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Literal, Mapping

from router.errors import RegistryError
from tracer.digest import blake2b

ArmName = Literal["production", "canary"]
#: Names that a step, a command line and a file can all hold.
_NAME = re.compile(r"[^\W_][\w.-]*")


@dataclass(frozen=True, slots=True)
class Arm:
    """A target by name, and what it is run with: thresholds, for instance. Settings are plain JSON."""

    target: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def as_plain(self) -> str | dict[str, Any]:
        return {"target": self.target, "settings": dict(self.settings)} if self.settings else self.target

    @classmethod
    def of(cls, plain: Any) -> Arm:
        """From its plain form. Raises RegistryError."""
        if isinstance(plain, str) and plain:
            return cls(plain)
        if isinstance(plain, Mapping) and set(plain) <= {"target", "settings"}:
            target, settings = plain.get("target"), plain.get("settings", {})
            if isinstance(target, str) and target and isinstance(settings, Mapping):
                return cls(target, dict(settings))
        raise RegistryError(f"an arm is a target's name, or {{target, settings}}, not {plain!r}")


@dataclass(frozen=True, slots=True)
class Role:
    """Who does a job: ``production``, and for ``share`` percent of it ``canary``. With another ``salt`` other keys fall
    into the canary's share; with the same one a growing share keeps the keys that it has."""

    production: Arm
    canary: Arm | None = None
    share: float = 0.0
    salt: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 100:
            raise RegistryError(f"the canary's share is in percent, from 0 to 100, not {self.share:g}")
        if self.canary is None and self.share:
            raise RegistryError(f"a share of {self.share:g} % without a canary: name one, or leave the share out")

    def arm_at(self, point: float) -> ArmName:
        """The arm of a point in [0, 1)."""
        return "canary" if self.canary is not None and point * 100 < self.share else "production"

    def promoted(self) -> Role:
        """The canary as production. Raises RegistryError."""
        if self.canary is None:
            raise RegistryError(f"there is no canary to promote: {self.production.target} has the role alone")
        return Role(self.canary, salt=self.salt)

    def rolled_back(self, changes: tuple[Change, ...]) -> Role:
        """Without the canary; where there is none, with the production before this one. Raises RegistryError."""
        if self.canary is not None:
            return Role(self.production, salt=self.salt)
        for change in reversed(changes):
            before = change.before
            if before is not None and change.verb != "rollback" and before.production != self.production:
                return Role(before.production, salt=self.salt)
        raise RegistryError(f"there is nothing to roll back to: {self.production.target} is the first in this role")

    def as_plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"production": self.production.as_plain()}
        if self.canary is not None:
            plain |= {"canary": self.canary.as_plain(), "share": self.share}
        return plain | ({"salt": self.salt} if self.salt else {})

    @classmethod
    def of(cls, plain: Any) -> Role:
        """From its plain form; what stands beside it is passed over. Raises RegistryError."""
        if not isinstance(plain, Mapping) or "production" not in plain:
            raise RegistryError('a role needs a production target: production = "MODEL"')
        canary = plain.get("canary")
        arm = None if canary is None else Arm.of(canary)
        salt = plain.get("salt", "")
        if not isinstance(salt, str):
            raise RegistryError(f"a salt is a text, not {salt!r}")
        share = plain.get("share", 0.0)
        if isinstance(share, bool) or not isinstance(share, int | float):
            raise RegistryError(f"the canary's share is in percent, from 0 to 100, not {share!r}")
        return cls(Arm.of(plain["production"]), arm, share, salt)

    def __str__(self) -> str:
        canary = "" if self.canary is None else f", {self.canary.target} for {self.share:g} %"
        return f"{self.production.target}{canary}"


@dataclass(frozen=True, slots=True)
class Change:
    """Who changed a role when (nanoseconds since 1970), by which command, from what, to what, and why."""

    at_ns: int
    by: str
    verb: str
    before: Role | None
    after: Role
    because: str = ""

    def as_plain(self) -> dict[str, Any]:
        told = {"at_ns": self.at_ns, "by": self.by, "verb": self.verb, "because": self.because}
        return {**told, "from": None if self.before is None else self.before.as_plain(), "to": self.after.as_plain()}

    @classmethod
    def of(cls, plain: Any) -> Change:
        """From its plain form. Raises RegistryError."""
        try:
            before = plain["from"]
            return cls(
                int(plain["at_ns"]),
                str(plain["by"]),
                str(plain["verb"]),
                None if before is None else Role.of(before),
                Role.of(plain["to"]),
                str(plain.get("because", "")),
            )
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise RegistryError(f"no change of a role: {plain!r} ({type(error).__name__}: {error})") from None


@dataclass(frozen=True, slots=True)
class Entry:
    """A role and its changes, oldest first."""

    role: Role
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Pick:
    """Who does the job this time. What follows from ``arm`` is told from it, so an edit of the arm is all that it takes
    to try the other one: ``edit("pick draft", {"arm": "canary"})``."""

    role: str
    arm: ArmName
    production: Arm
    canary: Arm | None = None
    share: float = 0.0
    #: How the arm was found: ``only`` (there is one), ``sticky`` (by the key), ``drawn``.
    how: str = "only"

    def __post_init__(self) -> None:
        if self.arm not in {"production", "canary"} or (self.arm == "canary" and self.canary is None):
            raise ValueError(f"the role {self.role} has no arm {self.arm!r} (it has {', '.join(self.candidates)})")

    @property
    def _chosen(self) -> Arm:
        return self.canary if self.arm == "canary" and self.canary is not None else self.production

    @property
    def target(self) -> str:
        """The name of the target that does it."""
        return self._chosen.target

    @property
    def settings(self) -> Mapping[str, Any]:
        """What it is run with."""
        return self._chosen.settings

    @property
    def candidates(self) -> Mapping[str, str]:
        """The targets by arm, production first."""
        arms = {"production": self.production.target}
        return arms if self.canary is None else {**arms, "canary": self.canary.target}

    @property
    def propensity(self) -> float:
        """The probability of this arm: over draws, or over keys."""
        if self.canary is None:
            return 1.0
        return self.share / 100 if self.arm == "canary" else 1 - self.share / 100

    @property
    def reason(self) -> str:
        """Why this arm, in words."""
        if self.canary is None:
            return f"{self.production.target} has the role alone"
        found = {"sticky": "its key falls into", "drawn": "drawn for"}.get(self.how, "given")
        return f"{found} {self.arm}'s {self.propensity * 100:g} %"


def pick_of(name: str, role: Role, key: str | None, draw: Callable[[], float]) -> Pick:
    """Who has a role this time: by the key, or by a number in [0, 1) that is drawn where one is needed."""
    if role.canary is None:
        return Pick(name, "production", role.production)
    point, how = (draw(), "drawn") if key is None else (point_of(name, role.salt, key), "sticky")
    return Pick(name, role.arm_at(point), role.production, role.canary, role.share, how)


def point_of(role: str, salt: str, key: str) -> float:
    """Where a key lies in [0, 1), the same in every process: the first 53 bits of BLAKE2b over salt, role and key."""
    parts = (part.encode("utf-8", "surrogatepass") for part in (salt, role, key))
    # each with its length before it: no two triples have the same bytes
    hashed = blake2b(b"".join(len(part).to_bytes(8, "big") + part for part in parts), digest_size=8)
    return math.ldexp(int.from_bytes(hashed.digest(), "big") >> 11, -53)


def checked_name(role: str) -> str:
    """The name, if a role may have it. Raises RegistryError."""
    if not _NAME.fullmatch(role):
        raise RegistryError(f"a role's name is letters, digits, '.', '-' and '_', not {role!r}")
    return role
