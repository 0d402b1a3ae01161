"""The images of a conversation: those that came along with it, and are what they say they are. Pure."""

from __future__ import annotations

import dataclasses
from typing import Iterable, Iterator, Mapping

from tracer.messages import Message
from tracer.providers.blobs import blobs_of

_BEGINNINGS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


def media_type_of(data: bytes) -> str | None:
    """What the bytes are, of the kinds that a browser draws and that can hold no script; None for all else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((media_type for begin, media_type in _BEGINNINGS.items() if data.startswith(begin)), None)


def image_in(message: Message, part: Mapping[str, object]) -> bytes | None:
    """The image that a part of a message is."""
    for blob in blobs_of(dataclasses.replace(message, parts=(part,))):
        if blob.data is not None and media_type_of(blob.data) is not None:
            return blob.data
    return None


def images_of(messages: Iterable[Message]) -> Iterator[bytes]:
    """All images of these turns, in their order: the place of one is its number."""
    for message in messages:
        for part in message.parts:
            image = image_in(message, part)
            if image is not None:
                yield image
