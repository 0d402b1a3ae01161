"""How accurate a chain is, from the scores of its steps. Pure.

A score is right where it is true, or a number of at least ``passing``; a text is a label, which says nothing by itself.
A step that was scored several times in a run was right if all of that name were.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any, Iterable, Mapping

from tracer.seen import RunSeen, ScoreSeen
from tracer.stats.intervals import apart, product, share
from tracer.stats.rows import Chain, Link

_OCCURRENCE = re.compile(r"\[\d+\]")
#: A score of a run: (path, name of the score) -> right or wrong.
_OfRun = dict[tuple[str, str], bool]


def chains(runs: Iterable[RunSeen], scores: Iterable[ScoreSeen], *, passing: float = 0.5) -> tuple[Chain, ...]:
    """A chain for each workflow and each score of its root. Without steps that were scored there is none."""
    workflow_of = {run.trace_id: run.workflow for run in runs}
    found: defaultdict[str, defaultdict[str, _OfRun]] = defaultdict(lambda: defaultdict(dict))
    unread: defaultdict[str, int] = defaultdict(int)
    for score in scores:
        workflow = workflow_of.get(score.trace_id)
        if workflow is None:
            continue
        if (right := is_right(score.value, passing)) is None:
            unread[workflow] += 1
            continue
        of_run = found[workflow][score.trace_id]
        key = (_OCCURRENCE.sub("", score.path), score.name)
        of_run[key] = of_run.get(key, True) and right
    return tuple(
        chain
        for workflow, of_runs in sorted(found.items())
        for chain in _of_workflow(workflow, of_runs, unread[workflow])
    )


def is_right(value: Any, passing: float) -> bool | None:
    """Whether a score says right; None where it says neither."""
    if isinstance(value, bool):
        return value
    return value >= passing if isinstance(value, int | float) else None


def _of_workflow(workflow: str, of_runs: Mapping[str, _OfRun], unread: int) -> Iterable[Chain]:
    keys = sorted({key for of_run in of_runs.values() for key in of_run})
    links = [key for key in keys if "/" in key[0]]
    if not links:
        return
    for end in (key for key in keys if "/" not in key[0]):
        ended = [of_run for of_run in of_runs.values() if end in of_run]
        whole = [all(right for key, right in of_run.items() if key in links) for of_run in ended]
        rows = tuple(_link(key, end, of_runs.values()) for key in links)
        yield Chain(
            workflow=workflow,
            score=end[1],
            end=share(sum(of_run[end] for of_run in ended), len(ended)),
            product=product([row.right for row in rows]),
            all_right=share(sum(whole), len(whole)),
            links=rows,
            unread=unread,
        )


def _link(key: tuple[str, str], end: tuple[str, str], of_runs: Iterable[_OfRun]) -> Link:
    each = [of_run for of_run in of_runs if key in of_run]
    both = [(of_run[key], of_run[end]) for of_run in each if end in of_run]
    right = [at_end for here, at_end in both if here]
    wrong = [at_end for here, at_end in both if not here]
    if_right, if_wrong = share(sum(right), len(right)), share(sum(wrong), len(wrong))
    return Link(
        path=key[0],
        score=key[1],
        right=share(sum(of_run[key] for of_run in each), len(each)),
        end_if_right=if_right,
        end_if_wrong=if_wrong,
        matters=apart(if_wrong, if_right),
    )
