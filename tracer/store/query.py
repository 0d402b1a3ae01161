"""What a reader is looking for: one frozen value, which is a query string and an English sentence as well as SQL.

The search box takes ``key:value`` words, ``cost>0.01``, and free words, all of which must apply; text in double quotes
is one word. The plain parameters of a form (``status=failed&since=1d``) say the same.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Mapping, get_args
from urllib.parse import parse_qsl, urlencode

from tracer.errors import ConfigError
from tracer.model import Status

_UNITS = {"s": ("second", 1), "m": ("minute", 60), "h": ("hour", 3_600), "d": ("day", 86_400), "w": ("week", 604_800)}
_WORD = re.compile(
    r'(?:(?P<key>status|workflow|model|step|since|replays):|(?P<cost>cost>))?(?:"(?P<quoted>[^"]*)"|(?P<plain>\S+))'
)
_STATUSES: tuple[Status, ...] = get_args(Status)
_NUSD = 10**9


@dataclass(frozen=True, slots=True)
class Filter:
    """Which traces to show; every field narrows, and the empty filter shows all.

    ``text`` holds free words: each must occur in the trace. ``since`` is an age like ``7d``, counted back from the
    moment of asking; ``since_ns`` a fixed time, and ``until_ns`` the one that ends the period. ``above_nusd``
    keeps traces that cost more. ``replays`` is True for replays only, False for none, None for both.
    """

    statuses: tuple[Status, ...] = ()
    workflow: str | None = None
    model: str | None = None
    step: str | None = None
    text: str = ""
    since: str | None = None
    since_ns: int | None = None
    above_nusd: int | None = None
    replays: bool | None = None
    until_ns: int | None = None

    @property
    def failed(self) -> bool:
        """Whether it shows nothing but failed traces."""
        return self.statuses == ("failed",)

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(match["quoted"] or match["plain"] or "" for match in _FREE.finditer(self.text))

    def since_when_ns(self, now_ns: int | None = None) -> int | None:
        """The time before which nothing is shown, or None."""
        if self.since is None:
            return self.since_ns
        return max(0, (time.time_ns() if now_ns is None else now_ns) - parse_since(self.since))

    @classmethod
    def parse(cls, query: str | Mapping[str, str]) -> Filter:
        """The filter in a query string or in its parameters. Parameters that are none of ours are passed over; a value
        that can't be (``since=soon``) raises ConfigError with a line for the reader."""
        parameters = parse_qsl(query) if isinstance(query, str) else list(query.items())
        found = cls()
        for name, value in parameters:
            if name == "q":
                found = _search(found, value)
            elif name in _READERS and value:
                found = _READERS[name](found, value)
        return found

    @property
    def query(self) -> str:
        """The query string of this filter, without the question mark; empty for the empty filter."""
        pairs: list[tuple[str, Any]] = [
            ("status", ",".join(self.statuses)),
            ("workflow", self.workflow),
            ("model", self.model),
        ]
        pairs += [("step", self.step), ("q", self.text), ("since", self.since)]
        pairs += [("since_ns", self.since_ns), ("cost", None if self.above_nusd is None else _usd(self.above_nusd))]
        pairs += [("until_ns", self.until_ns)]
        pairs += [("replays", None if self.replays is None else "only" if self.replays else "no")]
        return urlencode([(name, value) for name, value in pairs if value not in (None, "")])

    @property
    def sentence(self) -> str:
        """The filter in English, without a number: ``failed traces of support, last 7 days``."""
        kind = "replays" if self.replays else "traces"
        parts = [f"{' or '.join(self.statuses)} {kind}".strip()]
        if self.workflow:
            parts.append(f"of {self.workflow}")
        if self.model:
            parts.append(f"with model {self.model}")
        if self.step:
            parts.append(f"with step {self.step}")
        if self.words:
            parts.append("with " + " and ".join(f"“{word}”" for word in self.words))
        if self.above_nusd is not None:
            parts.append(f"above ${_usd(self.above_nusd)}")
        if self.replays is False:
            parts.append("without replays")
        sentence = " ".join(parts)
        if self.since is not None:
            sentence = f"{sentence}, last {_age(self.since)}"
        elif self.since_ns is not None:
            sentence = f"{sentence}, since {_moment(self.since_ns)}"
        return sentence if self.until_ns is None else f"{sentence}, until {_moment(self.until_ns)}"


_FREE = re.compile(r'"(?P<quoted>[^"]+)"|(?P<plain>[^\s"]+)')


def parse_since(age: str) -> int:
    """An age like ``90s``, ``30m``, ``12h``, ``7d`` or ``2w`` in nanoseconds; raises ConfigError for anything else."""
    matched = re.fullmatch(r"(\d{1,9})([smhdw])", age.strip().lower())
    if matched is None:
        raise ConfigError(f"since {age!r} is no age: write a number and s, m, h, d or w, like 30m, 12h or 7d")
    return int(matched[1]) * _UNITS[matched[2]][1] * 10**9


def _age(since: str) -> str:
    count, (unit, _) = int(since.strip()[:-1]), _UNITS[since.strip().lower()[-1]]
    return unit if count == 1 else f"{count} {unit}s"


def _moment(at_ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_ns // 10**9))


def _search(found: Filter, text: str) -> Filter:
    """Take the ``key:value`` words out of a search box; what remains is text."""
    free = []
    for word in _WORD.finditer(text):
        value = word["quoted"] if word["quoted"] is not None else word["plain"]
        name = "cost" if word["cost"] else word["key"]
        if name is None:
            free.append(f'"{value}"' if word["quoted"] is not None else value)
        else:
            found = _READERS[name](found, value)
    return replace(found, text=" ".join([found.text, *free]).strip())


def _with_statuses(found: Filter, value: str) -> Filter:
    names = [name for name in value.lower().split(",") if name]
    for name in names:
        if name not in _STATUSES:
            raise ConfigError(f"status {name!r} is none: it is one of {', '.join(_STATUSES)}")
    wanted = {*found.statuses, *names}
    return replace(found, statuses=tuple(status for status in _STATUSES if status in wanted))


def _with_since(found: Filter, value: str) -> Filter:
    parse_since(value)
    return replace(found, since=value.strip().lower())


def _ns(name: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,19}", value) or int(value) >= 2**63:
        raise ConfigError(f"{name} {value!r} is no time: write nanoseconds since 1970")
    return int(value)


def _with_cost(found: Filter, value: str) -> Filter:
    try:
        nusd = Decimal(value.lstrip("$")) * _NUSD
        return replace(found, above_nusd=min(int(nusd), 2**62))
    except (InvalidOperation, ValueError, OverflowError):
        raise ConfigError(f"cost {value!r} is no amount: write dollars, like cost>0.01") from None


def _with_replays(found: Filter, value: str) -> Filter:
    try:
        return replace(found, replays={"only": True, "yes": None, "no": False}[value.lower()])
    except KeyError:
        raise ConfigError(f"replays {value!r} is none of: only, yes, no") from None


def _usd(nusd: int) -> str:
    return f"{Decimal(nusd) / _NUSD:f}"


_READERS: Mapping[str, Any] = {
    "status": _with_statuses,
    "workflow": lambda found, value: replace(found, workflow=value),
    "model": lambda found, value: replace(found, model=value),
    "step": lambda found, value: replace(found, step=value),
    "since": _with_since,
    "since_ns": lambda found, value: replace(found, since_ns=_ns("since_ns", value)),
    "until_ns": lambda found, value: replace(found, until_ns=_ns("until_ns", value)),
    "cost": _with_cost,
    "replays": _with_replays,
}
