"""Handing the traces of a backtest out to processes, and taking back what came of them."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections import deque
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, Callable, Iterable

from replay.backtest.ledger import Asked, Ledger, new_id, plain_rules
from replay.backtest.outcome import ENDED, Outcome
from replay.backtest.purse import Purse
from replay.backtest.report import Report
from replay.backtest.scoring import Scorer, scorer_of
from replay.backtest.work import Work, do, put_away
from replay.errors import PlanError, ReplayError
from replay.plan import OnDivergence, Rule
from replay.run import budget_of
from tracer import recorder
from tracer.catalogue import Target
from tracer.reading import open_reading
from tracer.store.query import Filter

#: Called in the calling process after each trace, with how many are done and of how many, and what came of this one.
Progress = Callable[[int, int, Outcome], None]
_PAGE = 500
#: An executor does not say how many it does at once; this many keep a small cluster busy.
_ON_AN_EXECUTOR = 32


class WorkerLost(ReplayError):
    """A process died in the middle of a trace. What was done is kept."""


def backtest(  # noqa: PLR0913 - each is one thing to say about a backtest
    traces: Filter | Iterable[str] | None = None,
    *rules: Rule,
    scorer: str | Scorer = "exact",
    workers: int | None = None,
    executor: Executor | None = None,
    budget_usd: float | None = None,
    fn: Callable[..., Any] | None = None,
    limit: int | None = None,
    on_divergence: OnDivergence = "stop",
    guarded: bool = True,
    backtest_id: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Replay many recorded traces under one plan, and say how often the answer stays, what it costs, how long it takes.

    ``traces`` is a Filter (replays and what still runs left out; ``limit`` takes the newest), or ids, unique prefixes
    or ``latest``. ``scorer`` is a name (replay.backtest.scoring) or a function of a Pair. They are replayed by
    ``workers`` processes, as many as there are cores where it is not given; 1 is this process, one after another. Or
    by ``executor``, any ``concurrent.futures.Executor`` (a Dask client's ``get_executor()``), which gets ``workers``
    at a time (32 where it is not given) and is not shut down.
    ``fn`` is the workflow where it can't be imported; with processes it must be importable all the same.
    ``budget_usd`` is what all of it together may spend, judge included; what it does not reach is ``left``.

    Every outcome is on disk before the next is waited for. The same ``backtest_id`` again goes on where it was cut
    short, by Ctrl-C or worse: what is done is not done again, and ``traces`` and ``rules`` may be left out.
    Raises ReplayError or StoreError, before anything has run; WorkerLost where a process died.
    """
    recorder.flush()
    budget_nusd = budget_of(budget_usd)
    if not callable(scorer):
        scorer_of(scorer)  # a misspelt one is refused here, not by each worker
    ledger = _ledger(traces, rules, scorer, budget_nusd, limit, on_divergence, backtest_id)
    asked, config = ledger.asked, recorder.current_config()
    work = Work(
        backtest_id=asked.backtest_id,
        rules=rules or asked.rules_again(),
        scorer=scorer if callable(scorer) else asked.scorer,
        database_url=config.database_url,
        home=config.home,
        fn=fn,
        on_divergence=asked.on_divergence,  # type: ignore[arg-type]  # written by us, from one
        guarded=guarded,
        models=_sendable(recorder.catalogue()),
    )
    purse = Purse(asked.budget_nusd if budget_nusd is None else budget_nusd, ledger.spent_nusd)
    at_once = _workers(workers)
    run = _Run(work, ledger, purse, progress)
    if executor is None and at_once == 1:
        run.here()
    elif executor is not None:
        run.on(executor, _ON_AN_EXECUTOR if workers is None else at_once)
    else:
        _check_sendable(work)
        with _pool(at_once) as pool:
            run.on(pool, at_once)
    return run.report()


@dataclass(frozen=True, slots=True)
class _Handed:
    """A task that is out: its trace, its slice of the budget, and whether that was all there is."""

    trace_id: str
    given_nusd: int | None
    alone: bool


