"""The recorded run of a test's cassette, and the way to make it again: what the fixture ``playhead`` stands for."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterator

from replay.calling import apart, to_its_end
from replay.cassette.take import Take
from replay.compare import compare
from replay.entry import at_home, find
from replay.errors import ReplayError
from replay.record import Record
from replay.stage import recorded_inputs
from tracer.codec import Yielded
from tracer.model import Step, Trace


class Again:
    """One test's recorded run. Raises ReplayError where it can't be made again."""

    def __init__(self, take: Take) -> None:
        self._take = take

    def call(self) -> Any:
        """Call the recorded workflow with its recorded inputs. Gives what it gives, raises what it raises; what is
        yielded comes as a list."""
        record = self._take.first().record
        with self._at_home(record.trace) as function:
            args, kwargs = recorded_inputs(record, function)
            return apart(lambda: to_its_end(function(*args, **kwargs)))

    def check(self) -> None:
        """Call it, and compare what it gives with the recorded output, type by type. Raises AssertionError, which
        names each place that differs."""
        changes = compare(self.output, self.call())
        if changes:
            places = [f"{change.path}: {change.before!r} -> {change.after!r}" for change in changes]
            raise AssertionError("the workflow gave something else than recorded\n" + "\n".join(places))

    @property
    def output(self) -> Any:
        """What the recorded run gave, or the exception that it raised."""
        record = self._take.first().record
        root = record.trace.root
        if root is None or not record.ended(root):
            raise ReplayError(f"{self._take.asked.shown}: the recorded run was cut off, and gave nothing")
        with self._at_home(record.trace):
            return given(record, root)

    @contextlib.contextmanager
    def _at_home(self, trace: Trace) -> Iterator[Callable[..., Any]]:
        """Where the recorded values find their classes. Gives the workflow."""
        function = find(trace.entry)
        self._take.stay()
        with at_home(function, trace.entry):
            yield function


def given(record: Record, root: Step) -> Any:
    """What a recorded workflow gave, as its caller had it. Raises ReplayError where that can't be restored."""
    result = record.result(root)
    if result.culprit is not None:
        raise ReplayError(f"the output of {root.path} can't be restored at {result.culprit}")
    return list(result.value.items) if isinstance(result.value, Yielded) else result.value
