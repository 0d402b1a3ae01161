"""Reviewing a contract with Anthropic's SDK: a tool that the model asks for, a stream, and clauses read at once.

Nothing is adapted: the SDK stands on httpx2, sync and async, and every attempt of its retries is seen there.
"""

from __future__ import annotations

import asyncio
from typing import Any

from anthropic import Anthropic, AsyncAnthropic

from tracer import step, workflow

MODEL = "claude-haiku-4-5"
CLAUSES = {"7": "Either side may leave with 30 days' notice.", "9": "Late payments bear interest of 8 percent."}
TOOLS: Any = [
    {
        "name": "fetch_clause",
        "description": "The wording of a clause.",
        "input_schema": {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
    }
]

client = Anthropic()


@step(kind="tool")
def fetch_clause(number: int) -> str:
    return CLAUSES.get(str(number), "There is no such clause.")


@step
def read(question: str) -> str:
    """Let the model fetch what it wants to read, until it has an answer."""
    messages: list[Any] = [{"role": "user", "content": question}]
    while True:
        said = client.messages.create(model=MODEL, max_tokens=300, tools=TOOLS, messages=messages)
        if said.stop_reason != "tool_use":
            return "".join(block.text for block in said.content if block.type == "text")
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": fetch_clause(**block.input)}
            for block in said.content
            if block.type == "tool_use"
        ]
        messages += [{"role": "assistant", "content": said.content}, {"role": "user", "content": results}]


@step
def write(question: str, found: str) -> str:
    with client.messages.stream(
        model=MODEL,
        max_tokens=300,
        system=f"Explain plainly. {found}",
        messages=[{"role": "user", "content": question}],
    ) as stream:
        return "".join(stream.text_stream)


@workflow
def review(question: str) -> str:
    return write(question, read(question))


@step
async def rate(model: AsyncAnthropic, clause: str) -> str:
    said = await model.messages.create(
        model=MODEL,
        max_tokens=20,
        system="Answer with one of: harmless, risky, unclear",
        messages=[{"role": "user", "content": clause}],
    )
    return said.content[0].text


@workflow
async def rate_all(clauses: list[str]) -> list[str]:
    async with AsyncAnthropic() as model:
        return list(await asyncio.gather(*(rate(model, clause) for clause in clauses)))
