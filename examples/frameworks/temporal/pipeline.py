"""A support ticket, answered by a Temporal workflow whose activities call models on a worker.

The activities are playhead workflows (``@workflow`` below ``@activity.defn``), and the client, which is also its
workers', has the ``PlayheadInterceptor``: so they are children of ``durably``, whichever worker runs them, each try
of Temporal's one step. Temporal's workflow code is not recorded, so running it again from its history doubles nothing.

A replay starts nothing in Temporal: ``durably`` is served from the record with all that lies below it; if the replay
reaches into it (another model in one activity, say), ``Support`` runs in the process of the replay, and its activities
are served or asked for one by one. An activity that had no caller is a trace of its own.
"""

from __future__ import annotations

import os
from datetime import timedelta
from uuid import uuid4

from temporalio import workflow as temporal
from temporalio.client import Client
from temporalio.common import RetryPolicy

with temporal.unsafe.imports_passed_through():  # tracer, too: the sandbox is no place to record in
    from activities import Reply, classify, draft, polish, send

    from tracer import step, workflow
    from tracer.adapters.temporal import PlayheadInterceptor

QUEUE = "support"
ONCE_MORE = {
    "start_to_close_timeout": timedelta(seconds=30),
    "retry_policy": RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_attempts=3),
}


@temporal.defn
class Support:
    @temporal.run
    async def run(self, ticket: str) -> str:
        intent = await temporal.execute_activity(classify, ticket, **ONCE_MORE)
        text = await temporal.execute_activity(draft, args=[ticket, intent], **ONCE_MORE)
        short = await temporal.execute_local_activity(polish, text, **ONCE_MORE)
        return await temporal.execute_child_workflow(Delivery.run, Reply(intent, short))


@temporal.defn
class Delivery:
    @temporal.run
    async def run(self, reply: Reply) -> str:
        return await temporal.execute_activity(send, reply, **ONCE_MORE)


async def connected(*, lazy: bool = False) -> Client:
    """``lazy`` where workflows are started, so that a replay looks for no server; a worker's can't be."""
    playhead = PlayheadInterceptor(workflows=[Support, Delivery])
    return await Client.connect(os.environ["TEMPORAL_ADDRESS"], lazy=lazy, interceptors=[playhead])


@workflow
async def support(ticket: str) -> str:
    return await durably(ticket.strip())


@step
async def durably(ticket: str) -> str:
    client = await connected(lazy=True)
    return await client.execute_workflow(Support.run, ticket, id=f"support-{uuid4()}", task_queue=QUEUE)
