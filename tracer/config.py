"""Settings: read from the environment once, overridden by ``configure``. Nothing here touches a disk."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence
from urllib.parse import unquote, urlsplit

from tracer.errors import ConfigError

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_PROJECT_MARKS = (".playhead", "pyproject.toml", "setup.py", ".git")

#: One more rule of redaction: a key's name, a (label, regular expression) pair, or a function of a text.
RedactionRule = str | tuple[str, str] | Callable[[str], str]


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
    #: Bytes of journal that may wait for the store before new traces are refused.
    journal_cap_bytes: int = 1 << 30

    @property
    def store_tag(self) -> str:
        """Eight hex digits that tie a journal to the store it is meant for."""
        return hashlib.blake2b(self.database_url.encode(), digest_size=4).hexdigest()


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
    return f"sqlite:///{Path(text).expanduser().resolve()}"


def sqlite_path(url: str) -> Path | None:
    """The file behind an SQLite URL, or None for another database."""
    return Path(unquote(url.split("///", 1)[1])) if url.startswith("sqlite") and "///" in url else None


def from_environment(environ: Mapping[str, str] | None = None, **overrides: Any) -> Config:
    """The settings in force; ``overrides`` are configure()'s arguments, None meaning "not given".

    Raises ConfigError, which names the variable and what it accepts.
    """
    env = os.environ if environ is None else environ
    url, home = _places(env, overrides)
    sample = overrides.get("sample")
    if sample is None:
        sample = _number(env, "PLAYHEAD_SAMPLE_RATE", 1.0)
    if not 0.0 <= sample <= 1.0:
        raise ConfigError(f"sample must lie between 0 and 1, not {sample!r}")
    return Config(
        database_url=url,
        home=home,
        enabled=_switch(env, overrides, "enabled", "PLAYHEAD_ENABLED", default=True),
        capture_content=_switch(env, overrides, "capture_content", "PLAYHEAD_CAPTURE_CONTENT", default=True),
        sample=sample,
        strict=_switch(env, overrides, "strict", "PLAYHEAD_STRICT", default=False),
        redact=_rules(overrides.get("redact")),
        journal_cap_bytes=overrides.get("journal_cap_bytes") or 1 << 30,
    )


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
    return url or f"sqlite:///{home / 'playhead.db'}", home


def _switch(env: Mapping[str, str], overrides: Mapping[str, Any], name: str, variable: str, *, default: bool) -> bool:
    if overrides.get(name) is not None:
        return bool(overrides[name])
    text = env.get(variable, "").strip().lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text:
        raise ConfigError(f"{variable} is {text!r}; it takes 1 or 0")
    return default


def _number(env: Mapping[str, str], variable: str, default: float) -> float:
    text = env.get(variable, "").strip()
    try:
        return float(text) if text else default
    except ValueError:
        raise ConfigError(f"{variable} is {text!r}; it takes a number") from None


def _rules(rules: str | Sequence[RedactionRule] | None) -> tuple[RedactionRule, ...]:
    if rules is None:
        return ()
    return (rules,) if isinstance(rules, str) else tuple(rules)


def shown_url(url: str) -> str:
    """The URL without its password, for messages and pages."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rsplit("@", 1)[-1]
    return parts._replace(netloc=f"{parts.username}:***@{host}").geturl()
