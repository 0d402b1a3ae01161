"""Traces for tests: the events that a recorder would have written, told as a story.

told = Story("support", input={"ticket": "My card is lost"})
draft = told.begin("draft")
told.call("gpt-4o-mini", under=draft, input_tokens=100, output_tokens=20)
told.end(draft, "Dear customer, ...")
told.finish("sent")
store.apply(told.events, owner="me")
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from tracer import codec
from tracer.events import Event, Finished, Noted, Started
from tracer.model import Failure

#: When the first trace of a test begins: 2026-01-01, in nanoseconds.
NEW_YEAR_NS = 1_767_225_600 * 10**9
_numbers = itertools.count(1)


@dataclass
class Begun:
    """A step that was begun: its id as it stands in events, and its path."""

    id: bytes
    path: str
    names: dict[str, int] = field(default_factory=dict)

    @property
    def hex(self) -> str:
        return self.id.hex()


def failure_of(error: BaseException) -> Failure:
    """An exception as data, with its causes and the members of its group; no frames."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return Failure(
        type=type(error).__name__,
        message=str(error),
        cause=None if cause is None else failure_of(cause),
        cause_is_explicit=error.__cause__ is not None,
        group=tuple(failure_of(each) for each in getattr(error, "exceptions", ())),
    )


class Story:
    """One trace as it comes about. Every event is a microsecond after the one before; ``number`` makes the ids."""

    def __init__(
        self,
        workflow: str = "support",
        *,
        input: Any = None,  # noqa: A002 - read as the event's own word
        number: int | None = None,
        at_ns: int = NEW_YEAR_NS,
        **attrs: Any,
    ) -> None:
        self.number = next(_numbers) if number is None else number
        self.id = self.number.to_bytes(16, "big")
        self.events: list[Event] = []
        self.now_ns = at_ns
        self._steps = itertools.count((self.number << 20) % 2**62)
        self.root = self._begin(workflow, None, "workflow", input, {"workflow": workflow, **attrs})

    @property
    def trace_id(self) -> str:
        return self.id.hex()

    def begin(
        self,
        name: str,
        *,
        under: Begun | None = None,
        kind: str = "step",
        input: Any = None,  # noqa: A002 - as above
        **attrs: Any,
    ) -> Begun:
        return self._begin(name, under or self.root, kind, input, attrs)

    def end(
        self,
        step: Begun,
        output: Any = None,
        *,
        outcome: str | None = None,
        error: BaseException | None = None,
        **attrs: Any,
    ) -> None:
        """End a step; failed if there is an ``error``, else with outcome ok, unless another ``outcome`` is given."""
        failure = None if error is None else codec.encode(failure_of(error)).data
        ended = outcome or ("ok" if error is None else "failed")
        value = codec.encode(output) if output is not None else None
        data, lossy = (None, []) if value is None else (value.data, list(value.lossy))
        self.events.append(Finished(self.id, step.id, self._tick(), ended, data, lossy, failure, attrs))

    def step(self, name: str, output: Any = None, *, under: Begun | None = None, **fields: Any) -> Begun:
        """A step from beginning to end. ``kind`` and ``input`` belong to its beginning, all else to its end."""
        begun = self.begin(name, under=under, kind=fields.pop("kind", "step"), input=fields.pop("input", None))
        self.end(begun, output, **fields)
        return begun

    def call(  # noqa: PLR0913 - all that one may say of a model call
        self,
        model: str,
        *,
        under: Begun | None = None,
        provider: str | None = "openai",
        error: BaseException | None = None,
        output: Any = None,
        origin: str = "live",
        told: dict[str, Any] | None = None,
        **usage: int,
    ) -> Begun:
        """A model call from beginning to end; ``told`` adds to what is recorded of it, the rest is its usage."""
        begun = self.begin("chat", under=under, kind="llm", input={"model": model}, model=model, origin=origin)
        call = {"provider": provider, "model_asked": model, "model": model, "usage": usage, **(told or {})}
        self.end(begun, output, error=error, call=call)
        return begun

    def note(self, step: Begun, name: str, value: Any, *, kind: str = "value", occurrence: int = 0) -> None:
        self.events.append(Noted(self.id, step.id, kind, name, occurrence, self._tick(), codec.encode(value).data))

    def finish(self, output: Any = "done", **fields: Any) -> Story:
        self.end(self.root, None if "error" in fields else output, **fields)
        return self

    def _begin(self, name: str, parent: Begun | None, kind: str, value: Any, attrs: dict[str, Any]) -> Begun:
        occurrence = 0
        path = name
        if parent is not None:
            occurrence = parent.names.get(name, 0)
            parent.names[name] = occurrence + 1
            path = f"{parent.path}/{name}" + (f"[{occurrence}]" if occurrence else "")
        begun = Begun(next(self._steps).to_bytes(8, "big"), path)
        encoded = codec.encode(value) if value is not None else None
        data, lossy = (None, []) if encoded is None else (encoded.data, list(encoded.lossy))
        above = None if parent is None else parent.id
        self.events.append(
            Started(
                self.id, begun.id, above, name, kind, path, occurrence, self._tick(), data, lossy, None, None, attrs
            )
        )
        return begun

    def _tick(self) -> int:
        self.now_ns += 1_000
        return self.now_ns
