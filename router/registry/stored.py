"""Roles in the store: a shared value for each, read by a thread of its own, changed by compare and set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Mapping

from router.errors import RegistryError
from router.mirror import Mirror, mirror_of, opened
from router.registry.entry import Change, Entry, Role
from tracer.guard import report

if TYPE_CHECKING:
    from tracer.store import Store

PREFIX = "role:"
#: How many changes of a role are kept; older ones go.
KEPT = 200
#: How long the first pick of a process waits for the roles.
_FIRST_S = 10.0
_TRIES = 50


class StoredRoles:
    """The roles of one store; ``place`` is a path, a URL, an open store, or None for the configured one."""

    def __init__(self, place: Store | str | Path | None) -> None:
        self._place = place
        self._has: Mirror | None = None
        self._roles: dict[str, tuple[int, Role]] = {}
        #: Why a role as it is now can't be read; None where all can.
        self.problem: str | None = None

    @property
    def _mirror(self) -> Mirror:
        """Looked for at the first pick: where the store is may be configured after the registry is made."""
        if self._has is None:
            self._has = mirror_of(self._place, PREFIX)
        return self._has

    @property
    def place(self) -> str:
        if self._place is None:
            return "the configured store"
        return str(self._place if isinstance(self._place, str | Path) else self._place.place)

    def current(self) -> Mapping[str, Role]:
        """The roles as this process saw them last, half a second ago at most. No query. Raises RegistryError where they
        could not be read for the first time."""
        if not self._mirror.ready(_FIRST_S):
            raise RegistryError(f"the roles in {self.place} could not be read within {_FIRST_S:g} s: playhead doctor")
        return {name: role for name, (_, role) in self._known().items()}

    def entries(self) -> dict[str, Entry]:
        """The roles with their changes, as they are now. Raises RegistryError, StoreUnreachable."""
        with _Held(self._place) as store:
            found = store.shared(PREFIX)
        return {name.removeprefix(PREFIX): entry_of(name, shared.value) for name, shared in found.items()}

    def change(self, name: str, make: Callable[[Entry | None], Change]) -> Change:
        """Put a role as ``make`` has it of what it is now, whoever else changes it."""
        with _Held(self._place) as store:
            for _ in range(_TRIES):
                there = store.shared(PREFIX + name).get(PREFIX + name)
                entry = None if there is None else entry_of(name, there.value)
                change = make(entry)
                changes = [*(() if entry is None else entry.changes), change][-KEPT:]
                value = {**change.after.as_plain(), "history": [each.as_plain() for each in changes]}
                if store.share(PREFIX + name, value, version=0 if there is None else there.version):
                    return change
        raise RegistryError(f"the role {name} is changed by others again and again: try once more")

    def close(self) -> None:
        if self._has is not None:
            self._has.close()
            self._has, self._roles = None, {}  # the next pick may be of another store

    def _known(self) -> dict[str, tuple[int, Role]]:
        seen = self._mirror.seen()
        for name, shared in seen.items():
            known = self._roles.get(name)
            if known is not None and known[0] == shared.version:
                continue
            try:
                role = entry_of(name, shared.value).role
            except RegistryError as error:
                self.problem = str(error)
                report(f"read the role {name} as it is now; as it was before it stays in force", self.problem)
                continue
            self._roles = {**self._roles, name: (shared.version, role)}
        return self._roles


def entry_of(name: str, value: Any) -> Entry:
    """A role out of its shared value. Raises RegistryError, which names it."""
    try:
        role = Role.of(value)
        return Entry(role, tuple(Change.of(each) for each in value.get("history", ())))
    except RegistryError as error:
        raise RegistryError(f"{name.removeprefix(PREFIX)}: {error}") from None


class _Held:
    """A store to ask right now: the one given, or one opened for this."""

    def __init__(self, place: Store | str | Path | None) -> None:
        self._place = place
        self._opened: Store | None = None

    def __enter__(self) -> Store:
        if self._place is not None and not isinstance(self._place, str | Path):
            return self._place
        self._opened = opened(self._place)
        return self._opened

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.close()
