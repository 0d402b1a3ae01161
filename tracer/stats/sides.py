"""Which two sides are compared: ``before:DATE``, ``version:A,B``, ``arm:ROLE`` or ``arm:ROLE,A,B``. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from tracer.errors import ConfigError
from tracer.stats.measure import Side

_FORMS = "before:DATE, version:A,B or arm:ROLE"


def sides_of(text: str) -> tuple[Side, tuple[str, str]]:
    """The side of a run, and the names of both, the first less than the second. Raises ConfigError."""
    kind, _, rest = text.partition(":")
    names = [name.strip() for name in rest.split(",")]
    if kind == "before" and rest:
        moment_ns, earlier, later = _moment_ns(rest), f"before {rest}", f"from {rest} on"
        return (lambda run: later if run.started_ns >= moment_ns else earlier), (earlier, later)
    if kind == "version" and len(names) == 2 and all(names) and names[0] != names[1]:
        one, other = names
        return (lambda run: run.version if run.version in names else None), (one, other)
    if kind == "arm" and names[0] and len(names) in {1, 3}:
        role, *arms = names
        one, other = arms or ("production", "canary")
        return (lambda run: found if (found := run.arms.get(role)) in (one, other) else None), (one, other)
    raise ConfigError(f"compare {text!r} names no two sides: write {_FORMS}")


def _moment_ns(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"compare before:{text!r} is no date: write 2026-03-01 or 2026-03-01T12:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * 10**9
