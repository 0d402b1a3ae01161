"""A cassette's document into a store: as a trace of its own, which can be shown, compared and replayed."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, get_args

from replay.cassette.document import place_of
from replay.cassette.files import Source
from replay.cassette.values import packed
from replay.recognised import imported_identity
from tracer import codec
from tracer.config import project_root
from tracer.errors import TraceNotFound
from tracer.events import Event, Finished, Noted, Started
from tracer.ids import new_step_id, new_trace_id
from tracer.model import Failure, Kind, Origin, Outcome
from tracer.store import Store
from tracer.store.escalations import IMPORTED

_ONE_OF = {"kind": get_args(Kind), "outcome": get_args(Outcome), "origin": get_args(Origin)}
_WORDS: dict[str, type] = {
    **dict.fromkeys(("path", "name", "kind", "origin", "fingerprint", "outcome"), str),
    **dict.fromkeys(("occurrence", "below", "started_ns", "ended_ns"), int),
    **dict.fromkeys(("input_lossy", "output_lossy", "notes"), list),
    **dict.fromkeys(("failure", "call", "tags"), dict),
    **dict.fromkeys(("input", "output"), object),
    "effect": bool,
}
#: What one event is later than the one before it, where the file holds no times.
_TICK_NS = 1_000
#: Events that are written in one transaction.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class _Open:
    """A step that has begun."""

    id: bytes
    path: str
    said: Mapping[str, Any]
    number: int


def put(source: Source, store: Store, key: bytes) -> str:
    """Write the trace into the store, under its own id where it has one that is free. Gives the id.

    ``key`` is the store's, by which identities are made. Raises CassetteError before anything is written.
    """
    trace_id = _free_id(source, store)
    story = _Story(source, trace_id, key)
    story.tell()
    owner = f"{IMPORTED}{trace_id.hex()}"
    for start in range(0, len(story.events), _AT_ONCE):
        store.apply(story.events[start : start + _AT_ONCE], owner=owner)
    if story.is_open:  # nobody writes its end any more
        store.announce(owner, pid=os.getpid())
        store.withdraw(owner)
    return trace_id.hex()


def _free_id(source: Source, store: Store) -> bytes:
    said = source.document.get("trace_id")
    if said is None:
        return new_trace_id(time.time_ns())
    if not isinstance(said, str) or not re.fullmatch("[0-9a-f]{32}", said):
        raise source.wrong(f"trace_id is {said!r}, which is no id")
    wanted = bytes.fromhex(said)
    try:
        store.trace(wanted.hex())
    except TraceNotFound:
        return wanted
    return new_trace_id(time.time_ns())


class _Story:
    """The events of one trace, in the order of its tree."""

    def __init__(self, source: Source, trace_id: bytes, key: bytes) -> None:
        self.events: list[Event] = []
        self.is_open = False
        self._source = source
        self._trace_id = trace_id
        self._key = key
        self._now_ns = time.time_ns()
        self._begun: list[_Open] = []
        self._last: dict[str, int] = {}
        #: The steps around the one that is told, outermost first.
        self._around: list[_Open] = []

    def tell(self) -> None:
        for number, said in enumerate(self._source.document["steps"]):
            self._check(number, said)
            parent = self._parent(number, said)
            while self._around and (parent is None or self._around[-1].id != parent.id):
                self._end(self._around.pop())
            step = _Open(new_step_id(), said["path"], said, number)
            self._begin(step, parent)
            self._begun.append(step)
            self._last[step.path] = number
            self._around.append(step)
        while self._around:
            self._end(self._around.pop())
        if not self._begun:
            raise self._source.wrong("it holds no step")

    def _check(self, number: int, said: Any) -> None:
        if not isinstance(said, dict):
            raise self._source.wrong(f"step {number + 1} is no object", step=number)
        for word in ("path", "kind"):
            if word not in said:
                raise self._source.wrong(f"step {number + 1} has no {word}", step=number)
        for word, value in said.items():
            kind = _WORDS.get(word)
            if kind is None:
                raise self._source.wrong(f"{word} is no word of a step", step=number)
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise self._source.wrong(f"{word} is {value!r}, not {_A[kind]}", step=number)
            if word in _ONE_OF and value not in _ONE_OF[word]:
                raise self._source.wrong(f"{word} is {value!r}, not one of {', '.join(_ONE_OF[word])}", step=number)

    def _parent(self, number: int, said: Mapping[str, Any]) -> _Open | None:
        below = said.get("below")
        if below is None:
            guessed = place_of(said["path"]).parent
            below = -1 if guessed is None else self._last.get(guessed)
        if below is None:
            raise self._source.wrong(f"{said['path']} has no parent: no step before it has its path", step=number)
        if below == -1:
            return None
        if not 0 <= below < number or all(step.number != below for step in self._around):
            raise self._source.wrong(f"{said['path']} does not stand below its parent", step=number)
        return self._begun[below]

    def _begin(self, step: _Open, parent: _Open | None) -> None:
        said = step.said
        place = place_of(step.path)
        kept = self._payload(step, "input")
        lossy = said.get("input_lossy", [])
        attrs: dict[str, Any] = {name: said[name] for name in ("effect", "origin") if name in said}
        if parent is None:
            attrs |= self._of_root()
        self.events.append(
            Started(
                trace_id=self._trace_id,
                step_id=step.id,
                parent_id=None if parent is None else parent.id,
                name=said.get("name", place.name),
                kind=said["kind"],
                path=step.path,
                occurrence=said.get("occurrence", place.occurrence),
                at_ns=self._at(step, "started_ns"),
                input=kept,
                input_lossy=lossy,
                identity=imported_identity(said["kind"], kept, lossy, self._key),
                fingerprint=said.get("fingerprint"),
                attrs=attrs,
            )
        )

    def _of_root(self) -> dict[str, Any]:
        document = self._source.document
        entry = document.get("entry")
        return {
            "workflow": document.get("workflow"),
            "version": document.get("version"),
            "entry": _entry(entry, Path(self._source.file)) if isinstance(entry, dict) else None,
        }

    def _end(self, step: _Open) -> None:
        said = step.said
        for number, note in enumerate(said.get("notes", [])):
            self._note(step, number, note)
        if "outcome" not in said:
            self.is_open = True
            return
        failure = codec.encode(self._failure(step, said["failure"])).data if "failure" in said else None
        attrs: dict[str, Any] = {name: said[name] for name in ("tags", "call") if name in said}
        self.events.append(
            Finished(
                trace_id=self._trace_id,
                step_id=step.id,
                at_ns=self._at(step, "ended_ns"),
                outcome=said["outcome"],
                output=self._payload(step, "output"),
                output_lossy=said.get("output_lossy", []),
                failure=failure,
                attrs=attrs,
            )
        )

    def _note(self, step: _Open, number: int, note: Any) -> None:
        try:
            kind, name, occurrence, value = (note[word] for word in ("kind", "name", "occurrence", "value"))
            at_ns = note.get("at_ns", self._now_ns)
            data = packed(value)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise self._source.wrong(f"note {number + 1} of {step.path}: {error}", step=step.number) from None
        self.events.append(Noted(self._trace_id, step.id, kind, name, occurrence, at_ns, data))

    def _payload(self, step: _Open, side: str) -> bytes | None:
        if side not in step.said:
            return None
        try:
            return packed(step.said[side])
        except (ValueError, TypeError, RecursionError) as error:
            raise self._source.wrong(f"the {side} of {step.path}: {error}", step=step.number) from None

    def _failure(self, step: _Open, said: Any) -> Failure:
        try:
            return Failure(
                type=str(said["type"]),
                message=str(said.get("message", "")),
                module=str(said.get("module", "")),
                notes=tuple(map(str, said.get("notes", ()))),
                cause=self._failure(step, said["cause"]) if "cause" in said else None,
                cause_is_explicit=bool(said.get("cause_is_explicit")),
                group=tuple(self._failure(step, each) for each in said.get("group", ())),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise self._source.wrong(f"the failure of {step.path}: {error} is missing", step=step.number) from None

    def _at(self, step: _Open, word: str) -> int:
        self._now_ns += _TICK_NS
        return int(step.said.get(word, self._now_ns))


_A: dict[type, str] = {str: "a text", int: "a whole number", list: "a list", dict: "an object", bool: "true or false"}


def _entry(said: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """How to find the workflow from here: its file is looked for in the cassette's project, then in this one."""
    entry = {name: said.get(name) for name in ("module", "qualname", "package")}
    for base in (project_root(file.resolve().parent), project_root()):
        if isinstance(said.get("file"), str) and (base / said["file"]).is_file():
            root = base / str(said.get("root", "."))
            return {**entry, "file": str(base / said["file"]), "root": str(root.resolve())}
    return {**entry, "file": None, "root": None}
