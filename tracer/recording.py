"""One process's recording under one configuration: begin, finish and fail of a step.

Encode, redact, append to the journal: no database and no network here. ``tracer.recorder`` holds the one in force.
"""

from __future__ import annotations

import json
import random
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Mapping, Sequence

from tracer import codec
from tracer.config import Config, RedactionRule
from tracer.context import SETTLERS, UNSET, ActiveStep, ActiveTrace
from tracer.events import Event, Finished, Noted, Started, pack
from tracer.failures import failure_of
from tracer.guard import guard, report
from tracer.ids import Anchor, new_step_id, new_trace_id
from tracer.journal import Journal, JournalClosed
from tracer.key import NO_INPUT, store_key
from tracer.model import Failure
from tracer.player import Answer, Call, Player, Raise, ReplayStopped, Run
from tracer.redact import Redactor
from tracer.served import below, ending
from tracer.writer import Writer

if TYPE_CHECKING:
    from tracer.catalogue import Catalogue

#: By name, because trio is not ours to import.
_CANCELLED = frozenset({"CancelledError", "Cancelled", "GeneratorExit", "KeyboardInterrupt"})
_NOT_CAPTURED = ("$ (not captured)",)


class Recorder:
    """What one process records with one configuration."""

    def __init__(self, config: Config, catalogue: Catalogue) -> None:
        self.config = config
        self.catalogue = catalogue
        self.redactor = _redactor(config.redact)
        self.key = store_key(config.home)
        self.refused_traces = 0
        self._journal: Journal | None = None
        self._writer: Writer | None = None
        #: What is recorded from now on stays on disk, for another process to bring in.
        self._journal_only = False
        # Guards the making of the two above, once at first and once more in a forked child.
        self._making = threading.Lock()
        self._make()

    @property
    def journal(self) -> Journal:
        return self._journal or self._make()[0]

    @property
    def writer(self) -> Writer:
        return self._writer or self._make()[1]

    def _make(self) -> tuple[Journal, Writer]:
        with self._making:
            if self._journal is None or self._writer is None:
                home, tag = self.config.home, self.config.store_tag
                journal = Journal(home, tag)
                self._writer = Writer(journal, home, tag, self._open_store)
                self._journal = journal
                if not self._journal_only:
                    self._writer.wake()
            return self._journal, self._writer

    def forked(self) -> None:
        """In a forked child: the parent's journal and thread are not the child's. Both are made anew when needed."""
        self._making = threading.Lock()
        # A parent's thread that was just importing the database's library leaves its modules locked for good.
        self._journal_only = self._writer is not None and not self._writer.has_store
        if self._journal is not None:
            self._journal.forget_lock()
        self._journal = self._writer = None

    def _open_store(self) -> Any:
        # Imported on the writer's thread, so that SQLAlchemy never loads on the caller's.
        from tracer.store import open_store  # noqa: PLC0415

        return open_store(self.config.database_url)

    def accepts(self) -> bool:
        """Whether a new trace may begin: not past the journal's cap, and within the sampling share."""
        if self.journal.waiting_bytes > self.config.journal_cap_bytes:
            self.refused_traces += 1
            report("keep up: its journal is full and new traces are refused", "the store has been away for too long")
            return False
        return self.config.sample >= 1.0 or random.random() < self.config.sample  # noqa: S311 - not a secret

    def begin_trace(self, player: Player | None) -> ActiveTrace:
        writer = self.writer
        if not self._journal_only:
            writer.wake()
        anchor = Anchor.now()
        return ActiveTrace(new_trace_id(anchor.wall_ns), anchor, self, player)

    def begin(  # noqa: PLR0913 - one call, one event: the fields are the event's
        self,
        trace: ActiveTrace,
        parent: ActiveStep | None,
        name: str,
        kind: str,
        *,
        value: Any = UNSET,
        identity_of: Any = UNSET,
        hidden: frozenset[str] = frozenset(),
        capture: bool = True,
        fingerprint: str | None = None,
        effect: bool = False,
        block: bool = False,
        stand_in: tuple[Any, ...] = (),
        arguments: tuple[tuple[Any, ...], Mapping[str, Any]] = ((), {}),
        attrs: dict[str, Any] | None = None,
    ) -> ActiveStep:
        """Record that a step begins, and ask the player (if there is one) what becomes of it.

        ``value`` is the input (UNSET: none is recorded); ``identity_of`` what it is matched by, where that differs.
        """
        occurrence = 0 if parent is None else parent.occurrence_of(name)
        label = name if occurrence == 0 else f"{name}[{occurrence}]"
        path = label if parent is None else f"{parent.path}/{label}"
        capture = capture and self.config.capture_content and (parent is None or parent.capture)
        step = ActiveStep(trace, parent, new_step_id(), name, kind, path, capture=capture)
        clear, kept, lossy = self._encode(value, hidden, capture=capture)
        # The writer takes the identity from the kept bytes, off this thread, unless they are not what is matched.
        differs = identity_of is not UNSET or kept is not clear
        identity: str | None = None
        if differs or trace.player is not None:
            matched = clear if identity_of is UNSET else codec.encode(identity_of).data
            identity = codec.identity(matched or NO_INPUT, self.key)
        attrs = {} if attrs is None else attrs
        if effect:
            attrs["effect"] = True
        if attrs.get("tags"):
            attrs["tags"] = self._told(attrs["tags"])
        started = Started(
            trace.trace_id,
            step.step,
            None if parent is None else parent.step,
            name,
            kind,
            step.path,
            occurrence,
            trace.anchor.read_ns(),
            kept,
            list(lossy),
            identity,
            fingerprint,
            attrs,
        )
        if trace.player is None:
            self.append(started)
            return step
        call = _call_of(step, started, clear, block=block, stand_in=stand_in, arguments=arguments)
        self._ask(trace.player, step, call, started)
        return step

    def _ask(self, player: Player, step: ActiveStep, call: Call, started: Started) -> None:
        try:
            step.decision = player.decide(call)
        except ReplayStopped as stop:
            self.append(started)
            self.fail(step, stop, None)
            raise
        source = step.decision.source
        if step.decision.origin != "live":
            started.attrs["origin"] = step.decision.origin
        if source is not None:
            started.attrs["source"] = source.step_id
        self.append(started)

    def _encode(
        self, value: Any, hidden: frozenset[str], *, capture: bool
    ) -> tuple[bytes | None, bytes | None, tuple[str, ...]]:
        """The value's bytes as they are, the bytes that may reach disk, and the paths that can't be restored."""
        if value is UNSET:
            return None, None, ()
        encoded = codec.encode(value)
        if not capture:
            return encoded.data, None, _NOT_CAPTURED
        if hidden:
            shown = {name: "[redacted: by name]" if name in hidden else item for name, item in value.items()}
            kept = codec.encode(shown)
            lossy = (*kept.lossy, *(f"$.{name} (redacted)" for name in value if name in hidden))
        else:
            kept, lossy = encoded, encoded.lossy
        redacted = self.redactor.redact(kept.data)
        return encoded.data, redacted.data, (*lossy, *(f"{path} (redacted)" for path in redacted.paths))

    def finish(self, step: ActiveStep, output: Any) -> None:
        if step.ended:
            return
        stop = None if step.parent is not None else getattr(step.trace.player, "stopped", None)
        if stop is not None:  # the workflow swallowed it; whatever it gives now is no result
            self.fail(step, stop, None)
            return
        step.ended = True
        with guard("record a step's result"):
            if (served := _from_record(step)) is not None:
                self._end_as_recorded(step, served)
            else:
                _, data, lossy = self._encode(output, frozenset(), capture=step.capture)
                self._end(step, "ok", data, lossy, None, {})

    def fail(self, step: ActiveStep, error: BaseException, output: Any) -> None:
        if step.ended:
            return
        step.ended = True
        with guard("record a step's failure"):
            if (served := _from_record(step)) is not None:
                self._end_as_recorded(step, served)
                return
            _, data, lossy = self._encode(error if output is None else output, frozenset(), capture=step.capture)
            told = failure_of(error) if step.capture else _wordless(failure_of(error))
            encoded = codec.encode(told)
            if encoded.lossy:  # at the end of the stack there is no room for causes
                encoded = codec.encode(replace(told, cause=None, group=()))
            failure = self.redactor.redact(encoded.data).data
            self._end(step, _outcome_of(error), data, lossy, failure, {})

    def _end(  # noqa: PLR0913, PLR0917 - the fields of one event
        self,
        step: ActiveStep,
        outcome: str,
        output: bytes | str | None,
        lossy: tuple[str, ...],
        failure: bytes | None,
        attrs: dict[str, Any],
    ) -> None:
        if step.parent is None:
            for settle in SETTLERS:
                settle()
        tags, call = step.described()
        if tags:
            attrs["tags"] = {**attrs.get("tags", {}), **self._told(tags)}
        if call and "call" not in attrs:
            attrs["call"] = self._with_price(call)
            if not isinstance(step.decision, Run):  # edited or injected: nobody was asked, so nobody is paid
                attrs["call"] = {**attrs["call"], "served": True}
        trace = step.trace
        at_ns = trace.anchor.read_ns()
        self.append(Finished(trace.trace_id, step.step, at_ns, outcome, output, list(lossy), failure, attrs))
        if trace.player is not None and call and isinstance(step.decision, Run):
            trace.player.finished(step.step_id, call=attrs["call"], at_ns=at_ns)

    def _told(self, tags: Mapping[str, Any]) -> dict[str, Any]:
        """Tags as plain data, without credentials."""
        from tracer.plain import plain  # noqa: PLC0415 - for the few that tag

        encoded = codec.encode(plain(tags)).data
        kept = self.redactor.redact(encoded).data
        told: dict[str, Any] = plain(tags if kept is encoded else codec.decode(kept))
        return told

    def _with_price(self, call: dict[str, Any]) -> dict[str, Any]:
        """The call with the price that the catalogue declares for its model, if it does."""
        price = self.catalogue.price_of(call.get("model")) or self.catalogue.price_of(call.get("model_asked"))
        if price is None:
            return call
        return {**call, "price": {"input_nusd": price.input_nusd, "output_nusd": price.output_nusd}}

    def _end_as_recorded(self, step: ActiveStep, served: Answer | Raise) -> None:
        """End a served step with the addresses of the recorded one, and show the steps below it as served."""
        source = served.source
        assert source is not None
        trace = step.trace
        for event in below(source.step_id, served.subtree, trace.trace_id, step.step, trace.anchor.read_ns()):
            self.append(event)
        output = source.output
        failure = None if source.failure is None else codec.encode(source.failure).data
        digest, lossy = (None, ()) if output is None else (output.digest, output.lossy)
        self._end(step, source.outcome or "ok", digest, lossy, failure, ending(source))

    def note(self, step: ActiveStep, kind: str, name: str, occurrence: int, value: Any) -> None:
        with guard("record a note"):
            trace = step.trace
            data = self.redactor.redact(codec.encode(value).data).data
            self.append(Noted(trace.trace_id, step.step, kind, name, occurrence, trace.anchor.read_ns(), data))

    def append(self, event: Event) -> None:
        with guard("write to its journal"):
            try:
                frame = pack(event)
            except TypeError:
                frame = pack(_packable(event))
            try:
                self.journal.append(frame)
            except JournalClosed:
                self._journal = self._writer = None
                self.journal.append(frame)

    def flush(self, timeout_s: float) -> bool:
        """Wait until the store holds everything recorded so far; False if it did not within the time."""
        if self._journal is None:
            return True
        return not self._journal_only and self.writer.flush(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Write out what is waiting and let go of the journal; False if something had to stay in it.

        A step that still runs may end later: it gets a journal of its own, which the next process brings in.
        """
        self._journal_only = True
        return self._writer is None or self._writer.close(timeout_s)


class Unrecorded:
    """Stands in for the recorder throughout a trace that is sampled out or refused: it must be wholly absent, so its
    steps (and the workflows inside it) need a parent all the same."""

    def begin(self, trace: ActiveTrace, parent: ActiveStep | None, name: str, kind: str, **_: Any) -> ActiveStep:
        """A parent for what runs below it, and nothing more."""
        return ActiveStep(trace, parent, b"", name, kind, name, capture=False)

    def finish(self, step: ActiveStep, output: Any) -> None:
        """Nothing is recorded."""

    def fail(self, step: ActiveStep, error: BaseException, output: Any) -> None:
        """Nothing is recorded."""

    def note(self, step: ActiveStep, kind: str, name: str, occurrence: int, value: Any) -> None:
        """Nothing is recorded."""


def _redactor(rules: Sequence[RedactionRule]) -> Redactor:
    return Redactor(
        keys=[rule for rule in rules if isinstance(rule, str)],
        patterns=[rule for rule in rules if isinstance(rule, tuple)],
        functions=[rule for rule in rules if callable(rule)],
    )


def _call_of(step: ActiveStep, started: Started, clear: bytes | None, **told: Any) -> Call:
    """A step that is about to run, as a player sees it: with its input as it is, not as it is kept."""
    return Call(
        trace_id=step.trace_id,
        step_id=step.step_id,
        parent_id=None if step.parent is None else step.parent.step_id,
        name=step.name,
        kind=step.kind,
        path=step.path,
        occurrence=started.occurrence,
        input=clear,
        input_lossy=tuple(started.input_lossy),
        identity=started.identity or "",
        fingerprint=started.fingerprint,
        effect=bool(started.attrs.get("effect")),
        **told,
    )


def _from_record(step: ActiveStep) -> Answer | Raise | None:
    decision = step.decision
    if isinstance(decision, Answer | Raise) and decision.origin == "recorded" and decision.source is not None:
        return decision
    return None


def _outcome_of(error: BaseException) -> str:
    if _is_stop(error):
        return "stopped"
    return "failed" if _CANCELLED.isdisjoint(cls.__name__ for cls in type(error).__mro__) else "cancelled"


def _is_stop(error: BaseException) -> bool:
    """A group of tasks wraps what ended it."""
    return isinstance(error, ReplayStopped) or (
        isinstance(error, BaseExceptionGroup) and any(_is_stop(part) for part in error.exceptions)
    )


def _wordless(failure: Failure) -> Failure:
    """A failure without what was said in it: where content is not captured, a message is content too."""
    return replace(
        failure,
        message="(not captured)",
        notes=(),
        cause=None if failure.cause is None else _wordless(failure.cause),
        group=tuple(_wordless(part) for part in failure.group),
    )


def _packable(event: Event) -> Event:
    """The same event where something that was said of the step (a tag, a name, a usage) is no plain data."""

    from tracer.plain import plain  # noqa: PLC0415 - for the few that need it

    def part_of(part: Any) -> Any:
        if isinstance(part, bytes):
            return part
        return json.loads(json.dumps(plain(part), ensure_ascii=False).encode("utf-8", "replace"))

    return type(event)(*map(part_of, event))
