"""An analyst on Bedrock with boto3: converse with a tool, converse_stream, and invoke_model.

Nothing is adapted: botocore sends by urllib3, where each of its attempts is seen, and the binary stream of events that
Bedrock answers with is replayed from its bytes.
"""

from __future__ import annotations

import json
from typing import Any

import boto3
from botocore.config import Config

from tracer import step, workflow

NOVA = "eu.amazon.nova-lite-v1:0"
CLAUDE = "anthropic.claude-haiku-4-5"
PRICES = {"copper": 9.1, "zinc": 2.7}
TOOLS: Any = {
    "tools": [
        {
            "toolSpec": {
                "name": "price_of",
                "description": "Today's price of a metal.",
                "inputSchema": {
                    "json": {
                        "type": "object",
                        "properties": {"metal": {"type": "string", "enum": sorted(PRICES)}},
                        "required": ["metal"],
                    }
                },
            }
        }
    ]
}

client = boto3.client("bedrock-runtime", config=Config(retries={"mode": "standard", "total_max_attempts": 3}))


@step(kind="tool")
def price_of(metal: str) -> float | None:
    return PRICES.get(metal)


@step
def look_up(question: str) -> str:
    messages: list[Any] = [{"role": "user", "content": [{"text": question}]}]
    while True:
        answer = client.converse(modelId=NOVA, messages=messages, toolConfig=TOOLS)
        said = answer["output"]["message"]
        if answer["stopReason"] != "tool_use":
            return str(said["content"][0]["text"])
        uses = [block["toolUse"] for block in said["content"] if "toolUse" in block]
        results = [
            {"toolUseId": use["toolUseId"], "content": [{"json": {"price": price_of(**use["input"])}}]} for use in uses
        ]
        messages += [said, {"role": "user", "content": [{"toolResult": result} for result in results]}]


@step
def write(question: str, facts: str) -> str:
    answer = client.converse_stream(
        modelId=NOVA,
        system=[{"text": f"Write a note. {facts}"}],
        messages=[{"role": "user", "content": [{"text": question}]}],
    )
    deltas = (event["contentBlockDelta"]["delta"] for event in answer["stream"] if "contentBlockDelta" in event)
    return "".join(delta["text"] for delta in deltas)


@step
def grade(note: str) -> str:
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 20,
        "system": "Answer with one of: clear, unclear",
        "messages": [{"role": "user", "content": note}],
    }
    answer = client.invoke_model(modelId=CLAUDE, body=json.dumps(body))
    return str(json.loads(answer["body"].read())["content"][0]["text"])


@workflow
def analyse(question: str) -> dict[str, str]:
    note = write(question, look_up(question))
    return {"note": note, "grade": grade(note)}
