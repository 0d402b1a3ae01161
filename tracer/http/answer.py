"""What becomes of a request: sent as it is, sent elsewhere, asked of a Python callable, or answered from the record."""

from __future__ import annotations

import json
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any, Callable
from urllib.parse import urlsplit

from tracer.catalogue import Target
from tracer.context import CURRENT
from tracer.errors import ConfigError
from tracer.http.client import Request
from tracer.http.elsewhere import Translation, address
from tracer.http.exchange import NO_RESPONSE, Exchange
from tracer.http.faults import revived, translated
from tracer.messages import ChatAnswer
from tracer.player import Answer, Raise, ReplayStopped
from tracer.providers import provider_of
from tracer.unrecorded import aside
from tracer.wire import Chunk, HttpResponse

_JSON = (("content-type", "application/json"),)


@dataclass(frozen=True, slots=True)
class Send:
    """Send this request; ``elsewhere``: not through the client's transport, which may know only its own host.
    ``changed`` says that it is not the client's own any more. ``translation`` is what becomes of the answer, where it
    comes in another format than the client's."""

    request: Request
    changed: bool = False
    elsewhere: bool = False
    translation: Translation | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Call ``answer``, which may take as long as a model does; it gives the response."""

    answer: Callable[[], HttpResponse]


@dataclass(frozen=True, slots=True)
class Serve:
    """This is the response."""

    response: HttpResponse


def plan(exchange: Exchange, request: Request) -> Send | Ask | Serve:
    """What the player's decision means for this request. Raises what it says is to be raised."""
    decision = exchange.step.decision
    if isinstance(decision, Answer):
        response = _response_of(exchange, decision.value)
        if response.status == NO_RESPONSE:
            raise revived(exchange.client, response.error)
        return Serve(response)
    if isinstance(decision, Raise):
        raise translated(exchange.client, decision.error)
    if decision.target is None or exchange.format is None:
        return Send(request)
    exchange.target = decision.target
    if decision.target.call is not None:
        exchange.provider = "local"
        return Ask(_asker(exchange, decision.target.name, decision.target.call))
    return _readdressed(exchange, request, decision.target)


def _response_of(exchange: Exchange, value: Any) -> HttpResponse:
    """A recorded response as it is; an edited one from its text, its ChatAnswer or its JSON."""
    if isinstance(value, HttpResponse):
        return value
    if isinstance(value, str | ChatAnswer) and exchange.format is not None and exchange.asked is not None:
        answer = ChatAnswer.of(value) if isinstance(value, str) else value
        return exchange.format.dress(exchange.asked, answer)
    return HttpResponse(200, _JSON, (Chunk(0, json.dumps(value).encode()),))


def _asker(exchange: Exchange, name: str, call: Callable[..., ChatAnswer | str]) -> Callable[[], HttpResponse]:
    wire_format, asked = exchange.format, exchange.asked
    assert wire_format is not None
    assert asked is not None
    # Whatever the callable calls is its own affair: recorded as steps it would look like calls of the pipeline.
    context = copy_context()
    context.run(CURRENT.set, aside(name, "llm"))

    def answer() -> HttpResponse:
        given = context.run(call, asked)
        said = ChatAnswer.of(given) if isinstance(given, str) else given
        return wire_format.dress(asked, replace(said, model=said.model or name))

    return answer


def _readdressed(exchange: Exchange, request: Request, target: Target) -> Send:
    """The request as it goes to another model: by the client's own transport only where that was to have it anyway."""
    assert exchange.format is not None
    assert exchange.asked is not None
    try:
        sent = address(
            target, exchange.format, exchange.asked, url=request.url, headers=request.headers, content=exchange.content
        )
    except ConfigError as error:
        # An SDK would take it for a failed connection, and try again.
        raise ReplayStopped(f"{exchange.step.path}: {error}") from error
    made = Request("POST", sent.url, sent.headers, sent.content, target.timeout_s)
    parts = urlsplit(sent.url)
    exchange.provider = provider_of(parts.hostname or "", parts.path)
    return Send(made, changed=True, elsewhere=not sent.own, translation=sent.translation)
