"""What of a request and a response may be written down: credentials out, noise out. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, Iterable
from urllib.parse import urlsplit, urlunsplit

Headers = tuple[tuple[str, str], ...]

_CREDENTIAL = re.compile(r"auth|cookie|key|token|secret|password|passwd|signature|credential", re.IGNORECASE)
_CREDENTIAL_PARAMETERS = frozenset({"sig", "pwd"})
#: Rate limits count tokens of the other kind.
_HARMLESS = re.compile(r"^(x-)?(ratelimit|anthropic-ratelimit|amzn-bedrock|rate-limit)", re.IGNORECASE)
_KEPT_OF_REQUEST = frozenset(
    {
        "accept",
        "content-encoding",
        "content-type",
        "user-agent",
        "openai-beta",
        "anthropic-beta",
        "anthropic-version",
        "x-stainless-retry-count",
        "amz-sdk-request",
        "traceparent",
    }
)
_LOCATIONS = frozenset({"location", "content-location"})


def is_credential(name: str) -> bool:
    """Whether a header or parameter of this name carries a secret."""
    return _CREDENTIAL.search(name) is not None and _HARMLESS.match(name) is None


def request_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    return tuple((name, value) for name, value in headers if name.lower() in _KEPT_OF_REQUEST)


def response_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    return tuple(
        (name, url(value) if name.lower() in _LOCATIONS else value)
        for name, value in headers
        if not is_credential(name)
    )


def url(text: str) -> str:
    """Without user and password, without credentials in the query, without fragment."""
    parts = urlsplit(text)
    kept = [pair for pair in parts.query.split("&") if not _is_credential_pair(pair)]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "&".join(kept), ""))


def _is_credential_pair(pair: str) -> bool:
    name = pair.partition("=")[0]
    return name.lower() in _CREDENTIAL_PARAMETERS or is_credential(name)


def target(url: str) -> str:
    """Path and query: where a request goes, whatever the host."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def body(content: bytes, content_type: str) -> Any:
    """As wire.HttpRequest keeps it: parsed JSON, else text, else bytes; None where there is nothing. Of a form, the
    names of its credentials stay. (In JSON they are found by redaction, like anywhere else.)"""
    if not content:
        return None
    if "json" in content_type or content[:1] in {b"{", b"["}:
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            pass
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return content
    if "x-www-form-urlencoded" not in content_type:
        return text
    return "&".join(
        f"{pair.partition('=')[0]}=[redacted]" if _is_credential_pair(pair) else pair for pair in text.split("&")
    )
