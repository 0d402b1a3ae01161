"""What this process records with: the recorder and the catalogue in force, made when first needed.

The other rooms ask here: ``open`` begins a step below the running one. A forked child starts anew; a process that
ends writes out what is waiting.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from typing import Any, Iterator, Mapping, Sequence

from tracer import config as settings
from tracer import health
from tracer.catalogue import Catalogue, Target, targets_of
from tracer.config import CaptureRules, Config, RedactionRule
from tracer.context import CURRENT, NEXT_PLAYER, SETTLERS, UNSET, ActiveStep
from tracer.declared import Capture, Declared
from tracer.errors import ConfigError
from tracer.guard import guard, report, swallow, take, untold
from tracer.importing import IMPORTING, was_interrupted
from tracer.player import Player, ReplayStopped
from tracer.propagation import CALLER, continued
from tracer.recording import Arguments, Recorder
from tracer.tail import Keep
from tracer.unrecorded import aside

__all__ = [
    "Recorder",
    "catalogue",
    "configure",
    "current_config",
    "elsewhere",
    "flush",
    "guard",
    "hold",
    "joined",
    "open",
    "recorder",
    "shutdown",
]

_EXIT_TIMEOUT_S = 10.0
#: Settings that can't be changed while something is being recorded: it goes to another place, or nowhere.
_ELSEWHERE = frozenset({"database_url", "home", "enabled", "otlp_export"})

_lock = threading.Lock()
_overrides: dict[str, Any] = {}
_catalogue = Catalogue()
_recorder: Recorder | None = None
#: Recorders for traces of other processes, which are recorded unlike this one's own.
_beside: list[Recorder] = []
_disabled = False
_held_by: Player | None = None


def configure(  # noqa: PLR0913 - one door for all settings
    *,
    database_url: str | None = None,
    home: str | os.PathLike[str] | None = None,
    enabled: bool | None = None,
    capture_content: bool | None = None,
    redact: str | Sequence[RedactionRule] | None = None,
    sample: float | None = None,
    capture: CaptureRules | None = None,
    keep: float | Keep | None = None,
    max_value_bytes: int | None = None,
    propagate_to: str | Sequence[str] | None = None,
    otlp_export: bool | None = None,
    models: str | os.PathLike[str] | Mapping[str, Any] | Sequence[Target] | None = None,
) -> None:
    """Set what the environment does not: arguments win over ``PLAYHEAD_*`` variables, None leaves a setting as it is.

    ``database_url`` is a URL or the path of an SQLite file; ``redact`` are rules: a key's name, a ``(label, pattern)``
    pair, a class, or a function of a text; ``sample`` is the share of traces to begin recording, ``keep`` which of them
    stay once they have ended; ``capture`` says how much of each step is recorded: a level, or levels by the steps'
    names (patterns such as ``search*``); past ``max_value_bytes`` an input or output is cut; ``propagate_to`` names
    the hosts that are told which trace a request belongs to (``"private"``: those of the own network, the default);
    ``otlp_export`` sends finished steps on as spans, to where ``OTEL_EXPORTER_OTLP_*`` say;
    ``models`` adds to the catalogue: Targets, a mapping of name to Target, Python callable or endpoint URL, or the
    path of a models file. What is recorded may be changed while workflows run: it holds from the next event on. Raises
    ConfigError for a value that can't be, having changed nothing.
    """
    targets = [] if models is None else targets_of(models)
    given = {
        "database_url": database_url,
        "home": home,
        "enabled": enabled,
        "capture_content": capture_content,
        "redact": redact,
        "sample": sample,
        "capture": capture,
        "keep": keep,
        "max_value_bytes": max_value_bytes,
        "propagate_to": propagate_to,
        "otlp_export": otlp_export,
    }
    told = {name: value for name, value in given.items() if value is not None}
    if told:
        # So that a wrong value is refused here, not at the first step.
        config = settings.from_environment(**{**_overrides, **told})
        if _recorder is None or not _ELSEWHERE.isdisjoint(told):
            shutdown()
        else:
            _recorder.retune(config)
        _overrides.update(told)
    _catalogue.add(targets)


@contextlib.contextmanager
def elsewhere(**told: Any) -> Iterator[Config]:
    """Record with these settings meanwhile (``configure``'s arguments), and then go on as before, nothing changed."""
    before = dict(_overrides)
    configure(**told)
    try:
        yield current_config()
    finally:
        shutdown()
        _overrides.clear()
        _overrides.update(before)


def current_config() -> Config:
    """The settings that recording and reading use."""
    return settings.from_environment(**_overrides)


def sources() -> dict[str, str]:
    """Who said what each of these settings is: ``configure()``, an environment variable, or ``default``."""
    return settings.sources(**_overrides)


def catalogue() -> Catalogue:
    return _catalogue


def recorder() -> Recorder | None:
    """The recorder in force; None where recording is switched off or can't work (said once, as a warning)."""
    return _recorder if _recorder is not None or _disabled else _make()


def _make() -> Recorder | None:
    global _recorder, _disabled  # noqa: PLW0603 - the state of this process, and its only writer
    with IMPORTING, _lock:
        if _recorder is not None or _disabled:
            return _recorder
        try:
            config = current_config()
            if config.enabled and not was_interrupted():
                _recorder = Recorder(config, _catalogue)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach the user's call
            report("start recording", error)
        _disabled = _recorder is None
        return _recorder


def joined(config: Config) -> Recorder | None:
    """The recorder for a trace that another process began with this configuration: the one in force where it has the
    same, else one beside it. None where it can't be made (said once, as a warning)."""
    global _recorder  # noqa: PLW0603 - likewise
    with IMPORTING, _lock:
        for active in (_recorder, *_beside):
            if active is not None and active.config == config:
                return active
        place = (config.database_url, config.home)
        for active in _beside:
            if (active.config.database_url, active.config.home) == place:
                active.retune(config)  # the other process's configure() was called again
                return active
        try:
            made = Recorder(config, _catalogue)
            if _recorder is None and not _disabled and current_config() == config:
                _recorder = made
            else:
                _beside.append(made)
        except Exception as error:  # noqa: BLE001 - likewise
            report("record in a worker process", error)
            return None
        return made


@contextlib.contextmanager
def hold(player: Player) -> Iterator[None]:
    """Put every workflow of this process that begins now, on whatever thread, under ``player``: while a script is
    loaded to find its workflow, none may run."""
    global _held_by  # noqa: PLW0603
    before, _held_by = _held_by, player
    try:
        yield
    finally:
        _held_by = before


def awaited() -> Player | None:
    """The player that the next workflow begins under, if one waits for it."""
    return NEXT_PLAYER.get() or _held_by


def begin_trace(declared: Declared, value: Any, *, arguments: Arguments, attrs: dict[str, Any]) -> ActiveStep | None:
    """Begin a workflow: its root step, under the player that waits for it, if one does. None: recording is off."""
    active, player = recorder(), awaited()
    if active is None:
        if player is not None:
            raise ReplayStopped(f"{declared.name} can't be recorded: recording is switched off")
        return None
    caller = CALLER.get() if player is None else None
    if player is None and not (active.accepts(declared) if caller is None else _goes_on(caller, active, declared)):
        return aside(declared.name, "workflow")
    if player is not None:
        # Taken: a workflow inside this one is a step of it, and one beside it is nobody's replay.
        NEXT_PLAYER.set(None)
        attrs = {**attrs, **player.about()}
    trace, parent = active.begin_trace(player), None
    if caller is not None:
        trace, parent, attrs = caller.take_up(trace, active.config, attrs)
    return active.begin(trace, parent, declared, value, arguments=arguments, attrs=attrs)


def _goes_on(caller: continued, active: Recorder, declared: Declared) -> bool:
    """Whether a caller's trace is recorded here: as the caller says, whatever the share, if there is room."""
    if caller.is_left_out:
        return False
    has_room = active.journal.waiting_bytes <= active.config.journal_cap_bytes
    return active.keeper.level(declared) is not Capture.OFF if has_room else active.accepts(declared)


def open(  # noqa: A001 - read as recorder.open
    name: str, kind: str, *, value: Any, identity_of: Any = UNSET, attrs: dict[str, Any] | None = None
) -> ActiveStep | None:
    """Begin a leaf below the running step; None outside a workflow. Only the player's own stop gets out of here."""
    parent = CURRENT.get()
    if parent is None:
        return None
    trace = parent.trace
    try:
        leaf = Declared(name, kind)
        return trace.recorder.begin(
            trace, parent, leaf, value, identity_of=identity_of, arguments=((value,), {}), attrs=attrs
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach the user's call
        not_begun(name, trace.player, error)
        return None


def not_begun(name: str, player: Player | None, error: Exception) -> None:
    """A step could not be recorded: it runs all the same, unless this is a replay."""
    swallow("record a step", error)
    if player is not None:
        raise ReplayStopped(f"{name} can't be recorded, and a replay runs nothing that it was not asked about")


def flush(timeout_s: float = 10.0) -> bool:
    """Wait until the store holds everything recorded so far in this process. False if it did not within the time."""
    with guard("write out what is waiting"):
        for settle in SETTLERS:
            settle()
        flushed = [active.flush(timeout_s) for active in (_recorder, *_beside) if active is not None]
        return all(flushed)
    return False  # the guard kept an error of ours from the caller


def shutdown(timeout_s: float = _EXIT_TIMEOUT_S) -> bool:
    """Write out what is waiting and stop recording; the next workflow starts it anew. False: some stayed in the
    journal, from where the next process that opens the store brings it in."""
    global _recorder, _disabled
    with _lock:
        closing = [active for active in (_recorder, *_beside) if active is not None]
        _beside.clear()
        _recorder, _disabled = None, False
    written = False
    with guard("write out what is waiting"):
        closed = [active.close(timeout_s) for active in closing]
        written = all(closed)
    # What went wrong where there is no journal to tell of it, in a command for instance.
    if untold():
        with contextlib.suppress(OSError, ConfigError):
            health.keep(current_config().home, f"-{os.getpid()}-{time.time_ns():x}", take())
    return written


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()
    for active in (_recorder, *_beside):
        if active is not None:
            active.forked()


atexit.register(shutdown)
os.register_at_fork(after_in_child=_after_fork_in_child)
