"""A Haystack pipeline: notes are embedded and the nearest found, an agent looks an order up, a reply is streamed.

Haystack calls its models through the OpenAI SDK, on httpx2. All of it is seen, an agent's threads included, and nothing
needs an adapter. Haystack's telemetry is no model call and goes out by another client;
``HAYSTACK_TELEMETRY_ENABLED=False`` switches it off.
"""

from __future__ import annotations

from typing import Annotated, Any

from haystack import Document, Pipeline
from haystack.components.agents import Agent
from haystack.components.builders import ChatPromptBuilder
from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.dataclasses import ChatMessage, StreamingChunk
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.tools import create_tool_from_function

from tracer import step, workflow

#: A stream of OpenAI's counts its tokens only when it is asked to.
USAGE = {"stream_options": {"include_usage": True}}
PROMPT = """Known: {% for document in documents %}{{ document.content }} {% endfor %}
Found: {{ found }}
Answer this ticket: {{ ticket }}"""


@step(kind="tool")
def find_order(order: Annotated[int, "The number of the order"]) -> str:
    """Say where an order is."""
    return f"{order} left the warehouse on Monday"


@step
def look_up(ticket: str) -> str:
    clerk = Agent(
        chat_generator=OpenAIChatGenerator(model="gpt-4o-mini"), tools=[create_tool_from_function(find_order)]
    )
    return str(clerk.run(messages=[ChatMessage.from_user(ticket)])["last_message"].text)


@step
def index(notes: list[str]) -> list[Document]:
    return list(OpenAIDocumentEmbedder().run([Document(content=note) for note in notes])["documents"])


@step
def answer(ticket: str, found: str, documents: list[Document]) -> dict[str, Any]:
    store, pieces = InMemoryDocumentStore(), list[StreamingChunk]()
    store.write_documents(documents)
    pipeline = Pipeline()
    pipeline.add_component("embedder", OpenAITextEmbedder())
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=1))
    pipeline.add_component("prompt", ChatPromptBuilder([ChatMessage.from_user(PROMPT)], required_variables="*"))
    pipeline.add_component(
        "writer", OpenAIChatGenerator(model="gpt-4o-mini", streaming_callback=pieces.append, generation_kwargs=USAGE)
    )
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    pipeline.connect("retriever.documents", "prompt.documents")
    pipeline.connect("prompt.prompt", "writer.messages")
    done = pipeline.run({"embedder": {"text": ticket}, "prompt": {"ticket": ticket, "found": found}})
    return {"reply": done["writer"]["replies"][0].text, "streamed": len(pieces) > 1}


@workflow
def desk(ticket: str, notes: list[str]) -> dict[str, Any]:
    return answer(ticket, look_up(ticket), index(notes))
