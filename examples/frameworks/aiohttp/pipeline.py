"""Translating reviews with aiohttp alone, without an SDK: languages told at once, then a translation that is streamed.

Nothing is adapted: requests are seen where aiohttp's session sends them, model calls among them by what they say.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from aiohttp import ClientError, ClientSession

from tracer import step, workflow

MODEL = "gpt-4o-mini"
URL = os.environ["OPENAI_BASE_URL"]
HEADERS = {"authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}


def asking(system: str, text: str, **more: Any) -> dict[str, Any]:
    return {
        "model": MODEL,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": text}],
        **more,
    }


@step
async def language(session: ClientSession, text: str) -> str:
    """Asked three times at most: aiohttp retries nothing by itself."""
    body = asking("Answer with one of: french, german, other", text)
    for attempt in range(3):
        async with session.post(f"{URL}/chat/completions", json=body) as response:
            if response.status == 429 and attempt < 2:
                await asyncio.sleep(0.01)
                continue
            response.raise_for_status()
            return str((await response.json())["choices"][0]["message"]["content"])
    raise ClientError("too many attempts")


@step
async def translate(session: ClientSession, text: str) -> str:
    words = []
    body = asking("Translate into English", text, stream=True, stream_options={"include_usage": True})
    async with session.post(f"{URL}/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.content:
            data = line.removeprefix(b"data: ").strip()
            if data.startswith(b"{"):
                words += [choice["delta"].get("content", "") for choice in json.loads(data)["choices"]]
    return "".join(words)


@step
async def embed(session: ClientSession, texts: list[str]) -> list[float]:
    body = {"model": "text-embedding-3-small", "input": texts}
    async with session.post(f"{URL}/embeddings", json=body) as response:
        return [entry["embedding"][0] for entry in (await response.json())["data"]]


@workflow
async def reviews(texts: list[str]) -> dict[str, Any]:
    async with ClientSession(headers=HEADERS) as session:
        languages = await asyncio.gather(*(language(session, text) for text in texts))
        return {
            "languages": languages,
            "english": await translate(session, texts[0]),
            "near": await embed(session, texts),
        }
