"""The rules in a TOML file, read whole before any of them is in force. Pure but for the file itself.

    webhook = "https://hooks.example/T0/B0"
    [[rule]]
    name = "support fails"
    measure = "failure_rate"
    workflow = "support"
    above = 0.05

docs/monitoring.md has every key.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Mapping, get_args
from urllib.parse import urlsplit

from tracer.errors import ConfigError
from tracer.store.grammar import parse_took
from tracer.store.query import parse_since

Measure = Literal["failure_rate", "fallback_rate", "p95", "cost_per_hour", "budget"]
By = Literal["workflow", "step", "model"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
BYS: tuple[By, ...] = get_args(By)
SHARES = frozenset(("failure_rate", "fallback_rate"))
COSTS = frozenset(("cost_per_hour", "budget"))
#: Where it resolves if no other value is given, as a part of the value that it fires above.
_RESOLVES = 0.9
_MINUTE_NS = 60 * 10**9
_DAY_NS = 24 * 60 * _MINUTE_NS
_RULE_KEYS = (
    *("name", "measure", "above", "resolve_at", "window", "at_least", "workflow", "step", "model", "by"),
    *("webhook", "headers", "command"),
)
_FILE_KEYS = ("every", "webhook", "headers", "command", "rule")


@dataclass(frozen=True, slots=True)
class Webhook:
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    kind: Literal["webhook"] = "webhook"

    @property
    def shown(self) -> str:
        """The host alone: the rest of such an address is often its only secret."""
        return f"the webhook at {urlsplit(self.url).hostname}"


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, started in ``folder``; no shell."""

    words: tuple[str, ...]
    folder: Path
    kind: Literal["command"] = "command"

    @property
    def shown(self) -> str:
        return f"the command {self.words[0]}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Fires while ``measure`` is above ``above``: a share from 0 to 1, seconds, or dollars. Resolves once it is at most
    ``resolve_at``. Of fewer than ``at_least`` it says nothing. ``by`` makes an alert of its own for each value."""

    name: str
    measure: Measure
    above: float
    resolve_at: float
    window_ns: int
    at_least: int
    workflow: str | None = None
    step: str | None = None
    model: str | None = None
    by: By | None = None
    to: tuple[Webhook | Command, ...] = ()

    @property
    def subject(self) -> Literal["runs", "steps", "calls"]:
        """What is measured. Money is spent by model calls, whatever they are of."""
        if self.measure in COSTS or self.model is not None or self.by == "model":
            return "calls"
        return "steps" if self.step is not None or self.by == "step" else "runs"


@dataclass(frozen=True, slots=True)
class Rules:
    """Those of one file. ``every_s``: how often they are looked at."""

    rules: tuple[Rule, ...]
    every_s: float = 60.0


def read_rules(path: Path, environ: Mapping[str, str]) -> Rules:
    """Raises ConfigError, which names the file, the rule, the key, and what it takes."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or "it can't be read").lower()
        raise ConfigError(f"{path}: {reason}; docs/monitoring.md shows how to write one") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {error}") from None
    try:
        return _rules(told, path.resolve().parent, environ)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _rules(told: Mapping[str, Any], folder: Path, environ: Mapping[str, str]) -> Rules:
    _known(told, _FILE_KEYS, "")
    every_ns = _age(told, "every", "", default_ns=_MINUTE_NS)
    usual = _to(told, "", folder, environ)
    listed = told.get("rule", [])
    if not isinstance(listed, list) or not listed or not all(isinstance(each, dict) for each in listed):
        raise ConfigError("there is no rule in it: write [[rule]] above each")
    rules = [_rule(each, number, folder, environ, usual) for number, each in enumerate(listed, 1)]
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two rules are named {name!r}: their names tell them apart, also after a restart")
    return Rules(tuple(rules), every_ns / 1e9)


