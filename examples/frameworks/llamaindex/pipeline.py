"""A LlamaIndex pipeline: a ticket is sorted, notes are retrieved, an agent with a tool answers, Claude retells it.

LlamaIndex calls its models through the OpenAI and Anthropic SDKs, on httpx. All of it is seen, embeddings included, and
nothing needs an adapter. An agent runs as a LlamaIndex workflow, whose steps are tasks of their own; calls and tools in
them still stand below the playhead step that started it.
"""

from __future__ import annotations

from typing import Any, Literal

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.openai import OpenAI
from pydantic import BaseModel

from tracer import step, workflow

#: An agent streams, and a stream of OpenAI's counts its tokens only when it is asked to.
USAGE = {"stream_options": {"include_usage": True}}


class Sorted(BaseModel):
    """What a ticket is about."""

    intent: Literal["billing", "delivery", "other"]


@step(kind="tool")
async def find_order(order: int) -> str:
    """Say where an order is."""
    return f"{order} left the warehouse on Monday"


@step
def classify(ticket: str) -> str:
    said = OpenAI("gpt-4o-mini").as_structured_llm(Sorted).chat([ChatMessage(ticket)])
    assert isinstance(said.raw, Sorted)
    return said.raw.intent


@step(kind="retriever")
async def retrieve(ticket: str, notes: list[str]) -> list[str]:
    """The note that is nearest to the ticket."""
    embed = OpenAIEmbedding(model="text-embedding-3-small")
    index = VectorStoreIndex.from_documents([Document(text=note) for note in notes], embed_model=embed)
    return [node.text for node in await index.as_retriever(similarity_top_k=1).aretrieve(ticket)]


@step
async def answer(ticket: str, known: list[str]) -> str:
    llm = OpenAI("gpt-4o-mini", additional_kwargs=USAGE)
    agent = FunctionAgent(tools=[find_order], llm=llm, system_prompt=f"You know: {known}")
    return str(await agent.run(ticket))


@step
async def retell(reply: str) -> dict[str, Any]:
    """The reply in other words, as it comes."""
    said = await Anthropic("claude-sonnet-4-5").astream_chat([ChatMessage(f"Say it in a warmer tone: {reply}")])
    pieces = [piece.delta async for piece in said]
    return {"reply": "".join(pieces), "streamed": len(pieces) > 1}


@workflow
async def desk(ticket: str, notes: list[str]) -> dict[str, Any]:
    intent = classify(ticket)
    return {"intent": intent, **await retell(await answer(ticket, await retrieve(ticket, notes)))}
