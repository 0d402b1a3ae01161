"""The lines left of each name in the tree, a letter per level. Pure."""

from __future__ import annotations

from typing import Collection, Sequence

from web.view.folding import Line

#: Levels that are drawn; of what lies deeper the nearest ones.
MOST = 24


def rails(lines: Sequence[Line], red: Collection[str]) -> list[str]:
    """One word per line, of at most MOST letters.

    Space is nothing, ``|`` a line passing, ``t`` a branch, ``l`` the last branch. In red: ``R`` passing, ``T`` a branch
    that ends the red, ``L`` the last one. ``Y`` is a grey branch off a red line.
    """
    found: list[str] = []
    below: dict[str | None, str] = {}
    red_parents = {line.step.parent_id for line in lines if line.step.step_id in red and not line.run}
    passed: set[str | None] = set()
    for line in lines:
        parent = line.step.parent_id
        before = below.get(parent, "")
        if line.depth == 0:
            found.append("")
            below[line.step.step_id] = ""
            continue
        is_red = line.step.step_id in red and not line.run
        before_red = parent in red_parents - passed and not is_red
        if is_red:
            passed.add(parent)
        branch = "Y" if before_red else ("L" if line.last else "T") if is_red else ("l" if line.last else "t")
        found.append((before + branch)[-MOST:])
        if not line.run:
            below[line.step.step_id] = (before + ("R" if before_red else " " if line.last else "|"))[-MOST:]
    return found
