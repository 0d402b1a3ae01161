"""Which errors may pass by themselves: to be named in ``on=``, and never assumed.

An error is known by its status, by its class, or by what the provider says in it; no SDK is imported for that.
"""

from __future__ import annotations

from typing import Any, Mapping

from router.waits import headers_of, status_of

_TRANSIENT = frozenset({408, 409, 425, 429})
#: By the package's name and the class's, base classes included.
_TIMEOUTS = frozenset(
    {
        "aiohttp.ServerTimeoutError",
        "anthropic.APITimeoutError",
        "botocore.ConnectTimeoutError",
        "botocore.ReadTimeoutError",
        "httpx.TimeoutException",
        "httpx2.TimeoutException",
        "openai.APITimeoutError",
        "requests.Timeout",
        "urllib3.TimeoutError",
    }
)
_CONNECTIONS = frozenset(
    {
        "aiohttp.ClientConnectionError",
        "aiohttp.ClientPayloadError",
        "anthropic.APIConnectionError",
        "botocore.ConnectionError",
        "botocore.HTTPClientError",
        "httpx.NetworkError",
        "httpx.RemoteProtocolError",
        "httpx2.NetworkError",
        "httpx2.RemoteProtocolError",
        "openai.APIConnectionError",
        "requests.ChunkedEncodingError",
        "requests.ConnectionError",
        "router.StreamBroke",
        "urllib3.NewConnectionError",
        "urllib3.ProtocolError",
    }
)
#: What providers call an error that came in the middle of a stream, under a status of 200.
_OVERLOADS = frozenset({"api_error", "overloaded_error", "rate_limit_error", "server_error", "timeout_error"})
#: Botocore tells the kind of a refusal by name, under a status of 400.
_THROTTLES = frozenset({"ModelNotReadyException", "ThrottlingException", "TooManyRequestsException"})
#: A 429 that does not pass: the account is empty.
_EMPTY = "insufficient_quota"


def is_transient(error: Exception) -> bool:
    """Timeouts, connections that failed or broke, the statuses 408, 409, 425, 429 and from 500 on, and overloads told
    within a stream. What the provider says in ``x-should-retry`` decides; an empty account never passes."""
    said = headers_of(error).get("x-should-retry")
    if said in {"true", "false"}:
        return said == "true"
    names = _names(error)
    if _EMPTY in names:
        return False
    status = status_of(error)
    if status is not None and (status in _TRANSIENT or status >= 500):
        return True
    return is_timeout(error) or is_connection(error) or not names.isdisjoint(_OVERLOADS | _THROTTLES)


def is_timeout(error: Exception) -> bool:
    """That nothing came in time, or that a server says so (408, 504)."""
    return isinstance(error, TimeoutError) or status_of(error) in {408, 504} or _is_one_of(error, _TIMEOUTS)


def is_rate_limit(error: Exception) -> bool:
    """That there were too many requests, and that it passes."""
    names = _names(error)
    return _EMPTY not in names and (status_of(error) == 429 or not names.isdisjoint(_THROTTLES | {"rate_limit_error"}))


def is_connection(error: Exception) -> bool:
    """That there was no connection, or that it broke."""
    return isinstance(error, ConnectionError) or _is_one_of(error, _CONNECTIONS)


def _is_one_of(error: Exception, names: frozenset[str]) -> bool:
    return any(f"{cls.__module__.partition('.')[0]}.{cls.__name__}" in names for cls in type(error).__mro__)


def _names(error: Exception) -> frozenset[str]:
    """What the provider calls this error: its type and its code."""
    body, response = getattr(error, "body", None), getattr(error, "response", None)
    told: list[Any] = [getattr(error, "code", None), getattr(error, "type", None)]
    for each in (body, response):
        if isinstance(each, Mapping):
            inner = each.get("error") or each.get("Error")
            told += (
                [each.get("code"), *(inner.get(name) for name in ("type", "code", "Code"))]
                if isinstance(inner, Mapping)
                else [each.get("type"), each.get("code")]
            )
    return frozenset(name for name in told if isinstance(name, str))
