"""The images, sounds and documents in a message's parts, whichever format they are written in."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Iterator, Mapping

from tracer.messages import Blob, Message
from tracer.providers.base import mapping, text

_DATA_URL = re.compile(r"data:(?P<type>[\w.+/-]*)(;[\w=.-]+)*;base64,(?P<data>.*)", re.DOTALL)
#: Where a part keeps what it shows: OpenAI's chat and responses, Gemini in both spellings, Bedrock, Mistral.
_HOLDERS = (
    "s3Location",
    *("image_url", "input_audio", "file", "audio", "inlineData", "inline_data", "fileData", "file_data"),
    *("image", "document", "video", "source", "document_url", "video_url"),
)
_URLS = ("url", "image_url", "file_url", "fileUri", "file_uri", "uri", "file_id")
_TYPES = ("media_type", "mimeType", "mime_type")
_DATA = ("data", "bytes", "file_data")
_OF_URLS = str.maketrans("-_", "+/")
#: What a format calls a kind by its ending alone.
_KINDS = {"image": "image", "video": "video", "audio": "audio", "input_audio": "audio"}


def blobs_of(message: Message) -> tuple[Blob, ...]:
    """In the order of the parts; a part that shows nothing gives none."""
    return tuple(blob for part in message.parts if (blob := _blob(part, "")) is not None)


def _blob(part: Mapping[str, Any], kind: str) -> Blob | None:
    media_type = next((found for name in _TYPES if (found := text(part.get(name)))), None) or _type_of(part, kind)
    for name in _DATA:
        if (data := text(part.get(name))) is not None:
            return _from_url(data) or _from_base64(data, media_type)
    for name in _URLS:
        if (url := text(part.get(name))) is not None:
            return _from_url(url) or Blob(media_type, url=url)
    for name, inner in _held(part):
        if (blob := _blob(inner, _KINDS.get(name, kind))) is not None:
            # Bedrock says the type beside the source, one level up.
            return blob if blob.media_type or media_type is None else Blob(media_type, blob.data, blob.url)
    return None


def _held(part: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in _HOLDERS:
        if inner := mapping(part.get(name)):
            yield name, inner


def _type_of(part: Mapping[str, Any], kind: str) -> str | None:
    """Bedrock and OpenAI's audio name a format instead: ``png``, ``wav``."""
    written = text(part.get("format"))
    if written is None:
        return None
    return f"{kind or 'application'}/{written}"


def _from_url(url: str) -> Blob | None:
    found = _DATA_URL.fullmatch(url)
    return None if found is None else _from_base64(found["data"], found["type"] or None)


def _from_base64(data: str, media_type: str | None) -> Blob | None:
    """Either alphabet, for Google's SDK writes the one of URLs. None for what is neither: a body may be shortened."""
    try:
        return Blob(media_type, data=base64.b64decode(data.translate(_OF_URLS), validate=True))
    except (binascii.Error, ValueError):
        return None
