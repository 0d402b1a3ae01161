"""A trace that is left out (sampled out, refused, or switched off) must be wholly absent: this stands in for the
recorder throughout it, so that its steps, and the workflows inside it, have a parent all the same."""

from __future__ import annotations

from typing import Any

from tracer.context import ActiveStep, ActiveTrace
from tracer.declared import Capture, Declared
from tracer.ids import Anchor


class Unrecorded:
    """Takes what a recorder takes, and keeps nothing."""

    def begin(
        self, trace: ActiveTrace, parent: ActiveStep | None, declared: Declared, *_: Any, **__: Any
    ) -> ActiveStep:
        """A parent for what runs below it, and nothing more."""
        return ActiveStep(trace, parent, b"", declared.name, declared.kind, declared.name, Capture.METADATA)

    def finish(self, step: ActiveStep, output: Any) -> None:
        """Nothing is recorded."""

    def fail(self, step: ActiveStep, error: BaseException, output: Any) -> None:
        """Nothing is recorded."""

    def note(self, step: ActiveStep, kind: str, name: str, occurrence: int, value: Any) -> None:
        """Nothing is recorded."""


def aside(name: str, kind: str) -> ActiveStep:
    """A running step that is not recorded, nor is anything inside it."""
    trace = ActiveTrace(b"", Anchor(0, 0), Unrecorded(), None)
    return ActiveStep(trace, None, b"", name, kind, name, Capture.METADATA)
