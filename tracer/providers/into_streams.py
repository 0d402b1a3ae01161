"""A stream of one format turned into one of the other as its bytes come: ``feed`` each piece, then ``end``.

Nothing is held back but a tool call that has no name yet, and the end, which both formats tell with the usage.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, Iterator, Mapping

from tracer.messages import ChatRequest
from tracer.providers import anthropic_messages
from tracer.providers.anthropic_dress import STOPPED
from tracer.providers.anthropic_dress import usage as anthropic_usage
from tracer.providers.base import mapping, parse, sequence, text, type_of, usage_of
from tracer.providers.openai_chat import message_of
from tracer.providers.openai_dress import FINISHED, usage
from tracer.providers.stream import DONE, event, split_events

Json = Mapping[str, Any]


class _Stream(ABC):
    def __init__(self, asked: ChatRequest) -> None:
        self.asked = asked
        self._pending = b""

    def feed(self, data: bytes) -> bytes:
        whole, self._pending = split_events(self._pending + data)
        return b"".join(sent for each in whole for sent in self._turned(each))

    def end(self) -> bytes:
        """The rest. A stream that was cut off ends as it broke: without an ending of its own."""
        rest, self._pending = self._pending, b""
        return self.feed(rest + b"\n\n") if rest.strip() else b""

    @abstractmethod
    def _turned(self, data: str) -> Iterator[bytes]:
        """One event, as events of the other format."""


class MessagesStream(_Stream):
    """From OpenAI's chunks to Anthropic's events."""

    def __init__(self, asked: ChatRequest) -> None:
        super().__init__(asked)
        self._begun = False
        self._block = -1
        #: What kind of block is open, if it is one of text.
        self._open = ""
        #: The block of each tool call, by OpenAI's index; and what is known of those that have no name yet.
        self._calls: dict[int, int] = {}
        self._nameless: dict[int, dict[str, Any]] = {}
        self._finished: str | None = None
        self._usage: Any = None
        self._done = False

    def end(self) -> bytes:
        rest = super().end()
        # Some servers never say that they are done.
        return rest + (b"".join(self._ending()) if self._finished and not self._done else b"")

    def _turned(self, data: str) -> Iterator[bytes]:
        if data.strip() == DONE:
            yield from self._ending()
            return
        chunk = parse(data)
        if error := chunk.get("error"):
            told = error if isinstance(error, dict) else {"message": str(error)}
            yield _sent({"type": "error", "error": {"type": "api_error", **told}})
            return
        if not self._begun:
            self._begun = True
            yield _sent({"type": "message_start", "message": self._message(chunk)})
        self._usage = chunk.get("usage") or mapping(chunk.get("x_groq")).get("usage") or self._usage
        for raw in sequence(chunk.get("choices")):
            choice = mapping(raw)
            if choice.get("index", 0) == 0:
                self._finished = text(choice.get("finish_reason")) or self._finished
                yield from self._said(mapping(choice.get("delta")))

    def _message(self, chunk: Json) -> dict[str, Any]:
        return {
            "id": text(chunk.get("id")) or "msg_playhead",
            "type": "message",
            "role": "assistant",
            "model": text(chunk.get("model")) or self.asked.model or "",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }

    def _said(self, delta: Json) -> Iterator[bytes]:
        piece = message_of(delta)
        if piece.reasoning:
            yield from self._opened("thinking", {"thinking": "", "signature": ""})
            yield self._delta(self._block, "thinking_delta", "thinking", piece.reasoning)
        if piece.content:
            yield from self._opened("text", {"text": ""})
            yield self._delta(self._block, "text_delta", "text", piece.content)
        for raw in sequence(delta.get("tool_calls")):
            yield from self._called(mapping(raw))

    def _opened(self, kind: str, empty: Json) -> Iterator[bytes]:
        if self._open != kind:
            yield from self._closed()
            self._block += 1
            self._open = kind
            yield _sent({"type": "content_block_start", "index": self._block, "content_block": {"type": kind, **empty}})

    def _closed(self) -> Iterator[bytes]:
        if self._open:
            yield _sent({"type": "content_block_stop", "index": self._block})
            self._open = ""

    def _called(self, call: Json) -> Iterator[bytes]:
        index = call.get("index")
        place = index if isinstance(index, int) else len(self._calls)
        function = mapping(call.get("function"))
        written = text(function.get("arguments")) or ""
        if place not in self._calls:
            held = self._nameless.setdefault(place, {"id": "", "name": "", "arguments": ""})
            held["id"] = text(call.get("id")) or held["id"]
            held["name"] = text(function.get("name")) or held["name"]
            held["arguments"] += written
            if not held["name"]:
                return
            yield from self._closed()
            self._block += 1
            self._calls[place] = self._block
            block = {"type": "tool_use", "id": held["id"], "name": held["name"], "input": {}}
            yield _sent({"type": "content_block_start", "index": self._block, "content_block": block})
            written = held["arguments"]
        if written:
            yield self._delta(self._calls[place], "input_json_delta", "partial_json", written)

    def _delta(self, block: int, kind: str, field: str, piece: str) -> bytes:
        return _sent({"type": "content_block_delta", "index": block, "delta": {"type": kind, field: piece}})

    def _ending(self) -> Iterator[bytes]:
        self._done = True
        yield from self._closed()
        for block in self._calls.values():
            yield _sent({"type": "content_block_stop", "index": block})
        reason = STOPPED.get(self._finished or "", self._finished)
        if self._calls and self._finished in {None, "stop"}:
            reason = "tool_use"
        counted = anthropic_usage(usage_of(self._usage))
        yield _sent(
            {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": counted}
        )
        yield _sent({"type": "message_stop"})


class ChatStream(_Stream):
    """From Anthropic's events to OpenAI's chunks."""

    def __init__(self, asked: ChatRequest) -> None:
        super().__init__(asked)
        self._head: dict[str, Any] = {"id": "chatcmpl-playhead", "object": "chat.completion.chunk", "created": 0}
        #: OpenAI's index of each tool call, by its block.
        self._calls: dict[Any, int] = {}
        self._usage: dict[str, Any] = {}

    def _turned(self, data: str) -> Iterator[bytes]:
        given = parse(data)
        index = given.get("index") if isinstance(given.get("index"), int) else 0
        match given.get("type"):
            case "message_start":
                message = mapping(given.get("message"))
                model = text(message.get("model")) or self.asked.model or ""
                self._head |= {"id": text(message.get("id")) or self._head["id"], "model": model}
                self._usage |= mapping(message.get("usage"))
                yield self._chunk({"role": "assistant", "content": ""})
            case "content_block_start":
                yield from self._block(index, mapping(given.get("content_block")))
            case "content_block_delta":
                yield from self._said(index, mapping(given.get("delta")))
            case "message_delta":
                counted = mapping(given.get("usage"))
                self._usage |= {key: value for key, value in counted.items() if value is not None}
                reason = text(mapping(given.get("delta")).get("stop_reason"))
                yield self._chunk({}, FINISHED.get(reason or "", reason))
            case "message_stop":
                options = mapping(self.asked.parameters.get("stream_options"))
                if options.get("include_usage") is True:
                    told = usage(anthropic_messages.usage_of(self._usage))
                    yield _sent({**self._head, "choices": [], "usage": told})
                yield event(DONE)
            case "error":
                yield event(json.dumps({"error": given.get("error")}, ensure_ascii=False))

    def _block(self, index: Any, block: Json) -> Iterator[bytes]:
        if said := text(block.get("text")):
            yield self._chunk({"content": said})
        if type_of(block) == "tool_use":
            self._calls[index] = place = len(self._calls)
            function = {"name": block.get("name"), "arguments": ""}
            call = {"index": place, "id": block.get("id"), "type": "function", "function": function}
            yield self._chunk({"tool_calls": [call]})

    def _said(self, index: Any, delta: Json) -> Iterator[bytes]:
        if said := text(delta.get("text")):
            yield self._chunk({"content": said})
        elif thought := text(delta.get("thinking")):
            yield self._chunk({"reasoning_content": thought})
        elif index in self._calls and (written := text(delta.get("partial_json"))):
            yield self._chunk({"tool_calls": [{"index": self._calls[index], "function": {"arguments": written}}]})

    def _chunk(self, delta: dict[str, Any], finished: str | None = None) -> bytes:
        return _sent({**self._head, "choices": [{"index": 0, "delta": delta, "finish_reason": finished}]})


def _sent(value: dict[str, Any]) -> bytes:
    return event(json.dumps(value, ensure_ascii=False), str(value.get("type", "")))
