"""A model call on its way to another model: where it goes, in which words, and how the answer comes back. Pure.

To another model of the same provider it goes as it is, under the caller's own credentials. To an endpoint of the
catalogue it goes with that endpoint's, translated where that endpoint speaks another format than the caller's SDK.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from tracer.catalogue import Target
from tracer.errors import ConfigError
from tracer.http.clean import Headers, request_headers
from tracer.messages import ChatRequest
from tracer.providers import Format, translate
from tracer.providers.formats import CHAT, MESSAGES
from tracer.wire import HttpResponse

#: What an endpoint of each format of the catalogue speaks beside that format itself.
_SPOKEN = {
    "openai": (CHAT, ("/completions", "/responses", "/responses/compact", "/embeddings")),
    "anthropic": (MESSAGES, ()),
}
_DEPLOYMENT = re.compile(r"(?<=/deployments/)[^/]+")
#: What a translated stream says it is.
EVENT_STREAM = "text/event-stream; charset=utf-8"
#: Headers that are true of the original request only.
_OF_THE_ORIGINAL = frozenset({"content-length", "content-encoding", "transfer-encoding", "host"})


@dataclass(frozen=True, slots=True)
class Translation:
    """An answer of the format ``by`` becomes one of the format ``to``, in which ``asked`` was sent."""

    by: Format
    to: Format
    asked: ChatRequest

    def is_stream(self, status: int, headers: Mapping[str, str]) -> bool:
        return status < 400 and "event-stream" in headers.get("content-type", "")

    def whole(self, response: HttpResponse) -> HttpResponse:
        """A whole answer, not compressed."""
        return translate.answered(response, by=self.by, to=self.to, asked=self.asked)

    def turned(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """A stream, decompressed, in the format ``to`` as it comes."""
        turning = self.stream()
        for data in pieces:
            if turned := turning.feed(data):
                yield turned
        if rest := turning.end():
            yield rest

    async def turned_async(self, pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        turning = self.stream()
        async for data in pieces:
            if turned := turning.feed(data):
                yield turned
        if rest := turning.end():
            yield rest

    def stream(self) -> translate.Turning:
        """What turns a stream, piece by piece."""
        return translate.streamed(by=self.by, to=self.to, asked=self.asked)


@dataclass(frozen=True, slots=True)
class Address:
    """A request to send with POST. ``own`` says that it goes where it was going, by the caller's transport."""

    url: str
    headers: Headers
    content: bytes
    own: bool = False
    translation: Translation | None = None


def address(  # noqa: PLR0913 - a request, and whom it is for
    target: Target, wire_format: Format, asked: ChatRequest, *, url: str, headers: Headers, content: bytes
) -> Address:
    """Where a call of ``wire_format`` goes for ``target``. Raises ConfigError where it can't be said there."""
    if target.url is None:
        return _same_provider(target, wire_format, url=url, headers=headers, content=content)
    spoken = _spoken(target, wire_format)
    if spoken is None:
        sent, translation = wire_format.readdress(content, target.asked_as), None
        spoken = wire_format
    else:
        sent = translate.translate(content, wire_format, spoken, target.asked_as)
        translation = Translation(spoken, wire_format, asked)
    kept = {name.lower(): value for name, value in request_headers(headers)}
    if translation is not None:
        kept = {name: value for name, value in kept.items() if not name.startswith(("anthropic-", "openai-"))}
        kept["content-type"] = "application/json"
    encoding = next((value for name, value in headers if name.lower() == "accept-encoding"), "identity")
    kept |= {name.lower(): value for name, value in target.headers().items()}
    kept["accept-encoding"] = encoding if translation is None else "identity"
    there = target.url.rstrip("/") + spoken.path_for(target.asked_as)
    return Address(there, tuple(kept.items()), sent, translation=translation)


def _spoken(target: Target, wire_format: Format) -> Format | None:
    """The format to translate into; None where the endpoint speaks the caller's own."""
    if target.format == "same":
        return None
    spoken, also = _SPOKEN[target.format]
    if type(wire_format) is type(spoken) or wire_format.path in also:
        return None
    if not translate.can_translate(wire_format, spoken):
        raise ConfigError(
            f"a call to {wire_format.path} can't be sent to {target.name!r}, which speaks {target.format}'s format: "
            'name another model of its own provider, Target("...") without base_url, or an endpoint that speaks this '
            'format, Target(..., format="same")'
        )
    return spoken


def _same_provider(target: Target, wire_format: Format, *, url: str, headers: Headers, content: bytes) -> Address:
    if any(name.lower() == "authorization" and value.startswith("AWS4") for name, value in headers):
        raise ConfigError(
            f"a request signed for AWS can't be sent to {target.name!r} instead: its signature covers the model. Give "
            "the Target a base_url, a call or a launcher, or change the model in your code and replay with --live"
        )
    kept = tuple(pair for pair in headers if pair[0].lower() not in _OF_THE_ORIGINAL)
    return Address(
        _with_model(url, wire_format, target), kept, wire_format.readdress(content, target.asked_as), own=True
    )


def _with_model(url: str, wire_format: Format, target: Target) -> str:
    """The same address for another model, where the address names it: as a part of the format's path, or as Azure's
    deployment."""
    parts = urlsplit(url)
    path, there = unquote(parts.path), wire_format.path_for(target.asked_as)
    if there != wire_format.path and path.endswith(wire_format.path):
        return urlunsplit(parts._replace(path=quote(path.removesuffix(wire_format.path) + there, safe="/:@")))
    return urlunsplit(parts._replace(path=_DEPLOYMENT.sub(quote(target.asked_as, safe=""), parts.path)))
