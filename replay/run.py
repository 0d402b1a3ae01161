"""Running a recorded workflow again, under a plan."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from dataclasses import dataclass
from typing import Any, Callable, Literal

from replay.diff import Diff, diff
from replay.entry import find
from replay.errors import NotReplayable, PlanError
from replay.plan import Plan, Rule
from replay.player import REACHING_KINDS, Divergence, ReplayPlayer, Stopped
from tracer import recorder
from tracer.binding import arguments
from tracer.catalogue import Target
from tracer.context import NEXT_PLAYER
from tracer.errors import UnknownModel
from tracer.model import Step, Trace
from tracer.store import Store, open_store


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay. ``trace_id`` is the new trace's; the recorded one was not touched."""

    trace_id: str
    replay_of: str
    output: Any
    #: What the workflow raised, if it did; None also where the replay was stopped.
    error: BaseException | None
    #: Why the replay ended early: a divergence or an effect that the plan says nothing of.
    stopped: Stopped | None
    #: Calls (models, tools, effects, HTTP) answered from the record, and calls that ran for real.
    served: int
    live: int
    #: All steps answered from the record, those below a served one included.
    served_steps: int
    divergences: tuple[Divergence, ...]
    #: What the live calls cost; None where one of them has no known price (``unpriced`` names those models).
    cost_usd: float | None
    saved_usd: float
    unpriced: tuple[str, ...]
    #: Rules that no step ever met: likely a misspelt name, or a step that this run did not come to.
    unused: tuple[str, ...]
    database_url: str

    def diff(self) -> Diff:
        """The recorded trace and this one, side by side."""
        with open_store(self.database_url) as store:
            return diff(store.trace(self.replay_of), store.trace(self.trace_id), store.value)


def replay(  # noqa: PLR0913 - one keyword for each thing a replay may be told
    trace: str,
    *rules: Rule,
    fn: Callable[..., Any] | None = None,
    on_divergence: Literal["stop", "live"] = "stop",
    budget_usd: float | None = None,
    verify: bool = False,
) -> Replay:
    """Run a recorded workflow again: unchanged steps are served, and only what the rules reach runs.

    ``trace`` is an id, a unique prefix, or ``latest``. ``fn`` is the workflow where it can't be imported (a closure, a
    notebook). ``on_divergence="live"`` lets a model call that the record does not explain go live; effects never do.
    ``budget_usd`` stops before a live call once that much was spent. ``verify`` runs every body and serves the calls.
    Works the same inside a running event loop. Raises ReplayError or StoreError, before anything has run.
    """
    recorder.flush()
    url = recorder.current_config().database_url
    with open_store(url) as store:
        recorded = store.trace(store.resolve(trace))
        function = fn or find(recorded.entry)
        # The workflow's module may have configured another store; the replay belongs beside what it replays.
        recorder.configure(database_url=url, enabled=True)
        plan = Plan(tuple(rules), on_divergence, None if budget_usd is None else round(budget_usd * 1e9), verify)
        player = ReplayPlayer(recorded, plan, store.value, _targets(plan))
        _refuse_unknown_steps(plan, recorded)
        args, kwargs = _inputs(recorded, store, function)
        new = _Outcome()
        _in_own_context(lambda: new.run(function, args, kwargs, player))
        if new.stopped is None:
            player.close()
        recorder.flush()
        if player.new_trace_id is None:
            raise NotReplayable(f"{function.__qualname__} began no trace: is it still a @workflow?") from new.error
        return _result(recorded, player, player.new_trace_id, new, url)


class _Outcome:
    """What the workflow gave: one of the three."""

    output: Any = None
    error: BaseException | None = None
    stopped: Stopped | None = None

    def run(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], player: ReplayPlayer) -> None:
        NEXT_PLAYER.set(player)
        try:
            self.output = _finish(function(*args, **kwargs))
        except Stopped as stop:
            self.stopped = stop
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever the workflow raises is its result
            self.error = error


def _finish(result: Any) -> Any:
    """Run to its end what a call of an async or generator workflow gives."""
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    if inspect.isasyncgen(result):
        return asyncio.run(_collect(result))
    return list(result) if inspect.isgenerator(result) else result


async def _collect(items: Any) -> list[Any]:
    return [item async for item in items]


def _in_own_context(run: Callable[[], None]) -> None:
    """Run in a copy of the context; on a thread of its own where this one already runs an event loop."""
    context = contextvars.copy_context()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        context.run(run)
        return
    import threading  # noqa: PLC0415 - only inside a running loop

    thread = threading.Thread(target=context.run, args=(run,), name="playhead-replay")
    thread.start()
    thread.join()


def _targets(plan: Plan) -> dict[int, Target]:
    """The target of each substitution. Raises PlanError for a model that is not in the catalogue."""
    found = {}
    for rule in plan.rules:
        if rule.verb == "substitute":
            try:
                named = isinstance(rule.value, str)
                found[id(rule)] = recorder.catalogue().get(rule.value) if named else rule.value
            except UnknownModel as error:
                raise PlanError(f"{rule}: {error}") from None
    return found


def _refuse_unknown_steps(plan: Plan, recorded: Trace) -> None:
    """A rule about a step that a completed trace does not have is a misspelling; a run cut short may yet come to it."""
    from replay.plan import names  # noqa: PLC0415

    if recorded.summary.status != "completed":
        return
    for rule in plan.rules:
        if not any(names(rule.pattern, step.path) for step in recorded.steps):
            known = ", ".join(dict.fromkeys(step.name for step in recorded.steps))
            raise PlanError(f"{rule}: no step of this trace is named {rule.pattern!r} (it has {known})")


def _inputs(recorded: Trace, store: Store, function: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
    root = recorded.root
    if root is None or root.input is None:
        raise NotReplayable(f"trace {recorded.trace_id[:8]} has no recorded input (was it recorded with capture off?)")
    if not root.input.exact:
        raise NotReplayable(
            f"the workflow's input can't be restored at {root.input.lossy[0]}: give the workflow plain values, and make "
            "clients and connections inside it"
        )
    plain = getattr(function, "__wrapped__", function)
    return arguments(plain, store.value(root.input))


def _result(recorded: Trace, player: ReplayPlayer, trace_id: str, new: _Outcome, url: str) -> Replay:
    served_calls = [step for step in player.served if step.kind in REACHING_KINDS or step.effect]
    saved = sum(step.call.cost.nusd for step in served_calls if step.call is not None and step.call.cost is not None)
    return Replay(
        trace_id=trace_id,
        replay_of=recorded.trace_id,
        output=new.output,
        error=new.error,
        stopped=new.stopped,
        served=len(served_calls),
        live=len(player.live),
        served_steps=len(player.served),
        divergences=tuple(player.divergences),
        cost_usd=None if player.unpriced else player.spent_nusd / 1e9,
        saved_usd=saved / 1e9,
        unpriced=tuple(dict.fromkeys(player.unpriced)),
        unused=tuple(str(rule) for rule in player.plan.rules if id(rule) not in player.used_rules),
        database_url=url,
    )