_Running = dict["Future[Outcome]", _Handed]


class _Run:
    def __init__(self, work: Work, ledger: Ledger, purse: Purse, progress: Progress | None) -> None:
        self.work = work
        self.ledger = ledger
        self.purse = purse
        self.progress = progress
        done = ledger.final()
        self.waiting = deque(trace_id for trace_id in ledger.asked.traces if trace_id not in done)
        #: What had too small a slice of the budget: done again alone, with all that is left.
        self.short: deque[str] = deque()
        #: Whether a trace that had all the rest of the budget to itself could not be finished with it.
        self.is_spent = False

    def here(self) -> None:
        """One after another, in this process."""
        try:
            while self.waiting and not self.is_spent:
                handed = self._hand(self.waiting, free=1, alone=True)
                self._take(handed, do(self.work, handed.trace_id, handed.given_nusd))
        finally:
            put_away()

    def on(self, executor: Executor, at_once: int) -> None:
        """On an executor, ``at_once`` at a time. Ctrl-C begins no more, and waits for those that run."""
        running: _Running = {}
        try:
            while running or ((self.waiting or self.short) and not self.is_spent):
                self._submit(executor, running, at_once)
                self._collect(wait(running, return_when=FIRST_COMPLETED).done, running)
        except BrokenExecutor as error:
            raise WorkerLost(self._lost(running)) from error
        except BaseException as error:
            for future in running:
                future.cancel()
            if isinstance(error, KeyboardInterrupt):
                self._collect(wait(running).done, running)
            raise

    def _submit(self, executor: Executor, running: _Running, at_once: int) -> None:
        while self.waiting and len(running) < at_once and not self.is_spent:
            handed = self._hand(self.waiting, free=at_once - len(running), alone=at_once == 1)
            running[self._begin(executor, handed)] = handed
        if not running and self.short and not self.is_spent:
            handed = self._hand(self.short, free=1, alone=True)
            running[self._begin(executor, handed)] = handed

    def _hand(self, from_: deque[str], *, free: int, alone: bool) -> _Handed:
        return _Handed(from_.popleft(), self.purse.slice(free), alone)

    def _begin(self, executor: Executor, handed: _Handed) -> Future[Outcome]:
        return executor.submit(do, self.work, handed.trace_id, handed.given_nusd)

    def _collect(self, ended: Iterable[Future[Outcome]], running: _Running) -> None:
        for future in ended:
            if not future.cancelled():
                self._take(running[future], future.result())
            del running[future]

    def _take(self, handed: _Handed, outcome: Outcome) -> None:
        self.purse.back(handed.given_nusd, outcome.spent_nusd)
        self.ledger.add(outcome)
        if outcome.over_budget and handed.alone:
            self.is_spent = True
        elif outcome.over_budget:  # with what the others hand back it may be enough
            self.short.append(outcome.trace_id)
        if self.progress is not None:
            self.progress(len(self.ledger.final()), len(self.ledger.asked.traces), outcome)

    def _lost(self, running: _Running) -> str:
        ids = ", ".join(handed.trace_id[:16] for handed in running.values())
        return (
            f"a worker process died while these were replayed: {ids}. What was done is kept: go on with "
            f"backtest_id={self.work.backtest_id!r} (--resume {self.work.backtest_id}), with workers=1 to see it happen"
        )

    def report(self) -> Report:
        return report_of(self.ledger, self.purse.limit_nusd)


def report_of(ledger: Ledger, budget_nusd: int | None) -> Report:
    """What has come of a backtest so far."""
    done, asked = ledger.final(), ledger.asked
    return Report(
        backtest_id=asked.backtest_id,
        rules=asked.rules,
        scorer=asked.scorer,
        traces=asked.traces,
        outcomes=tuple(done[trace_id] for trace_id in asked.traces if trace_id in done),
        left=tuple(trace_id for trace_id in asked.traces if trace_id not in done),
        spent_nusd=ledger.spent_nusd,
        budget_nusd=budget_nusd,
    )


