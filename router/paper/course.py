"""One way through a workflow: which nodes may start now, which were left out, which value counts. Pure.

A node waits until everything before it has run or was left out. It then runs if a route chose it (where routes lead to
it), if something that it stands after ran, and if all that it needs was given; else it is left out, and so may be what
follows.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from router.paper.node import Choose, Node, Take
from router.paper.wiring import Wiring


class Course:
    """What has become of each node so far. Not thread-safe: its driver alone asks it."""

    def __init__(self, wiring: Wiring, inputs: Mapping[str, Any]) -> None:
        self._wiring = wiring
        self._inputs = inputs
        self._rank = {name: rank for rank, name in enumerate(wiring.order)}
        self._waiting = list(wiring.order)
        #: What each node that ran gave.
        self.gave: dict[str, Any] = {}
        #: The way that each route took.
        self.took: dict[str, str | None] = {}
        self.left_out: set[str] = set()

    def rank(self, name: str) -> int:
        """The place of a node in the order of the workflow."""
        return self._rank[name]

    def copy(self) -> Course:
        other = Course(self._wiring, self._inputs)
        other._waiting, other.gave = list(self._waiting), dict(self.gave)
        other.took, other.left_out = dict(self.took), set(self.left_out)
        return other

    def ready(self) -> list[Node]:
        """The nodes to start now, each given once, in order."""
        found: list[Node] = []
        for name in list(self._waiting):  # in order: what is left out settles what comes after it in the same pass
            if all(each in self.gave or each in self.left_out for each in self._wiring.before[name]):
                self._waiting.remove(name)
                node = self._wiring.nodes[name]
                if self._runs(node):
                    found.append(node)
                else:
                    self.left_out.add(name)
        return found

    def later(self, nodes: Sequence[Node]) -> None:
        """Give these again when next asked what is ready."""
        self._waiting = [*(node.name for node in nodes), *self._waiting]

    def settle(self, node: Node, value: Any, *, took: str | None = None) -> None:
        """The node ran and gave this; a route took this way."""
        self.gave[node.name] = value
        if isinstance(node.work, Choose):
            self.took[node.name] = took

    def given(self, node: Node, take: Take) -> tuple[Any, ...]:
        """``(value,)`` for an input of a node, by the last that gave it; empty where nobody did."""
        givers = [name for name in self._wiring.producers(node, take) if name in self.gave]
        if not givers and take.value not in self._inputs:
            return ()
        value = self.gave[max(givers, key=self.rank)] if givers else self._inputs[take.value]
        for name in take.path:
            value = getattr(value, name)
        return (value,)

    def has(self, node: Node, take: Take) -> bool:
        givers = self._wiring.producers(node, take)
        return take.value in self._inputs or any(name in self.gave for name in givers)

    def value(self, name: str) -> tuple[Any, ...]:
        """``(value,)`` for a name at the end, by the last node that gave it; empty where none did."""
        givers = [giver for giver in self.gave if self._wiring.nodes[giver].gives == name]
        return (self.gave[max(givers, key=self.rank)],) if givers else ()

    def _runs(self, node: Node) -> bool:
        routes = self._wiring.routes[node.name]
        if routes and not any(self.took.get(route) == node.name for route in routes):
            return False
        if node.after and not any(each in self.gave for each in node.after):
            return False
        return all(self.has(node, take) for take in node.takes if take.needed)
