"""Locks in a forked child: another thread of the parent may have held one, and would in the child hold it for good."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """What has to be told that it is in a forked child now, where there is one thread."""

    def forked(self) -> None: ...


_told: WeakSet[Forked] = WeakSet()


def tell_of_forks(who: Forked) -> None:
    """Call ``who.forked()`` in every child that this process forks, for as long as ``who`` lives."""
    _told.add(who)


def _after_fork_in_child() -> None:
    for each in list(_told):
        each.forked()


os.register_at_fork(after_in_child=_after_fork_in_child)
