"""Where finished steps are sent to, as OpenTelemetry's own variables say it.

Of each setting the variable for traces wins over the one for all: ``OTEL_EXPORTER_OTLP_TRACES_HEADERS`` over
``OTEL_EXPORTER_OTLP_HEADERS``. The meanings are the specification's: a timeout is in milliseconds, an endpoint for all
is completed by ``/v1/traces``, headers are ``name=value`` with values as in a URL.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Mapping
from urllib.parse import unquote, urlsplit

from tracer.errors import ConfigError

_ALL, _TRACES = "OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"
_DEFAULT = "http://localhost:4318"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class Destination:
    """A receiver of OTLP over HTTP. ``resource`` are attributes that every span's resource has besides."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 10.0
    is_gzip: bool = False
    is_json: bool = False
    resource: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """For people: without what the address or the headers may hold of secrets."""
        parts = urlsplit(self.url)
        place = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
        return f"{place} ({'http/json' if self.is_json else 'http/protobuf'}{', gzip' if self.is_gzip else ''})"


def destination(environ: Mapping[str, str] | None = None) -> Destination:
    """What the environment says. Raises ConfigError, which names the variable and what it takes."""
    env = os.environ if environ is None else environ
    return Destination(
        url=_url(env),
        headers=dict(_pairs(*_said(env, "HEADERS"))),
        timeout_s=_timeout(*_said(env, "TIMEOUT")),
        is_gzip=_one_of(*_said(env, "COMPRESSION"), ("none", "gzip"), "none") == "gzip",
        is_json=_one_of(*_said(env, "PROTOCOL"), ("http/protobuf", "http/json"), "http/protobuf") == "http/json",
        resource=_resource(env),
    )


def _said(env: Mapping[str, str], name: str) -> tuple[str, str]:
    """The variable that says it, and what it says; empty where none does."""
    for variable in (_TRACES + name, _ALL + name):
        if text := env.get(variable, "").strip():
            return variable, text
    return _ALL + name, ""


def _url(env: Mapping[str, str]) -> str:
    variable, text = _said(env, "ENDPOINT")
    url = text or _DEFAULT
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_one = False
    if not is_one or not url.isprintable() or " " in url:
        raise ConfigError(f"{variable} is {text!r}; it takes the URL of a receiver, like {_DEFAULT}")
    if variable.startswith(_TRACES):
        return url
    return parts._replace(path=f"{parts.path.rstrip('/')}/v1/traces").geturl()


def _timeout(variable: str, text: str) -> float:
    if not text:
        return 10.0
    if not re.fullmatch(r"\d{1,9}", text) or not int(text):
        raise ConfigError(f"{variable} is {text!r}; it takes a whole number of milliseconds, like 10000")
    return int(text) / 1000


def _one_of(variable: str, text: str, known: tuple[str, ...], default: str) -> str:
    word = text.lower() or default
    if word not in known:
        why = " (gRPC is not spoken here; receivers take HTTP on port 4318)" if word == "grpc" else ""
        raise ConfigError(f"{variable} is {text!r}; it takes {' or '.join(known)}{why}")
    return word


def _pairs(variable: str, text: str) -> list[tuple[str, str]]:
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        told = unquote(value)
        # Not what it says: that may be a secret.
        if not sign or not _NAME.fullmatch(name) or not (told.isprintable() and told.isascii()):
            raise ConfigError(f"{variable} takes name=value, and more behind commas, with values as in a URL")
        found.append((name, told))
    return found


def _resource(env: Mapping[str, str]) -> dict[str, str]:
    """What is said of the program, as far as it can be read: it has no bearing on whether anything can be sent."""
    pairs = (part.partition("=") for part in env.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    found = {name.strip(): unquote(value.strip()) for name, sign, value in pairs if sign and name.strip()}
    if service := env.get("OTEL_SERVICE_NAME", "").strip():
        found["service.name"] = service
    return found
