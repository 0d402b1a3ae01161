"""Settings: read from the environment once, overridden by ``configure``. Nothing here touches a disk."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Callable, Mapping
from urllib.parse import unquote, urlsplit

from tracer.declared import Capture, CaptureName
from tracer.digest import blake2b
from tracer.errors import ConfigError
from tracer.tail import KEEP_ALL, Keep, number

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
#: A host's name or address, or a pattern of names.
_HOST = re.compile(r"\*|(\*\.)?[\w.-]+|[0-9a-fA-F:]+")
_PROJECT_MARKS = (".playhead", "pyproject.toml", "setup.py", ".git")

#: One more rule of redaction: a key's name, a (label, regular expression) pair, a class, or a function of a text.
RedactionRule = str | tuple[str, str] | type | Callable[[str], str]
#: How much of which steps is recorded: a level for all, or levels by the steps' names, which may be patterns.
CaptureRules = CaptureName | Mapping[str, CaptureName]
#: What can't be redacted by type: there is no telling one text from another.
_BUILTIN = frozenset({str, bytes, bytearray, bool, int, float, type(None), list, dict, tuple, set, frozenset, object})


#: The environment variable of each setting that has one.
VARIABLES: Mapping[str, str] = {
    "database_url": "PLAYHEAD_DATABASE_URL",
    "home": "PLAYHEAD_HOME",
    "enabled": "PLAYHEAD_ENABLED",
    "capture_content": "PLAYHEAD_CAPTURE_CONTENT",
    "sample": "PLAYHEAD_SAMPLE_RATE",
    "strict": "PLAYHEAD_STRICT",
    "capture": "PLAYHEAD_CAPTURE",
    "keep": "PLAYHEAD_KEEP_RATE",
    "max_value_bytes": "PLAYHEAD_MAX_VALUE_BYTES",
    "propagate_to": "PLAYHEAD_PROPAGATE_TO",
    "journal_cap_bytes": "PLAYHEAD_JOURNAL_CAP_MB",
    "retention_days": "PLAYHEAD_RETENTION_DAYS",
    "otlp_export": "PLAYHEAD_OTLP_EXPORT",
}


@dataclass(frozen=True, slots=True)
class Config:
    """What a process records, and where to. ``home`` holds the journal and the key that identities are made with."""

    database_url: str
    home: Path
    enabled: bool = True
    capture_content: bool = True
    sample: float = 1.0
    strict: bool = False
    redact: tuple[RedactionRule, ...] = ()
    #: (name or pattern, level), all that were set.
    capture: tuple[tuple[str, CaptureName], ...] = ()
    keep: Keep = KEEP_ALL
    #: Bytes that one input or output may take, encoded, before it is cut.
    max_value_bytes: int = 32 << 20
    #: Hosts that are told which trace a request belongs to (tracer.http.outgoing).
    propagate_to: tuple[str, ...] = ("private",)
    #: Bytes of journal that may wait for the store before new traces are refused.
    journal_cap_bytes: int = 1 << 30
    #: How long ordinary traces stay before a prune takes them; None: as long as nobody says otherwise.
    retention_days: float | None = None
    #: Whether finished steps are sent on as OTLP spans, to where OpenTelemetry's variables say (tracer.otlp).
    otlp_export: bool = False

    @property
    def store_tag(self) -> str:
        """Eight hex digits that tie a journal to the store it is meant for."""
        return blake2b(self.database_url.encode(), digest_size=4).hexdigest()


def project_root(start: Path | None = None) -> Path:
    """The nearest folder upwards that looks like a project, else the folder itself."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if any((folder / mark).exists() for mark in _PROJECT_MARKS):
            return folder
    return here


def database_url_of(text: str) -> str:
    """A database URL, from a URL or from the plain path of an SQLite file."""
    if "://" in text:
        return text
    return _sqlite_url(Path(text).expanduser().resolve())


