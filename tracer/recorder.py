"""What this process records with: the recorder and the catalogue in force, made when first needed.

The other rooms ask here: ``open`` begins a step below the running one. A forked child starts anew; a process that
ends writes out what is waiting.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from typing import Any, Iterator, Mapping, Sequence

from tracer import config as settings
from tracer.catalogue import Catalogue, Target, targets_of
from tracer.config import Config, RedactionRule
from tracer.context import CURRENT, NEXT_PLAYER, SETTLERS, UNSET, ActiveStep, ActiveTrace
from tracer.guard import guard, report
from tracer.ids import Anchor
from tracer.player import Player, ReplayStopped
from tracer.recording import Recorder, Unrecorded

__all__ = [
    "Recorder",
    "catalogue",
    "configure",
    "current_config",
    "flush",
    "guard",
    "hold",
    "open",
    "recorder",
    "shutdown",
]

_EXIT_TIMEOUT_S = 10.0

_lock = threading.Lock()
_overrides: dict[str, Any] = {}
_catalogue = Catalogue()
_recorder: Recorder | None = None
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
    models: Mapping[str, Any] | Sequence[Target] | None = None,
) -> None:
    """Set what the environment does not: arguments win over ``PLAYHEAD_*`` variables, None leaves a setting as it is.

    ``database_url`` is a URL or the path of an SQLite file; ``redact`` adds rules: a key's name, a ``(label, pattern)``
    pair, or a function of a text; ``sample`` is the share of traces to record; ``models`` adds to the catalogue:
    Targets, or a mapping of name to Target, Python callable or endpoint URL. Raises ConfigError for a value that can't
    be, having changed nothing.
    """
    targets = [] if models is None else targets_of(models)
    given = {
        "database_url": database_url,
        "home": home,
        "enabled": enabled,
        "capture_content": capture_content,
        "redact": redact,
        "sample": sample,
    }
    told = {name: value for name, value in given.items() if value is not None}
    if told:
        # So that a wrong value is refused here, not at the first step.
        settings.from_environment(**{**_overrides, **told})
        shutdown()
        _overrides.update(told)
    _catalogue.add(targets)


def current_config() -> Config:
    """The settings that recording and reading use."""
    return settings.from_environment(**_overrides)


def catalogue() -> Catalogue:
    return _catalogue


def recorder() -> Recorder | None:
    """The recorder in force; None where recording is switched off or can't work (said once, as a warning)."""
    return _recorder if _recorder is not None or _disabled else _make()


def _make() -> Recorder | None:
    global _recorder, _disabled  # noqa: PLW0603 - the state of this process, and its only writer
    with _lock:
        if _recorder is not None or _disabled:
            return _recorder
        try:
            config = current_config()
            if config.enabled:
                _recorder = Recorder(config, _catalogue)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach the user's call
            report("start recording", error)
        _disabled = _recorder is None
        return _recorder


@contextlib.contextmanager
def hold(player: Player) -> Iterator[None]:
    """Put every workflow of this process that begins now, on whatever thread, under ``player``: while a script is
    loaded to find its workflow, none may run."""
    global _held_by  # noqa: PLW0603
    _held_by = player
    try:
        yield
    finally:
        _held_by = None


def awaited() -> Player | None:
    """The player that the next workflow begins under, if one waits for it."""
    return NEXT_PLAYER.get() or _held_by


def begin_trace(name: str, *, attrs: dict[str, Any], **fields: Any) -> ActiveStep | None:
    """Begin a workflow: its root step, under the player that waits for it, if one does. None: recording is off."""
    active = recorder()
    if active is None:
        return None
    player = awaited()
    if player is None and not active.accepts():
        unrecorded = ActiveTrace(b"", Anchor(0, 0), Unrecorded(), None)
        return ActiveStep(unrecorded, None, b"", name, "workflow", name, capture=False)
    if player is not None:
        # Taken: a workflow inside this one is a step of it, and one beside it is nobody's replay.
        NEXT_PLAYER.set(None)
        attrs = {**attrs, **player.about()}
    return active.begin(active.begin_trace(player), None, name, "workflow", attrs=attrs, **fields)


def open(  # noqa: A001 - read as recorder.open
    name: str, kind: str, *, value: Any, identity_of: Any = UNSET, attrs: dict[str, Any] | None = None
) -> ActiveStep | None:
    """Begin a leaf below the running step; None outside a workflow. Only the player's own stop gets out of here."""
    parent = CURRENT.get()
    if parent is None:
        return None
    step: ActiveStep | None = None
    with guard("record a step"):
        step = parent.trace.recorder.begin(
            parent.trace,
            parent,
            name,
            kind,
            value=value,
            identity_of=identity_of,
            arguments=((value,), {}),
            attrs=attrs,
        )
    if step is None and parent.trace.player is not None:
        raise ReplayStopped(f"{name} can't be recorded, and a replay runs nothing that it was not asked about")
    return step


def flush(timeout_s: float = 10.0) -> bool:
    """Wait until the store holds everything recorded so far in this process. False if it did not within the time."""
    for settle in SETTLERS:
        settle()
    active = _recorder
    return active is None or active.flush(timeout_s)


def shutdown(timeout_s: float = _EXIT_TIMEOUT_S) -> bool:
    """Write out what is waiting and stop recording; the next workflow starts it anew. False: some stayed in the
    journal, from where the next process that opens the store brings it in."""
    global _recorder, _disabled
    with _lock:
        active, _recorder, _disabled = _recorder, None, False
    return active is None or active.close(timeout_s)


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()
    if _recorder is not None:
        _recorder.forked()


atexit.register(shutdown)
os.register_at_fork(after_in_child=_after_fork_in_child)
