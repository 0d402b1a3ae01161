"""The wire formats of Anthropic, Gemini, Cohere and Bedrock, as far as their SDKs ask for them."""

from __future__ import annotations

import base64
import json
import re
import struct
from typing import Iterable
from zlib import crc32

from provider_answers import Question, Said, Tool, Turn
from provider_openai import Chat, Json, Used, function_tools, made_id, must_call, schema_of, sse, text_of


class Messages:
    """Anthropic's ``POST /v1/messages``; behind Bedrock's invoke as well."""

    content_type = "text/event-stream"

    def ask(self, path: str, body: Json) -> Question:  # noqa: ARG002 - the formats' shape
        config = body.get("output_config") or {}
        turns = [Turn("system", text_of(body["system"]))] if body.get("system") else []
        choice = body.get("tool_choice") or {}
        return Question(
            model=body.get("model", ""),
            turns=(*turns, *(turn for message in body["messages"] for turn in self._turns(message))),
            tools=tuple(Tool(tool["name"], tool.get("input_schema") or {}) for tool in body.get("tools") or ()),
            must_call=choice.get("name") or must_call(choice.get("type")),
            schema=schema_of(config.get("format") or body.get("output_format")),
            stream=bool(body.get("stream")),
        )

    def _turns(self, message: Json) -> Iterable[Turn]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for block in blocks:
            if block.get("type") == "tool_result":
                yield Turn("tool", text_of(block.get("content")))
        calls = tuple(block["name"] for block in blocks if block.get("type") == "tool_use")
        text = text_of([block for block in blocks if block.get("type") == "text"])
        if text or calls:
            yield Turn(message["role"], text, calls)

    def whole(self, question: Question, said: Said, used: Used) -> Json:
        stop = "end_turn" if said.tool is None else "tool_use"
        return {
            "id": made_id("msg_"),
            "type": "message",
            "role": "assistant",
            "model": question.model,
            "content": [self._block(said)],
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {"input_tokens": used[0], "output_tokens": used[1]},
        }

    def events(self, question: Question, said: Said, used: Used) -> list[Json]:
        message = self.whole(question, said, used)
        block = message["content"][0]
        empty = {**block, "text": ""} if said.tool is None else {**block, "input": {}}
        if said.tool is None:
            deltas = [{"type": "text_delta", "text": word} for word in said.words]
        else:
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(said.arguments)}]
        begun = {**message, "content": [], "stop_reason": None, "usage": {"input_tokens": used[0], "output_tokens": 1}}
        ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        return [
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ended, "usage": {"output_tokens": used[1]}},
            {"type": "message_stop"},
        ]

    def pieces(self, question: Question, said: Said, used: Used, body: Json) -> list[bytes]:  # noqa: ARG002
        return [sse(event, event["type"]) for event in self.events(question, said, used)]

    def _block(self, said: Said) -> Json:
        if said.tool is None:
            return {"type": "text", "text": said.text, "citations": None}
        return {"type": "tool_use", "id": made_id("toolu_"), "name": said.tool, "input": dict(said.arguments)}


_GEMINI_SCHEMAS = ("parametersJsonSchema", "parameters_json_schema", "parameters")


