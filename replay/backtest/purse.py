"""One budget for many processes: a slice is handed out before each task, and what it did not spend comes back.

No two tasks ever hold the same money, so together they can't be granted more than there is. A slice is held by the
replay's own budget (replay.budget), which expects of a call what the recorded one used: by how much a call turns out
dearer than that, by so much a slice can be overspent, and that is taken from the slices that follow.
"""

from __future__ import annotations


class Purse:
    """``limit_nusd`` None: there is no limit, and every slice is None. The caller holds it on one thread."""

    def __init__(self, limit_nusd: int | None, spent_nusd: int = 0) -> None:
        self.limit_nusd = limit_nusd
        self.spent_nusd = spent_nusd
        self._handed_out = 0

    @property
    def free_nusd(self) -> int:
        """What is neither spent nor handed out; 0 where there is no limit to ask about."""
        return 0 if self.limit_nusd is None else max(0, self.limit_nusd - self.spent_nusd - self._handed_out)

    def slice(self, waiting: int) -> int | None:
        """Hand out a part of what is free: an equal one for each of ``waiting`` tasks that could begin now."""
        if self.limit_nusd is None:
            return None
        part = self.free_nusd // max(1, waiting)
        self._handed_out += part
        return part

    def back(self, given_nusd: int | None, spent_nusd: int) -> None:
        """A task has ended, having spent this."""
        self._handed_out -= given_nusd or 0
        self.spent_nusd += spent_nusd
