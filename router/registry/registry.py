"""The registry: which model has which role, and which arm it is this time."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, Protocol

from router.errors import RegistryError, UnknownRole
from router.registry.entry import Arm, Change, Entry, Pick, Role, checked_name
from router.registry.policy import Guard
from router.registry.record import picked
from router.registry.stored import StoredRoles
from router.registry.watch import Watch

if TYPE_CHECKING:
    from router.breaker import Breaker
    from tracer.store import Store


class Roles(Protocol):
    """Where roles are kept."""

    problem: str | None

    @property
    def place(self) -> str: ...
    def current(self) -> Mapping[str, Role]: ...
    def entries(self) -> dict[str, Entry]: ...
    def change(self, name: str, make: Any) -> Change: ...


class Registry:
    """Roles and their arms, in a TOML file or in a store; what is changed there is in force within a second.

    ``place`` is the path of a file that ends in ``.toml``, or a store: open, its path, its URL, or None for the one
    that is configured. Changes are made by ``playhead roles`` or the methods below; each of them raises RegistryError
    where it can't be made.
    """

    def __init__(self, place: Store | str | Path | None = None) -> None:
        self._roles: Roles = StoredRoles(place)
        if isinstance(place, str | Path) and str(place).endswith(".toml"):
            from router.registry.files import FileRoles  # noqa: PLC0415 - for those whose roles are in a file

            self._roles = FileRoles(Path(place))

    @property
    def place(self) -> str:
        """Where the roles are, for people."""
        return self._roles.place

    @property
    def problem(self) -> str | None:
        """Why the last edit of a file or a role is not in force; None where all is."""
        return self._roles.problem

    def pick(self, role: str, key: str | None = None) -> Pick:
        """Who has this role this time. The same ``key`` gets the same arm as long as the canary's share holds it;
        without a key an arm is drawn. Within a workflow a step ``pick ROLE`` of kind router. Raises UnknownRole."""
        return picked(role, key, self.role)

    def role(self, name: str) -> Role:
        """A role as it is in force here. Raises UnknownRole."""
        roles = self._roles.current()
        if name not in roles:
            raise UnknownRole(name, place=self.place, known=tuple(roles))
        return roles[name]

    def entries(self) -> dict[str, Entry]:
        """All roles with their changes, read now."""
        return self._roles.entries()

    def history(self, role: str) -> tuple[Change, ...]:
        """The changes of a role, oldest first. Raises UnknownRole."""
        entries = self.entries()
        if role not in entries:
            raise UnknownRole(role, place=self.place, known=tuple(entries))
        return entries[role].changes

    def set(  # noqa: PLR0913 - each is one thing to say about a role
        self,
        role: str,
        *,
        production: str | Arm | None = None,
        canary: str | Arm | None = None,
        share: float | None = None,
        salt: str | None = None,
        because: str = "",
        by: str | None = None,
    ) -> Change:
        """Say who has a role. Without ``production`` both arms stay as they are but for what is named; with it there is
        a canary only where one is named too."""
        checked_name(role)

        def after(entry: Entry | None) -> Role:
            before = None if entry is None else entry.role
            if before is None and production is None:
                raise UnknownRole(role, place=self.place, known=())
            kept = before.canary if before is not None and production is None else None
            arm = kept if canary is None else _arm(canary)
            usual = before.share if before is not None and arm is not None else 0.0
            return Role(
                before.production if production is None and before is not None else _arm(production),
                arm,
                usual if share is None else share,
                (before.salt if before is not None else "") if salt is None else salt,
            )

        return self._change(role, "set", after, because, by)

    def trial(
        self, role: str, settings: Mapping[str, Any], *, share: float, because: str = "", by: str | None = None
    ) -> Change:
        """Give a role a canary that is its production but for these settings. Raises RegistryError where it has one
        already: two trials at once would tell nothing of either."""

        def after(entry: Entry | None) -> Role:
            there = self._there(role, entry).role
            if there.canary is not None:
                raise RegistryError(f"the role {role} has a canary already: promote it or roll it back first")
            arm = Arm(there.production.target, {**there.production.settings, **settings})
            return replace(there, canary=arm, share=share)

        return self._change(role, "set", after, because, by)

    def promote(self, role: str, *, because: str = "", by: str | None = None) -> Change:
        """Make the canary production, for all of the work."""
        return self._change(role, "promote", lambda entry: self._there(role, entry).role.promoted(), because, by)

    def rollback(self, role: str, *, because: str = "", by: str | None = None) -> Change:
        """Take the canary back; where there is none, go back to the production before this one."""

        def after(entry: Entry | None) -> Role:
            there = self._there(role, entry)
            return there.role.rolled_back(there.changes)

        return self._change(role, "rollback", after, because, by)

    def rollback_if(self, role: str, seen: Role, *, because: str, by: str = "watch") -> Change | None:
        """Take the canary back, unless the role is another one than was ``seen``: somebody has changed it since."""
        try:
            return self._change(role, "rollback", lambda entry: _same(self._there(role, entry), seen), because, by)
        except _Changed:
            return None

    def watch(self, role: str, *, guard: Guard | None = None, breaker: Breaker | None = None) -> Watch:
        """Counts what comes of a role's arms in this process, and takes the canary back when it does surely worse or
        its breaker opens."""
        return Watch(self, role, guard or Guard(), breaker)

    def close(self) -> None:
        """Let go of the store."""
        if isinstance(self._roles, StoredRoles):
            self._roles.close()

    def _there(self, role: str, entry: Entry | None) -> Entry:
        if entry is None:
            raise UnknownRole(role, place=self.place, known=tuple(self.entries()))
        return entry

    def _change(self, role: str, verb: str, after: Any, because: str, by: str | None) -> Change:
        def make(entry: Entry | None) -> Change:
            before = None if entry is None else entry.role
            return Change(time.time_ns(), by or _user(), verb, before, after(entry), because)

        return self._roles.change(role, make)


class _Changed(RegistryError):
    """The role is not the one that was judged."""


def _same(there: Entry, seen: Role) -> Role:
    if there.role != seen:
        raise _Changed("the role was changed meanwhile")
    return there.role.rolled_back(there.changes)


def _arm(given: str | Arm | None) -> Arm:
    if given is None or (isinstance(given, str) and not given):
        raise RegistryError("an arm needs the name of a target")
    return Arm(given) if isinstance(given, str) else given


def _user() -> str:
    import getpass  # noqa: PLC0415 - for those who change a role

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without a user of that number
        return "somebody"
