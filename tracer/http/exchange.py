"""One request, from before it is sent to the end of its answer. It ends once, however it ends."""

from __future__ import annotations

import atexit
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any, Callable, Iterable, Iterator
from urllib.parse import unquote, urlsplit

from tracer import codec, providers, recorder
from tracer.catalogue import Target
from tracer.context import CURRENT, ActiveStep
from tracer.http import attempts, clean
from tracer.http.attempts import Attempt
from tracer.http.client import Client, Request
from tracer.http.faults import HttpError, named, revived
from tracer.http.inflate import encodings_of, inflated
from tracer.http.read import facts_of
from tracer.http.volatile import steadied
from tracer.messages import ChatRequest
from tracer.player import ReplayStopped
from tracer.providers import Format, provider_of
from tracer.providers.headers import lowered
from tracer.unrecorded import Unrecorded
from tracer.wire import Chunk, HttpRequest, HttpResponse

#: The most that is kept of a body: a pipeline may download a model, and its memory is not ours to fill.
KEPT_BYTES = 64 << 20
#: Headers that are true of a compressed body only.
OF_COMPRESSED = frozenset({"content-encoding", "content-length"})
#: What it takes to end a call waits this long for its reader: aiohttp writes a request in two turns of the event loop.
_READERS_TURN_S = 0.002
#: The status of an exchange in which the connection failed before there was a response.
NO_RESPONSE = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a request says of itself. ``content`` is its body as it will be sent, ``value`` the whole as recorded."""

    name: str
    kind: str
    provider: str
    format: Format | None
    asked: ChatRequest | None
    content: bytes
    value: HttpRequest
    #: What a replay matches it by: method, path, query and body; never the host.
    matched: tuple[Any, ...]


class Exchange:
    """What is being recorded of one request of a client."""

    def __init__(
        self, client: Client, request: Request, reading: Reading, step: ActiveStep, made: Attempt | None
    ) -> None:
        self.client = client
        self._request = request
        self._attempt = made
        self.step = step
        self.format = reading.format
        self.content = reading.content
        self.asked = reading.asked
        self.provider = reading.provider
        #: Who answers in place of the model that was asked.
        self.target: Target | None = None
        self._sent_ns = time.perf_counter_ns()
        self._status = 0
        self._headers: clean.Headers = ()
        self._chunks: list[Chunk] = []
        self._bytes = 0
        self._ended = False
        #: When its body was complete, if it is about to be ended; else 0.
        self._over_ns = 0
        _open.add(self)

    def sent(self) -> None:
        """Times count from here: a launcher may have taken its time before."""
        self._sent_ns = time.perf_counter_ns()

    def answered(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        self._status = status
        self._headers = clean.response_headers(headers)

    def received(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes <= KEPT_BYTES:
            self._chunks.append(Chunk(time.perf_counter_ns() - self._sent_ns, data))

    def end(self, ended: str = "complete", error: BaseException | None = None) -> None:
        """The body is over: ``complete``, ``closed`` by its reader, or ``broken`` by ``error``."""
        if not self._close_once():
            return
        with recorder.guard("record an HTTP exchange"):
            line: Any = None if error is None else named(self.client, error)
            if self._bytes > KEPT_BYTES:
                ended, line = "cut", codec.Lossy("bytes", f"{self._bytes} bytes, of which the first are kept")
            response = HttpResponse(self._status, self._headers, tuple(self._chunks), ended, line)
            self.step.over_ns = self._over_ns
            self._finish(response, error, after_ns=(self._over_ns or time.perf_counter_ns()) - self._sent_ns)

    def end_soon(self, loop: Any) -> None:
        """The body is complete. What it takes to end it waits until its reader, on the same event loop, has had time to
        send its next request; but not for an answer that may be followed by another attempt, which has to know of it.
        """
        if attempts.is_retryable(self._status) or loop.is_closed():
            self.end()
        else:
            self._over_ns = time.perf_counter_ns()
            loop.call_later(_READERS_TURN_S, self.end)

    def end_if_whole(self) -> None:
        """End it where its body has said its last word, though its reader neither came to the end nor closed it."""
        with recorder.guard("end an HTTP exchange"):
            if self._over_ns:
                self.end()
                return
            if self.format is None or not self._chunks or self._ended:
                return
            told = HttpResponse(self._status, self._headers, tuple(self._chunks))
            body = b"".join(data for _, data in inflated(told))
            if self.format.is_whole(lowered(self._headers), body):
                self.end("closed")

    def fail(self, error: BaseException) -> None:
        """No response came."""
        if self._close_once():
            with recorder.guard("record a failed HTTP exchange"):
                self.step.describe(call=self._who())
                if self.client.is_own(error):
                    self._may_be_tried_again(type(error).__name__)
                # Written as a wire value, for an exception of a client can't be restored where that isn't imported.
                kept = None
                if self.client.is_own(error):
                    kept = HttpResponse(NO_RESPONSE, (), (), "broken", named(self.client, error))
                self.step.fail(error, kept)

    def serve(self, response: HttpResponse) -> None:
        """This is the response, from the record or from a Python callable: nothing was sent."""
        if self._close_once():
            with recorder.guard("record a served HTTP exchange"):
                broken = revived(self.client, response.error) if response.ended == "broken" else None
                self._finish(response, broken, after_ns=time.perf_counter_ns() - self._sent_ns)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Whatever goes wrong before there is a response ends this exchange, and goes on."""
        try:
            yield
        except BaseException as error:
            self.fail(error)
            raise

    def _may_be_tried_again(self, after: int | str) -> None:
        attempts.failed(self.step.parent, self._request, self.step, self._attempt, after)

    def _finish(self, response: HttpResponse, error: BaseException | None, *, after_ns: int) -> None:
        if attempts.is_retryable(response.status):
            self._may_be_tried_again(response.status)
        elif error is not None and self.client.is_own(error):
            self._may_be_tried_again(type(error).__name__)
        pieces = list(inflated(response))
        if self.format is not None:
            facts = facts_of(self.format, response, pieces, after_ns=after_ns)
            self.step.describe(call={**self._who(), **facts.call}, tags=facts.tags)
            if response.ended == "closed" and facts.is_whole:
                # SDKs stop reading at the last event; to them that is the end.
                response = HttpResponse(response.status, response.headers, response.chunks)
            if error is None and facts.error is not None:
                error = HttpError.of(response.status, facts.error)
        response = self._redactable(response, pieces)
        if error is not None:
            self.step.fail(error, response)
        else:
            self.step.finish(response)

    def _redactable(self, response: HttpResponse, pieces: list[tuple[int, bytes]]) -> HttpResponse:
        """The same response, uncompressed where its compressed bytes would hide a secret from redaction."""
        if not encodings_of(response):
            return response
        chunks = tuple(Chunk(at_ns, data) for at_ns, data in pieces)
        keeper = getattr(self.step.trace.recorder, "keeper", None)
        if keeper is None or not keeper.redactor.redact(codec.encode(chunks).data).paths:
            return response
        headers = tuple(pair for pair in response.headers if pair[0].lower() not in OF_COMPRESSED)
        return replace(response, headers=headers, chunks=chunks)

    def _who(self) -> dict[str, Any]:
        """Who was asked. A model that answers without saying its name answers under the name it was asked by."""
        if self.asked is None:
            return {}
        who: dict[str, Any] = {
            "provider": self.provider,
            "model_asked": self.asked.model,
            "streamed": self.asked.stream,
        }
        if self.target is not None:
            who["model"] = self.target.name if self.target.call is not None else self.target.asked_as
            price = self.target.price
            if price is not None:
                who["price"] = {"input_nusd": price.input_nusd, "output_nusd": price.output_nusd}
        return who

    def _close_once(self) -> bool:
        if self._ended:
            return False
        self._ended = True
        _open.discard(self)
        return True


