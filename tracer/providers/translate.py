"""Between OpenAI's chat and Anthropic's messages: code that was written for one SDK runs on the other's model.

A request is translated before it is sent, its answer when it comes back, a stream event by event. What the other
format can't say is named in a ConfigError; nothing is dropped but the thoughts of earlier turns, which neither provider
takes from the other, and hints about caching.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping

from tracer.errors import ConfigError
from tracer.messages import ChatRequest
from tracer.providers import into_chat, into_messages
from tracer.providers.anthropic_messages import AnthropicMessages
from tracer.providers.base import Format, parse
from tracer.providers.dressing import encoded
from tracer.providers.headers import lowered
from tracer.providers.into_streams import ChatStream, MessagesStream
from tracer.providers.openai_chat import OpenAIChat
from tracer.wire import HttpResponse

#: What turns a stream: ``feed`` each piece, then ``end``.
Turning = ChatStream | MessagesStream
_REQUESTS: dict[tuple[type, type], Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
    (OpenAIChat, AnthropicMessages): into_messages.translated,
    (AnthropicMessages, OpenAIChat): into_chat.translated,
}
#: Headers of an error that an SDK decides by.
_KEPT = ("retry-after", "retry-after-ms", "x-should-retry", "x-request-id", "request-id")


def can_translate(from_format: Format, to_format: Format) -> bool:
    return (type(from_format), type(to_format)) in _REQUESTS


def translate(body: bytes, from_format: Format, to_format: Format, model: str) -> bytes:
    """A request's body for ``model`` behind the other format; ConfigError names what can't be carried."""
    if type(from_format) is type(to_format):
        return from_format.readdress(body, model)
    translated = _REQUESTS.get((type(from_format), type(to_format)))
    if translated is None:
        raise ConfigError(f"a call to {from_format.path} can't be translated into one to {to_format.path}")
    asked = parse(body)
    if not asked:
        raise ConfigError("a request whose body is no JSON object can't be translated")
    return encoded(translated(asked, model))


def answered(response: HttpResponse, *, by: Format, to: Format, asked: ChatRequest) -> HttpResponse:
    """A whole answer of the format ``by``, not compressed, as the SDK that sent ``asked`` in the format ``to``
    expects it."""
    headers = lowered(response.headers)
    answer = by.answer(response.status, headers, response.raw)
    worn = to.dress(asked, answer)
    if answer.error is None:
        return worn
    # How long to wait, and whether to try again, stand in the headers.
    told = tuple((name, headers[name]) for name in _KEPT if name in headers)
    status = response.status if response.status >= 400 else worn.status
    return HttpResponse(status, (*worn.headers, *told), worn.chunks)


def streamed(*, by: Format, to: Format, asked: ChatRequest) -> Turning:
    """What turns a stream of the format ``by`` into one of the format ``to``, as its bytes come."""
    if not can_translate(to, by):
        raise ConfigError(f"a stream from {by.path} can't be translated into one from {to.path}")
    return MessagesStream(asked) if isinstance(to, AnthropicMessages) else ChatStream(asked)
