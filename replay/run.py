"""Running a recorded workflow again, under a plan."""

from __future__ import annotations

from typing import Any, Callable, Literal

from replay.answers import answered_before
from replay.errors import PlanError
from replay.pace import Order
from replay.plan import Plan, Rule
from replay.result import Replay
from replay.resuming import check_resumable
from replay.stage import Clock, Streams, Timing, staged


def replay(  # noqa: PLR0913 - each is one thing to say about a replay
    trace: str,
    *rules: Rule,
    fn: Callable[..., Any] | None = None,
    on_divergence: Literal["stop", "live"] = "stop",
    budget_usd: float | None = None,
    max_live_calls: int | None = None,
    verify: bool = False,
    guarded: bool = True,
    clock: Clock = "virtual",
    streams: Streams = "at-once",
    order: Order = "at-once",
    seed: int = 0,
) -> Replay:
    """Run a recorded workflow again: unchanged steps are served, and only what the rules reach runs.

    ``trace`` is an id, a unique prefix, or ``latest``. ``fn`` is the workflow where it can't be imported (a closure, a
    notebook). ``on_divergence="live"`` lets a model call that the record does not explain go live; effects never do.
    ``budget_usd`` stops before the live call that would spend more, ``max_live_calls`` before one call too many.
    ``verify`` runs every body and serves the calls. Unmarked code that is about to write, delete, start a process,
    connect or open a database ends the replay before it does, unless ``guarded`` is False. ``clock="real"`` waits what
    the workflow waits, instead of skipping it; ``streams="recorded"`` gives served answers chunk by chunk at their
    recorded pace, on that clock. ``order="recorded"`` has steps that run at once end in the order in which they ended,
    ``order="shuffled"`` in one that ``seed`` draws, to look for races. Works the same inside a running event loop.
    Raises ReplayError or StoreError, before anything has run.
    """
    timing = Timing(clock, streams, order, seed)
    plan = Plan(
        tuple(rules),
        on_divergence,
        budget_nusd=budget_of(budget_usd),
        verify=verify,
        max_live_calls=_most(max_live_calls),
        guarded=guarded,
    )
    with staged(trace, fn) as stage:
        return stage.play(plan, timing)


def budget_of(usd: float | None) -> int | None:
    """A budget in billionths of a dollar. Raises PlanError."""
    if usd is not None and not 0 <= usd < 1e9:
        raise PlanError(f"a budget is an amount of dollars from 0 on, not {usd!r}")
    return None if usd is None else round(usd * 1e9)


def _most(calls: int | None) -> int | None:
    if calls is not None and calls < 0:
        raise PlanError(f"max_live_calls is a number from 0 on, not {calls!r}")
    return calls


def resume(
    trace: str,
    *rules: Rule,
    fn: Callable[..., Any] | None = None,
    budget_usd: float | None = None,
    max_live_calls: int | None = None,
    again: bool = False,
) -> Replay:
    """Go on with a run that failed, was killed, or has its answer: what finished is served from its record, the rest
    runs for real, effects included.

    An effect that the record leaves open (cut off, failed, or asked with other inputs than recorded) may have happened:
    the run stops there until a rule decides, ``live(...)`` to do it or ``stand_in(...)`` to take a result for it. The
    new trace says ``resume_of``. ``again`` resumes once more what was resumed already. Raises ReplayError where there
    is nothing to resume.
    """
    with staged(trace, fn) as stage:
        trace_id, store = stage.trace.trace_id, stage.store
        asked = [one for one in store.escalations.of(trace_id) if one.state == "open"]
        check_resumable(stage.trace, () if again else store.resumes_of(trace_id), asked)
        plan = Plan(
            tuple(rules),
            budget_nusd=budget_of(budget_usd),
            max_live_calls=_most(max_live_calls),
            resumes=True,
            guarded=False,
            answers=answered_before(store, trace_id),
        )
        return stage.play(plan, Timing("real"))
