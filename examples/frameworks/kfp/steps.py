"""What the components do: an image would hold this module, and the components import it in their own processes."""

from __future__ import annotations

import json
from typing import Any

from openai import OpenAI

from tracer import effect, step, workflow

MODEL = "gpt-4o-mini"
ORDERS = {"1042": "left our house on Monday"}
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "lookup_order",
            "description": "What we know of an order.",
            "parameters": {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
        },
    }
]


@workflow
def classify(ticket: str) -> str:
    answer = OpenAI().chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": f"Choose one of: billing, delivery, other\n{ticket}"}]
    )
    return answer.choices[0].message.content or "other"


@step(kind="tool")
def lookup_order(number: int) -> str:
    return ORDERS.get(str(number), "is not known")


@workflow
def research(ticket: str) -> str:
    """Let the model ask its tool, until it has an answer."""
    client, messages = OpenAI(), [{"role": "user", "content": ticket}]
    while True:
        said = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS).choices[0].message
        if not said.tool_calls:
            return said.content or ""
        messages.append(said.model_dump(exclude_none=True))
        for call in said.tool_calls:
            found = lookup_order(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": found})


@workflow
def draft(ticket: str, intent: str, facts: str) -> str:
    stream = OpenAI().chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": f"Reply to this {intent} ticket. {facts}\n{ticket}"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    return send("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))


@effect
def send(reply: str) -> str:
    return reply
