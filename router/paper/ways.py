"""Every way through a workflow that its routes can choose, walked without calling anything. Pure."""

from __future__ import annotations

from typing import Iterator, Mapping, NamedTuple

from router.paper.course import Course
from router.paper.node import Choose, Node
from router.paper.wiring import Wiring

#: Past this many ways, what depends on them is not checked: they double with each route beside another.
MOST_WAYS = 2_000


class Way(NamedTuple):
    """The nodes that run when the routes take these ways."""

    ran: frozenset[str]
    took: Mapping[str, str | None]


def ways(wiring: Wiring) -> list[Way] | None:
    """All of them; None where there are more than MOST_WAYS."""
    found: list[Way] = []
    waiting = [Course(wiring, dict.fromkeys(wiring.inputs))]
    while waiting:
        course = waiting.pop()
        route = _to_the_next_route(course)
        if route is None:
            found.append(Way(frozenset(course.gave), course.took))
        else:
            for target in _exits(route):
                branch = course.copy()
                branch.settle(route, None, took=target)
                waiting.append(branch)
        if len(found) + len(waiting) > MOST_WAYS:
            return None
    return found


def _to_the_next_route(course: Course) -> Node | None:
    """Let everything run up to a node that decides. A second one that is ready then waits for its turn."""
    while ready := course.ready():
        routes = [node for node in ready if isinstance(node.work, Choose)]
        for node in ready:
            if node not in routes:
                course.settle(node, None)
        if routes:
            course.later(routes[1:])
            return routes[0]
    return None


def _exits(route: Node) -> Iterator[str | None]:
    if isinstance(route.work, Choose):
        yield from dict.fromkeys((*route.work.to.values(), *route.work.otherwise))