class Gemini:
    """``POST .../models/MODEL:generateContent`` and ``:streamGenerateContent``."""

    content_type = "text/event-stream"

    def ask(self, path: str, body: Json) -> Question:
        model, _, verb = path.rpartition("/")[2].partition(":")
        system = body.get("systemInstruction") or {}
        config = body.get("generationConfig") or {}
        schema = config.get("responseJsonSchema") or config.get("responseSchema")
        if schema is None and config.get("responseMimeType") == "application/json":
            schema = schema_of({"type": "json_object"})
        declared = (each for tool in body.get("tools") or () for each in tool.get("functionDeclarations") or ())
        tools = (
            # The SDK has its own field of a function's schema in two spellings.
            Tool(each["name"], next((each[name] for name in _GEMINI_SCHEMAS if each.get(name)), {}))
            for each in declared
        )
        calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
        turns = [Turn("system", text_of(system["parts"]))] if system.get("parts") else []
        return Question(
            model=model,
            turns=(*turns, *(turn for content in body["contents"] for turn in self._turns(content))),
            tools=tuple(tools),
            must_call=must_call(calling.get("mode")),
            schema=schema,
            stream=verb.startswith("stream"),
        )

    def _turns(self, content: Json) -> Iterable[Turn]:
        parts = content.get("parts") or ()
        for part in parts:
            if "functionResponse" in part:
                yield Turn("tool", json.dumps(part["functionResponse"].get("response")))
        calls = tuple(part["functionCall"]["name"] for part in parts if "functionCall" in part)
        text = text_of(parts)
        if text or calls:
            yield Turn("assistant" if content.get("role") == "model" else "user", text, calls)

    def whole(self, question: Question, said: Said, used: Used) -> Json:
        part: Json = {"text": said.text}
        if said.tool is not None:
            part = {"functionCall": {"id": made_id("call_"), "name": said.tool, "args": dict(said.arguments)}}
        return self._answer(question, part, used, "STOP")

    def pieces(self, question: Question, said: Said, used: Used, body: Json) -> list[bytes]:  # noqa: ARG002
        if said.tool is not None:
            return [sse(self.whole(question, said, used))]
        *begun, last = said.words
        parts = [self._answer(question, {"text": word}, (used[0], 0), None) for word in begun]
        return [sse(part) for part in (*parts, self._answer(question, {"text": last}, used, "STOP"))]

    def _answer(self, question: Question, part: Json, used: Used, finish: str | None) -> Json:
        candidate: Json = {"content": {"role": "model", "parts": [part]}, "index": 0}
        if finish is not None:
            candidate["finishReason"] = finish
        return {
            "candidates": [candidate],
            "usageMetadata": {
                "promptTokenCount": used[0],
                "candidatesTokenCount": used[1],
                "totalTokenCount": sum(used),
            },
            "modelVersion": question.model,
            "responseId": made_id(""),
        }


class Cohere:
    """``POST /v2/chat``."""

    content_type = "text/event-stream"

    def ask(self, path: str, body: Json) -> Question:  # noqa: ARG002
        chat = Chat()
        form = body.get("response_format")
        return Question(
            model=body["model"],
            turns=tuple(chat._turn(self._plain(message)) for message in body["messages"]),  # noqa: SLF001 - a dialect of it
            tools=function_tools(body.get("tools")),
            must_call=must_call(body.get("tool_choice")),
            schema=schema_of(form),
            stream=bool(body.get("stream")),
        )

    def _plain(self, message: Json) -> Json:
        """A tool's result may be a list of documents."""
        content = message.get("content")
        if isinstance(content, list):
            documents = [
                {"text": json.dumps(part["document"]["data"])} if "document" in part else part for part in content
            ]
            return {**message, "content": documents}
        return message

    def whole(self, question: Question, said: Said, used: Used) -> Json:  # noqa: ARG002
        message: Json = {"role": "assistant", "content": [{"type": "text", "text": said.text}]}
        if said.tool is not None:
            message = {"role": "assistant", "tool_plan": "I ask the tool.", "tool_calls": [self._call(said)]}
        return {"id": made_id(""), "finish_reason": self._finish(said), "message": message, "usage": self._usage(used)}

    def pieces(self, question: Question, said: Said, used: Used, body: Json) -> list[bytes]:  # noqa: ARG002
        def delta(message: Json) -> Json:
            return {"index": 0, "delta": {"message": message}}

        events: list[Json] = [{"type": "message-start", "id": made_id(""), **delta({"role": "assistant"})}]
        if said.tool is None:
            events.append({"type": "content-start", **delta({"content": {"type": "text", "text": ""}})})
            events += [{"type": "content-delta", **delta({"content": {"text": word}})} for word in said.words]
            events.append({"type": "content-end", "index": 0})
        else:
            call = self._call(said)
            arguments = call["function"]["arguments"]
            begun = {**call, "function": {**call["function"], "arguments": ""}}
            events.append({"type": "tool-call-start", **delta({"tool_calls": begun})})
            given = {"tool_calls": {"function": {"arguments": arguments}}}
            events.append({"type": "tool-call-delta", **delta(given)})
            events.append({"type": "tool-call-end", "index": 0})
        ended = {"finish_reason": self._finish(said), "usage": self._usage(used)}
        events.append({"type": "message-end", "delta": ended})
        return [sse(event, event["type"]) for event in events]

    def _call(self, said: Said) -> Json:
        inner = {"name": said.tool, "arguments": json.dumps(said.arguments)}
        return {"id": made_id(f"{said.tool}_"), "type": "function", "function": inner}

    def _finish(self, said: Said) -> str:
        return "COMPLETE" if said.tool is None else "TOOL_CALL"

    def _usage(self, used: Used) -> Json:
        counted = {"input_tokens": used[0], "output_tokens": used[1]}
        return {"billed_units": counted, "tokens": counted}


