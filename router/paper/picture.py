"""A workflow as boxes and arrows, in words for people who don't read code."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Any, Iterator

from router.paper.node import Again, Ask, Choose, Node, Run
from router.paper.wiring import Wiring
from tracer.drawing import Box, Edge, Graph, Kind

if TYPE_CHECKING:
    from router.paper.workflow import Workflow

#: What a question fills in, as ``{ticket}``.
_BRACES = re.compile(r"\{([^{}!:]*)[^{}]*\}")
#: Ids of the two boxes that are no nodes. No node can be called that: its names are names of functions.
_IN, _OUT = "\x00in", "\x00out"


def picture(workflow: Workflow) -> Graph:
    """Its nodes, what comes in and what comes out. An arrow that only repeats what a longer way says is left out."""
    wiring = Wiring(workflow.nodes, workflow.inputs)
    returns = ", ".join(workflow.returns) or ", ".join(dict.fromkeys(_given(wiring))) or "done"
    boxes = [
        Box(_IN, said(", ".join(workflow.inputs)) or "start", "start"),
        *(_box(node) for node in workflow.nodes),
        Box(_OUT, said(returns), "end"),
    ]
    count = len(workflow.nodes)
    description = f"The workflow {workflow.name}: {count} {'step' if count == 1 else 'steps'}."
    return Graph(said(workflow.name), tuple(boxes), tuple(_edges(wiring)), description)


def said(name: str) -> str:
    """A name of code as words."""
    return name.replace("_", " ").strip()


def _given(wiring: Wiring) -> Iterator[str]:
    return (gives for name in wiring.ends if (gives := wiring.nodes[name].gives) is not None)


def _box(node: Node) -> Box:
    work = node.work
    kind: Kind = "code"
    lines: list[str] = []
    match work:
        case Run(functions=(first, *others)):
            kind = "action" if node.is_effect else "model" if first.model else "code"
            lines = [first.model] if first.model else []
            lines += [f"if that fails: {said(other.name)}" for other in others]
        case Choose():
            kind = "decision"
        case Ask(options=options):
            kind = "person"
            lines = [_BRACES.sub(r"(the \1)", work.question), *([f"one of: {', '.join(options)}"] if options else [])]
        case Again(function=function, at_most=most):
            kind = "model" if function.model else "code"
            lines = [*([function.model] if function.model else []), f"again until it is good, at most {most} times"]
    return Box(node.name, said(node.name), kind, tuple(lines))


def _edges(wiring: Wiring) -> Iterator[Edge]:
    chosen = [edge for node in wiring.nodes.values() for edge in _branches(node, wiring)]
    routed = {(edge.source, edge.target) for edge in chosen}
    for name, before in wiring.before.items():
        if not before:
            yield Edge(_IN, name)
        for source in before:
            if (source, name) not in routed and not _said_already(wiring, source, name):
                yield Edge(source, name)
    yield from chosen
    yield from (Edge(name, _OUT) for name in wiring.ends)


def _said_already(wiring: Wiring, source: str, target: str) -> bool:
    """Whether another way from ``source`` to ``target`` is drawn anyway."""
    return any(source in wiring.ancestors.get(other, ()) for other in wiring.before[target] if other != source)


def _branches(node: Node, wiring: Wiring) -> Iterator[Edge]:
    if not isinstance(node.work, Choose):
        return
    ways: dict[str, list[str]] = {}
    for value, target in node.work.to.items():
        ways.setdefault(_end(target), []).append(_shown(value))
    for target in node.work.otherwise:
        ways.setdefault(_end(target), []).append("anything else")
    for target, values in ways.items():
        if target == _OUT or target in wiring.nodes:
            yield Edge(node.name, target, " or ".join(values))


def _end(target: str | None) -> str:
    return _OUT if target is None else target


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return said(str(value.name if isinstance(value, enum.Enum) else value))
