"""A model provider on 127.0.0.1 that speaks everybody's format, counts tokens, and fails on request. Standard library
only.

What it says is a plain function of the question (``provider_answers``); ids are random for each call, as a real
provider's are, and the usage is counted from the texts. ``requests`` lists what arrived, in the order in which it did.

    with Provider() as provider:                 provider.url, without /v1
        provider.fail(429)                       the next request is refused; Retry-After says when to come again
        provider.fail("cut", where="draft")      the next one whose path or body holds "draft" is cut off half-way
        provider.rules.append(my_rule)           asked before the model: Question -> Said, or None to leave it to it
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Literal, Self
from urllib.parse import unquote

from provider_answers import Question, Said, answer, tokens, vector
from provider_openai import Chat, GroqChat, MistralChat, Responses, embeddings
from provider_others import Cohere, Converse, Gemini, Invoke, Messages

#: A status, or: ``slow`` waits, ``bad-body`` sends no JSON, ``bad-json`` lets the model say broken JSON, ``cut`` closes
#: the connection in the middle of the answer.
Fault = int | Literal["slow", "bad-body", "bad-json", "cut"]

#: The first that the end of a path fits speaks.
_FORMATS: tuple[tuple[str, Any], ...] = (
    ("/openai/v1/chat/completions", GroqChat()),
    ("/chat/completions", Chat()),
    ("/responses", Responses()),
    ("/messages", Messages()),
    (":generateContent", Gemini()),
    (":streamGenerateContent", Gemini()),
    ("/v2/chat", Cohere()),
    ("/converse", Converse()),
    ("/converse-stream", Converse()),
    ("/invoke", Invoke()),
    ("/invoke-with-response-stream", Invoke()),
)


@dataclass
class Request:
    """A request as it arrived, and what was counted for it. ``status`` 0: it got no answer, or not all of one."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    model: str | None = None
    status: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    fault: Fault | None = None


@dataclass(frozen=True)
class _Failing:
    fault: Fault
    where: str
    retry_after_s: float


@dataclass(frozen=True)
class _Answer:
    """What to send: one body, or the pieces of a stream."""

    pieces: list[bytes] = field(default_factory=list)
    body: bytes = b""
    content_type: str = "application/json"


class Provider:
    """Started and stopped as often as one likes, always on the same port: a client made before goes on working."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.rules: list[Callable[[Question], Said | None]] = []
        self._failing: list[_Failing] = []
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._port = _free_port()
        #: Set when the server stops, so that nobody is waited for.
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def counted(self) -> Counter[tuple[str | None, int | None, int | None]]:
        """Of each request that was answered in full: its model and the tokens, in and out."""
        whole = (each for each in self.requests if each.status == 200 and each.input_tokens is not None)
        return Counter((each.model, each.input_tokens, each.output_tokens) for each in whole)

    def fail(self, *faults: Fault, where: str = "", retry_after_s: float = 0.05) -> None:
        """Let the next requests fail, one by each fault. ``where`` is part of the path or the body of those meant."""
        with self._lock:
            self._failing += [_Failing(fault, where, retry_after_s) for fault in faults]

    def reset(self) -> None:
        with self._lock:
            self._failing.clear()
            self.rules.clear()
            self.requests.clear()

    def start(self) -> None:
        if self._server is None:
            self.stopping.clear()
            self._server = _Server(("127.0.0.1", self._port), type("Handler", (_Handler,), {"provider": self}))
            serve = self._server.serve_forever
            self._thread = threading.Thread(target=serve, kwargs={"poll_interval": 0.01}, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Nobody is answered any more: connections that clients keep are closed too."""
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            self.stopping.set()
            server.shutdown()
            server.server_close()
            server.hang_up()
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def arrived(self, request: Request, raw: bytes) -> _Failing | None:
        """Note a request; what it is to fail by, if it is."""
        place = request.path + raw.decode("utf-8", "replace")
        with self._lock:
            self.requests.append(request)
            failing = next((each for each in self._failing if each.where in place), None)
            if failing is not None:
                self._failing.remove(failing)
                request.fault = failing.fault
        return failing

    def answer(self, request: Request) -> _Answer | None:
        """The answer to a request, its tokens counted; None for a path that nobody speaks."""
        path = unquote(request.path.partition("?")[0]).rstrip("/")
        if request.method != "POST" or not isinstance(request.body, dict):
            return None
        if path.endswith("/embeddings"):
            told, used = embeddings(request.body)
            request.model, request.input_tokens, request.output_tokens = request.body["model"], used, 0
            return _Answer(body=json.dumps(told).encode())
        if path.endswith("/v2/embed"):
            return self._cohere_embeddings(request)
        speaks = next((speaks for end, speaks in _FORMATS if path.endswith(end)), None)
        if speaks is None:
            return None
        if isinstance(speaks, Chat) and "mistral" in str(request.body.get("model")):
            speaks = MistralChat()
        question = speaks.ask(path, request.body)
        said = Said('{"label": ') if request.fault == "bad-json" else self._said(question)
        used = (tokens(question.text), said.tokens)
        request.model, (request.input_tokens, request.output_tokens) = question.model, used
        if question.stream:
            return _Answer(speaks.pieces(question, said, used, request.body), content_type=speaks.content_type)
        return _Answer(body=json.dumps(speaks.whole(question, said, used)).encode())

    def _said(self, question: Question) -> Said:
        ruled = (rule(question) for rule in self.rules)
        return next((said for said in ruled if said is not None), None) or answer(question)

    def _cohere_embeddings(self, request: Request) -> _Answer:
        texts = request.body.get("texts") or []
        used = sum(tokens(text) for text in texts)
        request.model, request.input_tokens, request.output_tokens = request.body["model"], used, 0
        numbers = {"float": [vector(text) for text in texts]}
        meta = {"billed_units": {"input_tokens": used}}
        told = {"id": "emb", "embeddings": numbers, "texts": texts, "meta": meta, "response_type": "embeddings_by_type"}
        return _Answer(body=json.dumps(told).encode())


