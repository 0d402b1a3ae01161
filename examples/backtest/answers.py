"""The recorded answers, and a model provider on 127.0.0.1 that gives them: OpenAI's chat, the answer found by model and
question. Token counts are estimated (a token for every four characters), for the data holds none; nor does it hold
times: those that a backtest shows here are this server's."""

from __future__ import annotations

import gzip
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Mapping, Self

DATA = Path(__file__).parent / "data" / "gsm8k.jsonl.gz"
WEAK, STRONG = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"


@dataclass(frozen=True)
class Row:
    question: str
    gold: str
    texts: Mapping[str, str]
    #: What the authors of the data counted as right, by model.
    correct: Mapping[str, bool]


def rows() -> list[Row]:
    """All questions, in the order of the file."""
    with gzip.open(DATA, "rt", encoding="utf-8") as file:
        read = [json.loads(line) for line in file]
    return [
        Row(
            question=row["question"],
            gold=row["gold_number"],
            texts={model: said["text"] for model, said in row["responses"].items()},
            correct={model: said["correct"] for model, said in row["responses"].items()},
        )
        for row in read
    ]


class Provider:
    """``with Provider() as provider: provider.url`` (up to /v1)."""

    def __init__(self) -> None:
        answers = {(model, row.question): text for row in rows() for model, text in row.texts.items()}
        handler = type("Handler", (_Handler,), {"answers": answers})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement
    answers: Mapping[tuple[str, str], str]

    def log_message(self, *_: object) -> None:
        """The example prints its report and nothing else."""

    def do_POST(self) -> None:
        asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = asked["messages"][-1]["content"]
        text = self.answers[asked["model"], question]
        told, said = len(question) // 4, len(text) // 4
        body = {
            "id": "chatcmpl-recorded",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": asked["model"],
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": told, "completion_tokens": said, "total_tokens": told + said},
        }
        sent = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)
