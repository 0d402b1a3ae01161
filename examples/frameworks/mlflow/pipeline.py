"""A support desk as a model of MLflow's: logged, loaded and asked through ``predict``, under its own tracing.

Nothing is adapted. MLflow's autologging wraps the SDK's methods, playhead stands at the transport below: each sees
every call once, and neither sees the other. A replay loads the model again and is answered from the record; to MLflow
that is one more run, which it traces as it would any other: it writes its own files and database, so a replay
has to be let, with ``--allow support``.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Literal

import mlflow
from openai import OpenAI
from pydantic import BaseModel

from tracer import step, workflow

mlflow.openai.autolog()

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


class Intent(BaseModel):
    intent: Literal["billing", "delivery", "other"]


@step
@mlflow.trace
def classify(ticket: str) -> str:
    answer = OpenAI().chat.completions.parse(
        model=MODEL,
        messages=[{"role": "system", "content": "Sort the message."}, {"role": "user", "content": ticket}],
        response_format=Intent,
    )
    found = answer.choices[0].message.parsed
    return "other" if found is None else found.intent


@step(kind="tool")
@mlflow.trace(span_type="TOOL")
def lookup_order(number: int) -> str:
    return ORDERS.get(str(number), "is not known")


@step
@mlflow.trace
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


@step
@mlflow.trace
def draft(ticket: str, intent: str, facts: str) -> str:
    stream = OpenAI().chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": f"Reply to this {intent} ticket. {facts}\n{ticket}"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


@mlflow.trace
def answer(ticket: str) -> str:
    with ThreadPoolExecutor(2) as pool:  # MLflow's parents are context variables: a pool must be given them
        intent = pool.submit(copy_context().run, classify, ticket)
        facts = pool.submit(copy_context().run, research, ticket)
        return draft(ticket, intent.result(), facts.result())


class Desk(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:
        return [answer(ticket) for ticket in model_input]


def log() -> str:
    """The address of the desk as a logged model."""
    with mlflow.start_run():
        return str(mlflow.pyfunc.log_model(name="desk", python_model=Desk(), pip_requirements=["openai"]).model_uri)


@workflow
def support(desk: str, tickets: list[str]) -> list[str]:
    return list(mlflow.pyfunc.load_model(desk).predict(tickets))
