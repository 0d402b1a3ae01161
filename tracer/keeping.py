"""What is kept of a value, in this order: nothing where it is not captured; inputs hidden by name and values hidden by
type replaced; encoded; credentials taken out; cut to the size limit. All of it happens before anything reaches a disk.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Sequence

from tracer import codec
from tracer.bounds import bounded
from tracer.config import Config
from tracer.declared import Capture, Declared
from tracer.redact import Redactor

_NOT_CAPTURED = ("$ (not captured)",)
_EXACT: tuple[str, ...] = ()
_NOTHING: frozenset[str] = frozenset()


#: A value as it is (for matching only), as it may be stored, and the paths that can't be restored. Where nothing was
#: taken out, the second is the very object that is the first.
Kept = tuple[bytes | None, bytes | None, Sequence[str]]
NO_VALUE: Kept = (None, None, ())


class Keeper:
    """What one configuration keeps. Pure: it has no state but its rules."""

    def __init__(self, config: Config) -> None:
        # A class is callable, too.
        types = [rule for rule in config.redact if isinstance(rule, type)]
        self._types = tuple(types)
        self._most_bytes = config.max_value_bytes
        self.redactor = Redactor(
            keys=[rule for rule in config.redact if isinstance(rule, str)],
            patterns=[rule for rule in config.redact if isinstance(rule, tuple)],
            functions=[rule for rule in config.redact if callable(rule) and not isinstance(rule, type)],
        )
        self._suspects = self.redactor.suspects
        floor = Capture.FULL if config.capture_content else Capture.METADATA
        rules = tuple((pattern, Capture.of(level)) for pattern, level in config.capture)
        self._named: Any = lru_cache(maxsize=1024)(lambda name: _lowest(rules, name, floor))
        #: Whether a player may see an input as it is: what is hidden by type can't be recognised in its bytes.
        self.shows_clear = not types
        self._has_levels = bool(rules) or floor is not Capture.FULL

    def level(self, declared: Declared) -> Capture:
        """How much of a step is recorded: the least of what its decorator says and the settings say of its name."""
        if not self._has_levels:
            return declared.capture
        level: Capture = min(declared.capture, self._named(declared.name))
        return Capture.METADATA if declared.effect and level is Capture.OFF else level

    def keep(self, value: Any, capture: Capture = Capture.FULL, hidden: frozenset[str] = _NOTHING) -> Kept:
        """What is stored of ``value``; ``hidden`` are names in it (a mapping then) that must not be."""
        data, lossy = codec.quick(value), _EXACT
        if data is None:
            data, lossy = codec.encode(value)
        if capture is not Capture.FULL:
            return data, None, _NOT_CAPTURED
        stored = data
        if hidden or self._types:
            stored, lossy = self._without(value, hidden, data)
        suspects = self._suspects(stored)
        if suspects is not None:
            redacted = self.redactor.treat(stored, suspects)
            if redacted.paths:
                stored, lossy = redacted.data, (*lossy, *(f"{path} (redacted)" for path in redacted.paths))
        if len(stored) > self._most_bytes:
            stored, cut = bounded(stored, self._most_bytes)
            lossy = (*lossy, *cut)
        return data, stored, lossy

    def _without(self, value: Any, hidden: frozenset[str], data: bytes) -> tuple[bytes, tuple[str, ...]]:
        names = [name for name in value if name in hidden] if hidden else []
        shown = {**value, **dict.fromkeys(names, "[redacted: by name]")} if names else value
        kept = codec.encode(shown, secret=self._types)
        stored = data if kept.data == data else kept.data
        return stored, (*kept.lossy, *(f"$.{name} (redacted)" for name in names))


def _lowest(rules: Sequence[tuple[str, Capture]], name: str, floor: Capture) -> Capture:
    return min([floor, *(level for pattern, level in rules if fnmatchcase(name, pattern))])