def _ledger(  # noqa: PLR0913, PLR0917 - what a backtest is begun with
    traces: Filter | Iterable[str] | None,
    rules: tuple[Rule, ...],
    scorer: str | Scorer,
    budget_nusd: int | None,
    limit: int | None,
    on_divergence: OnDivergence,
    backtest_id: str | None,
) -> Ledger:
    """The ledger of this backtest: the one that it was begun with, or a new one. Raises PlanError."""
    home = recorder.current_config().home
    found = None if backtest_id is None else Ledger.resume(home, backtest_id)
    words = tuple(str(rule) for rule in rules)
    if found is not None:
        if rules and words != found.asked.rules:
            was = " ".join(found.asked.rules)
            raise PlanError(f"backtest {backtest_id} was begun with {was}: leave the rules out, or take another id")
        return found
    if traces is None:
        missing = "say which traces: a Filter, or their ids" if backtest_id is None else f"no backtest {backtest_id}"
        raise PlanError(f"{missing} in {home}" if backtest_id else missing)
    if not rules:
        raise PlanError("a backtest without a rule changes nothing: add one, like substitute('draft', model=...)")
    asked = Asked(
        backtest_id=backtest_id or new_id(),
        rules=words,
        plain_rules=plain_rules(rules),
        scorer=scorer if isinstance(scorer, str) else f"{scorer.__module__}:{getattr(scorer, '__qualname__', scorer)}",
        traces=chosen(traces, limit),
        budget_nusd=budget_nusd,
        on_divergence=on_divergence,
    )
    return Ledger.begin(home, asked)


def chosen(traces: Filter | Iterable[str], limit: int | None) -> tuple[str, ...]:
    """The ids of the traces, each once. Raises PlanError where there are none."""
    with open_reading() as store:  # adopts what killed runs left
        if not isinstance(traces, Filter):
            ids = tuple(dict.fromkeys(store.resolve(trace) for trace in traces))[:limit]
        else:
            ids = tuple(_found(store, traces, limit))
    if not ids:
        told = traces.sentence if isinstance(traces, Filter) else "traces given"
        raise PlanError(f"there are no {told} to backtest: look with playhead ls")
    return ids


def _found(store: Any, wanted: Filter, limit: int | None) -> Iterable[str]:
    """The newest that have ended; replays only where the filter asks for them."""
    query = replace(wanted, replays=bool(wanted.replays))
    before, number = None, 0
    while rows := store.traces(query, limit=_PAGE, before=before):
        for row in rows:
            if row.status in ENDED and (limit is None or number < limit):
                number += 1
                yield row.trace_id
        if limit is not None and number >= limit:
            return
        before = (rows[-1].started_ns, rows[-1].trace_id)


def _workers(given: int | None) -> int:
    if given is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if given < 1:
        raise PlanError(f"workers is a number from 1 on, not {given!r}")
    return given


def _pool(workers: int) -> ProcessPoolExecutor:
    # Spawned, not forked: a fork would share the parent's threads' locks and database connections.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker)


def _begin_worker() -> None:
    """Ctrl-C reaches every process of a terminal: the parent decides what becomes of it. Standard output is the
    report's: what a workflow prints goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)


def _sendable(catalogue: Iterable[Target]) -> tuple[tuple[str, bytes], ...]:
    """The models of this process that another can be given; what can't be sent, its workflow's module brings."""
    return tuple((target.name, pickle.dumps(target)) for target in catalogue if _why_not_sendable(target) is None)


def _check_sendable(work: Work) -> None:
    for name, value in (("fn", work.fn), ("scorer", work.scorer), *((str(rule), rule) for rule in work.rules)):
        if (why := _why_not_sendable(value)) is not None:
            raise PlanError(
                f"{name} can't be sent to another process ({why}): define it at the top of a module, or take workers=1"
            )


def _why_not_sendable(value: Any) -> str | None:
    try:
        pickle.dumps(value)
    except Exception as error:  # noqa: BLE001 - a class may raise anything from its own pickling
        return f"{type(error).__name__}: {error}"
    return None
