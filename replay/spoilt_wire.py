"""Faults at the wire: the HTTP response that a provider, or the network on the way to it, would have given. Pure.

Where a format can't say it (embeddings have no refusal), Unfit is raised: nothing is pretended.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, Callable
from urllib.parse import urlsplit

from replay import spoilt
from replay.spoilt import REFUSAL, Unfit
from tracer import providers
from tracer.messages import ChatAnswer, Message, ToolCall
from tracer.wire import Chunk, HttpRequest, HttpResponse

RETRY_AFTER_S = 1
_JSON = (("content-type", "application/json"),)
#: True of the recorded bytes only.
_OF_BYTES = frozenset({"content-encoding", "content-length", "transfer-encoding"})
_CUT = "RemoteProtocolError: injected: the peer closed the connection without sending the complete body"
_AMAZON = re.compile(r"/model/[^/]+/(converse|invoke)")
_GOOGLE = re.compile(r":[a-zA-Z]*(generateContent|GenerateContent|embedContent|EmbedContents|predict)$")


def refused(request: HttpRequest, status: int) -> HttpResponse:
    """An error answer in the words of the provider that is asked: 429, which says how long to wait, or 500."""
    limited = status == 429
    message = "injected: rate limit reached, try again later" if limited else "injected: the server had an error"
    path = urlsplit(request.url).path
    headers = (("retry-after", str(RETRY_AFTER_S)),) if limited else ()
    body: Any
    if _AMAZON.search(path):
        kind = "ThrottlingException" if limited else "InternalServerException"
        headers, body = (*headers, ("x-amzn-errortype", kind)), {"message": message}
    elif path.endswith("/messages"):
        kind = "rate_limit_error" if limited else "api_error"
        body = {"type": "error", "error": {"type": kind, "message": message}}
    elif _GOOGLE.search(path):
        name = "RESOURCE_EXHAUSTED" if limited else "INTERNAL"
        body = {"error": {"code": status, "message": message, "status": name}}
    elif "/api/" in path:
        body = {"error": message}
    else:
        kind = "rate_limit_exceeded" if limited else "server_error"
        body = {"error": {"message": message, "type": kind, "param": None, "code": kind}}
    return HttpResponse(status, (*_JSON, *headers), (Chunk(0, json.dumps(body).encode()),))


def cut(response: HttpResponse) -> HttpResponse:
    """The recorded body up to its middle, where the connection breaks."""
    left = len(response.raw) // 2
    chunks = []
    for chunk in response.chunks:
        if left > 0:
            chunks.append(Chunk(chunk.after_ns, chunk.data[:left]))
        left -= len(chunk.data)
    return replace(response, chunks=tuple(chunks), ended="broken", error=_CUT)


class Wire:
    """One exchange whose answer can be said otherwise. Raises Unfit where the recorded one can't be read."""

    def __init__(self, request: HttpRequest, recorded: HttpResponse | None) -> None:
        self._request = request
        self._recorded = recorded

    def empty(self) -> HttpResponse:
        return self._dressed(ChatAnswer.of("")) if self._is_model_call else self._with_body("")

    def truncated(self) -> HttpResponse:
        """The text cut in the middle, and the provider's word for a limit of tokens."""
        if not self._is_model_call:
            return self._with_body(spoilt.half(self._body))
        return self._with_text(spoilt.half, finish="length")

    def bad_json(self) -> HttpResponse:
        if not self._is_model_call:
            return self._with_body(spoilt.broken_json(self._body))
        answer = self._answer
        if answer is None or not (answer.message.tool_calls or spoilt.json_in(answer.message.content)):
            return self._dressed(ChatAnswer.of(spoilt.NO_JSON))
        return self._with_text(spoilt.broken_json)

    def wrong_schema(self) -> HttpResponse:
        if not self._is_model_call:
            return self._with_body(spoilt.other_schema(self._body))
        return self._with_text(spoilt.other_schema)

    def refusal(self) -> HttpResponse:
        """What the provider gives when the model won't: its own finish reason, or OpenAI's field for it."""
        if not self._is_model_call:
            raise Unfit("it is no model call")
        response = self._dressed(ChatAnswer.of(REFUSAL, finish_reason="content_filter"))
        body = self._request.body
        if isinstance(body, dict) and "response_format" in body and "messages" in body:
            return _rewritten(response, _as_refusal_field)
        return response

    def low_confidence(self) -> HttpResponse:
        """The recorded answer, less sure of itself: what it states in its JSON, and the probabilities of its tokens."""
        try:
            said = self._with_body(spoilt.less_sure(self._body)) if not self._is_model_call else None
            said = said or self._with_text(spoilt.less_sure)
        except Unfit:
            said = None
        response = self._complete
        seen: list[bool] = []

        def lowered(body: Any) -> Any:
            made, has = spoilt.unlikely(body)
            seen.append(has)
            return made

        rewritten = _rewritten(response, lowered)
        if any(seen):
            return rewritten
        if said is None:
            raise Unfit(spoilt.UNSAID)
        return said

    def says_otherwise(self, request: Any, other: Any) -> HttpResponse | None:
        """Another recorded exchange as the answer to this one; None where it says the same, or can't be told."""
        if not isinstance(other, HttpResponse) or not isinstance(request, HttpRequest):
            return None
        if other.status >= 400 or other.status == 0 or other.ended == "broken":
            return None
        mine, its = self._answer, providers.read(request, other)
        if mine is None or its is None or not self._is_model_call:
            return other if self._recorded is not None and plain(other) != plain(self._recorded) else None
        told = (its.message.content, [(call.name, call.arguments) for call in its.message.tool_calls])
        if told == (mine.message.content, [(call.name, call.arguments) for call in mine.message.tool_calls]):
            # An embedding says nothing in words: its bytes are what it says.
            return other if not any(told) and plain(other) != plain(self._complete) else None
        if _is_stream(request) == _is_stream(self._request):
            return other
        return self._dressed(its)

    # -- what was recorded -----------------------------------------------------------------------------------------

    @property
    def _complete(self) -> HttpResponse:
        if self._recorded is None or self._recorded.status == 0:
            raise Unfit("the record holds no answer to it")
        if self._recorded.status >= 400 or self._recorded.ended == "broken":
            raise Unfit("it failed in the recorded run itself")
        return self._recorded

    @property
    def _is_model_call(self) -> bool:
        return providers.read(self._request, HttpResponse(200, _JSON, (Chunk(0, b"{}"),))) is not None

    @property
    def _answer(self) -> ChatAnswer | None:
        return None if self._recorded is None else providers.read(self._request, self._recorded)

    @property
    def _body(self) -> str:
        return plain(self._complete).decode("utf-8", "replace")

    # -- what is said instead --------------------------------------------------------------------------------------

    def _dressed(self, answer: ChatAnswer) -> HttpResponse:
        recorded = self._answer
        known = answer if recorded is None else replace(answer, model=recorded.model, usage=recorded.usage)
        dressed = providers.dress(self._request, known)
        if dressed is None:
            raise Unfit("playhead can't write an answer in this wire format")
        return dressed

    def _with_text(self, change: Callable[[str], str], finish: str | None = None) -> HttpResponse:
        """The recorded answer with its text changed, or where it only calls tools, the last call's arguments."""
        _ = self._complete
        answer = self._answer
        if answer is None:
            raise Unfit("its recorded answer can't be read")
        message, finish = answer.message, finish or answer.finish_reason
        if message.content:
            changed = Message("assistant", change(message.content), tool_calls=message.tool_calls)
        elif message.tool_calls:
            last = message.tool_calls[-1]
            call = ToolCall(last.id, last.name, change(last.arguments))
            changed = Message("assistant", "", tool_calls=(*message.tool_calls[:-1], call))
        else:
            raise Unfit("the recorded answer has no text")
        return self._dressed(replace(answer, message=changed, finish_reason=finish))

    def _with_body(self, text: str) -> HttpResponse:
        return replace(_uncoded(self._complete), chunks=(Chunk(0, text.encode()),))


