"""All metrics of a store and of the recorders beside it, in the order in which they are shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Iterator

from tracer.doctor import Recording
from tracer.errors import StoreError
from tracer.metrics.counting import Metering
from tracer.metrics.families import BUILD, OPEN_RUNS, QUESTIONS, STORE_UP, Metric
from tracer.metrics.recorders import Risen
from tracer.store import Store


@dataclass(slots=True)
class Metrics:
    """What one viewer gives. Any thread may ask."""

    metering: Metering = field(default_factory=Metering)
    risen: Risen = field(default_factory=Risen)

    def of(self, store: Store, recording: Recording | None) -> Iterator[Metric]:
        """``recording`` is None where it is not known. While the store can't be read, its metrics are left out: a
        counter that is not there says nothing, where one that is zero would have begun anew."""
        yield Metric(BUILD, {(version("playhead"),): 1})
        if recording is not None:
            yield from self.risen.look(recording)
        try:
            counted, questions = self.metering.read(store), store.escalations.count_open()
        except StoreError:
            yield Metric(STORE_UP, {(): 0})
            return
        yield Metric(STORE_UP, {(): 1})
        yield Metric(OPEN_RUNS, {(): len(counted.waiting)})
        yield Metric(QUESTIONS, {(): questions})
        yield from counted.ledger.metrics()
