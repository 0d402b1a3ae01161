"""Streams against a server in a process of its own: ``serve`` is that server; else how long a client's readers wait.

    python -m costs.streams CLIENT (bare | recorded) ADDRESS COUNT

prints, as medians, {"first_us": from the request to its first piece, "cpu_us": what of that the reading thread worked,
"whole_us": to the end of the stream}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Awaitable, Callable, Iterator

QUESTION = {"model": "m-1", "stream": True, "messages": [{"role": "user", "content": "Say something. " * 100}]}
_PIECES = 20
_DELTA = {"id": "c-1", "object": "chat.completion.chunk", "model": "m-1", "choices": [{"index": 0, "delta": {}}]}
#: Before them the clients make their connections and load what they load.
_WARM_UP = 10

#: A model takes its time before the first piece; in that, what an earlier stream left to do gets done.
_THINKING_S = 0.03

#: From the request to the first piece, of that CPU of the reading thread, and to the end; in nanoseconds.
Reading = tuple[int, int, int]


def _now() -> tuple[int, int]:
    return time.perf_counter_ns(), time.thread_time_ns()


def _reading(begun: tuple[int, int], first: tuple[int, int]) -> Reading:
    return first[0] - begun[0], first[1] - begun[1], time.perf_counter_ns() - begun[0]


class _Streaming(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(_THINKING_S)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number in range(_PIECES):
            _DELTA["choices"] = [{"index": 0, "delta": {"content": f"word {number} "}}]
            data = b"data: %s\n\n" % json.dumps(_DELTA).encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Silent: a line per request would be work beside what is measured."""


def serve() -> None:
    """Serve until the standard input is closed, the port being the first line printed."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Streaming) as server:
        server.daemon_threads = True
        print(server.server_address[1], flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        server.shutdown()


@contextlib.contextmanager
def running(environment: dict[str, str]) -> Iterator[str]:
    """The server in a child process; gives its address, and ends it."""
    command = [sys.executable, "-m", "costs.streams", "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(child.stdout.readline())}/v1/chat/completions"
        finally:
            child.stdin.close()


def _timed(begun: tuple[int, int], pieces: Iterator[bytes]) -> Reading:
    next(pieces)
    first = _now()
    for _ in pieces:
        pass
    return _reading(begun, first)


async def _timed_async(begun: tuple[int, int], pieces: Any) -> Reading:
    await anext(pieces)
    first = _now()
    async for _ in pieces:
        pass
    return _reading(begun, first)


def by_httpx2(url: str, count: int) -> list[Reading]:
    import httpx2  # noqa: PLC0415 - one client in each process

    readings = []
    with httpx2.Client() as client:
        for _ in range(count):
            begun = _now()
            with client.stream("POST", url, json=QUESTION) as response:
                readings.append(_timed(begun, response.iter_raw()))
    return readings


async def by_httpx2_async(url: str, count: int) -> list[Reading]:
    import httpx2  # noqa: PLC0415

    readings = []
    async with httpx2.AsyncClient() as client:
        for _ in range(count):
            begun = _now()
            async with client.stream("POST", url, json=QUESTION) as response:
                readings.append(await _timed_async(begun, response.aiter_raw()))
    return readings


def by_requests(url: str, count: int) -> list[Reading]:
    import requests  # noqa: PLC0415

    readings = []
    with requests.Session() as session:
        for _ in range(count):
            begun = _now()
            with session.post(url, json=QUESTION, stream=True) as response:
                readings.append(_timed(begun, response.iter_content(None)))
    return readings


async def by_aiohttp(url: str, count: int) -> list[Reading]:
    import aiohttp  # noqa: PLC0415

    readings = []
    async with aiohttp.ClientSession() as session:
        for _ in range(count):
            begun = _now()
            async with session.post(url, json=QUESTION) as response:
                readings.append(await _timed_async(begun, response.content.iter_any()))
    return readings


#: By the name on the command line.
CLIENTS: dict[str, Callable[[str, int], Any]] = {
    "httpx2": by_httpx2,
    "httpx2-async": by_httpx2_async,
    "requests": by_requests,
    "aiohttp": by_aiohttp,
}


def _recorded(send: Callable[[str, int], Any], url: str, count: int) -> list[Reading]:
    import tracer  # noqa: PLC0415 - not in the process that is not recorded

    with tempfile.TemporaryDirectory() as folder:
        tracer.configure(home=folder)
        readings = _run(tracer.workflow(send), url, count)
        tracer.shutdown()
    return readings


def _run(send: Callable[[str, int], Any], url: str, count: int) -> list[Reading]:
    given: list[Reading] | Awaitable[list[Reading]] = send(url, count)
    return given if isinstance(given, list) else asyncio.run(given)  # type: ignore[arg-type]  # a coroutine


def main() -> None:
    if sys.argv[1] == "serve":
        serve()
        return
    client, how, url, count = sys.argv[1:]
    send = CLIENTS[client]
    made = (_recorded if how == "recorded" else _run)(send, url, int(count) + _WARM_UP)[_WARM_UP:]
    first, cpu, whole = (statistics.median(times) / 1e3 for times in zip(*made, strict=True))
    print(json.dumps({"first_us": first, "cpu_us": cpu, "whole_us": whole}))


if __name__ == "__main__":
    main()
