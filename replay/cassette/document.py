"""A recorded trace as the document that a cassette file holds. Pure, but for the payloads that it is given.

    {"playhead": "cassette", "format": 1, "written_by": "0.1.0", "workflow": ..., "entry": ..., "steps": [...]}

Steps stand in the order of the tree: each below its parent, siblings as they began. Each is known by its path, so that
none has a number that another step could shift. There are no ids, times, durations, costs, identities or frames of
tracebacks, and no path of the machine: what would be another at every recording is not there. ``timed=True`` keeps ids
and times, for a copy that is to be the trace itself.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Mapping

from replay.cassette.settled import settled
from replay.cassette.values import readable
from tracer import codec
from tracer.config import project_root
from tracer.errors import CodecError, StoreError
from tracer.model import Entry, Failure, ModelCall, Note, PayloadRef, Step, Trace
from tracer.wire import HttpRequest, HttpResponse

#: The version of the form. A reader refuses a newer one.
FORMAT = 1
Payloads = Callable[[Iterable[str]], Mapping[str, bytes]]
#: Origins that say where an answer came from that was none of the recorded run's own.
_FOREIGN = frozenset({"substituted", "edited", "injected", "stood-in"})


def document(trace: Trace, payloads: Payloads, *, timed: bool = False) -> dict[str, Any]:
    """The trace for a file. Raises StoreError where the store has lost one of its payloads."""
    refs = [ref for step in trace.steps for ref in (step.input, step.output) if ref is not None]
    bodies = payloads({ref.digest for ref in refs})
    lost = next((ref for ref in refs if ref.digest not in bodies), None)
    if lost is not None:
        raise StoreError(f"trace {trace.trace_id[:16]} is not whole any more: its payload {lost.digest} was pruned")
    ordered = list(_in_order(trace))
    head: dict[str, Any] = {
        "playhead": "cassette",
        "format": FORMAT,
        "written_by": version("playhead"),
        "workflow": trace.summary.workflow,
        "version": trace.summary.version,
        "entry": None if trace.entry is None else _entry(trace.entry),
        "trace_id": trace.trace_id if timed else None,
    }
    said = _Steps(bodies, ordered, timed=timed)
    return {**_told(head), "steps": [said.step(step) for step in ordered]}


def _in_order(trace: Trace) -> Iterator[Step]:
    """Parents before children, siblings as they began; a step whose parent is not there is a root of its own."""
    known = {step.step_id for step in trace.steps}
    below: dict[str | None, list[Step]] = {}
    for step in trace.steps:
        below.setdefault(step.parent_id if step.parent_id in known else None, []).append(step)
    waiting = list(reversed(below.get(None, [])))
    while waiting:
        step = waiting.pop()
        yield step
        waiting += reversed(below.get(step.step_id, []))


def _entry(entry: Entry) -> dict[str, Any]:
    """Where the workflow is, from the project's folder on."""
    said: dict[str, Any] = {"module": entry.module, "qualname": entry.qualname, "package": entry.package}
    if entry.root is not None and entry.file is not None:
        base = project_root(Path(entry.root))
        said["root"] = _from(base, entry.root)
        said["file"] = _from(base, entry.file)
    return _told(said)


def _from(base: Path, place: str) -> str | None:
    path = Path(place).resolve()
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else None


def _told(said: Mapping[str, Any]) -> dict[str, Any]:
    """Only what there is to say."""
    # Zero is something to say, and is equal to False.
    return {name: value for name, value in said.items() if value is not False and value not in (None, (), [], {}, "")}


