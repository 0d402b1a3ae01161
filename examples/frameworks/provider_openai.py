"""OpenAI's wire formats, which Groq, Mistral and many others share: chat completions, responses, embeddings."""

from __future__ import annotations

import base64
import json
import struct
import time
import uuid
from typing import Any, Iterable, Mapping

from provider_answers import Question, Said, Tool, Turn, tokens, vector

Used = tuple[int, int]
Json = dict[str, Any]


def made_id(prefix: str) -> str:
    """As random as a real provider's."""
    return f"{prefix}{uuid.uuid4().hex[:20]}"


def sse(data: Mapping[str, Any], event: str | None = None) -> bytes:
    """One server-sent event."""
    return (f"event: {event}\n" if event else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    parts = (part if isinstance(part, str) else part.get("text", "") for part in content or ())
    return "\n".join(str(part) for part in parts if part)


def must_call(choice: Any) -> str | None:
    """``tool_choice`` in normal form: a tool's name, "any", or None."""
    if isinstance(choice, Mapping):
        return choice.get("name") or choice.get("function", {}).get("name") or None
    return "any" if choice in {"required", "any", "REQUIRED", "ANY"} else None


def function_tools(tools: Iterable[Mapping[str, Any]] | None) -> tuple[Tool, ...]:
    """Tools as ``{"function": {"name", "parameters"}}``, or the inner part alone."""
    inner = [tool.get("function", tool) for tool in tools or ()]
    return tuple(Tool(each["name"], each.get("parameters") or {}) for each in inner if "name" in each)


def schema_of(form: Any) -> Any:
    """The schema of a ``response_format``, wherever the dialect puts it; free JSON is an object with one text."""
    if not isinstance(form, Mapping) or form.get("type") not in {"json_schema", "json_object"}:
        return None
    inner = form.get("json_schema") or {}
    schema = form.get("schema") or inner.get("schema") or inner.get("schema_definition") or (inner or None)
    return schema or {"type": "object", "properties": {"answer": {"type": "string"}}}


class Chat:
    """``POST .../chat/completions``."""

    content_type = "text/event-stream"

    def ask(self, path: str, body: Json) -> Question:  # noqa: ARG002 - the formats' shape
        return Question(
            model=body["model"],
            turns=tuple(self._turn(message) for message in body["messages"]),
            tools=function_tools(body.get("tools")) if body.get("tool_choice") != "none" else (),
            must_call=must_call(body.get("tool_choice")),
            schema=schema_of(body.get("response_format")),
            stream=bool(body.get("stream")),
        )

    def _turn(self, message: Json) -> Turn:
        calls = tuple(call["function"]["name"] for call in message.get("tool_calls") or ())
        role = "system" if message["role"] == "developer" else message["role"]
        return Turn(role, text_of(message.get("content")), calls)

    def whole(self, question: Question, said: Said, used: Used) -> Json:
        message: Json = {"role": "assistant", "content": said.text, "refusal": None}
        if said.tool is not None:
            message |= {"content": None, "tool_calls": [self._call(said)]}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(said)}
        return {**self._head(question, "chat.completion"), "choices": [choice], "usage": self._usage(used)}

    def pieces(self, question: Question, said: Said, used: Used, body: Json) -> list[bytes]:
        head = self._head(question, "chat.completion.chunk")
        if said.tool is None:
            deltas: list[Json] = [{"content": word} for word in said.words]
        else:
            call = self._call(said)
            arguments = call["function"].pop("arguments")
            half = len(arguments) // 2
            deltas = [{"tool_calls": [{"index": 0, **call, "function": {**call["function"], "arguments": ""}}]}]
            for part in (arguments[:half], arguments[half:]):
                deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
        choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        choices.insert(0, {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None})
        choices.append({"index": 0, "delta": {}, "finish_reason": _finish(said)})
        sent = [sse({**head, "choices": [choice]}) for choice in choices]
        if (body.get("stream_options") or {}).get("include_usage"):
            sent.append(sse({**head, "choices": [], "usage": self._usage(used)}))
        return [*sent, b"data: [DONE]\n\n"]

    def _call(self, said: Said) -> Json:
        inner = {"name": said.tool, "arguments": json.dumps(said.arguments)}
        return {"id": made_id("call_"), "type": "function", "function": inner}

    def _head(self, question: Question, kind: str) -> Json:
        return {"id": made_id("chatcmpl-"), "object": kind, "created": int(time.time()), "model": question.model}

    def _usage(self, used: Used) -> Json:
        return {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)}


