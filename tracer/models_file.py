"""A catalogue out of a file, so that models are changed without code. TOML; every field but a table's name is optional:

    [models.fast]
    base_url = "https://api.openai.com/v1"
    model = "gpt-4o-mini"               what the endpoint calls it; else the table's name
    api_key_env = "OPENAI_API_KEY"      the variable that holds the key, never the key
    context_tokens = 128000             prompt and answer together
    max_output_tokens = 16384
    timeout_s = 30
    price = {input = "0.15/1M", output = "0.60/1M"}     dollars; or price = "free"

    [models.claude]
    base_url = "https://api.anthropic.com/v1"
    format = "anthropic"

    [models.intents]
    call = "shop.intents:answer"        a Python function, imported when it is first asked

The whole file is refused at its first mistake, by a ConfigError that names the file, the table and the field.
"""

from __future__ import annotations

import importlib
import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Mapping, get_args
from urllib.parse import urlsplit

from tracer.catalogue import FREE, Price, Speaks, Target
from tracer.errors import ConfigError
from tracer.redact import Redactor

if TYPE_CHECKING:
    from tracer.messages import ChatAnswer, ChatRequest

_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,12})?) ?/ ?1([KM])")
_PER = {"K": 10**3, "M": 10**6}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FUNCTION = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")
#: What people call a key when they write it down.
_KEYS = frozenset({"api_key", "apikey", "key", "token", "secret", "password", "authorization", "headers"})
#: More tokens than any window has, and more seconds than any call is given.
_MOST_TOKENS, _MOST_SECONDS = 10**9, 10**6


@dataclass(frozen=True, slots=True)
class Imported:
    """A function by its place, ``module:function``; imported at its first call, for the file may be read while that
    very module is being imported."""

    place: str
    #: Who names it, for the error.
    where: str

    def __call__(self, request: ChatRequest) -> ChatAnswer | str:
        module, _, name = self.place.partition(":")
        try:
            function: Callable[[ChatRequest], ChatAnswer | str] = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"{self.where} is {self.place!r}, which can't be imported: {error}") from error
        return function(request)


def read_models(path: str | Path) -> list[Target]:
    """The targets in a file, in its order; raises ConfigError."""
    path = Path(path)
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        why = (error.strerror or "no such file").lower()
        raise ConfigError(f"the models file {path.absolute()} can't be read: {why}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the models file {path} is no TOML: {error}") from None
    models = told.get("models")
    if not isinstance(models, dict) or not models or len(told) > 1:
        raise ConfigError(f"{path}: write [models.NAME] for each model, and nothing beside models")
    return [_target(path, name, table) for name, table in models.items()]


def _target(path: Path, name: str, table: Any) -> Target:
    where = f"{path}: models.{name}"
    if not isinstance(table, dict):
        raise ConfigError(f'{where} must be a table, like [models."{name}"], not {type(table).__name__}')
    given = {field: _READERS[field](f"{where}.{field}", value) for field, value in _known(where, table)}
    if "call" in given and (beside := sorted(given.keys() & {"base_url", "format", "api_key_env", "timeout_s"})):
        raise ConfigError(f"{where}: {', '.join(beside)} says nothing beside call; a function has no endpoint")
    if "base_url" not in given and (lonely := sorted(given.keys() & {"format", "api_key_env"})):
        raise ConfigError(f"{where}: {', '.join(lonely)} needs a base_url")
    return Target(name, **given)


def _known(where: str, table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The table's fields, once none of them is unknown or holds what looks like a credential."""
    redactor = Redactor()
    for field, value in table.items():
        looks_secret = isinstance(value, str) and redactor.redact_text(value) != value
        if field.lower() in _KEYS or looks_secret:
            raise ConfigError(
                f"{where}.{field} looks like a credential, and a file is no place for one: put the key into the "
                f'environment and name its variable, api_key_env = "SOME_API_KEY"'
            )
        if field not in _READERS:
            raise ConfigError(f"{where}.{field} is no field of a model: there are {', '.join(_READERS)}")
    return list(table.items())


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where} must be a text, not {value!r}")
    return value


def _url(where: str, value: Any) -> str:
    url = _text(where, value)
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ConfigError(f"{where} must be the address of an endpoint, up to /v1, not {url!r}") from None
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(f"{where} must be an address alone: no user, no password, no query")
    if not is_url:
        raise ConfigError(f'{where} must be the address of an endpoint, like "https://host/v1", not {url!r}')
    return url


def _format(where: str, value: Any) -> str:
    if value not in get_args(Speaks):
        raise ConfigError(f"{where} is {value!r}; there are {', '.join(get_args(Speaks))}")
    return str(value)


def _variable(where: str, value: Any) -> str:
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        # Not shown: it may be the key itself, of a form that nobody knows.
        raise ConfigError(f'{where} must be the name of an environment variable, like "OPENAI_API_KEY"')
    return value


def _function(where: str, value: Any) -> Imported:
    if not isinstance(value, str) or not _FUNCTION.fullmatch(value):
        raise ConfigError(f'{where} must be "module:function", not {value!r}')
    return Imported(value, where)


def _tokens(where: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST_TOKENS:
        raise ConfigError(f"{where} must be a whole number of tokens, 1 or more, not {value!s}")
    return value


def _seconds(where: str, value: Any) -> float:
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    if not is_number or not Decimal(value).is_finite() or not 0 < value <= _MOST_SECONDS:
        raise ConfigError(f"{where} must be a number of seconds above 0, not {value!s}")
    return float(value)


def _price(where: str, value: Any) -> Price:
    if value == "free":
        return FREE
    form = '{input = "0.15/1M", output = "0.60/1M"} in dollars, or "free"'
    if not isinstance(value, dict) or set(value) != {"input", "output"}:
        raise ConfigError(f"{where} must be {form}, not {value!s}")
    asked, said = (_rate(f"{where}.{side}", value[side]) for side in ("input", "output"))
    return Price(asked, said)


def _rate(where: str, value: Any) -> int:
    """Billionths of a dollar for a token, exactly."""
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ConfigError(f'{where} must be dollars for so many tokens, like "0.15/1M" or "0.002/1K", not {value!s}')
    nusd = Decimal(found[1]) * 10**9 / _PER[found[2]]
    if nusd != int(nusd):
        raise ConfigError(
            f"{where}: {value} is {nusd.normalize():f} billionths of a dollar for a token, and only whole ones are "
            "kept; leave price out where the price table knows the model"
        )
    return int(nusd)


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "base_url": _url,
    "model": _text,
    "format": _format,
    "api_key_env": _variable,
    "call": _function,
    "context_tokens": _tokens,
    "max_output_tokens": _tokens,
    "timeout_s": _seconds,
    "price": _price,
}
