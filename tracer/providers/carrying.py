"""What a translation shares: saying what can't be carried over, and images in the two ways they are written."""

from __future__ import annotations

import re
from typing import Any, Mapping

from tracer.errors import ConfigError
from tracer.providers.base import mapping, text

_DATA_URL = re.compile(r"data:(?P<type>[\w.+/-]+);base64,(?P<data>.*)", re.DOTALL)


def refuse(what: str, into: str) -> ConfigError:
    """The error for something that the other format has no way to say."""
    return ConfigError(f"this request can't be sent to a model behind {into}: it has no {what}")


def beyond(asked: Mapping[str, Any], known: tuple[str, ...], neutral: Mapping[str, tuple[Any, ...]]) -> list[str]:
    """The parameters that would be lost: not among ``known``, and with a value that asks for something."""
    rest = {key: value for key, value in asked.items() if key not in known and value is not None}
    return [key for key, value in rest.items() if value not in neutral.get(key, ())]


def image_source(url: Any) -> dict[str, Any] | None:
    """Anthropic's source of an image or document that OpenAI names by a URL, which may be the data itself."""
    if not isinstance(url, str) or not url:
        return None
    found = _DATA_URL.fullmatch(url)
    if found is None:
        return None if url.startswith("data:") else {"type": "url", "url": url}
    return {"type": "base64", "media_type": found["type"], "data": found["data"]}


def image_url(source: Any) -> str | None:
    """The reverse; None for what only Anthropic can look up, a file of its own."""
    given = mapping(source)
    if given.get("type") == "url":
        return text(given.get("url"))
    if given.get("type") == "base64":
        return f"data:{given.get('media_type')};base64,{given.get('data')}"
    return None
