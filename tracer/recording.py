"""One process's recording under one configuration: begin, finish and fail of a step.

Encode, redact, append to the journal: no database and no network here. ``tracer.recorder`` holds the one in force.
What is on the path of every step is written flat, without context managers and layers: it is what recording costs.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Mapping, Sequence

from ormsgpack import packb

from tracer import codec
from tracer.config import Config
from tracer.context import METERS, SETTLERS, UNSET, ActiveStep, ActiveTrace
from tracer.declared import KEY_TAG, Capture, Declared
from tracer.events import Event, Finished, Noted, Started, letter_of
from tracer.failures import failure_of, outcome_of, wordless
from tracer.guard import REFUSED, guard, report, swallow
from tracer.ids import CHANCE, Anchor, new_step_id, new_trace_id
from tracer.importing import was_interrupted
from tracer.journal import Journal, JournalClosed
from tracer.keeping import NO_VALUE, Keeper
from tracer.key import NO_INPUT, store_key
from tracer.opening import exporter_of, store_of
from tracer.player import Answer, Call, Player, Raise, ReplayStopped, Run
from tracer.served import below, ending
from tracer.writer import Writer

if TYPE_CHECKING:
    from tracer.catalogue import Catalogue

Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]
_NO_ARGUMENTS: Arguments = ((), {})
#: One object for all steps of which nothing more is said.
_NO_ATTRS: dict[str, Any] = {}
_FULL = Capture.FULL


class Recorder:
    """What one process records with one configuration."""

    def __init__(self, config: Config, catalogue: Catalogue) -> None:
        self.config = config
        self.catalogue = catalogue
        self.keeper = Keeper(config)
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
                opened, export = partial(store_of, self.config), exporter_of(self.config)
                self._writer = Writer(journal, home, tag, opened, keep=lambda: self.config.keep, export=export)
                self._journal = journal
                if not self._journal_only:
                    self._writer.wake()
            return self._journal, self._writer

    def forked(self) -> None:
        """In a forked child: the parent's journal and thread are not the child's. Both are made anew when needed."""
        self._making = threading.Lock()
        # A parent's thread that was just importing the database's library leaves its modules locked for good.
        self._journal_only = was_interrupted() or (self._writer is not None and not self._writer.has_store)
        if self._journal is not None:
            self._journal.forget_lock()
        self._journal = self._writer = None

    def retune(self, config: Config) -> None:
        """Go on under changed rules of what is kept: from the next event on, in running traces as well."""
        self.config = config
        self.keeper = Keeper(config)

    def accepts(self, declared: Declared) -> bool:
        """Whether a new trace of this workflow may begin: it is not switched off, within the sampling share, and the
        journal is not past its cap."""
        if self.keeper.level(declared) is Capture.OFF:
            return False
        if self.journal.waiting_bytes > self.config.journal_cap_bytes:
            self.refused_traces += 1
            report(REFUSED, "the store has been away for too long")
            return False
        return self.config.sample >= 1.0 or CHANCE.random() < self.config.sample

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
        declared: Declared,
        value: Any = UNSET,
        *,
        identity_of: Any = UNSET,
        arguments: Arguments = _NO_ARGUMENTS,
        attrs: dict[str, Any] | None = None,
        key: Any = None,
    ) -> ActiveStep | None:
        """Record that a step begins, and ask the player (if there is one) what becomes of it.

        ``value`` is the input (UNSET: none is recorded); ``identity_of`` what it is matched by, where that differs;
        ``key`` which item it is about, of several that the step runs for.
        None: the step is switched off, and its code is to run as if it were not decorated.
        """
        keeper, name = self.keeper, declared.name
        capture = keeper.level(declared)
        if capture is Capture.OFF and parent is not None:
            return None
        if parent is None:  # what a replay runs is recorded, whatever the settings say
            capture = max(capture, Capture.METADATA)
            occurrence, path, parent_id = 0, name, None
        else:
            if parent.capture is not _FULL:
                capture = Capture.METADATA
            occurrence = parent.occurrence_of(name)
            path = f"{parent.path}/{name}[{occurrence}]" if occurrence else f"{parent.path}/{name}"
            parent_id = parent.step
        step = ActiveStep(trace, parent, new_step_id(), name, declared.kind, path, capture)
        clear, stored, lossy = NO_VALUE if value is UNSET else keeper.keep(value, capture, declared.hidden)
        if key is not None:
            identity_of, attrs = _of_item(key, value, attrs)
        # The writer takes the identity from the stored bytes, off this thread, unless they are not what is matched.
        identity = None
        if trace.player is not None or stored is not clear or identity_of is not UNSET:
            matched = clear if identity_of is UNSET else codec.encode(identity_of).data
            identity = codec.identity(matched or NO_INPUT, self.key)
        said = _NO_ATTRS
        if attrs or declared.effect or declared.tags:
            said = self._said(declared, attrs or {})
        trace_id, at_ns, code = trace.trace_id, perf_counter_ns() + trace.offset_ns, declared.fingerprint
        if trace.player is None:
            event = "s", trace_id, step.step, parent_id, name, declared.kind, path, occurrence, at_ns, stored, lossy
            self._write((*event, identity, code, said))
        else:
            started = Started(
                *(trace_id, step.step, parent_id, name, declared.kind, path, occurrence, at_ns),
                *(stored, lossy, identity, code, dict(said)),
            )
            shown = clear if keeper.shows_clear else stored
            self._ask(trace.player, step, _call_of(step, started, shown, declared, arguments), started)
        return step

    def _said(self, declared: Declared, attrs: dict[str, Any]) -> dict[str, Any]:
        said = {"effect": True, **attrs} if declared.effect else dict(attrs)
        if tags := {**declared.tags, **attrs.get("tags", {})}:
            said["tags"] = self._told(tags)
        return said

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

    def finish(self, step: ActiveStep, output: Any) -> None:
        if step.ended:
            return
        if step.trace.player is not None and self._finished_under_player(step):
            return
        step.ended = True
        try:
            if step.parent is None:
                _settle()
            _, stored, lossy = NO_VALUE if output is UNSET else self.keeper.keep(output, step.capture)
            attrs = self._ending(step) if step.is_described else _NO_ATTRS
            trace = step.trace
            at_ns = (step.over_ns or perf_counter_ns()) + trace.offset_ns
            self._write(("f", trace.trace_id, step.step, at_ns, "ok", stored, lossy, None, attrs))
            if trace.player is not None:
                self._tell(trace.player, step, attrs, at_ns)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach the user's call
            swallow("record a step's result", error)

    def _finished_under_player(self, step: ActiveStep) -> bool:
        """End a step of a replay whose end is not its own result; False where it is."""
        stop = None if step.parent is not None else getattr(step.trace.player, "stopped", None)
        if stop is not None:  # the workflow swallowed it; whatever it gives now is no result
            self.fail(step, stop, None)
            return True
        if (served := _from_record(step)) is None:
            return False
        step.ended = True
        with guard("record a step's result"):
            self._end_as_recorded(step, served)
        return True

    def fail(self, step: ActiveStep, error: BaseException, output: Any) -> None:
        if step.ended:
            return
        step.ended = True
        with guard("record a step's failure"):
            if (served := _from_record(step)) is not None:
                self._end_as_recorded(step, served)
                return
            if step.parent is None:
                _settle()
            if (outcome := outcome_of(error)) == "waiting":  # nothing went wrong, and nothing came of it yet
                self._end(step, outcome, *NO_VALUE[1:], None, self._ending(step))
                return
            _, stored, lossy = self.keeper.keep(error if output is None else output, step.capture)
            told = failure_of(error) if step.capture is _FULL else wordless(failure_of(error))
            encoded = codec.encode(told)
            if encoded.lossy:  # at the end of the stack there is no room for causes
                encoded = codec.encode(replace(told, cause=None, group=()))
            failure = self.keeper.redactor.redact(encoded.data).data
            self._end(step, outcome, stored, lossy, failure, self._ending(step))

    def _ending(self, step: ActiveStep, attrs: dict[str, Any] = _NO_ATTRS) -> dict[str, Any]:
        """``attrs`` with what was said of a step while it ran: its tags and its model call."""
        tags, call = step.described()
        attrs = dict(attrs)
        if tags:
            attrs["tags"] = {**attrs.get("tags", {}), **self._told(tags)}
        if call and "call" not in attrs:
            attrs["call"] = self._with_price(call)
            if not isinstance(step.decision, Run):  # edited or injected: nobody was asked, so nobody is paid
                attrs["call"] = {**attrs["call"], "served": True}
        if METERS and "call" in attrs:
            with guard("tell what a call was"):
                for meter in METERS:
                    meter(step, attrs["call"])
        return attrs

    def _end(  # noqa: PLR0913, PLR0917 - the fields of one event
        self,
        step: ActiveStep,
        outcome: str,
        output: bytes | str | None,
        lossy: Sequence[str],
        failure: bytes | None,
        attrs: dict[str, Any],
    ) -> None:
        trace = step.trace
        at_ns = (step.over_ns or perf_counter_ns()) + trace.offset_ns
        self.append(Finished(trace.trace_id, step.step, at_ns, outcome, output, lossy, failure, attrs))
        if trace.player is not None:
            self._tell(trace.player, step, attrs, at_ns)

    def _tell(self, player: Player, step: ActiveStep, attrs: dict[str, Any], at_ns: int) -> None:
        """Tell the player of a model call that ran for real."""
        if "call" in attrs and isinstance(step.decision, Run):
            player.finished(step.step_id, call=attrs["call"], at_ns=at_ns)

    def _told(self, tags: Mapping[str, Any]) -> dict[str, Any]:
        """Tags as plain data, without credentials."""
        from tracer.plain import plain  # noqa: PLC0415 - for the few that tag

        encoded = codec.encode(plain(tags)).data
        kept = self.keeper.redactor.redact(encoded).data
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
        if step.parent is None:
            _settle()
        output = source.output
        failure = None if source.failure is None else codec.encode(source.failure).data
        digest, lossy = (None, ()) if output is None else (output.digest, output.lossy)
        self._end(step, source.outcome or "ok", digest, lossy, failure, self._ending(step, ending(source)))

    def note(self, step: ActiveStep, kind: str, name: str, occurrence: int, value: Any) -> None:
        with guard("record a note"):
            trace = step.trace
            _, data, _ = self.keeper.keep(value)
            assert data is not None
            self.append(Noted(trace.trace_id, step.step, kind, name, occurrence, trace.anchor.read_ns(), data))

    def _write(self, event: tuple[Any, ...]) -> None:
        """Append one event to the journal, given as its letter and its fields."""
        try:
            frame = packb(event)
        except TypeError:
            from tracer.plain import packable  # noqa: PLC0415 - for the few that need it

            frame = packb(tuple(packable(event)))
        try:
            (self._journal or self._make()[0]).append(frame)
        except JournalClosed:
            self._journal = self._writer = None
            self.journal.append(frame)
        except OSError as error:
            swallow("write to its journal", error)

    def append(self, event: Event) -> None:
        with guard("write to its journal"):
            self._write((letter_of(event), *event))

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


def _of_item(key: Any, value: Any, attrs: dict[str, Any] | None) -> tuple[Any, dict[str, Any]]:
    """What a keyed step is matched by, and its attributes: its item is a tag, which people see and filter by."""
    tag = key if isinstance(key, str | int) else repr(key)
    return (key, value), {**(attrs or {}), "tags": {**(attrs or {}).get("tags", {}), KEY_TAG: tag}}


def _settle() -> None:
    """What is recorded behind the scenes (a stream dropped unread) ends before its trace does."""
    for settle in SETTLERS:
        settle()


def _call_of(step: ActiveStep, started: Started, clear: bytes | None, declared: Declared, arguments: Arguments) -> Call:
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
        effect=declared.effect,
        block=declared.block,
        stand_in=declared.stand_in,
        arguments=arguments,
        key=started.attrs.get("tags", {}).get(KEY_TAG) if declared.keyed else None,
        kept=None if isinstance(started.input, str) else started.input,
    )


def _from_record(step: ActiveStep) -> Answer | Raise | None:
    decision = step.decision
    if isinstance(decision, Answer | Raise) and decision.origin == "recorded" and decision.source is not None:
        return decision
    return None
