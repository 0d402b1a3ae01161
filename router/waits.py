"""How long a provider asks its caller to stay away, read out of an error. Pure: the time is passed in.

Any SDK's exception will do. The headers are looked for where OpenAI, Anthropic, httpx, requests, aiohttp, urllib and
botocore keep them. What can't be read is taken for nothing said.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Any, Callable, Iterator, Mapping

#: Where a reset that comes with the answer says when to come again; with any other status it is information only.
_OVERLOADED = frozenset({429, 503, 529})
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_RESETS = re.compile(r"(?:x-ratelimit-(?P<openai>reset(?:-.+)?)|anthropic-ratelimit-(?P<anthropic>.+-reset))")
#: A plain number from here on is a time and no duration: seconds since 1970, and from the next on milliseconds.
_EPOCH_S, _EPOCH_MS = 10**8, 10**11


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an exception tells of, by whichever name its SDK has for it."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore
        candidates: tuple[Any, ...] = (_metadata(response).get("HTTPStatusCode"),)
    else:
        candidates = (
            getattr(error, "status_code", None),
            getattr(response, "status_code", None),
            getattr(error, "status", None),
            getattr(error, "code", None),
        )
    return next((each for each in candidates if type(each) is int and 100 <= each <= 599), None)


def headers_of(error: BaseException) -> dict[str, str]:
    """The headers of the answer that an exception tells of, by lower-case name; empty where there are none."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        headers: Any = _metadata(response).get("HTTPHeaders")
    else:
        headers = getattr(response, "headers", None) or getattr(error, "headers", None)
    try:
        return {str(name).lower(): str(value).strip() for name, value in dict(headers or {}).items()}
    except (TypeError, ValueError):
        return {}


def asked_wait_s(error: BaseException, now_s: Callable[[], float]) -> float | None:
    """The seconds that the provider asks for, never below 0; None where it says nothing.

    ``retry-after-ms`` comes before ``retry-after`` (seconds, or an HTTP date), and both before the resets of rate
    limits: of those that are used up the last, and where none says that it is, the first. An own ``retry_after_s`` of
    the error comes before all. A date is counted from the server's own ``date`` where it sends one, else from
    ``now_s()``, in seconds since 1970.
    """
    own = getattr(error, "retry_after_s", None)
    if isinstance(own, int | float) and math.isfinite(own):
        return max(0.0, float(own))
    headers = headers_of(error)
    if not headers:
        return None

    def now() -> float:
        sent = _http_date(headers.get("date", ""))
        return now_s() if sent is None else sent

    millis = _number(headers.get("retry-after-ms", ""))
    if millis is not None:
        return millis / 1000
    after = headers.get("retry-after", "")
    seconds = _number(after)
    if seconds is None and (date := _http_date(after)) is not None:
        seconds = max(0.0, date - now())
    if seconds is not None or status_of(error) not in _OVERLOADED:
        return seconds
    return _reset_s(headers, now)


def _reset_s(headers: Mapping[str, str], now: Callable[[], float]) -> float | None:
    told = list(_resets(headers, now))
    if spent := [seconds for seconds, is_spent in told if is_spent]:
        return max(spent)
    return min((seconds for seconds, _ in told), default=None)


def _resets(headers: Mapping[str, str], now: Callable[[], float]) -> Iterator[tuple[float, bool]]:
    """Of each limit: the seconds until it is reset, and whether nothing is left of it."""
    for name, value in headers.items():
        if _RESETS.fullmatch(name) is None:
            continue
        seconds = _seconds_until(value, now)
        if seconds is not None:
            yield seconds, _number(headers.get(name.replace("reset", "remaining"), "")) == 0


def _seconds_until(value: str, now: Callable[[], float]) -> float | None:
    """``1s``, ``6m0s``, ``20ms``, a number of seconds, a time since 1970, or an ISO time."""
    number = _number(value)
    if number is not None:
        if number < _EPOCH_S:
            return number
        return max(0.0, (number / 1000 if number >= _EPOCH_MS else number) - now())
    if _DURATION.fullmatch(value):
        seconds = sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(value))
        return seconds if math.isfinite(seconds) else None
    try:
        at = dt.datetime.fromisoformat(value)
        return max(0.0, (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp() - now())
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> float | None:
    """A finite number that is not negative."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _http_date(text: str) -> float | None:
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - a tenth of the router's import, for few answers

    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _metadata(response: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = response.get("ResponseMetadata")
    return metadata if isinstance(metadata, Mapping) else {}
