"""Running a recorded workflow again, under a plan."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Callable, Literal

from replay.calling import apart, to_its_end
from replay.diff import Diff, diff
from replay.divergence import Divergence, Stopped, one_line
from replay.edits import shaped
from replay.entry import at_home, find
from replay.errors import NotReplayable, PlanError
from replay.guard import install
from replay.plan import Plan, Rule, names
from replay.player import ReplayPlayer
from replay.preview import preview
from replay.record import Record, not_restored
from replay.targets import targets
from tracer import recorder
from tracer.binding import arguments
from tracer.context import NEXT_PLAYER
from tracer.model import Trace
from tracer.player import ReplayStopped
from tracer.store import open_store
from tracer.wire import HttpRequest


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

    @property
    def first(self) -> Divergence | None:
        """Where the replay and its record part first: both inputs, the paths that differ, what would accept it."""
        return self.divergences[0] if self.divergences else None

    def diff(self) -> Diff:
        """The recorded trace and this one, side by side."""
        with open_store(self.database_url) as store:
            return diff(store.trace(self.replay_of), store.trace(self.trace_id), store.value)


def replay(  # noqa: PLR0913 - the plan, in the words of the command line
    trace: str,
    *rules: Rule,
    fn: Callable[..., Any] | None = None,
    on_divergence: Literal["stop", "live"] = "stop",
    budget_usd: float | None = None,
    max_live_calls: int | None = None,
    verify: bool = False,
    guarded: bool = True,
) -> Replay:
    """Run a recorded workflow again: unchanged steps are served, and only what the rules reach runs.

    ``trace`` is an id, a unique prefix, or ``latest``. ``fn`` is the workflow where it can't be imported (a closure, a
    notebook). ``on_divergence="live"`` lets a model call that the record does not explain go live; effects never do.
    ``budget_usd`` stops before the live call that would spend more, ``max_live_calls`` before one call too many.
    ``verify`` runs every body and serves the calls. Unmarked code that is about to write, delete, start a process,
    connect or open a database ends the replay before it does, unless ``guarded`` is False. Works the same inside a
    running event loop. Raises ReplayError or StoreError, before anything has run.
    """
    if budget_usd is not None and not 0 <= budget_usd < 1e9:
        raise PlanError(f"a budget is an amount of dollars from 0 on, not {budget_usd!r}")
    if max_live_calls is not None and max_live_calls < 0:
        raise PlanError(f"max_live_calls is a number from 0 on, not {max_live_calls!r}")
    budget_nusd = None if budget_usd is None else round(budget_usd * 1e9)
    plan = Plan(tuple(rules), on_divergence, budget_nusd, verify, max_live_calls, guarded)
    if guarded:
        install()
    return apart(lambda: _replay(trace, plan, fn))


def _replay(trace: str, plan: Plan, fn: Callable[..., Any] | None) -> Replay:
    recorder.flush()
    was = recorder.current_config()
    with open_store(was.database_url) as store:
        recorded = store.trace(store.resolve(trace))
        plan.check(recorded)
        record = Record(recorded, store.payloads)
        _refuse_what_is_not_kept(record, plan)
        try:
            _record_beside(recorded, was)
            function = fn or find(recorded.entry)
            _record_beside(recorded, was)
            with at_home(function, recorded.entry):
                player = ReplayPlayer(record, plan, targets(plan, recorded))
                args, kwargs = _inputs(record, function)
                _check_edits(plan, record)
                new = _Outcome()
                new.run(function, args, kwargs, player)
            recorder.flush()
        finally:
            if not was.enabled:
                recorder.configure(enabled=False)
    if player.new_trace_id is None:
        raise NotReplayable(f"{function.__qualname__} began no trace: is it still a @workflow?") from new.error
    return _result(player, player.new_trace_id, new, was.database_url)


def _refuse_what_is_not_kept(record: Record, plan: Plan) -> None:
    """Refuse a plan that would come to a call whose result was not kept whole. Raises NotReplayable."""
    if not any(record.is_unkept(step) for step in record.trace.steps):
        return
    rows = (row for row in preview(record, plan) if row.word == "stops")
    unkept = {step.path for step in record.trace.steps if record.is_unkept(step)}
    if (row := next((row for row in rows if row.path in unkept), None)) is not None:
        name = row.path.rsplit("/", 1)[-1]
        raise NotReplayable(
            f"{row.path}: {row.reason}, so it can't be served: run it with --live {name}, or give its result "
            f"with --edit {name}=JSON"
        )


def _record_beside(recorded: Trace, was: Any) -> None:
    """See to it that the replay is recorded where its record lies, and matched by the same key: the workflow's module
    may have configured another place when it was imported."""
    now = recorder.current_config()
    if (now.database_url, now.home, now.enabled) != (was.database_url, was.home, True):
        recorder.configure(database_url=was.database_url, home=was.home, enabled=True)
    if recorder.recorder() is None:
        raise NotReplayable(f"nothing can be recorded in {was.home}: trace {recorded.trace_id[:8]} can't be replayed")


class _Outcome:
    """What the workflow gave: one of the three."""

    output: Any = None
    error: BaseException | None = None
    stopped: Stopped | None = None

    def run(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], player: ReplayPlayer) -> None:
        token = NEXT_PLAYER.set(player)
        try:
            self.output = to_its_end(function(*args, **kwargs))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever the workflow raises is its result
            self.error = error
        finally:
            NEXT_PLAYER.reset(token)
        if player.stopped is not None:
            # Whatever the workflow made of it: a group of tasks wraps what it is told, a bare except swallows it.
            self.output, self.error, self.stopped = None, None, player.stopped
        elif isinstance(self.error, ReplayStopped):
            self.error, self.stopped = None, Stopped(Divergence("undecided", "", "stopped"), str(self.error))
        else:
            player.close()


def _check_edits(plan: Plan, record: Record) -> None:
    """Give every edited result its shape once before anything runs. Raises PlanError."""
    for rule in plan.rules:
        for step in record.trace.steps if rule.verb in {"edit", "stand_in"} else ():
            if names(rule.pattern, step.path) and step.output is not None and record.ended(step):
                request = None if step.input is None or step.call is None else record.value(step.input)
                is_call = isinstance(request, HttpRequest)
                shaped(rule.value, record.result(step).value, request=request if is_call else None, path=step.path)


def _inputs(record: Record, function: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
    """The recorded inputs, as this function takes them. Raises NotReplayable."""
    root, name = record.trace.root, getattr(function, "__qualname__", repr(function))
    if getattr(function, "__playhead__", None) != "workflow":
        raise NotReplayable(f"{name} is no @workflow (any more): decorate it, so that its steps are asked for")
    if root is None or root.input is None:
        raise NotReplayable(
            f"trace {record.trace.trace_id[:8]} has no recorded input (was it recorded with capture off?)"
        )
    value = record.value(root.input)
    culprit = root.input.lossy[0] if root.input.lossy else not_restored(value)
    if culprit is not None:
        raise NotReplayable(
            f"the workflow's input can't be restored at {culprit}: give the workflow plain values, and make clients, "
            "connections and credentials inside it"
        )
    plain = getattr(function, "__wrapped__", function)
    args, kwargs = arguments(plain, value)
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        raise NotReplayable(
            f"{name} does not take the recorded inputs ({one_line(str(error))}): have its parameters changed, or is it "
            "a method, whose object fn=the_object.method gives?"
        ) from None
    return args, kwargs


def _result(player: ReplayPlayer, trace_id: str, new: _Outcome, url: str) -> Replay:
    calls = player.record.calls(player.served)
    saved_nusd = sum(step.call.cost.nusd for step in calls if step.call is not None and step.call.cost is not None)
    budget = player.budget
    return Replay(
        trace_id=trace_id,
        replay_of=player.record.trace.trace_id,
        output=new.output,
        error=new.error,
        stopped=new.stopped,
        served=len(calls),
        live=len(player.live),
        served_steps=len(player.served),
        divergences=tuple(player.divergences),
        cost_usd=None if budget.unpriced else budget.spent_nusd / 1e9,
        saved_usd=saved_nusd / 1e9,
        unpriced=tuple(dict.fromkeys(budget.unpriced)),
        unused=tuple(str(rule) for rule in player.plan.rules if id(rule) not in player.used_rules),
        database_url=url,
    )
