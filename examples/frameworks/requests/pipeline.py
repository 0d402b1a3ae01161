"""Sorting letters with requests alone, without an SDK: a session that retries, a stream, and threads.

Nothing is adapted: requests are seen where urllib3 sends them, below requests' session and its retries.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tracer import step, workflow

MODEL = "claude-haiku-4-5"
URL = f"{os.environ['ANTHROPIC_BASE_URL']}/v1/messages"

session = requests.Session()
session.headers.update({"x-api-key": os.environ["ANTHROPIC_API_KEY"], "anthropic-version": "2023-06-01"})
retrying = Retry(
    3, status_forcelist=(429, 500), allowed_methods=None, backoff_factor=0.01, respect_retry_after_header=False
)
session.mount("http://", HTTPAdapter(max_retries=retrying))


def asking(system: str, text: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": MODEL, "max_tokens": 200, "system": system, "messages": messages, **more}


@step
def sort(text: str) -> str:
    response = session.post(URL, json=asking("Answer with one of: bill, complaint, praise, other", text), timeout=10)
    response.raise_for_status()
    return str(response.json()["content"][0]["text"])


@step
def reply(texts: list[str]) -> str:
    body = asking("Write one reply to all", "\n".join(texts), stream=True)
    with session.post(URL, json=body, stream=True, timeout=10) as response:
        response.raise_for_status()
        events = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith(b"data: ")]
    return "".join(event.get("delta", {}).get("text", "") for event in events)


@workflow
def letters(texts: list[str]) -> dict[str, Any]:
    with ThreadPoolExecutor(2) as pool:
        sorts = list(pool.map(sort, texts))
    return {"sorts": sorts, "reply": reply(texts)}