def _rule(
    told: Mapping[str, Any],
    number: int,
    folder: Path,
    environ: Mapping[str, str],
    usual: tuple[Webhook | Command, ...],
) -> Rule:
    name = told.get("name")
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f'rule {number} has no name: write name = "..."')
    where = f"rule {name!r}: "
    _known(told, _RULE_KEYS, where)
    measure = _one_of(told, "measure", MEASURES, where)
    by = _one_of(told, "by", BYS, where) if "by" in told else None
    narrowed = {key: _text(told, key, where) for key in BYS}
    if measure == "fallback_rate" and (narrowed["model"] is not None or by == "model"):
        raise ConfigError(f"{where}fallback_rate has no model: it is of runs, or of the decisions of a step")
    if measure == "budget" and "window" in told:
        raise ConfigError(f"{where}a budget is for the day (UTC): leave window out, or use cost_per_hour")
    above = _amount(told, "above", measure, where)
    resolve_at = _amount(told, "resolve_at", measure, where) if "resolve_at" in told else above * _RESOLVES
    if resolve_at > above:
        raise ConfigError(f"{where}resolve_at is above {above:g}, where it fires: it would fire and resolve at once")
    usual_ns = (60 if measure == "cost_per_hour" else 15) * _MINUTE_NS
    return Rule(
        name=name,
        measure=measure,
        above=above,
        resolve_at=resolve_at,
        window_ns=_age(told, "window", where, default_ns=usual_ns),
        at_least=_count(told, where, 0 if measure in COSTS else 10),
        by=by,
        to=_to(told, where, folder, environ) or usual,
        **narrowed,
    )


def _known(told: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in told:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, 1)
            meant = f"did you mean {near[0]}?" if near else f"it takes {', '.join(keys)}"
            raise ConfigError(f"{where}there is no {key}: {meant}")


def _one_of(told: Mapping[str, Any], key: str, those: tuple[Any, ...], where: str) -> Any:
    value = told.get(key)
    if value not in those:
        given = f"{key} is {value!r}" if key in told else f"{key} is missing"
        raise ConfigError(f"{where}{given}; it is one of {', '.join(those)}")
    return value


def _text(told: Mapping[str, Any], key: str, where: str) -> str | None:
    value = told.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise ConfigError(f"{where}{key} is {value!r}; it takes a name")
    return value


def _amount(told: Mapping[str, Any], key: str, measure: str, where: str) -> float:
    """A share, seconds or dollars, whichever the measure is in."""
    value = told.get(key)
    takes = (
        "a share from 0 to 1, like 0.05"
        if measure in SHARES
        else "dollars, like 2.5"
        if measure in COSTS
        else "a length of time, like 800ms or 2s"
    )
    if key not in told:
        raise ConfigError(f"{where}{key} is missing; it takes {takes}")
    if isinstance(value, str) and measure == "p95":
        try:
            return parse_took(value) / 1e9
        except ConfigError:
            value = None
    high = 1.0 if measure in SHARES else float("inf")
    # 1.0 at most, and never exactly at the top for a share: nothing is above it
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < high:
        raise ConfigError(f"{where}{key} is {told[key]!r}; it takes {takes}")
    return float(value)


def _age(told: Mapping[str, Any], key: str, where: str, *, default_ns: int) -> int:
    if key not in told:
        return default_ns
    value = told[key]
    try:
        found = parse_since(value) if isinstance(value, str) else 0
    except ConfigError:
        found = 0
    if not 0 < found <= _DAY_NS:
        raise ConfigError(f"{where}{key} is {value!r}; it takes a time of at most a day, like 30s, 15m or 2h")
    return found


def _count(told: Mapping[str, Any], where: str, usual: int) -> int:
    value = told.get("at_least", usual)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"{where}at_least is {value!r}; it takes a whole number, how many it must be of")
    return value


def _to(told: Mapping[str, Any], where: str, folder: Path, environ: Mapping[str, str]) -> tuple[Webhook | Command, ...]:
    found: list[Webhook | Command] = []
    if "webhook" in told:
        url = _secret(told["webhook"], "webhook", where, environ)
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ConfigError(f"{where}webhook is no address: it takes http:// or https://, or $NAME of a variable")
        headers = told.get("headers", {})
        if not isinstance(headers, dict):
            raise ConfigError(f'{where}headers is {headers!r}; it takes a table, like {{ Authorization = "$HOOK" }}')
        found.append(Webhook(url, tuple((name, _secret(headers[name], name, where, environ)) for name in headers)))
    elif "headers" in told:
        raise ConfigError(f"{where}headers are sent to a webhook, and there is none beside them")
    if "command" in told:
        words = told["command"]
        if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
            raise ConfigError(f'{where}command is {words!r}; it takes a list of words, like ["notify", "--now"]')
        found.append(Command(tuple(words), folder))
    return tuple(found)


def _secret(value: Any, key: str, where: str, environ: Mapping[str, str]) -> str:
    """A text, or the variable that ``$NAME`` names: an address or a token may be a secret."""
    if not isinstance(value, str) or not value.isprintable():
        raise ConfigError(f"{where}{key} takes a text")
    if not value.startswith("$"):
        return value
    if not environ.get(value[1:]):
        raise ConfigError(f"{where}{key} is {value}, and the variable {value[1:]} is not set")
    return environ[value[1:]]
