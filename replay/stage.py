"""A recorded trace made ready to be replayed, any number of times: its record is read once, its function found once."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Literal

from replay.calling import apart, to_its_end
from replay.clock import TimedPlayer, VirtualClock
from replay.clock.loop import VirtualLoop
from replay.clock.patches import replaced
from replay.divergence import Divergence, Stopped, one_line
from replay.edits import shaped
from replay.elsewhere import Elsewhere
from replay.entry import at_home, find
from replay.errors import NotReplayable, PlanError
from replay.guard import install
from replay.pace import Order, taken_by
from replay.plan import Plan, names
from replay.preview import preview
from replay.record import Record, not_restored
from replay.result import Replay
from replay.targets import targets
from tracer import recorder
from tracer.binding import arguments
from tracer.config import Config
from tracer.context import NEXT_PLAYER
from tracer.model import Trace
from tracer.player import ReplayStopped
from tracer.store import Store, open_store
from tracer.waiting import Waiting, waiting_in
from tracer.wire import HttpRequest

Clock = Literal["virtual", "real"]
Streams = Literal["at-once", "recorded"]


@dataclass(frozen=True, slots=True)
class Timing:
    """How time passes in a replay. Raises PlanError for words that it doesn't know."""

    clock: Clock = "virtual"
    streams: Streams = "at-once"
    #: How long served steps take: nothing, as long as they took, or as a seed has it.
    order: Order = "at-once"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("clock", self.clock, ("virtual", "real")),
            ("streams", self.streams, ("at-once", "recorded")),
            ("order", self.order, ("at-once", "recorded", "shuffled")),
        ):
            if value not in known:
                raise PlanError(f"{name} is {' or '.join(map(repr, known))}, not {value!r}")
        if self.order != "at-once" and self.clock == "real":
            raise PlanError(f"order={self.order!r} is kept by the virtual clock: leave clock at 'virtual'")


@contextmanager
def staged(trace: str, fn: Callable[..., Any] | None = None) -> Iterator[Stage]:
    """Make a trace ready: ``trace`` is an id, a unique prefix, or ``latest``. At the end all that was played is in the
    store. Raises ReplayError or StoreError."""
    recorder.flush()
    was = recorder.current_config()
    with open_store(was.database_url) as store:
        recorded = store.trace(store.resolve(trace))
        try:
            yield Stage(recorded, store, was, fn)
            recorder.flush()
        finally:
            if not was.enabled:
                recorder.configure(enabled=False)


class Stage:
    """One recorded trace; ``play`` runs its workflow again under a plan, as a new trace each time."""

    def __init__(self, recorded: Trace, store: Store, was: Config, fn: Callable[..., Any] | None = None) -> None:
        self.trace = recorded
        self.record = Record(recorded, store.payloads, Elsewhere(recorded, store).answers)
        self.store = store
        self._was = was
        self._function = fn

    def check(self, plan: Plan) -> None:
        """Refuse a plan that can't come to anything, before anything runs. Raises ReplayError."""
        plan.check(self.trace)
        _refuse_what_is_not_kept(self.record, plan)

    def play(self, plan: Plan, timing: Timing = Timing()) -> Replay:
        """Run it once. Its trace is in the store after ``recorder.flush()``. Raises ReplayError, having run nothing."""
        self.check(plan)
        if plan.guarded:
            install()
        return apart(lambda: self._play(plan, timing))

    def function(self) -> Callable[..., Any]:
        """The workflow, found again. Raises EntryNotFound."""
        _record_beside(self.trace, self._was)
        if self._function is None:
            self._function = find(self.trace.entry)
            _record_beside(self.trace, self._was)
        return self._function

    def _play(self, plan: Plan, timing: Timing) -> Replay:
        function = self.function()
        with at_home(function, self.trace.entry):
            clock = VirtualClock() if timing.clock == "virtual" else None
            player = TimedPlayer(
                self.record,
                plan,
                targets(plan, self.trace),
                clock,
                paced=timing.streams == "recorded",
                takes=taken_by(timing.order, timing.seed, self.trace),
            )
            args, kwargs = recorded_inputs(self.record, function)
            _check_edits(plan, self.record)
            new = _Outcome()
            new.run(function, args, kwargs, player)
        if player.new_trace_id is None:
            raise NotReplayable(f"{function.__qualname__} began no trace: is it still a @workflow?") from new.error
        return _result(player, player.new_trace_id, new, self._was.database_url)


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


def _record_beside(recorded: Trace, was: Config) -> None:
    """See to it that the replay is recorded where its record lies, and matched by the same key: the workflow's module
    may have configured another place when it was imported."""
    now = recorder.current_config()
    if (now.database_url, now.home, now.enabled) != (was.database_url, was.home, True):
        recorder.configure(database_url=was.database_url, home=was.home, enabled=True)
    if recorder.recorder() is None:
        raise NotReplayable(f"nothing can be recorded in {was.home}: trace {recorded.trace_id[:8]} can't be replayed")


class _Outcome:
    """What the workflow gave: one of the four."""

    output: Any = None
    error: BaseException | None = None
    stopped: Stopped | None = None
    waiting: Waiting | None = None

    def run(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], player: TimedPlayer) -> None:
        token = NEXT_PLAYER.set(player)
        try:
            self.output = _on_clock(player, lambda new_loop: to_its_end(function(*args, **kwargs), new_loop))
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
            if (asked := waiting_in(self.error)) is not None:
                self.error, self.waiting = None, asked


def _on_clock(player: TimedPlayer, run: Callable[[Callable[[], VirtualLoop] | None], Any]) -> Any:
    """Call ``run`` with what makes its event loop, while this thread is on the player's clock."""
    clock = player.clock
    if clock is None:
        return run(None)
    with clock.enter(player), replaced():
        return run(lambda: VirtualLoop(clock))


def _check_edits(plan: Plan, record: Record) -> None:
    """Give every edited result its shape once before anything runs. Raises PlanError."""
    for rule in plan.rules:
        for step in record.trace.steps if rule.verb in {"edit", "stand_in"} else ():
            if names(rule.pattern, step.path) and step.output is not None and record.ended(step):
                request = None if step.input is None or step.call is None else record.value(step.input)
                is_call = isinstance(request, HttpRequest)
                shaped(rule.value, record.result(step).value, request=request if is_call else None, path=step.path)


def recorded_inputs(record: Record, function: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
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


def _result(player: TimedPlayer, trace_id: str, new: _Outcome, url: str) -> Replay:
    calls = player.record.calls(player.served)
    saved_nusd = sum(step.call.cost.nusd for step in calls if step.call is not None and step.call.cost is not None)
    budget = player.budget
    return Replay(
        trace_id=trace_id,
        replay_of=player.record.trace.trace_id,
        resumed=player.plan.resumes,
        output=new.output,
        error=new.error,
        stopped=new.stopped,
        waiting=new.waiting,
        served=len(calls),
        live=len(player.live),
        served_steps=len(player.served),
        divergences=tuple(player.divergences),
        cost_usd=None if budget.unpriced else budget.spent_nusd / 1e9,
        saved_usd=saved_nusd / 1e9,
        virtual_s=0.0 if player.clock is None else player.clock.skipped_ns / 1e9,
        unpriced=tuple(dict.fromkeys(budget.unpriced)),
        unused=tuple(str(rule) for rule in player.plan.rules if id(rule) not in player.used_rules),
        database_url=url,
    )
