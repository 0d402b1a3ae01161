"""One trace under the plan of a backtest, in whatever process it is handed to.

The task is a trace's id, and doing it twice is doing it once: the new trace is tagged with the backtest's id, and where
one with that tag has ended, its outcome is read instead of made. All of an outcome is read from the two stored traces,
so that it is the same whoever reads it, and when.
"""

from __future__ import annotations

import contextlib
import pickle
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable

from replay.backtest.outcome import ENDED, Outcome
from replay.backtest.scoring import Pair, Score, Scorer, apart, score, scorer_of
from replay.compare import MISSING
from replay.divergence import one_line
from replay.errors import ReplayError
from replay.plan import OnDivergence, Plan, Rule
from replay.record import Record
from replay.result import Replay
from replay.stage import Stage
from tracer import recorder
from tracer.errors import CodecError, StoreError, StoreUnreachable
from tracer.model import Step, Trace
from tracer.plain import plain
from tracer.store import Store, open_store

#: The tag of a replay that belongs to a backtest.
TAG = "backtest"
#: A trace that has been replayed more often than this may be replayed once more than need be.
_MOST_REPLAYS = 10_000
_MOST_SHOWN = 300
_RAN = frozenset({"live", "substituted"})


@dataclass(frozen=True)
class Work:
    """What is the same for all traces of a backtest. It travels to the workers, so everything in it can be pickled."""

    backtest_id: str
    rules: tuple[Rule, ...]
    scorer: str | Scorer
    database_url: str
    home: Path
    fn: Callable[..., Any] | None = None
    on_divergence: OnDivergence = "stop"
    guarded: bool = True
    #: The catalogue of the process that began it, by name: each target pickled by itself, for what one of them names
    #: may be there and not here (a scheduler that passes this on need not be able to import any of it).
    models: tuple[tuple[str, bytes], ...] = ()


# A replay changes what belongs to the whole process (its path, its main module): one at a time. Processes, not threads,
# are what a backtest scales with.
_one_at_a_time = threading.Lock()
_stores: dict[str, Store] = {}


def do(work: Work, trace_id: str, budget_nusd: int | None) -> Outcome:
    """Replay one trace, or find that it has been, and score it. What is wrong with the one trace (a workflow that is
    gone, an input that was not kept) is its outcome's ``problem``. Raises StoreUnreachable."""
    with _one_at_a_time:
        store = _settled(work)
        before = store.trace(trace_id)
        done = _done_already(work, trace_id, store)
        if done is not None:
            return _outcome(work, Record(before, store.payloads), Record(done, store.payloads), budget_nusd)
        plan = Plan(
            work.rules,
            work.on_divergence,
            budget_nusd=budget_nusd,
            guarded=work.guarded,
            tags={TAG: work.backtest_id},
        )
        stage = Stage(before, store, recorder.current_config(), work.fn)
        try:
            replayed = stage.play(plan)
        except ReplayError as error:
            return Outcome(trace_id, status_before=before.summary.status, problem=one_line(str(error)))
        recorder.flush()
        after = Record(store.trace(replayed.trace_id), store.payloads)
        return _with_stop(_outcome(work, stage.record, after, budget_nusd), replayed)


def _settled(work: Work) -> Store:
    """See to it that this process records and reads where the backtest's does. The store stays open."""
    now = recorder.current_config()
    if (now.database_url, now.home, now.enabled) != (work.database_url, work.home, True):
        recorder.configure(database_url=work.database_url, home=work.home, enabled=True)
    _add_models(work)
    if work.database_url not in _stores:
        _stores[work.database_url] = open_store(work.database_url)
    return _stores[work.database_url]


def _add_models(work: Work) -> None:
    """Add the models that this process does not know. One that can't be made here is left out: a rule that names it
    says so."""
    for name, pickled in work.models:
        if name not in recorder.catalogue():
            with contextlib.suppress(ImportError, AttributeError):  # its module, or it in there, is not here
                recorder.catalogue().add([pickle.loads(pickled)])  # noqa: S301 - of the process that began this one


def put_away() -> None:
    """Close the stores that ``do`` has opened in this process."""
    while _stores:
        _stores.popitem()[1].close()


def _done_already(work: Work, trace_id: str, store: Store) -> Trace | None:
    """The first replay of this trace in this backtest that came to its end; one that was stopped, or cancelled by
    Ctrl-C, did not."""
    replays = store.replays_of(trace_id, limit=_MOST_REPLAYS)
    mine = [row for row in replays if row.tags.get(TAG) == work.backtest_id and row.status in ENDED]
    return store.trace(mine[-1].trace_id) if mine else None


