"""Failing on purpose, everywhere: every fault at every model call and tool of one trace, each a replay of its own.

It runs offline and on the virtual clock, so it costs nothing: what a fault leads to and the record does not hold is not
asked of anybody, unless that is allowed. Effects happen in none of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Sequence

from replay.errors import NotReplayable, PlanError
from replay.injection import inject
from replay.outcomes import Outcome, Played, judged
from replay.plan import FAULTS, Plan, fail, within
from replay.record import MODEL_KINDS, REACHING_KINDS, Record
from replay.result import Replay
from replay.run import budget_of
from replay.spoilt import Unfit
from replay.stage import Stage, staged
from replay.striking import struck_call
from tracer import recorder
from tracer.model import Step
from tracer.wire import HttpRequest

#: What may go wrong with an effect.
_OF_EFFECTS = frozenset({"timeout", "rate_limited", "server_error", "connection_reset", "slow"})


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault at one step. ``note`` says in a line what happened; ``trace_id`` is the replay's, None where none was
    played: the fault has no meaning there."""

    path: str
    fault: str
    outcome: Outcome
    note: str = ""
    trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class Matrix:
    """All faults at all steps, the cells by step and then by fault. ``base_id`` is the replay without any fault, which
    the others are held against; where that one ``stopped``, nothing was tried."""

    trace_id: str
    workflow: str
    base_id: str
    steps: tuple[str, ...]
    faults: tuple[str, ...]
    cells: tuple[Cell, ...]
    #: Whether a fault struck only the first try of a call.
    once: bool = False
    stopped: str | None = None
    #: What live calls cost; None where one of them has no known price. Zero, unless live calls were allowed.
    cost_usd: float | None = 0.0
    #: Seconds of waiting that were skipped.
    virtual_s: float = 0.0

    def cell(self, path: str, fault: str) -> Cell:
        """Raises KeyError."""
        for cell in self.cells:
            if (cell.path, cell.fault) == (path, fault):
                return cell
        raise KeyError((path, fault))

    @property
    def silent(self) -> tuple[Cell, ...]:
        """The faults that slipped through: another result, and no step that says so."""
        return tuple(cell for cell in self.cells if cell.outcome == "different")

    @property
    def counts(self) -> Counter[Outcome]:
        return Counter(cell.outcome for cell in self.cells)


def faults(  # noqa: PLR0913 - each is one thing to say about a matrix
    trace: str,
    *,
    steps: Sequence[str] = (),
    faults: Sequence[str] = (),
    fn: Callable[..., Any] | None = None,
    once: bool = False,
    allow_live: bool = False,
    budget_usd: float | None = None,
    guarded: bool = True,
) -> Matrix:
    """Play a recorded workflow once for every fault at every model call and tool, and tell what came of each.

    ``trace`` is an id, a unique prefix, or ``latest``; ``steps`` are patterns as those of ``fail``, and ``faults``
    names of faults; without them it is all. A fault strikes every try of a call, with ``once`` only the first. Nothing
    goes live unless ``allow_live``, for at most ``budget_usd`` in all. An effect that is reached gives its recorded
    result and does not happen. ``fn`` is the workflow where it can't be imported. Raises ReplayError or StoreError,
    before anything has run.
    """
    kinds = _known(faults)
    budget_nusd = budget_of(budget_usd)
    with staged(trace, fn) as stage:
        found = _named(stage, steps)
        player = _Trial(stage, allow_live=allow_live, once=once, budget_nusd=budget_nusd, guarded=guarded)
        return player.matrix(found, kinds)


def _known(wanted: Sequence[str]) -> tuple[str, ...]:
    for fault in wanted:
        if fault not in FAULTS:
            raise PlanError(f"no fault {fault!r}; there are {', '.join(FAULTS)}")
    return tuple(fault for fault in FAULTS if fault in wanted) if wanted else FAULTS


def _named(stage: Stage, patterns: Sequence[str]) -> tuple[Step, ...]:
    """The steps to strike, in the order of the record: the model call of ``draft`` is ``draft/chat``. Raises PlanError
    for a pattern that names none."""
    steps = tuple(strikable(stage.record))
    known = ", ".join(step.path for step in steps) or "no model call and no tool"
    for pattern in patterns:
        if not any(within(pattern, step.path) for step in steps):
            raise PlanError(f"--step {pattern} names no model call and no tool of this trace (it has {known})")
    return tuple(step for step in steps if not patterns or any(within(pattern, step.path) for pattern in patterns))


