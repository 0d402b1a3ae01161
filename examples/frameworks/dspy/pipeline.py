"""A DSPy program: it sorts tickets in parallel, looks up the order of the first with a tool, and streams the reply.

DSPy calls its models through litellm, on httpx. All of it is seen, the threads of ``dspy.Parallel`` and ``asyncify``
included, and nothing needs an adapter. DSPy asks its cache first, and an answer out of it is no call: a second run in
the same place records none, and a replay there is answered by the cache instead of the record. So it is off here.
``track_usage=True`` lets streams count their tokens.
"""

from __future__ import annotations

from typing import Any, Literal

import dspy

from tracer import step, workflow

#: Where it must be on, replay with ``DSPY_CACHEDIR`` set to an empty folder.
CACHED = False


class Sort(dspy.Signature):
    """Sort a customer's ticket."""

    ticket: str = dspy.InputField()
    intent: Literal["billing", "delivery", "other"] = dspy.OutputField()


class Look(dspy.Signature):
    """Choose what to look up for a customer."""

    ticket: str = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    calls: dspy.ToolCalls = dspy.OutputField()


class Reply(dspy.Signature):
    """Answer a customer's ticket by what is known of the order."""

    ticket: str = dspy.InputField()
    known: str = dspy.InputField()
    reply: str = dspy.OutputField()


@step(kind="tool")
def find_order(order: int) -> str:
    """Say where an order is."""
    return f"{order} left the warehouse on Monday"


@step
def classify(tickets: list[str]) -> list[str]:
    sort = dspy.Predict(Sort)
    batch = dspy.Parallel(num_threads=2, disable_progress_bar=True)
    return [sorted_.intent for sorted_ in batch([(sort, {"ticket": ticket}) for ticket in tickets])]


@step
async def look_up(ticket: str) -> str:
    tools = [dspy.Tool(find_order)]
    asked = await dspy.Predict(Look).acall(ticket=ticket, tools=tools)
    return " ".join(str(call.execute(functions=tools)) for call in asked.calls.tool_calls)


@step
async def draft(ticket: str, known: str) -> dict[str, Any]:
    listener = dspy.streaming.StreamListener(signature_field_name="reply")
    writer = dspy.streamify(dspy.Predict(Reply), stream_listeners=[listener])
    pieces, reply = 0, ""
    async for piece in writer(ticket=ticket, known=known):
        if isinstance(piece, dspy.Prediction):
            reply = piece.reply
        else:
            pieces += 1
    return {"reply": reply, "streamed": pieces > 0}


@workflow
async def triage(tickets: list[str]) -> dict[str, Any]:
    lm = dspy.LM("openai/gpt-4o-mini", cache=CACHED, num_retries=2)
    adapter = dspy.JSONAdapter(use_native_function_calling=True)
    with dspy.context(lm=lm, adapter=adapter, track_usage=True):
        intents = await dspy.asyncify(classify)(tickets)
        known = await look_up(tickets[0])
        return {"intents": intents, "known": known, **await draft(tickets[0], known)}
