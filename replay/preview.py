"""What a plan would do with a trace, told from the record alone: nothing runs. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from replay.plan import Plan
from replay.player import REACHING_KINDS
from tracer.model import Step, Trace


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One recorded step, and what the plan makes of it: served, runs, live, edited, fails, or unknown (downstream of a
    change, where only the new inputs will tell)."""

    depth: int
    path: str
    kind: str
    word: str
    reason: str = ""


def preview(trace: Trace, plan: Plan) -> tuple[PreviewRow, ...]:
    """The recorded steps in order, each with its fate. Steps below a served one are not listed."""
    rows: list[PreviewRow] = []
    changed = False

    def walk(step: Step, depth: int) -> None:
        nonlocal changed
        word, reason = _fate(step, plan, trace, changed=changed)
        rows.append(PreviewRow(depth, step.path, step.kind, word, reason))
        changed = changed or word in {"live", "edited", "fails"}
        if word not in {"served", "edited"}:
            for child in trace.children(step.step_id):
                walk(child, depth + 1)

    for root in trace.children(None):
        walk(root, 0)
    return tuple(rows)


def _fate(step: Step, plan: Plan, trace: Trace, *, changed: bool) -> tuple[str, str]:
    path, is_call = step.path, step.kind in {"llm", "embedding"}
    if step.parent_id is None:
        return "runs", ""
    if rule := plan.rule("edit", path):
        return "edited", f"  {rule}"
    if is_call and (rule := plan.rule_above("fail", path)):
        return "fails", f"  {rule}"
    if step.effect and not plan.rule("live", path):
        return "served", "  an effect: it does not happen again"
    if rule := plan.rule_above("live", path) or plan.rule("from", path):
        return "live", f"  {rule}"
    if is_call and (rule := plan.rule_above("substitute", path)):
        return "live", f"  {rule}"
    if plan.reaches_into(step, trace.children):
        return "runs", "  the plan reaches into it"
    if changed:
        leaf = step.kind in REACHING_KINDS
        allowed = plan.has("substitute", "live", "from") or plan.on_divergence == "live"
        then = ("live" if allowed else "stops the replay") if leaf else "runs"
        return "unknown", f"  served if its input stays the same, otherwise {then}"
    return ("runs", "  --verify") if plan.verify and step.kind not in REACHING_KINDS | {"human"} else ("served", "")
