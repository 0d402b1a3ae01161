"""What is wrong with a workflow on paper, found before it runs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations
from typing import Any, Iterator, Literal, Sequence

from router.paper.node import Again, Ask, Choose, Node, Run, listed
from router.paper.ways import MOST_WAYS, Way, ways
from router.paper.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong (``error``: the workflow can't run) or odd (``warning``), where, and the way out."""

    severity: Literal["error", "warning"]
    node: str | None
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {f'{self.node}: ' if self.node else ''}{self.message}"


def problems(wiring: Wiring, *, returns: Sequence[str], place: str) -> tuple[Problem, ...]:
    """All of them, errors first. What depends on how it is wired is only asked once it is wired at all."""
    found = [*_names(wiring, returns, place), *_inputs(wiring), *_cycles(wiring)]
    found += [problem for node in wiring.nodes.values() for problem in _node(node)]
    found += _unused(wiring, returns, place)
    if not any(problem.severity == "error" for problem in found):
        all_ways = ways(wiring)
        if all_ways is None:
            told = f"more than {MOST_WAYS:,} ways lead through it: which steps are never reached is not checked"
            found.append(Problem("warning", None, place, told))
        else:
            found += [*_unreachable(wiring, all_ways), *_unordered(wiring, all_ways, returns, place)]
    return tuple(sorted(found, key=lambda problem: problem.severity))


def _error(node: Node, message: str) -> Problem:
    return Problem("error", node.name, node.place, message)


def _warning(node: Node, message: str) -> Problem:
    return Problem("warning", node.name, node.place, message)


def _names(wiring: Wiring, returns: Sequence[str], place: str) -> Iterator[Problem]:
    for node in wiring.nodes.values():
        for word, names in (("after=", node.after), ("to=", node.leads_to)):
            for name in names:
                if name not in wiring.nodes:
                    yield _error(
                        node, f"{word} names {name!r}, and no step is called that. {_near(name, wiring.nodes)}"
                    )
    values = [node.gives for node in wiring.nodes.values() if node.gives is not None]
    for name in returns:
        if name not in values:
            yield Problem("error", None, place, f"returns= names {name!r}, which no step gives. {_near(name, values)}")


def _near(name: str, known: Any) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"Did you mean {near[0]!r}?" if near else f"There are: {listed(list(known))}"


def _inputs(wiring: Wiring) -> Iterator[Problem]:
    values = [*wiring.inputs, *(node.gives for node in wiring.nodes.values() if node.gives is not None)]
    for node in wiring.nodes.values():
        for take in dict.fromkeys(node.takes):
            if take.needed and take.value not in wiring.inputs and not wiring.producers(node, take):
                yield _error(
                    node,
                    f"takes {take.value!r}, which nobody gives. {_near(take.value, values)}. Name it in inputs=, let a "
                    f"step give it (gives={take.value!r}), or say what to take instead (takes=)",
                )


def _cycles(wiring: Wiring) -> Iterator[Problem]:
    left = [name for name in wiring.nodes if name not in wiring.order]
    while left:
        path = [left[0]]  # back along what comes before: in a graph of leftovers that ends in a circle
        while True:
            previous = next(name for name in wiring.before[path[-1]] if name not in wiring.order)
            if previous in path:
                break
            path.append(previous)
        circle = path[path.index(previous) :][::-1]
        told = " -> ".join([circle[-1], *circle])
        yield _error(
            wiring.nodes[circle[-1]],
            f"a circle: {told}. A workflow goes forward; to try a step again, declare it with repeat(until=, at_most=)",
        )
        gone = set(path)
        left = [name for name in left if name not in gone and not _leads_into(wiring, name, gone)]


def _leads_into(wiring: Wiring, name: str, gone: set[str]) -> bool:
    """Whether a leftover only waits for a circle that was told already."""
    waiting, seen = [name], {name}
    for each in waiting:  # grows while it is walked
        for before in wiring.before[each]:
            if before in gone:
                return True
            if before not in seen and before not in wiring.order:
                seen.add(before)
                waiting.append(before)
    return False


