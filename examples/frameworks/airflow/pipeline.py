"""A support ticket through a DAG of Airflow's: labels, a tool, a streamed reply, and a task that is tried again.

The tasks are playhead workflows (``@workflow`` below ``@task``). A worker runs each in a process of its own, where it
is a trace of its own; if whoever triggered the DAG put ``tracer.headers()`` into its ``conf``, ``in_callers_trace``
makes it part of that trace. ``support`` runs the DAG with ``dag.test()``, in this process: there the tasks are its
steps, and a replay runs the DAG again and serves what the tasks asked for; it needs no server,
and writes to Airflow's database, which has to be allowed: ``--allow support``.
"""

from __future__ import annotations

import json
from datetime import timedelta
from functools import wraps
from typing import Any, Callable

import pendulum
from airflow.sdk import DAG, Param, get_current_context, task
from openai import OpenAI

import tracer
from tracer import effect, step, workflow
from tracer.adapters import airflow

airflow.install()

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


def in_callers_trace(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        run = get_current_context()["dag_run"]
        with tracer.continued(run.conf or {}):
            return function(*args, **kwargs)

    return call


@task(retries=2, retry_delay=timedelta(0))
@in_callers_trace
@workflow
def classify(ticket: str) -> str:
    client = OpenAI(max_retries=0)  # Airflow does the retrying
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": f"Choose one of: billing, delivery, other\n{ticket}"}]
    )
    return answer.choices[0].message.content or "other"


@step(kind="tool")
def lookup_order(number: int) -> str:
    return ORDERS.get(str(number), "is not known")


@task
@in_callers_trace
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


@task
@in_callers_trace
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


with DAG(
    "desk", schedule=None, start_date=pendulum.datetime(2026, 1, 1), params={"ticket": Param("", type="string")}
) as dag:
    asked = "{{ params.ticket }}"
    draft(asked, classify(asked), research(asked))


@workflow
def support(ticket: str) -> str:
    run = dag.test(run_conf={"ticket": ticket})
    if run.state != "success":
        raise RuntimeError(f"the run of {dag.dag_id} ended as {run.state}")
    return str(run.get_task_instance("draft").xcom_pull(task_ids="draft"))
