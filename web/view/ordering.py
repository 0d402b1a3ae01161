"""Steps as a tree: who is inside whom, in the order in which they began. Pure."""

from __future__ import annotations

from typing import Iterable, Sequence

from tracer.model import Step


def families_of(steps: Iterable[Step]) -> dict[str, list[Step]]:
    """The children of each step that has some, by its id."""
    families: dict[str, list[Step]] = {}
    for step in steps:
        if step.parent_id is not None:
            families.setdefault(step.parent_id, []).append(step)
    return families


def in_tree_order(steps: Sequence[Step]) -> list[tuple[Step, int]]:
    """Every step with its depth, parents before children, siblings as they began. Orphans count as roots."""
    known = {step.step_id for step in steps}
    families = families_of(steps)
    stack = [(step, 0) for step in reversed(steps) if step.parent_id is None or step.parent_id not in known]
    ordered = []
    while stack:
        step, depth = stack.pop()
        ordered.append((step, depth))
        stack.extend((child, depth + 1) for child in reversed(families.get(step.step_id, ())))
    return ordered