def _with_stop(outcome: Outcome, replayed: Replay) -> Outcome:
    if replayed.stopped is None:
        return outcome
    over = replayed.stopped.divergence.kind == "budget"
    return replace(outcome, problem=one_line(str(replayed.stopped)), over_budget=over)


def _outcome(work: Work, old: Record, new: Record, budget_nusd: int | None) -> Outcome:
    before, after = old.trace, new.trace
    one, other = before.summary, after.summary
    served = _served(old, new)
    ran = new.calls([step for step in new.trace.steps if step.origin in _RAN])
    spent_nusd = other.cost_nusd
    left_nusd = None if budget_nusd is None else max(0, budget_nusd - spent_nusd)
    pair, judged = _judged(work, old, new, left_nusd)
    is_priced = not one.unpriced and not other.unpriced and other.status == "completed"
    return Outcome(
        trace_id=before.trace_id,
        new_trace_id=after.trace_id,
        status_before=one.status,
        status_after=other.status,
        problem=judged.problem,
        score=judged.value,
        right_before=judged.right_before,
        right_after=judged.right_after,
        change=0.0 if pair is None else apart(pair.before, pair.after),
        cost_before_nusd=None if one.unpriced else one.cost_nusd,
        cost_after_nusd=spent_nusd + _cost(served) if is_priced else None,
        calls_before_ns=_time(old.calls(before.steps)),
        calls_after_ns=_time(old.calls(served)) + _time(ran) if other.status == "completed" else None,
        spent_nusd=spent_nusd + judged.cost_nusd,
        judge_nusd=judged.cost_nusd,
        unpriced=other.unpriced + judged.unpriced,
        before=_shown(before, None if pair is None else pair.before),
        after=_shown(after, None if pair is None else pair.after),
    )


def _served(old: Record, new: Record) -> list[Step]:
    """The recorded steps that the replay took from the record."""
    sources = {step.source_step_id for step in new.trace.steps if step.origin == "recorded"}
    return [step for step in old.trace.steps if step.step_id in sources]


def _cost(steps: list[Step]) -> int:
    """What the model calls among the steps cost; a step around a call says the same once more."""
    called = [step for step in steps if step.call is not None]
    around = {step.parent_id for step in called}
    costs = [step.call.cost for step in called if step.call is not None and step.step_id not in around]
    return sum(cost.nusd for cost in costs if cost is not None)


def _time(calls: list[Step]) -> int:
    return sum(step.duration_ns or 0 for step in calls)


def _judged(work: Work, old: Record, new: Record, left_nusd: int | None) -> tuple[Pair | None, Score]:
    """Both outputs beside each other, and what the scorer says of them."""
    root = old.trace.root
    try:
        before, after = _output(old), _output(new)
        scores = {note.name: note.value for step in old.trace.steps for note in step.notes if note.kind == "score"}
        asked = None if root is None or root.input is None else old.value(root.input)
        pair = Pair(old.trace.trace_id, asked, before, after, scores, left_nusd)
    except StoreUnreachable:
        raise
    except (StoreError, CodecError, _NotKept) as error:
        return None, Score(None, problem=one_line(str(error)))
    if new.trace.summary.status not in ENDED:
        return pair, Score(None)
    return pair, score(scorer_of(work.scorer), pair)


class _NotKept(Exception):
    """An output can't be compared: it was not kept as it was."""


def _output(record: Record) -> Any:
    """What a workflow gave; MISSING where it gave nothing. Raises _NotKept."""
    root = record.trace.root
    if root is None or root.outcome != "ok":
        return MISSING
    result = record.result(root)
    if result.culprit is not None:
        raise _NotKept(f"the output of {root.name} can't be compared: it was not kept at {result.culprit}")
    return result.value


def _shown(trace: Trace, output: Any) -> str:
    """The output, or what was raised, in one line of bounded length."""
    row = trace.summary
    if row.error_type is not None:
        text = f"{row.error_type.rpartition('.')[2]}: {row.error_message or ''}"
    else:
        text = "" if output is None or output is MISSING else str(plain(output))
    line = one_line(text)
    return line if len(line) <= _MOST_SHOWN else f"{line[: _MOST_SHOWN - 1]}…"
