"""Where OpenTelemetry exports to: an HTTP server in a process of its own that parses and counts spans, and keeps none.

``POST /v1/traces`` takes an OTLP request; ``GET /taken`` gives ``{"spans": ..., "bytes": ...}`` since the last GET.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Iterator
from urllib.request import ProxyHandler, build_opener


class _Taking(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Guards the two numbers: a client that closes its connection and opens another is served by two threads.
    lock = threading.Lock()
    spans = 0
    wire_bytes = 0

    def do_POST(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415 - only the sink needs it
            ExportTraceServiceRequest,
        )

        body = self.rfile.read(int(self.headers["content-length"]))
        request = ExportTraceServiceRequest.FromString(body)
        count = sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)
        with self.lock:
            _Taking.spans += count
            _Taking.wire_bytes += len(body)
        self._answer(b"")

    def do_GET(self) -> None:
        with self.lock:
            taken = {"spans": _Taking.spans, "bytes": _Taking.wire_bytes}
            _Taking.spans = _Taking.wire_bytes = 0
        self._answer(json.dumps(taken).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent: a line per request would be work beside what is measured."""


def serve() -> None:
    """Serve until the standard input is closed, the port being the first line printed."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Taking) as server:
        print(server.server_address[1], flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        server.shutdown()


@contextlib.contextmanager
def running(environment: dict[str, str]) -> Iterator[str]:
    """A sink in a child process; gives its address, and ends it."""
    command = [sys.executable, "-m", "costs.sink"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(child.stdout.readline())}"
        finally:
            child.stdin.close()


def taken(address: str) -> dict[str, int]:
    """What came since the last time this was asked: {"spans", "bytes"}."""
    with build_opener(ProxyHandler({})).open(f"{address}/taken", timeout=10) as answer:
        numbers: dict[str, int] = json.load(answer)
        return numbers


if __name__ == "__main__":
    serve()
