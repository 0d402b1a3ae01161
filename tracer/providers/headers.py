"""What a response's headers say of a call: the provider's id for it, and how long to wait before the next one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Iterable, Mapping

#: A response's headers, names in lower case.
Headers = Mapping[str, str]

#: Under which names providers give the id that their support asks for; the first that is there.
_REQUEST_IDS = (
    "x-request-id",  # OpenAI, Azure, Groq, Hugging Face
    "request-id",  # Anthropic, AI21
    "x-amzn-requestid",
    "apim-request-id",  # Azure
    "x-debug-trace-id",  # Cohere
    "x-kong-request-id",  # Mistral
    "mistral-correlation-id",
    "x-ds-trace-id",  # DeepSeek
    "x-generation-id",  # OpenRouter
)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
#: A number beyond this is a time since the epoch, in milliseconds beyond the second one.
_EPOCH_S, _EPOCH_MS = 10**9, 10**12


def lowered(pairs: Iterable[tuple[str, str]]) -> Headers:
    return {name.lower(): value for name, value in pairs}


def content_type_of(headers: Headers) -> str:
    return headers.get("content-type", "")


def request_id_of(headers: Headers, body: Mapping[str, Any]) -> str | None:
    named = next((headers[name] for name in _REQUEST_IDS if headers.get(name)), None)
    in_body = body.get("request_id")
    return named or (in_body if isinstance(in_body, str) and in_body else None)


def retry_after_s(status: int, headers: Headers, error: Mapping[str, Any]) -> float | None:
    """Seconds to wait: as the answer says it, in a header or in its error object; else until the limit that was used
    up is renewed. None where it says nothing. Dates count from the answer's own, so that our clock plays no part."""
    said = _number(headers.get("retry-after-ms"))
    if said is not None:
        return said / 1000
    if (after := headers.get("retry-after")) is not None:
        return _wait(after, headers)
    details = error.get("details")
    for detail in details if isinstance(details, list) else []:
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str):
            return _span(delay)
    if status != 429:
        return None
    waits = [_wait(value, headers) for name, value in headers.items() if _is_used_up(name, headers)]
    return max((wait for wait in waits if wait is not None), default=None)


def _is_used_up(name: str, headers: Headers) -> bool:
    """Whether a header is the reset of a limit of which nothing remains."""
    return "ratelimit" in name and "reset" in name and headers.get(name.replace("reset", "remaining")) in {"0", "-1"}


def _wait(value: str, headers: Headers) -> float | None:
    """``20``, ``6m0s``, ``Wed, 21 Oct 2015 07:28:00 GMT``, ``2025-06-23T10:26:53Z``, or a time since the epoch."""
    number = _number(value)
    if number is None:
        return _span(value) if _span(value) is not None else _until(_date(value), headers)
    if number < _EPOCH_S:
        return number
    try:
        return _until(datetime.fromtimestamp(number / (1000 if number >= _EPOCH_MS else 1), tz=UTC), headers)
    except (OverflowError, OSError, ValueError):
        return None


def _number(value: str | None) -> float | None:
    """A number that is not negative; never ``nan`` or ``inf``, which float() would take."""
    return float(value) if value is not None and re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", value.strip()) else None


def _span(value: str) -> float | None:
    parts = _SPAN.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value.strip():
        return None
    return round(sum(float(number) * _SECONDS[unit] for number, unit in parts), 6)


def _date(value: str) -> datetime | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = read(value.strip())
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return None


def _until(then: datetime | None, headers: Headers) -> float | None:
    now = _date(headers.get("date", ""))
    return None if then is None or now is None else max(0.0, (then - now).total_seconds())
