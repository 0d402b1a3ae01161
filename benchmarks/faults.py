"""How long the matrix of faults takes: all faults at each of five model calls, every cell a replay of its own.

    python benchmarks/faults.py [calls]

The pipeline asks a small provider on 127.0.0.1 through OpenAI's SDK, is recorded once, and is then played offline.
Reading the record and writing the new traces are part of it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai

import tracer
from replay import faults

ROUNDS = 3
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_790_000_000,
    "model": "small-1",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": '{"intent": "billing", "confidence": 0.9}'},
        }
    ],
    "usage": {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52},
}


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Prints nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


#: Made once, as a service does.
CLIENTS: dict[str, openai.OpenAI] = {}


@tracer.step
def ask(url: str, number: int) -> dict[str, Any]:
    if url not in CLIENTS:
        CLIENTS[url] = openai.OpenAI(base_url=url, api_key="not-a-real-key")
    said = CLIENTS[url].chat.completions.create(
        model="small", messages=[{"role": "user", "content": f"question {number}"}]
    )
    found: dict[str, Any] = json.loads(said.choices[0].message.content or "")
    return found


@tracer.workflow
def pipeline(url: str, calls: int) -> list[Any]:
    return [ask(url, number) for number in range(calls)]


def main(calls: int) -> None:
    tracer.configure(home=tempfile.mkdtemp())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipeline(f"http://127.0.0.1:{server.server_address[1]}/v1", calls)
    server.shutdown()
    server.server_close()
    tracer.flush()
    trace_id = faults("latest", faults=["slow"], steps=["ask[0]"]).trace_id
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        matrix = faults(trace_id)
        times.append(time.perf_counter() - began)
    played = sum(cell.trace_id is not None for cell in matrix.cells)
    print(f"{len(matrix.steps)} calls, {len(matrix.faults)} faults: {len(matrix.cells)} cells, {played} replays")
    print(f"best of {ROUNDS}: {min(times):.2f} s, {min(times) / max(1, played) * 1e3:.1f} ms a replay")
    print(f"skipped {matrix.virtual_s:.0f} s of waiting; cost ${matrix.cost_usd}")
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(matrix.counts.items())))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
