"""What the tests of the transport share: a store to record into, and a player that answers by name."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

import tracer
from tracer.context import NEXT_PLAYER
from tracer.model import Step, Trace
from tracer.player import Call, Decision, Run
from tracer.store import open_store
from tracer.wire import HttpRequest, HttpResponse


class Records:
    """The store of one test. Reading waits until everything recorded so far is there."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'traces.db'}"
        tracer.configure(database_url=self.url, home=folder)

    def trace(self, name: str = "latest") -> Trace:
        assert tracer.flush()
        with open_store(self.url) as store:
            return store.trace(store.resolve(name))

    def steps(self, *kinds: str) -> list[Step]:
        """The latest trace's steps below the workflow, of these kinds or of all."""
        return [step for step in self.trace().steps if step.parent_id and (not kinds or step.kind in kinds)]

    def only(self) -> Step:
        (step,) = self.steps()
        return step

    def value(self, ref: Any) -> Any:
        with open_store(self.url) as store:
            return store.value(ref)

    def sent(self, step: Step) -> HttpRequest:
        return self.value(step.input)

    def given(self, step: Step) -> HttpResponse:
        return self.value(step.output)

    def everything_on_disk(self, folder: Path) -> bytes:
        """All bytes that were written, payloads decompressed."""
        assert tracer.flush()
        with open_store(self.url) as store:
            trace = store.trace(store.resolve("latest"))
            refs = [ref for step in trace.steps for ref in (step.input, step.output) if ref is not None]
            payloads = [store.payload(ref.digest) for ref in refs]
        return b"".join([*payloads, *(path.read_bytes() for path in folder.rglob("*") if path.is_file())])


class Playing:
    """Answers for the steps of these names; all others run. A list gives one decision to each occurrence."""

    def __init__(self, **decisions: Decision | Callable[[Call], Decision]) -> None:
        self._decisions = decisions
        self.asked: list[Call] = []
        self.ended: list[Mapping[str, Any]] = []

    def decide(self, call: Call) -> Decision:
        self.asked.append(call)
        decision = self._decisions.get(call.name, Run())
        return decision(call) if callable(decision) else decision

    def about(self) -> Mapping[str, Any]:
        return {}

    def value(self, step_id: str, name: str, occurrence: int, make: Callable[[], Any]) -> Any:
        return make()

    def finished(self, step_id: str, *, call: Mapping[str, Any], at_ns: int) -> None:
        self.ended.append(call)


@contextmanager
def under(player: Playing) -> Iterator[Playing]:
    """The next workflow runs under this player."""
    token = NEXT_PLAYER.set(player)
    try:
        yield player
    finally:
        NEXT_PLAYER.reset(token)
