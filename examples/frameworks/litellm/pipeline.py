"""A newsroom on LiteLLM: one model sorts, with another as its fallback, a tool digs,, and headlines are made at once.

Nothing is adapted. Sync calls go by httpx, async ones by a transport of LiteLLM's own that shows httpx's interface and
sends by aiohttp: each is recorded once, at that interface.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import litellm

from tracer import step, workflow

GPT = "openai/gpt-4o-mini"
CLAUDE = "anthropic/claude-haiku-4-5"
ARCHIVE = {"harbour": "It was opened in 1907."}
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "search_archive",
            "description": "What the paper wrote before.",
            "parameters": {"type": "object", "properties": {"about": {"type": "string"}}, "required": ["about"]},
        },
    }
]


@step
def sort(news: str) -> str:
    """By the other model where the first one refuses."""
    asked = [{"role": "user", "content": f"Answer with one of: sports, politics, local. {news}"}]
    return str(litellm.completion(GPT, asked, fallbacks=[CLAUDE], max_tokens=20).choices[0].message.content)


@step(kind="tool")
def search_archive(about: str) -> str:
    return next((text for word, text in ARCHIVE.items() if word in about), "nothing")


@step
def background(news: str) -> str:
    messages: list[Any] = [{"role": "user", "content": f"Search the archive: {news}"}]
    while True:
        said = litellm.completion(CLAUDE, messages, tools=TOOLS, max_tokens=200).choices[0].message
        if not said.tool_calls:
            return str(said.content)
        messages.append(said.model_dump(exclude_none=True))
        for call in said.tool_calls:
            found = search_archive(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": found})


@step
def write(news: str, facts: str) -> str:
    asked = [{"role": "system", "content": f"Write an article. {facts}"}, {"role": "user", "content": news}]
    stream = litellm.completion(GPT, asked, stream=True, max_tokens=300, stream_options={"include_usage": True})
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


@workflow
def article(news: str) -> dict[str, str]:
    return {"desk": sort(news), "text": write(news, background(news))}


@step
async def headline(news: str) -> str:
    said = await litellm.acompletion(GPT, [{"role": "user", "content": f"A headline for: {news}"}])
    return str(said.choices[0].message.content)


@step
async def lead(news: list[str]) -> str:
    asked = [{"role": "user", "content": "\n".join(news)}]
    stream = await litellm.acompletion(GPT, asked, stream=True, stream_options={"include_usage": True})
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


@workflow
async def teaser(news: str) -> str:
    """Of an async stream of Anthropic's LiteLLM reads the last event and lets go of the rest, without closing it."""
    asked = [{"role": "user", "content": f"A teaser for: {news}"}]
    stream = await litellm.acompletion(CLAUDE, asked, stream=True, max_tokens=300)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


@workflow
async def front_page(news: list[str]) -> dict[str, Any]:
    headlines = await asyncio.gather(*(headline(each) for each in news))
    vectors = await litellm.aembedding("openai/text-embedding-3-small", input=headlines)
    return {"headlines": headlines, "lead": await lead(headlines), "near": vectors.data[0]["embedding"][:2]}