class Converse:
    """Bedrock's ``POST /model/MODEL/converse`` and ``/converse-stream``."""

    content_type = "application/vnd.amazon.eventstream"

    def ask(self, path: str, body: Json) -> Question:
        config = body.get("toolConfig") or {}
        specs = (tool["toolSpec"] for tool in config.get("tools") or () if "toolSpec" in tool)
        choice = config.get("toolChoice") or {}
        turns = [Turn("system", text_of(body["system"]))] if body.get("system") else []
        return Question(
            model=_named(path),
            turns=(*turns, *(turn for message in body["messages"] for turn in self._turns(message))),
            tools=tuple(Tool(spec["name"], spec["inputSchema"]["json"]) for spec in specs),
            must_call=(choice.get("tool") or {}).get("name") or ("any" if "any" in choice else None),
            stream=path.endswith("-stream"),
        )

    def _turns(self, message: Json) -> Iterable[Turn]:
        for block in message["content"]:
            if "toolResult" in block:
                parts = block["toolResult"]["content"]
                yield Turn("tool", "\n".join(part.get("text") or json.dumps(part.get("json")) for part in parts))
        calls = tuple(block["toolUse"]["name"] for block in message["content"] if "toolUse" in block)
        text = text_of(message["content"])
        if text or calls:
            yield Turn(message["role"], text, calls)

    def whole(self, question: Question, said: Said, used: Used) -> Json:  # noqa: ARG002
        block: Json = {"text": said.text}
        if said.tool is not None:
            use = {"toolUseId": made_id("tooluse_"), "name": said.tool, "input": dict(said.arguments)}
            block = {"toolUse": use}
        message = {"role": "assistant", "content": [block]}
        return {"output": {"message": message}, "stopReason": self._stop(said), **self._metadata(used)}

    def pieces(self, question: Question, said: Said, used: Used, body: Json) -> list[bytes]:  # noqa: ARG002
        sent = [frame("messageStart", {"role": "assistant"})]
        if said.tool is None:
            deltas: list[Json] = [{"text": word} for word in said.words]
        else:
            use = {"toolUse": {"toolUseId": made_id("tooluse_"), "name": said.tool}}
            sent.append(frame("contentBlockStart", {"contentBlockIndex": 0, "start": use}))
            deltas = [{"toolUse": {"input": json.dumps(said.arguments)}}]
        sent += [frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta}) for delta in deltas]
        sent.append(frame("contentBlockStop", {"contentBlockIndex": 0}))
        sent.append(frame("messageStop", {"stopReason": self._stop(said)}))
        return [*sent, frame("metadata", self._metadata(used))]

    def _stop(self, said: Said) -> str:
        return "end_turn" if said.tool is None else "tool_use"

    def _metadata(self, used: Used) -> Json:
        usage = {"inputTokens": used[0], "outputTokens": used[1], "totalTokens": sum(used)}
        return {"usage": usage, "metrics": {"latencyMs": 5}}


class Invoke(Messages):
    """Bedrock's ``POST /model/MODEL/invoke`` and ``/invoke-with-response-stream`` of a model of Anthropic's."""

    content_type = "application/vnd.amazon.eventstream"

    def ask(self, path: str, body: Json) -> Question:
        return super().ask(path, {**body, "model": _named(path), "stream": path.endswith("-stream")})

    def pieces(self, question: Question, said: Said, used: Used, body: Json) -> list[bytes]:  # noqa: ARG002
        events = (json.dumps(event).encode() for event in self.events(question, said, used))
        return [frame("chunk", {"bytes": base64.b64encode(event).decode()}) for event in events]


def _named(path: str) -> str:
    found = re.search(r"/model/(.+)/(?:converse|invoke)", path)
    return found[1] if found else ""


def frame(kind: str, payload: Json) -> bytes:
    """One event of Amazon's binary event stream."""
    told = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in told.items()
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + body
    return message + struct.pack(">I", crc32(message))