def _node(node: Node) -> Iterator[Problem]:
    work = node.work
    if isinstance(work, Run) and work.functions[0].model is not None and not work.is_settled:
        yield _warning(
            node,
            f"asks the model {work.functions[0].model} and has nothing to fall back on. Give fallback=[...], or say "
            "fallback=None",
        )
    if isinstance(work, Choose):
        yield from _route(node, work)


def _route(node: Node, work: Choose) -> Iterator[Problem]:
    if work.values is None:
        if not work.otherwise:
            yield _warning(
                node, "any other answer than its branches ends the run with NoBranch. Say otherwise=, if only None"
            )
        return
    missing = [value for value in work.values if value not in work.to]
    if missing and not work.otherwise:
        yield _error(node, f"has no branch for {listed(list(map(repr, missing)))}. Add it to to=, or say otherwise=")
    for value in work.to:
        if value not in work.values:
            known = listed(list(map(repr, work.values)))
            yield _error(node, f"has a branch for {value!r}, which it never decides for: it gives {known}")


def _unused(wiring: Wiring, returns: Sequence[str], place: str) -> Iterator[Problem]:
    used = {take.value for node in wiring.nodes.values() for take in node.takes}
    for name in wiring.inputs:
        if name not in used:
            yield Problem("warning", None, place, f"inputs= names {name!r}, which no step takes")
    taken = {giver for node in wiring.nodes.values() for take in node.takes for giver in wiring.producers(node, take)}
    for node in wiring.nodes.values():
        is_result = node.gives in returns if returns else node.name in wiring.ends
        if node.gives is None or node.is_effect or node.name in taken or is_result or isinstance(node.work, Ask):
            continue
        if isinstance(node.work, Run | Again):
            yield _warning(node, f"gives {node.gives!r}, which nobody takes and the workflow does not return")


def _unreachable(wiring: Wiring, all_ways: Sequence[Way]) -> Iterator[Problem]:
    reached = frozenset[str]().union(*(way.ran for way in all_ways))
    for name, node in wiring.nodes.items():
        starved = next((way for way in all_ways if name in way.took.values() and name not in way.ran), None)
        if starved is not None:
            route = next(route for route, target in starved.took.items() if target == name)
            missing = [
                take.value
                for take in node.takes
                if take.needed
                and take.value not in wiring.inputs
                and not any(giver in starved.ran for giver in wiring.producers(node, take))
            ]
            why = (
                f"nobody gives {listed(list(map(repr, missing)))} there" if missing else "what it is after did not run"
            )
            yield _error(node, f"{route} may choose it on a way on which {why}: it could not run")
        elif name not in reached:
            yield _error(
                node,
                "is never reached: on no way through the workflow does all that it waits for happen. Let a route lead "
                "to it, or take away what it waits for",
            )


def _unordered(wiring: Wiring, all_ways: Sequence[Way], returns: Sequence[str], place: str) -> Iterator[Problem]:
    """Two steps that may run at once and give the same name: which of both counts would be chance."""

    def clash(givers: Sequence[str], reader: str | None) -> tuple[str, str] | None:
        for one, other in combinations(givers, 2):
            if one in wiring.ancestors[other] or other in wiring.ancestors[one]:
                continue
            if any({one, other} <= way.ran and (reader is None or reader in way.ran) for way in all_ways):
                return one, other
        return None

    way_out = "Let one come after= the other, or give them names of their own"
    for node in wiring.nodes.values():
        for take in dict.fromkeys(node.takes):
            if both := clash(wiring.producers(node, take), node.name):
                yield _error(node, f"takes {take.value!r}, which {both[0]} and {both[1]} both give at once. {way_out}")
    for name in returns:
        if both := clash([each.name for each in wiring.nodes.values() if each.gives == name], None):
            yield Problem("error", None, place, f"returns {name!r}, which {both[0]} and {both[1]} both give. {way_out}")