def _free_port() -> int:
    """A port below those that outgoing connections are given: it is still free when the server starts again."""
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *args: Any) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for connection in list(self._connections):
            with contextlib.suppress(OSError):  # its client was quicker
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is none of our concern."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: Provider

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        raw = self._body()
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        failing = self.provider.arrived(request, raw)
        if failing is not None and isinstance(failing.fault, int):
            self._refuse(request, failing)
            return
        if request.fault == "slow":
            self.provider.stopping.wait(30)
            self.close_connection = True
            return
        answer = self.provider.answer(request)
        if answer is None:
            self._send(request, 404, b'{"error": {"message": "nobody speaks this path", "type": "not_found"}}')
        elif answer.pieces:
            self._stream(request, answer)
        elif request.fault == "bad-body":
            self._send(request, 200, b"<html>Bad Gateway</html>")
        else:
            self._send(request, 200, answer.body)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _refuse(self, request: Request, failing: _Failing) -> None:
        """An error that every SDK understands: each finds its own fields."""
        limited = failing.fault == 429
        kind = "rate_limit_error" if limited else "api_error"
        error = {"type": kind, "message": f"refused on request: {failing.fault}", "code": failing.fault}
        body = {"type": "error", "message": error["message"], "error": error}
        headers = {
            "x-amzn-errortype": "ThrottlingException" if limited else "InternalServerException",
            "retry-after-ms": str(round(failing.retry_after_s * 1000)),
            "retry-after": str(max(1, round(failing.retry_after_s))),
        }
        self._send(request, int(failing.fault), json.dumps(body).encode(), headers)

    def _send(self, request: Request, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self._head(status, "application/json", {"content-length": str(len(body)), **(headers or {})})
        if request.fault == "cut":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        request.status = status
        self.wfile.write(body)

    def _stream(self, request: Request, answer: _Answer) -> None:
        self._head(200, answer.content_type, {"transfer-encoding": "chunked"})
        pieces = answer.pieces[: len(answer.pieces) // 2] if request.fault == "cut" else answer.pieces
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        if request.fault == "cut":
            self.close_connection = True
            return
        # Before the last byte: whoever has read the whole answer finds it counted.
        request.status = 200
        self.wfile.write(b"0\r\n\r\n")

    def _head(self, status: int, content_type: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-type": content_type, "x-request-id": "req-1", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
