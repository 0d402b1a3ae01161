"""A store that has something of everything, so that no page of its viewer is empty: told, recorded, replayed, asked."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

import tracer
from replay import backtest, faults, replay, substitute
from router.registry import Registry
from tests.web import pipeline, routing
from tests.web.seed import fill
from tracer import Price, Target, recorder
from tracer.store import open_store
from tracer.waiting import Waiting

#: Addresses that answer a GET and are no pages: parts of pages, ways to pages, and what no person reads.
NOT_PAGES = frozenset(("/rows", "/diff", "/t/{trace_id}/s/{step_id}", "/diff/{a}/{b}/{more:path}", "/metrics"))


@dataclass(frozen=True)
class Everything:
    """Where it lies, and the ids of what is notable by name: traces, and ``backtest``, ``digest`` and ``question``."""

    home: Path
    url: str
    ids: dict[str, str]

    def configure(self) -> None:
        tracer.configure(database_url=self.url, home=self.home)


def forget(known: dict[str, Any]) -> None:
    """The process as it was before ``tracer.configure``."""
    tracer.shutdown()
    recorder._overrides.clear()
    targets = recorder.catalogue()._targets
    targets.clear()
    targets.update(known)


def record_everything(home: Path) -> Everything:
    """Record it all into a store of that folder; the process is left as it was."""
    url = f"sqlite:///{home / 'playhead.db'}"
    known = dict(recorder.catalogue()._targets)
    # one of the models has no price: that is something to be shown too
    models = [Target("cheap", price=Price(1, 1)), Target("dear", price=Price(50, 50)), Target("free")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESK_WORLD", str(home / "world.txt"))
        tracer.configure(database_url=url, home=home, models=models)
        try:
            return Everything(home, url, _record(url))
        finally:
            forget(known)


def _record(url: str) -> dict[str, str]:
    ids = {"desk": _of(pipeline.desk, "I lost my card"), "unfiled": _of(pipeline.filing, "good morning")}
    ids |= {"held": _of(pipeline.held, "hello")}
    ids |= {"option": _of(pipeline.asking, "a broken cup"), "schema": _of(pipeline.pricing)}
    ids |= {"text": _of(pipeline.wording, "mary")}
    for times in ({}, {"limited": 1}, {"limited": 2}, {"limited": 9, "steady": 9}):
        _of(routing.support, times)
    routing.breaks(routing.Clock())
    routing.cascade(12)
    with open_store(url) as store:
        ids |= fill(store, now_ns=time.time_ns(), traces=10)
        registry = Registry(store)
        registry.set("draft", production="dear", because="the first", by="ann")
        registry.set("draft", canary="cheap", share=20, because="a tenth of the price", by="ann")
        registry.set("threshold", production="cheap", because="one that may be tried")
        routing.roll(registry, 6, failing="cheap")
    assert tracer.flush()
    ids["changed"] = replay(ids["desk"], substitute("classify", model="same:another")).trace_id
    faults(ids["desk"], faults=["timeout", "slow"])
    ids["backtest"] = backtest([ids["desk"]], substitute("classify", model="same:another"), workers=1).backtest_id
    assert tracer.flush()
    with open_store(url) as store:
        root = store.trace(ids["garbled"]).root
        assert root is not None
        assert root.input is not None
        ids["digest"] = root.input.digest
        ids["question"] = next(one.step_id for one in store.escalations.pending() if one.trace_id == ids["option"])
    return ids


def _of(flow: Callable[..., Any], *args: Any) -> str:
    """Run it, however it ends; the id of its trace."""
    seen: list[str] = []
    try:
        flow(*args)
    except Waiting as waiting:
        seen.append(waiting.trace_id)
    except Exception:  # noqa: BLE001 - some are there to fail
        pass
    assert tracer.flush()
    with open_store(os.fspath(recorder.current_config().database_url)) as store:
        return seen[0] if seen else store.traces(limit=1)[0].trace_id
