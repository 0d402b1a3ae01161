"""Who comes before whom: the arrows of a workflow, from its nodes alone. Pure.

A parameter takes the value of its name from the nodes that were declared before it; where none of them gives it, from
those declared after. Of several that gave it, the last one counts; an input of the workflow counts before them all.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import Mapping, Sequence

from router.paper.node import Node, Take


class Wiring:
    """The graph of some nodes. Names that no node has are left out: ``checks`` tells of them."""

    def __init__(self, nodes: Sequence[Node], inputs: Sequence[str]) -> None:
        self.inputs = tuple(inputs)
        self.nodes: Mapping[str, Node] = {node.name: node for node in nodes}
        self.number = {name: number for number, name in enumerate(self.nodes)}
        #: The routes that may choose a node.
        self.routes: dict[str, tuple[str, ...]] = {
            name: tuple(node.name for node in nodes if name in node.leads_to) for name in self.nodes
        }
        self._producers: dict[str, list[str]] = defaultdict(list)
        for node in nodes:
            if node.gives is not None:
                self._producers[node.gives].append(node.name)

    def producers(self, node: Node, take: Take) -> tuple[str, ...]:
        """The nodes that may give ``node`` this value, in the order of their declaration."""
        others = [name for name in self._producers.get(take.value, ()) if name != node.name]
        before = [name for name in others if self.number[name] < self.number[node.name]]
        return tuple(before or ([] if take.value in self.inputs or not take.needed else others))

    @cached_property
    def before(self) -> Mapping[str, tuple[str, ...]]:
        """For each node those that must have been settled when it starts."""
        found = {}
        for name, node in self.nodes.items():
            givers = [giver for take in node.takes for giver in self.producers(node, take)]
            after = [each for each in node.after if each in self.nodes]
            found[name] = tuple(dict.fromkeys([*self.routes[name], *after, *givers]))
        return found

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Each node after all that come before it, else as declared; without nodes of a cycle and what follows them."""
        missing = {name: len(before) for name, before in self.before.items()}
        following: dict[str, list[str]] = defaultdict(list)
        for name, before in self.before.items():
            for each in before:
                following[each].append(name)
        ready = [name for name, count in missing.items() if not count]
        for name in ready:  # grows while it is walked
            for each in following[name]:
                missing[each] -= 1
                if not missing[each]:
                    ready.append(each)
        return tuple(ready)

    @cached_property
    def ancestors(self) -> Mapping[str, frozenset[str]]:
        """For each node all that come before it, at any distance."""
        found: dict[str, frozenset[str]] = {}
        for name in self.order:
            before = self.before[name]
            found[name] = frozenset(before).union(*(found[each] for each in before))
        return found

    @cached_property
    def ends(self) -> tuple[str, ...]:
        """The nodes that nothing comes after, routes left out: their values are what the workflow came to."""
        followed = {each for before in self.before.values() for each in before}
        return tuple(name for name, node in self.nodes.items() if name not in followed and not node.leads_to)
