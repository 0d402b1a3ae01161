"""A model provider on 127.0.0.1 that really limits rates: OpenAI's chat, and a bucket of tokens for each limited model.

A request without a token is refused with a 429, before the model is asked. ``Retry-After`` says when there will be a
token again, in whole seconds as HTTP has it; a provider may also leave it out.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Mapping, Self

from canary.classifiers import answer


class Bucket:
    """``take()`` gives 0.0 where there was a token, else the seconds until there is one. ``clock`` gives seconds."""

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._tokens, self._at = float(burst), clock()
        # Guards the two above.
        self._lock = threading.Lock()

    def take(self) -> float:
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
            self._at = now
            if self._tokens < 1:
                return (1 - self._tokens) / self._per_s
            self._tokens -= 1
            return 0.0


class Provider:
    """``with Provider({model: bucket}) as provider: provider.url`` (up to /v1). ``answered`` and ``refused`` count
    requests by model."""

    def __init__(self, limits: Mapping[str, Bucket], *, says_when: bool = True) -> None:
        self.limits = limits
        #: Whether a refusal has a Retry-After.
        self.says_when = says_when
        self.answered: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        # Guards the two above.
        self.lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"provider": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def respond(self, asked: Mapping[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Status, headers and body for a request."""
        model, ticket = asked["model"], asked["messages"][-1]["content"]
        wait_s = self.limits[model].take() if model in self.limits else 0.0
        with self.lock:
            (self.refused if wait_s else self.answered)[model] += 1
        if wait_s:
            error = {"message": f"Rate limit reached for {model}", "type": "rate_limit_error", "code": None}
            return 429, {"retry-after": str(math.ceil(wait_s))} if self.says_when else {}, {"error": error}
        text = answer(model, ticket)
        told, said = len(ticket) // 4, len(text) // 4
        body = {
            "id": "chatcmpl-canary",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": told, "completion_tokens": said, "total_tokens": told + said},
        }
        return 200, {}, body

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement
    provider: Provider

    def log_message(self, *_: object) -> None:
        """The example prints its report and nothing else."""

    def do_POST(self) -> None:
        asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status, headers, body = self.provider.respond(asked)
        sent = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "content-type": "application/json", "content-length": str(len(sent))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)
