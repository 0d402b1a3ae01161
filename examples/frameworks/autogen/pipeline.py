"""An AutoGen team: a clerk looks an order up with a tool, a writer drafts on another provider's model, in turns.

AutoGen's OpenAI client runs on httpx2 and its Anthropic client on httpx; both are seen in one process, and so are calls
made below the team's own message runtime. Nothing needs an adapter. AutoGen gives the tools of one answer to
``asyncio.gather``, so they are recorded side by side.
"""

from __future__ import annotations

from typing import Any, Literal

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, SourceMatchTermination
from autogen_agentchat.messages import ModelClientStreamingChunkEvent, StructuredMessage, TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.anthropic import AnthropicChatCompletionClient
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel

from tracer import step, workflow


class Sorted(BaseModel):
    intent: Literal["billing", "delivery", "other"]


@step(kind="tool")
async def find_order(order: int) -> str:
    """Say where an order is."""
    return f"{order} left the warehouse on Monday"


@step
async def classify(ticket: str) -> str:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    sorter = AssistantAgent("sorter", client, system_message="Sort this ticket.", output_content_type=Sorted)
    done = await sorter.run(task=ticket)
    await client.close()
    said = done.messages[-1]
    assert isinstance(said, StructuredMessage)
    return str(said.content.intent)


@step
async def converse(ticket: str) -> dict[str, Any]:
    openai = OpenAIChatCompletionClient(model="gpt-4o-mini")
    anthropic = AnthropicChatCompletionClient(model="claude-sonnet-4-5")
    clerk = AssistantAgent(
        "clerk", openai, tools=[find_order], system_message="Look the order up.", reflect_on_tool_use=True
    )
    writer = AssistantAgent("writer", anthropic, system_message="Answer the customer.", model_client_stream=True)
    team = RoundRobinGroupChat(
        [clerk, writer], termination_condition=SourceMatchTermination(["writer"]) | MaxMessageTermination(12)
    )
    said: dict[str, Any] = {"streamed": False}
    async for message in team.run_stream(task=ticket):
        if isinstance(message, ModelClientStreamingChunkEvent):
            said["streamed"] = True
        elif isinstance(message, TextMessage) and message.source != "user":
            said[message.source] = message.content
    await openai.close()
    await anthropic.close()
    return said


@workflow
async def desk(ticket: str) -> dict[str, Any]:
    return {"intent": await classify(ticket), **await converse(ticket)}