def _sqlite_url(path: Path) -> str:
    # In a URL these two would be read as something else than a part of the path.
    return f"sqlite:///{str(path).replace('%', '%25').replace('?', '%3F')}"


def sqlite_path(url: str) -> Path | None:
    """The file behind an SQLite URL, or None for another database."""
    if not (url.startswith("sqlite") and "///" in url):
        return None
    return Path(unquote(url.split("///", 1)[1].split("?", 1)[0]))


def from_environment(environ: Mapping[str, str] | None = None, **overrides: Any) -> Config:
    """The settings in force; ``overrides`` are configure()'s arguments, None meaning "not given".

    Raises ConfigError, which names the variable and what it accepts.
    """
    env = os.environ if environ is None else environ
    url, home = _places(env, overrides)
    return Config(
        database_url=url,
        home=home,
        enabled=_switch(env, overrides, "enabled", "PLAYHEAD_ENABLED", default=True),
        capture_content=_switch(env, overrides, "capture_content", "PLAYHEAD_CAPTURE_CONTENT", default=True),
        capture=_levels(env, overrides.get("capture")),
        keep=_keep(env, overrides.get("keep")),
        max_value_bytes=_bytes(env, overrides, "max_value_bytes", "PLAYHEAD_MAX_VALUE_BYTES", default=32 << 20),
        sample=_from(env, "sample", overrides.get("sample"), "PLAYHEAD_SAMPLE_RATE"),
        strict=_switch(env, overrides, "strict", "PLAYHEAD_STRICT", default=False),
        redact=_rules(overrides.get("redact")),
        journal_cap_bytes=overrides.get("journal_cap_bytes") or _cap(env.get("PLAYHEAD_JOURNAL_CAP_MB", "")),
        propagate_to=_hosts(env, overrides.get("propagate_to")),
        retention_days=_days(env.get("PLAYHEAD_RETENTION_DAYS", "").strip()),
        otlp_export=_switch(env, overrides, "otlp_export", "PLAYHEAD_OTLP_EXPORT", default=False),
    )


def sources(environ: Mapping[str, str] | None = None, **overrides: Any) -> dict[str, str]:
    """Who said what each setting is, by its name: ``configure()``, the variable, or ``default``."""
    env = os.environ if environ is None else environ

    def source(name: str) -> str:
        if overrides.get(name) is not None:
            return "configure()"
        variable = VARIABLES.get(name, "")
        return variable if env.get(variable, "").strip() else "default"

    found = {each.name: source(each.name) for each in fields(Config)}
    url, _ = _places(env, overrides)
    if found["home"] == "default" and found["database_url"] != "default" and sqlite_path(url) is not None:
        found["home"] = "the database's folder"
    return found


def _places(env: Mapping[str, str], overrides: Mapping[str, Any]) -> tuple[str, Path]:
    given_home = overrides.get("home") or env.get("PLAYHEAD_HOME")
    given_url = overrides.get("database_url") or env.get("PLAYHEAD_DATABASE_URL")
    url = database_url_of(str(given_url)) if given_url else None
    if given_home:
        home = Path(given_home).expanduser().resolve()
    elif url is not None and (path := sqlite_path(url)) is not None:
        home = path.parent
    else:
        home = project_root() / ".playhead"
    return url or _sqlite_url(home / "playhead.db"), home


def _switch(env: Mapping[str, str], overrides: Mapping[str, Any], name: str, variable: str, *, default: bool) -> bool:
    if overrides.get(name) is not None:
        return bool(overrides[name])
    text = env.get(variable, "").strip().lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text:
        raise ConfigError(f"{variable} is {text!r}; it takes 1 or 0")
    return default


def _from(env: Mapping[str, str], name: str, given: Any, variable: str) -> float:
    """A share from 0 to 1: what was given, else the variable's, else all."""
    if given is None:
        name, given = variable, env.get(variable, "").strip() or 1.0
    return number(name, given, 0.0, 1.0)