def strikable(record: Record) -> Iterator[Step]:
    """The steps that a fault may strike: model calls at the wire, and tools, effects and decorated models that make
    none. A request that a tool sends is the tool; what lies in an effect does not run."""
    inside: set[str | None] = set()
    for step in record.trace.steps:
        if step.parent_id in inside:
            inside.add(step.step_id)
            continue
        is_call = step.kind in MODEL_KINDS and _request(record, step) is not None
        is_leaf = (step.kind in REACHING_KINDS or step.effect) and not record.has_model_call(step)
        if step.parent_id is not None and (is_call or is_leaf) and record.ended(step):
            yield step
        if is_call or is_leaf or step.effect:
            inside.add(step.step_id)


def _request(record: Record, step: Step) -> HttpRequest | None:
    value = None if step.input is None else record.value(step.input)
    return value if isinstance(value, HttpRequest) else None


class _Trial:
    """All the replays of one matrix, on one stage."""

    def __init__(self, stage: Stage, *, allow_live: bool, once: bool, budget_nusd: int | None, guarded: bool) -> None:
        self._stage = stage
        self._allow_live = allow_live
        self._once = once
        self._budget_nusd = budget_nusd
        self._guarded = guarded

    def matrix(self, steps: Sequence[Step], kinds: Sequence[str]) -> Matrix:
        base = self._stage.play(self._plan())
        tried: list[Cell | tuple[Step, str, Replay]] = []
        if base.stopped is None:
            tried = [self._try(step, fault) for step in steps for fault in kinds]
        recorder.flush()
        replays = [each[2] for each in tried if not isinstance(each, Cell)]
        return Matrix(
            trace_id=self._stage.trace.trace_id,
            workflow=self._stage.trace.summary.workflow,
            base_id=base.trace_id,
            steps=tuple(step.path for step in steps),
            faults=tuple(kinds),
            cells=self._judged(base, tried),
            once=self._once,
            stopped=None if base.stopped is None else str(base.stopped),
            cost_usd=_cost(replays),
            virtual_s=sum(replay.virtual_s for replay in replays),
        )

    def _plan(self, *rules: Any) -> Plan:
        return Plan(
            rules,
            "live" if self._allow_live else "stop",
            budget_nusd=self._budget_nusd,
            keeps_effects=True,
            guarded=self._guarded,
        )

    def _try(self, step: Step, fault: str) -> Cell | tuple[Step, str, Replay]:
        """Play one cell; one whose fault has no meaning there is not played."""
        record = self._stage.record
        try:
            _unless_pointless(fault, step, record)
            inject(fault, struck_call(record, step, _request(record, step), step.kind))
            done = self._stage.play(self._plan(fail(step.path, fault, once=self._once)))
        except Unfit as unfit:
            return Cell(step.path, fault, "not-applicable", str(unfit))
        except NotReplayable as refused:
            return Cell(step.path, fault, "stopped", str(refused))
        if self._budget_nusd is not None and done.cost_usd is not None:
            self._budget_nusd = max(0, self._budget_nusd - round(done.cost_usd * 1e9))
        return step, fault, done

    def _judged(self, base: Replay, tried: Sequence[Cell | tuple[Step, str, Replay]]) -> tuple[Cell, ...]:
        without = self._played(base)
        cells = []
        for each in tried:
            if isinstance(each, Cell):
                cells.append(each)
                continue
            step, fault, done = each
            if done.unused and done.stopped is None:
                cells.append(Cell(step.path, fault, "not-applicable", "the replay did not come to it", done.trace_id))
            else:
                cells.append(Cell(step.path, fault, *judged(without, self._played(done)), done.trace_id))
        return tuple(cells)

    def _played(self, replay: Replay) -> Played:
        store = self._stage.store
        return Played(replay, store.trace(replay.trace_id), store.value)


def _unless_pointless(fault: str, step: Step, record: Record) -> None:
    """A fault that can be injected and tells nothing: broken JSON where the recorded answer is none, or an effect that
    gives another receipt than it gives. Raises Unfit."""
    if step.effect and fault not in _OF_EFFECTS:
        raise Unfit("it is an effect: it may fail or be slow, and gives no answer that could be wrong")
    if fault == "bad_json":
        inject("wrong_schema", struck_call(record, step, _request(record, step), step.kind))


def _cost(replays: Sequence[Replay]) -> float | None:
    costs = [replay.cost_usd for replay in replays]
    return None if None in costs else sum(cost for cost in costs if cost is not None)
