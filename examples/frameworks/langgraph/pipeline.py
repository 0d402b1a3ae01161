"""Reports as a LangGraph: a router, sections written at once by Send, a tool loop, and a draft that is streamed.

The nodes are decorated. Branches that run at once in LangGraph's pool of threads stand below the workflow, and a replay
matches them by what they ask, in whatever order they come. One reducer is adapted: see ``numbered``. What a
checkpointer has stored is no part of the record: a replay on the recorded thread of one that outlives the run
goes on where that thread stands now. So the graph is compiled inside the workflow, with a checkpointer of its own.
"""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Send

from tracer import step, workflow

FIGURES = {"north": "sold 120", "south": "sold 80"}

# Where the address is not OpenAI's own, usage is told at the end of a stream only if it is asked for.
model = ChatOpenAI(model="gpt-4o-mini", stream_usage=True)


def numbered(before: list[AnyMessage], new: list[AnyMessage]) -> list[AnyMessage]:
    """LangGraph's own reducer gives messages random ids, and nodes that take them would run again in a replay."""
    named = [message.model_copy(update={"id": str(len(before) + at)}) for at, message in enumerate(new)]
    return add_messages(before, named)


class Report(TypedDict, total=False):
    topic: str
    kind: str
    sections: Annotated[list[str], operator.add]
    messages: Annotated[list[AnyMessage], numbered]
    text: str


@tool
@step(kind="tool")
def figures(region: str) -> str:
    """What was sold in a region."""
    return next((sold for name, sold in FIGURES.items() if name in region.lower()), "unknown")


@step
def sort(state: Report) -> Report:
    said = model.invoke(f"Answer with one of: sales, staff, other. {state['topic']}")
    return {"kind": str(said.content)}


@step
def section(state: dict[str, Any]) -> Report:
    said = model.invoke(f"Write about the {state['part']} of {state['topic']}.")
    return {"sections": [str(said.content)]}


@step
def research(state: Report) -> Report:
    """One turn of the model: it asks its tool until it has the figures."""
    asked = state.get("messages") or [HumanMessage(f"Give me the figures of the north for {state['topic']}")]
    said = model.bind_tools([figures]).invoke(asked)
    return {"messages": [said] if state.get("messages") else [*asked, said]}


@step
def use_tools(state: Report) -> Report:
    calls = state["messages"][-1].tool_calls
    return {"messages": [ToolMessage(figures.invoke(call["args"]), tool_call_id=call["id"]) for call in calls]}


@step
def draft(state: Report) -> Report:
    parts = "\n".join([*sorted(state["sections"]), str(state["messages"][-1].content)])
    said = "".join(str(chunk.content) for chunk in model.stream(f"Summarise:\n{parts}"))
    return {"text": said}


def parts_of(state: Report) -> list[Send]:
    parts = ("past", "present", "future")
    return [Send("section", {"topic": state["topic"], "part": part}) for part in parts]


def wants_tools(state: Report) -> str:
    return "use_tools" if state["messages"][-1].tool_calls else "draft"


graph = StateGraph(Report)
for node in (sort, section, research, use_tools, draft):
    graph.add_node(node.__name__, node)
graph.add_edge(START, "sort")
graph.add_conditional_edges("sort", parts_of, ["section"])
graph.add_edge("section", "research")
graph.add_conditional_edges("research", wants_tools, ["use_tools", "draft"])
graph.add_edge("use_tools", "research")
graph.add_edge("draft", END)


@workflow
def report(topic: str, thread: str) -> dict[str, str]:
    app = graph.compile(checkpointer=InMemorySaver())
    last: dict[str, Any] = {}
    for state in app.stream({"topic": topic}, {"configurable": {"thread_id": thread}}, stream_mode="values"):
        last = state
    return {"kind": last["kind"], "text": last["text"]}


@step
async def shorten(state: Report) -> Report:
    return {"text": str((await model.ainvoke(f"Shorten: {state['topic']}")).content)}


short = StateGraph(Report).add_node("shorten", shorten).add_edge(START, "shorten").add_edge("shorten", END).compile()


@workflow
async def brief(topic: str) -> str:
    return str((await short.ainvoke({"topic": topic}))["text"])