def _bytes(env: Mapping[str, str], overrides: Mapping[str, Any], name: str, variable: str, *, default: int) -> int:
    given = overrides.get(name)
    if given is None:
        name, given = variable, env.get(variable, "").strip() or default
    return int(number(name, given, 1_000))


def _keep(env: Mapping[str, str], given: Any) -> Keep:
    if given is None:
        return Keep(_from(env, "", None, "PLAYHEAD_KEEP_RATE"))
    if isinstance(given, Keep):
        return given
    try:
        return Keep(**given) if isinstance(given, Mapping) else Keep(given)
    except TypeError:
        raise ConfigError(f"keep is {given!r}; it takes a share from 0 to 1 or a tracer.Keep") from None


def _levels(env: Mapping[str, str], given: Any) -> tuple[tuple[str, CaptureName], ...]:
    """From a level, a mapping, or text such as ``metadata`` or ``draft=metadata, search*=off``."""
    name = "capture"
    if given is None:
        name, given = "PLAYHEAD_CAPTURE", env.get("PLAYHEAD_CAPTURE", "").strip()
        if "=" in given:
            pairs = (part.partition("=") for part in given.split(",") if part.strip())
            given = {name.strip(): level.strip() for name, _, level in pairs}
    if not given:
        return ()
    rules = given.items() if isinstance(given, Mapping) else [("*", given)]
    try:
        return tuple((str(pattern), Capture.of(level).name.lower()) for pattern, level in rules)  # type: ignore[misc]
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None


def _cap(text: str) -> int:
    if not text.strip():
        return 1 << 30
    if not re.fullmatch(r"[1-9]\d{0,8}", text.strip()):
        raise ConfigError(f"PLAYHEAD_JOURNAL_CAP_MB is {text!r}; it takes a whole number of megabytes, 1 or more")
    return int(text) << 20


def _days(text: str) -> float | None:
    # not 0: who means "for good" by it would lose everything
    return number("PLAYHEAD_RETENTION_DAYS", text, 1.0) if text else None


def _hosts(env: Mapping[str, str], given: Any) -> tuple[str, ...]:
    name = "propagate_to"
    if given is None:
        name, text = "PLAYHEAD_PROPAGATE_TO", env.get("PLAYHEAD_PROPAGATE_TO", "").strip().lower()
        if text in {"", "none"}:
            return () if text else ("private",)
        given = [part.strip() for part in text.split(",") if part.strip()]
    hosts = (given,) if isinstance(given, str) else tuple(given)
    for host in hosts:
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            raise ConfigError(f"{name} takes host names, *.domain, * and private, not {host!r}")
    return tuple(host.lower() for host in hosts)


def _rules(rules: Any) -> tuple[RedactionRule, ...]:
    if rules is None:
        return ()
    given = (rules,) if isinstance(rules, str) or callable(rules) else tuple(rules)
    for rule in given:
        if isinstance(rule, type) and rule in _BUILTIN:
            raise ConfigError(f"redact by type takes classes of your own, not {rule.__name__}: name a key or a pattern")
        if not isinstance(rule, str) and not callable(rule) and not _is_pattern(rule):
            raise ConfigError(f"redact takes names of keys, (label, pattern) pairs classes and functions, not {rule!r}")
    return given


def _is_pattern(rule: Any) -> bool:
    if not (isinstance(rule, tuple) and len(rule) == 2 and all(isinstance(part, str) for part in rule)):
        return False
    try:
        re.compile(rule[1])
    except re.error as error:
        raise ConfigError(f"redact: the pattern for {rule[0]} is no regular expression: {error}") from None
    return True


def shown_url(url: str) -> str:
    """The URL without its password, for messages and pages."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rsplit("@", 1)[-1]
    return parts._replace(netloc=f"{parts.username}:***@{host}").geturl()