def plain(response: HttpResponse) -> bytes:
    """The body as it was before it was compressed."""
    body = providers.plain_body(response)
    if body is None:
        raise Unfit("its recorded answer can't be read")
    return body


def _is_stream(request: HttpRequest) -> bool:
    asked = isinstance(request.body, dict) and request.body.get("stream") is True
    return asked or "stream" in urlsplit(request.url).path.lower()


def _uncoded(response: HttpResponse) -> HttpResponse:
    return replace(response, headers=tuple(pair for pair in response.headers if pair[0].lower() not in _OF_BYTES))


def _rewritten(response: HttpResponse, change: Callable[[Any], Any]) -> HttpResponse:
    """Each JSON value of a body changed: of a stream, those of its events."""
    lines = plain(response).split(b"\n")
    body = b"\n".join(lines)
    try:
        whole = json.dumps(change(json.loads(body)), ensure_ascii=False).encode()
    except ValueError:
        whole = b"\n".join(_line(line, change) for line in lines)
    return replace(_uncoded(response), chunks=(Chunk(0, whole),))


def _line(line: bytes, change: Callable[[Any], Any]) -> bytes:
    name, sign, data = line.partition(b"data:") if line.startswith(b"data:") else (b"", b"", line)
    try:
        value = json.loads(data)
    except ValueError:
        return line
    return name + sign + (b" " if sign else b"") + json.dumps(change(value), ensure_ascii=False).encode()


def _as_refusal_field(body: Any) -> Any:
    """OpenAI's structured answers refuse in a field of their own, and end as any answer does."""
    choices = [_choice(choice) for choice in body.get("choices", ())]
    return {**body, "choices": choices}


def _choice(choice: dict[str, Any]) -> dict[str, Any]:
    said = dict(choice)
    for name in ("message", "delta"):
        if isinstance(part := said.get(name), dict) and part.get("content"):
            said[name] = {**part, "content": None, "refusal": part["content"]}
    if said.get("finish_reason") == "content_filter":
        said["finish_reason"] = "stop"
    return said
