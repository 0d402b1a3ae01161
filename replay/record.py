"""The recorded trace as a player asks it: what lay below a step, what it gave, and whether that can be given again."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Callable, Iterable

from tracer import codec
from tracer.errors import StoreError
from tracer.model import PayloadRef, Step, Trace
from tracer.wire import HttpResponse

MODEL_KINDS = frozenset({"llm", "embedding"})
#: Kinds whose body reaches out of the process; the others are plain code, which may always run again.
REACHING_KINDS = MODEL_KINDS | {"retriever", "reranker", "tool", "http"}
#: Values are loaded this many at a time, in the order of the record, and at most so many bytes of them are kept.
_AHEAD = 200
_MOST_BYTES = 64 << 20
_ATOMS = (str, bytes, bytearray, int, float, complex, bool, type(None))
_CANCELLATIONS = (KeyboardInterrupt, GeneratorExit)


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What a recorded step gave. ``culprit`` is the path of what can't be restored, None where all of it can."""

    value: Any = None
    culprit: str | None = None


class Record:
    """``payloads`` loads payload bytes by address, many at once; ``others`` has what a step was answered in other
    traces, as (input, result)."""

    def __init__(
        self,
        trace: Trace,
        payloads: Callable[[Iterable[str]], Mapping[str, bytes]],
        others: Callable[[Step], Iterable[tuple[Any, Any]]] = lambda _: (),
    ) -> None:
        self.trace = trace
        self.others = others
        self._payloads = payloads
        self._steps = {step.step_id: step for step in trace.steps}
        self._below: dict[str, list[Step]] = defaultdict(list)
        self._loaded: dict[str, bytes] = {}
        self._loaded_bytes = 0
        self._outputs: list[str] = []
        self._place: dict[str, int] = {}
        for step in trace.steps:
            if step.parent_id is not None:
                self._below[step.parent_id].append(step)
            if step.output is not None and step.output.digest not in self._place:
                self._place[step.output.digest] = len(self._outputs)
                self._outputs.append(step.output.digest)

    def below(self, step_id: str) -> Sequence[Step]:
        """The recorded children of a step."""
        return self._below.get(step_id, ())

    def subtree(self, step: Step) -> tuple[Step, ...]:
        """The recorded steps below one, parents before children."""
        found: list[Step] = []
        waiting = list(reversed(self.below(step.step_id)))
        while waiting:
            found.append(waiting.pop())
            waiting += reversed(self.below(found[-1].step_id))
        return tuple(found)

    def around(self, step: Step) -> tuple[Step, ...]:
        """The recorded steps that one lies in, innermost first, without the workflow itself."""
        found: list[Step] = []
        parent = self._steps.get(step.parent_id or "")
        while parent is not None and parent.parent_id is not None:
            found.append(parent)
            parent = self._steps.get(parent.parent_id)
        return tuple(found)

    def reaches_out(self, step: Step) -> bool:
        """Whether the step itself, and no recorded step inside it, did what can't just be done again."""
        return step.effect or (step.kind in REACHING_KINDS and not self.below(step.step_id))

    def is_unkept(self, step: Step) -> bool:
        """Whether a call that can't just be made again ended with something that the record shows but can't give."""
        if step.output is None and step.fingerprint is None:
            return False  # a block, whose body runs anyway
        kept = step.output is not None and step.output.exact
        return not kept and step.outcome in {"ok", "failed"} and not step.effect and self.reaches_out(step)

    def has_model_call(self, step: Step | None) -> bool:
        return step is not None and any(below.kind in MODEL_KINDS for below in self.subtree(step))

    def calls(self, steps: Sequence[Step]) -> list[Step]:
        """Those of the steps that reached out, innermost only: a tool and the request that it sent are one call."""
        reaching = [step for step in steps if step.effect or step.kind in REACHING_KINDS]
        parents = {step.step_id: step.parent_id for step in steps}
        around: set[str] = set()
        for step in reaching:
            parent = step.parent_id
            while parent is not None and parent not in around:
                around.add(parent)
                parent = parents.get(parent)
        return [step for step in reaching if step.step_id not in around]

    def value(self, ref: PayloadRef) -> Any:
        """A recorded value. Raises StoreError if the store has lost it, CodecError if it is damaged."""
        return codec.decode(self._bytes(ref.digest))

    def _bytes(self, digest: str) -> bytes:
        if digest not in self._loaded:
            if self._loaded_bytes > _MOST_BYTES:
                self._loaded.clear()
                self._loaded_bytes = 0
            place = self._place.get(digest)
            ahead = [digest] if place is None else self._outputs[place : place + _AHEAD]
            found = self._payloads([each for each in ahead if each not in self._loaded])
            self._loaded.update(found)
            self._loaded_bytes += sum(map(len, found.values()))
        if digest not in self._loaded:
            raise StoreError(f"the payload {digest} is not in the store: it was pruned, or its journal was lost")
        return self._loaded[digest]

    def ended(self, step: Step) -> bool:
        """Whether the record holds what became of a step; not where its process was killed or interrupted inside it."""
        if step.outcome != "cancelled":
            return step.outcome not in {None, "stopped", "waiting"}
        return step.output is not None and not isinstance(self.value(step.output), _CANCELLATIONS)

    def result(self, step: Step) -> Result:
        """What an ended step gave: a value, or the exception that it raised."""
        ref = step.output
        if ref is None:
            return Result(None, "$ (not captured)")
        if not ref.exact:
            return Result(None, ref.lossy[0])
        value = self.value(ref)
        culprit = not_restored(value)
        if (
            culprit is None
            and step.outcome != "ok"
            and not isinstance(value, BaseException | HttpResponse | codec.Yielded)
        ):
            culprit = "$ (the exception was not kept)"
        return Result(value, culprit)


def not_restored(value: Any, path: str = "$") -> str | None:
    """The path of the first part of a decoded value that is not what it was, and why; None where all is there."""
    if type(value) in _ATOMS:
        return None
    if isinstance(value, codec.Opaque):
        return f"{path} ({value.type} is not imported, or has changed)"
    if isinstance(value, codec.Lossy):
        return f"{path} ({value.type} was not kept)"
    for label, part in _parts(value):
        if type(part) not in _ATOMS and (culprit := not_restored(part, path + label)) is not None:
            return culprit
    return None


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f"[{key!r}]", part) for key, item in value.items() for part in (key, item)]
    if isinstance(value, str | bytes | bytearray | type):
        return ()
    if isinstance(value, Sequence | AbstractSet):
        return [(f"[{index}]", item) for index, item in enumerate(value)]
    named = vars(value).items() if hasattr(value, "__dict__") else ()
    kind = type(value)
    declared = getattr(kind, "__dataclass_fields__", None) or getattr(kind, "__slots__", None) or ()
    slots = [(name, getattr(value, name)) for name in declared if hasattr(value, name)]
    args = [("args", value.args)] if isinstance(value, BaseException) else []
    return [(f".{name}", part) for name, part in dict([*slots, *named, *args]).items()]
