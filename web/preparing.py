"""What a plan would do and cost, asked in a process of its own (``python -m web.preparing``) since the types of the
recorded values, the models and their prices are the workflow's module's. Loads that module and runs nothing.

Reads ``{"trace": id, "rules": [[verb, text], ...], "on_divergence": ...}`` on standard input, rules as the command line
writes them, and answers with one line of JSON on standard output; web.view.planned reads it.
"""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict
from typing import Any, Iterator, Mapping

from replay.edits import shaped
from replay.entry import at_home, find
from replay.errors import PlanError, ReplayError
from replay.estimate import Estimate, estimate
from replay.plan import Plan, Rule, names, parse_rule
from replay.preview import preview
from replay.record import Record
from replay.targets import targets
from tracer import recorder
from tracer.errors import TracerError
from tracer.model import Step, Trace
from tracer.reading import open_reading
from tracer.store import Store
from tracer.wire import HttpRequest


def prepared(store: Store, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The answer, as JSON can hold it. Raises ReplayError where the workflow's function can't be found."""
    trace = store.trace(store.resolve(asked["trace"]))
    with at_home(find(trace.entry), trace.entry):
        return _told(store, trace, asked)


def _told(store: Store, trace: Trace, asked: Mapping[str, Any]) -> dict[str, Any]:
    models = sorted(target.name for target in recorder.catalogue())
    record, told = Record(trace, store.payloads), {"models": models, "problem": "", "edits": {}, "rows": []}
    try:
        rules = tuple(parse_rule(verb, text) for verb, text in asked["rules"])
        plan = Plan(rules, asked["on_divergence"])
        plan.check(trace)
        told["edits"] = dict(_misfits(plan, record))
        found = targets(plan, trace)
    except PlanError as error:
        return {**told, "problem": str(error), "estimate": asdict(Estimate())}
    rows = preview(record, plan)
    return {**told, "rows": [asdict(row) for row in rows], "estimate": asdict(estimate(record, plan, found, rows))}


def _misfits(plan: Plan, record: Record) -> Iterator[tuple[str, str]]:
    """The edits that don't fit what was recorded, by the path of their step, and why."""
    for rule in plan.rules:
        for step in record.trace.steps:
            if rule.verb == "edit" and names(rule.pattern, step.path) and step.output is not None:
                try:
                    _check(rule, record, step)
                except PlanError as error:
                    yield step.path, str(error)


def _check(rule: Rule, record: Record, step: Step) -> None:
    if not record.ended(step):
        return
    request = None if step.input is None or step.call is None else record.value(step.input)
    is_call = isinstance(request, HttpRequest)
    shaped(rule.value, record.result(step).value, request=request if is_call else None, path=step.path)


def main() -> None:
    asked = json.loads(sys.stdin.buffer.read())
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # what the module prints when it is loaded is not the answer
        try:
            with open_reading() as store:
                told = prepared(store, asked)
        except (TracerError, ReplayError) as error:
            told = {"refused": str(error)}
    print(json.dumps(told), file=out)


if __name__ == "__main__":
    main()