def told_by(read: Callable[..., Request], *parts: Any) -> Request | None:
    """What a client is about to send, read by its adapter; None where that can't be told."""
    with recorder.guard("read a request"):
        return read(*parts)
    return None  # the guard kept an error of ours from the caller


def begin(client: Client, request: Request | None) -> Exchange | None:
    """Open a step for a request; None where it isn't recorded. A player may stop the whole replay here."""
    settle()
    parent = CURRENT.get()
    if parent is None or isinstance(parent.trace.recorder, Unrecorded):
        return None
    reading = None
    if request is not None:
        with recorder.guard("read a request"):
            reading = _read(request)
    if reading is None or request is None:
        if parent.trace.player is not None:
            raise ReplayStopped("a request can't be read, and a replay sends nothing that it was not asked about")
        return None
    made = attempts.taken(parent, request)
    attrs: dict[str, Any] = {} if reading.asked is None else {"model": reading.asked.model}
    if made is not None:
        attrs["tags"] = made.tags
    step = recorder.open(reading.name, reading.kind, value=reading.value, identity_of=reading.matched, attrs=attrs)
    if step is not None and made is not None:
        step.describe(tags=made.tags)
    return None if step is None else Exchange(client, request, reading, step, made)


def _read(request: Request) -> Reading:
    parts = urlsplit(request.url)
    # A file being uploaded, say, is not read: that would change how it is sent.
    host, path, content = parts.hostname or "", unquote(parts.path), request.content
    wire_format = providers.find(request.method, host, path, content)
    shown = clean.url(request.url)
    body = clean.body(content or b"", request.header("content-type"))
    if wire_format is not None:
        matched = (request.method, clean.target(shown), steadied(body))
    else:
        # Here ?key= may well say which thing is asked for, so nothing is left out; the record holds a keyed digest.
        matched = (request.method, clean.target(request.url), content)
    return Reading(
        name=f"{request.method} {host}" if wire_format is None else wire_format.operation,
        kind="http" if wire_format is None else wire_format.kind,
        provider=provider_of(host, path),
        format=wire_format,
        asked=None if wire_format is None else wire_format.request(content or b""),
        content=content or b"",
        value=HttpRequest(request.method, shown, clean.request_headers(request.headers), body),
        matched=matched,
    )


_open: set[Exchange] = set()
_abandoned: SimpleQueue[Exchange] = SimpleQueue()


def abandon(exchange: Exchange) -> None:
    """For the collector of garbage, which may come in the middle of our own work, locks held: only leave a note."""
    if not exchange._ended:  # noqa: SLF001 - this room's own
        _abandoned.put(exchange)


def settle() -> None:
    """End the exchanges whose streams were dropped without being closed."""
    while not _abandoned.empty():
        try:
            _abandoned.get_nowait().end("closed")
        except Empty:  # another thread took it
            return


def settle_whole() -> None:
    """Before a trace ends: end also those whose readers hold on to a stream that has nothing more to say."""
    settle()
    for exchange in list(_open):
        exchange.end_if_whole()


def _settle_all() -> None:
    for exchange in list(_open):
        exchange.end("closed")


atexit.register(_settle_all)
os.register_at_fork(after_in_child=_open.clear)