class _Steps:
    """The steps of one document. ``bodies`` are their payloads."""

    def __init__(self, bodies: Mapping[str, bytes], ordered: list[Step], *, timed: bool) -> None:
        self._bodies = bodies
        self._timed = timed
        self._paths = {step.step_id: step.path for step in ordered}
        #: Of each path the number of the step that had it last: whom a reader would take for a parent.
        self._last: dict[str, int] = {}
        self._numbers: dict[str, int] = {}

    def step(self, step: Step) -> dict[str, Any]:
        said: dict[str, Any] = {
            "path": step.path,
            **self._place(step),
            "kind": step.kind,
            "effect": step.effect,
            "origin": step.origin if step.origin in _FOREIGN else None,
            "fingerprint": step.fingerprint,
            **self._ref("input", step.input),
            "outcome": step.outcome,
            **self._ref("output", step.output),
            "failure": None if step.failure is None else _failure(step.failure),
            "call": None if step.call is None else self._call(step.call),
            "tags": dict(step.tags),
            "notes": [self._note(note) for note in step.notes],
        }
        if self._timed:
            said |= {"started_ns": step.started_ns, "ended_ns": step.ended_ns}
        kept = _told(said)
        return {**kept, **{side: said[side] for side in ("input", "output") if side in said}}

    def _place(self, step: Step) -> dict[str, Any]:
        """What the path does not say: a name that holds a sign of paths, a parent that is another than it looks."""
        number = len(self._numbers)
        parent = None if step.parent_id is None else self._numbers.get(step.parent_id)
        guessed = place_of(step.path)
        said: dict[str, Any] = {}
        if (step.name, step.occurrence) != (guessed.name, guessed.occurrence):
            said |= {"name": step.name, "occurrence": step.occurrence}
        if parent != (None if guessed.parent is None else self._last.get(guessed.parent)):
            said["below"] = -1 if parent is None else parent
        self._numbers[step.step_id] = number
        self._last[step.path] = number
        return said

    def _ref(self, side: str, ref: PayloadRef | None) -> dict[str, Any]:
        if ref is None:
            return {}
        data = self._bodies[ref.digest]
        return {side: readable(data if self._timed else _settled(data)), f"{side}_lossy": list(ref.lossy)}

    def _call(self, call: ModelCall) -> dict[str, Any]:
        said = asdict(call)
        del said["cost"], said["unpriced_because"]
        if not self._timed:  # the ids are another at every recording, and stand in the answer as well
            del said["first_token_ns"], said["response_id"], said["request_id"]
        return _told({**said, "usage": _counts(said["usage"])})

    def _note(self, note: Note) -> dict[str, Any]:
        said: dict[str, Any] = {"kind": note.kind, "name": note.name, "occurrence": note.occurrence}
        if self._timed:
            said["at_ns"] = note.at_ns
        return {**said, "value": readable(codec.encode(note.value).data)}


def _counts(usage: Mapping[str, Any]) -> dict[str, Any]:
    """A count of nothing is known, and stays."""
    return {name: value for name, value in usage.items() if value is not None}


def _settled(data: bytes) -> bytes:
    if b"HttpRe" not in data[:100]:
        return data
    try:
        value = codec.decode(data)
    except CodecError:
        return data
    return codec.encode(settled(value)).data if isinstance(value, HttpRequest | HttpResponse) else data


def _failure(failure: Failure) -> dict[str, Any]:
    return _told(
        {
            "type": failure.type,
            "message": failure.message,
            "module": failure.module,
            "notes": list(failure.notes),
            "cause": None if failure.cause is None else _failure(failure.cause),
            "cause_is_explicit": failure.cause_is_explicit,
            "group": [_failure(each) for each in failure.group],
        }
    )


class Place:
    """What a path says: the last name in it, which of that name it is, and the path of its parent."""

    __slots__ = ("name", "occurrence", "parent")

    def __init__(self, name: str, occurrence: int, parent: str | None) -> None:
        self.name = name
        self.occurrence = occurrence
        self.parent = parent


def place_of(path: str) -> Place:
    """The place of the step with this path, by the path alone."""
    parent, slash, label = path.rpartition("/")
    name, bracket, number = label.removesuffix("]").rpartition("[")
    if bracket and label.endswith("]") and number.isascii() and number.isdigit():
        return Place(name, int(number), parent if slash else None)
    return Place(label, 0, parent if slash else None)