class MistralChat(Chat):
    """Its SDK streams without asking for usage, and its server always tells it: in the last chunk."""

    def pieces(self, question: Question, said: Said, used: Used, body: Json) -> list[bytes]:
        return self._told_last(super().pieces(question, said, used, {**body, "stream_options": {}}), self._usage(used))

    def _told_last(self, pieces: list[bytes], usage: Json) -> list[bytes]:
        *sent, last, done = pieces
        return [*sent, sse({**json.loads(last.removeprefix(b"data: ")), **self._told(usage)}), done]

    def _told(self, usage: Json) -> Json:
        return {"usage": usage}


class GroqChat(MistralChat):
    """Likewise, in a field of its own."""

    def _told(self, usage: Json) -> Json:
        return {"x_groq": {"id": made_id("req_"), "usage": usage}}


def _finish(said: Said) -> str:
    return "stop" if said.tool is None else "tool_calls"


class Responses:
    """``POST .../responses``."""

    content_type = "text/event-stream"

    def ask(self, path: str, body: Json) -> Question:  # noqa: ARG002
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        turns = [Turn("system", body["instructions"])] if body.get("instructions") else []
        return Question(
            model=body["model"],
            turns=(*turns, *(self._turn(item) for item in items)),
            tools=function_tools(body.get("tools")),
            must_call=must_call(body.get("tool_choice")),
            schema=schema_of((body.get("text") or {}).get("format")),
            stream=bool(body.get("stream")),
        )

    def _turn(self, item: Json) -> Turn:
        if item.get("type") == "function_call":
            return Turn("assistant", calls=(item["name"],))
        if item.get("type") == "function_call_output":
            return Turn("tool", text_of(item["output"]))
        role = item.get("role", "assistant")
        return Turn("system" if role == "developer" else role, text_of(item.get("content")))

    def whole(self, question: Question, said: Said, used: Used) -> Json:
        return self._response(question, [self._item(said)], used, "completed")

    def pieces(self, question: Question, said: Said, used: Used, body: Json) -> list[bytes]:  # noqa: ARG002
        item = self._item(said)
        begun = self._response(question, [], None, "in_progress")
        done = {**begun, "status": "completed", "output": [item], "usage": self._usage(used)}
        spot = {"item_id": item["id"], "output_index": 0}
        events: list[Json] = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
        ]
        if said.tool is None:
            part, spot = item["content"][0], {**spot, "content_index": 0}
            empty = {**item, "status": "in_progress", "content": []}
            events += [
                {"type": "response.output_item.added", "output_index": 0, "item": empty},
                {"type": "response.content_part.added", **spot, "part": {**part, "text": ""}},
                *({"type": "response.output_text.delta", **spot, "delta": word, "logprobs": []} for word in said.words),
                {"type": "response.output_text.done", **spot, "text": said.text, "logprobs": []},
                {"type": "response.content_part.done", **spot, "part": part},
            ]
        else:
            empty = {**item, "status": "in_progress", "arguments": ""}
            told = {"arguments": item["arguments"], "name": said.tool}
            events += [
                {"type": "response.output_item.added", "output_index": 0, "item": empty},
                {"type": "response.function_call_arguments.delta", **spot, "delta": item["arguments"]},
                {"type": "response.function_call_arguments.done", **spot, **told},
            ]
        events += [
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": done},
        ]
        return [sse({**event, "sequence_number": at}, event["type"]) for at, event in enumerate(events)]

    def _item(self, said: Said) -> Json:
        if said.tool is None:
            part = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
            return {
                "id": made_id("msg_"),
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        call = {"call_id": made_id("call_"), "name": said.tool, "arguments": json.dumps(said.arguments)}
        return {"id": made_id("fc_"), "type": "function_call", "status": "completed", **call}

    def _response(self, question: Question, output: list[Json], used: Used | None, status: str) -> Json:
        return {
            "id": made_id("resp_"),
            "object": "response",
            "created_at": int(time.time()),
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": question.model,
            "output": output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": None if used is None else self._usage(used),
        }

    def _usage(self, used: Used) -> Json:
        return {
            "input_tokens": used[0],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": used[1],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sum(used),
        }


def embeddings(body: Json) -> tuple[Json, int]:
    """``POST .../embeddings``: the answer, and the tokens of its texts."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    # A client may send the ids of tokens instead of a text.
    words = [text if isinstance(text, str) else " ".join(map(str, text)) for text in texts]
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": at, "embedding": _packed(vector(text)) if packed else vector(text)}
        for at, text in enumerate(words)
    ]
    used = sum(tokens(text) for text in words)
    usage = {"prompt_tokens": used, "total_tokens": used}
    return {"object": "list", "id": made_id("emb-"), "model": body["model"], "data": data, "usage": usage}, used


def _packed(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
