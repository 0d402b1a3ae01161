"""Where the steps of a trace stand, told anew from all of its spans that have come so far; pure.

Spans come in any order: children before their parents, which may never come, and several without a parent. One is the
root: the earliest of those that have no parent, or whose parent nobody sent. Other tops stand below it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Node:
    """A step of a trace. ``parent_id`` is what its span says. ``own`` marks one that playhead recorded itself: it
    stands where it stands."""

    step_id: str
    parent_id: str | None
    name: str
    started_ns: int
    own: bool = False
    path: str = ""
    occurrence: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """``parent_id`` is None for the root alone; an orphan keeps the id of the parent that has not come."""

    parent_id: str | None
    path: str
    occurrence: int


def places(nodes: Iterable[Node]) -> dict[str, Place]:
    """The place of every step, by its id."""
    by_id = {node.step_id: node for node in nodes}
    below: dict[str, list[Node]] = defaultdict(list)
    tops = []
    for node in sorted(by_id.values(), key=_begun):
        parent = node.parent_id
        if parent is None or parent not in by_id or parent == node.step_id:
            tops.append(node)
        else:
            below[parent].append(node)
    root = _root_of(tops or sorted(by_id.values(), key=_begun)[:1])
    if root is None:
        return {}
    found = {root.step_id: Place(None, root.path if root.own else _part(root.name), 0)}
    below[root.step_id] = sorted([*below[root.step_id], *(top for top in tops if top is not root)], key=_begun)
    _settle(root.step_id, below, found)
    for node in sorted(by_id.values(), key=_begun):
        if node.step_id not in found:  # in a circle of parents: the earliest of it stands below the root
            found[node.step_id] = Place(root.step_id, f"{found[root.step_id].path}/{_part(node.name)}", 0)
            _settle(node.step_id, below, found)
    return {step_id: _orphaned(place, by_id[step_id], by_id, root) for step_id, place in found.items()}


def _begun(node: Node) -> tuple[int, str]:
    return node.started_ns, node.step_id


def _root_of(tops: list[Node]) -> Node | None:
    own = next((node for node in tops if node.own and node.parent_id is None), None)
    return own or next((node for node in tops if node.parent_id is None), tops[0] if tops else None)


def _settle(top: str, below: Mapping[str, list[Node]], found: dict[str, Place]) -> None:
    """Give all steps below this one their places; one that has its place already keeps it."""
    waiting = [top]
    while waiting:
        parent = waiting.pop()
        counts: dict[str, int] = defaultdict(int)
        for node in below.get(parent, ()):
            if node.step_id in found:
                continue
            if node.own:
                found[node.step_id] = Place(node.parent_id, node.path, node.occurrence)
                counts[node.name] = max(counts[node.name], node.occurrence + 1)
            else:
                occurrence = counts[node.name]
                counts[node.name] += 1
                path = f"{found[parent].path}/{_part(node.name)}"
                found[node.step_id] = Place(parent, f"{path}[{occurrence}]" if occurrence else path, occurrence)
            waiting.append(node.step_id)


def _orphaned(place: Place, node: Node, by_id: Mapping[str, Node], root: Node) -> Place:
    if node is root or node.own or node.parent_id is None or node.parent_id in by_id:
        return place
    return Place(node.parent_id, place.path, place.occurrence)


def _part(name: str) -> str:
    """A name as a part of a path: a span's may be "GET /users"."""
    return name.replace("/", "∕")  # noqa: RUF001 - looks the same, and ends no part
