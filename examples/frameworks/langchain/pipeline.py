"""Questions about documents with LangChain: retrieval, an agent with a tool, and two models that judge side by side.

Nothing is adapted. LangChain hands the running step to the threads in which a RunnableParallel or a batch runs, so that
their calls stand below the step that invoked the chain.
"""

from __future__ import annotations

from typing import Literal

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableParallel
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from tracer import step, workflow

DOCUMENTS = ("Parcels take three days.", "A refund takes two weeks.", "We are closed on Sundays.")

gpt = ChatOpenAI(model="gpt-4o-mini")
claude = ChatAnthropic(model="claude-haiku-4-5", max_retries=3)
# Without the check nothing has to be downloaded to count tokens.
embeddings = OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False)


class Judgement(BaseModel):
    """What a reader thinks of an answer."""

    verdict: Literal["good", "bad"]
    reason: str


@tool
@step(kind="tool")
def opening_hours(day: str) -> str:
    """When we are open on a day."""
    return "closed" if day.lower().startswith("sun") else "open from 9 to 17"


agent = create_agent(gpt, [opening_hours], system_prompt="Help the customer.")
answering = (
    ChatPromptTemplate.from_messages([("system", "Answer from this: {facts}"), ("human", "{question}")]) | claude
)
judging = ChatPromptTemplate.from_messages([("human", "Judge this answer, good or bad: {answer}")])


@step(kind="retriever")
def retrieve(question: str) -> list[Document]:
    store = InMemoryVectorStore(embeddings)
    store.add_texts(list(DOCUMENTS), ids=[str(at) for at in range(len(DOCUMENTS))])
    return store.similarity_search(question, k=2)


@step
def ask_agent(question: str) -> str:
    return str(agent.invoke({"messages": [("user", question)]})["messages"][-1].content)


@step
def answer(question: str, facts: str) -> str:
    return "".join((answering | StrOutputParser()).stream({"facts": facts, "question": question}))


@step
def judge(said: str) -> dict[str, Judgement]:
    both = RunnableParallel(
        gpt=judging | gpt.with_structured_output(Judgement),
        claude=judging | claude.with_structured_output(Judgement),
    )
    return dict(both.invoke({"answer": said}))


@step
async def translate(texts: list[str]) -> list[str]:
    chain = ChatPromptTemplate.from_messages([("human", "Translate: {text}")]) | gpt | StrOutputParser()
    return await chain.abatch([{"text": text} for text in texts])


@workflow
def ask(question: str) -> dict[str, str]:
    facts = " ".join([document.page_content for document in retrieve(question)] + [ask_agent(question)])
    said = answer(question, facts)
    return {"answer": said, **{name: judgement.verdict for name, judgement in judge(said).items()}}


@workflow
async def in_other_words(texts: list[str]) -> list[str]:
    return await translate(texts)
