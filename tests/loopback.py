"""A small real model provider on 127.0.0.1: OpenAI's chat and embeddings and Anthropic's messages, plain and
streamed, failing on request."""

from __future__ import annotations

import gzip
import json
import sys
import threading
import zlib
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Iterator, Self

from tracer.messages import ChatAnswer, Message, ToolCall
from tracer.model import Usage
from tracer.providers import MESSAGES

MODEL = "loopback-1-2026-10-01"
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


@dataclass
class Reply:
    """How the server answers one request. ``words`` are the pieces of a stream; joined, the text of a plain answer."""

    words: tuple[str, ...] = ("Hello", ", ", "world")
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    #: The body as it is, instead of what the server would say.
    body: bytes | None = None
    compressed: bool = False
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    #: Wait for the event before the piece of that number is sent (0 is the first).
    gates: dict[int, threading.Event] = field(default_factory=dict)
    #: Wait for this before anything is sent, the status line included.
    before: threading.Event | None = None
    #: Close the connection after that many pieces of a stream.
    cut_after: int | None = None
    #: Close the connection instead of answering.
    hang_up: bool = False


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: Any


class Loopback:
    """``with Loopback() as server: server.url`` (up to /v1). Replies given to ``next`` are used once, in order."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._replies: deque[Reply] = deque()
        self._routes: dict[str, Reply] = {}
        self._gates: list[threading.Event] = []
        handler = type("Handler", (_Handler,), {"loopback": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def next(self, *replies: Reply) -> None:
        self._replies.extend(replies)
        for reply in replies:
            self._gates += [*reply.gates.values(), *([reply.before] if reply.before else [])]

    def route(self, words: str, reply: Reply) -> None:
        """Whoever says just these words gets this reply, whenever that is."""
        self._routes[words] = reply
        self._gates += [reply.before] if reply.before else []

    def take(self, asked: Any) -> Reply:
        said = asked["messages"][-1]["content"] if isinstance(asked, dict) and asked.get("messages") else None
        if isinstance(said, str) and said in self._routes:
            return self._routes[said]
        return self._replies.popleft() if self._replies else Reply()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for gate in self._gates:  # so that no handler outlives its test
            gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that went away is what several tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*_)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    loopback: Loopback

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""

    def do_GET(self) -> None:
        self._answer(self._take(None), json.dumps({"path": self.path}).encode())

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = json.loads(raw) if "json" in self.headers.get("content-type", "json") else raw
        reply = self._take(asked)
        if reply.hang_up:
            self.close_connection = True
        elif reply.body is not None:
            self._answer(reply, reply.body)
        elif reply.status >= 400:
            error = {"message": f"no, {reply.status}", "type": "loopback", "code": None}
            self._answer(reply, json.dumps({"error": error}).encode())
        elif self.path.endswith("/messages"):
            said = MESSAGES.dress(MESSAGES.request(raw), messages_answer(reply))
            if asked.get("stream"):
                self._stream(reply, [chunk.data for chunk in said.chunks])
            else:
                self._answer(reply, said.raw)
        elif self.path.endswith("/embeddings"):
            self._answer(reply, json.dumps(embeddings(asked["input"])).encode())
        elif asked.get("stream"):
            wants_usage = (asked.get("stream_options") or {}).get("include_usage", False)
            self._stream(reply, [b"data: %s\n\n" % data.encode() for data in events(reply, with_usage=wants_usage)])
        else:
            self._answer(reply, json.dumps(completion(reply)).encode())

    def _take(self, asked: Any) -> Reply:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.loopback.seen.append(Seen(self.path, headers, asked))
        reply = self.loopback.take(asked)
        if reply.before is not None:
            reply.before.wait(30)
        return reply

    def _answer(self, reply: Reply, body: bytes) -> None:
        sent = gzip.compress(body, mtime=0) if reply.compressed else body
        self._head(reply, "application/json", len(sent))
        self.wfile.write(sent)

    def _stream(self, reply: Reply, pieces: list[bytes]) -> None:
        self._head(reply, "text/event-stream", None)
        squeeze = zlib.compressobj(wbits=31)
        for number, plain in enumerate(pieces):
            piece = squeeze.compress(plain) + squeeze.flush(zlib.Z_SYNC_FLUSH) if reply.compressed else plain
            if number in reply.gates:
                reply.gates[number].wait(30)
            if number == reply.cut_after:
                self.close_connection = True
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        if reply.compressed:
            piece = squeeze.flush()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _head(self, reply: Reply, content_type: str, length: int | None) -> None:
        self.send_response(reply.status)
        headers = {"content-type": content_type, "x-request-id": "req-1", "set-cookie": "session=secret-of-the-server"}
        if reply.compressed:
            headers["content-encoding"] = "gzip"
        if length is None:
            headers["transfer-encoding"] = "chunked"
        else:
            headers["content-length"] = str(length)
        for name, value in {**headers, **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()


def embeddings(asked: str | list[str]) -> dict[str, Any]:
    texts = [asked] if isinstance(asked, str) else asked
    data = [{"object": "embedding", "index": place, "embedding": [0.5, -1.0]} for place in range(len(texts))]
    usage = {"prompt_tokens": 3 * len(texts), "total_tokens": 3 * len(texts)}
    return {"object": "list", "model": MODEL, "data": data, "usage": usage}


def messages_answer(reply: Reply) -> ChatAnswer:
    """The same answer as Anthropic's messages carry it."""
    calls = tuple(
        ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in reply.tool_calls
    )
    message = Message("assistant", "".join(reply.words), tool_calls=calls)
    return ChatAnswer(message, model=MODEL, finish_reason=None, usage=Usage(11, 7), response_id="msg-1")


def completion(reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(reply.words)}
    if reply.tool_calls:
        message |= {"content": None, "tool_calls": reply.tool_calls}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if reply.tool_calls else "stop"}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "model": MODEL}
    return {**head, "choices": [choice], "usage": USAGE}


def events(reply: Reply, *, with_usage: bool) -> Iterator[str]:
    """A stream's data: the role, each word, the end, the usage if asked for, and [DONE]."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": MODEL}
    for delta in ({"role": "assistant", "content": ""}, *({"content": word} for word in reply.words)):
        yield json.dumps({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield json.dumps({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if with_usage:
        yield json.dumps({**head, "choices": [], "usage": USAGE})
    yield "[DONE]"
