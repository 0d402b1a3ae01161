"""A question made ready to be sent: what is sent where, in the target's format, and what is expected back. Pure.

It is written in OpenAI's chat format and translated by ``tracer.providers`` where the target speaks Anthropic's, so the
formats stand in one place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Callable, Generic, Mapping, Sequence, TypeVar
from urllib.parse import quote

from router.client.shape import Shape
from router.documents.tokens import refuse_too_long
from router.errors import NotAskable, PromptTooLong
from tracer.catalogue import Target
from tracer.errors import ConfigError
from tracer.messages import ChatRequest, Message
from tracer.providers import CHAT, MESSAGES, Format
from tracer.providers.openai_chat import message_of
from tracer.providers.translate import translate

T = TypeVar("T")

#: What a question may be: a user's text, or turns, each a Message or a mapping in OpenAI's form.
Messages = str | Sequence[Message | Mapping[str, Any]]
#: The number of tokens that messages take in a model's own counting.
Count = Callable[[Sequence[Message], str], int]
#: How long a target may say nothing, where nobody says otherwise.
TIMEOUT_S = 60.0
#: What ``ask`` says itself; not for ``options``.
_OURS = frozenset({"model", "messages", "stream", "stream_options", "response_format"})
#: Where a Python callable stands, as far as the record is concerned. Nothing is ever sent there.
PYTHON = "http://localhost/python"


@dataclass(frozen=True, slots=True)
class Asking(Generic[T]):
    """``content`` is the body for ``url``, in the format ``wire``; ``chat`` is the same question in OpenAI's."""

    target: Target
    wire: Format
    chat: ChatRequest
    url: str
    content: bytes
    timeout_s: float
    shape: Shape[T] | None

    def headers(self) -> dict[str, str]:
        """What goes with the body; the key is read from the environment here, and kept nowhere."""
        return {"content-type": "application/json", "user-agent": "playhead", **self.target.headers()}


def prepared(  # noqa: PLR0913 - what a model can be asked for
    target: Target,
    messages: Messages,
    shape: Shape[T] | None,
    *,
    temperature: float | None,
    max_tokens: int | None,
    logprobs: bool,
    timeout_s: float | None,
    count: Count | None,
    options: Mapping[str, Any],
    stream: bool,
) -> Asking[T]:
    """Raises NotAskable where the target has no place to send it to or can't be asked for this, and PromptTooLong."""
    if ours := sorted(_OURS & options.keys()):
        raise NotAskable(target.name, f"options can't hold {', '.join(ours)}: that is said by ask's own arguments")
    turns = _turns(target, messages)
    _check_room(target, turns, max_tokens, count)
    asked: dict[str, Any] = {"model": target.asked_as, "messages": turns}
    told = {
        "temperature": temperature,
        "max_tokens": max_tokens,
        "logprobs": True if logprobs else None,
        "response_format": None if shape is None else shape.response_format(),
        "stream": True if stream else None,
        "stream_options": {"include_usage": True} if stream else None,
    }
    asked |= {name: value for name, value in told.items() if value is not None}
    asked |= options
    wire, base = _endpoint(target)
    if wire is MESSAGES and "max_tokens" not in asked and target.max_output_tokens is not None:
        asked["max_tokens"] = target.max_output_tokens
    try:
        body = json.dumps(asked, ensure_ascii=False, allow_nan=False).encode()
        content = translate(body, CHAT, wire, target.asked_as)
    except ConfigError as error:
        raise NotAskable(target.name, str(error)) from None
    except (TypeError, ValueError) as error:
        raise NotAskable(target.name, f"the question is no JSON: {error}") from None
    wait = timeout_s if timeout_s is not None else target.timeout_s
    url = base.rstrip("/") + wire.path_for(target.asked_as)
    return Asking(target, wire, CHAT.request(body), url, content, TIMEOUT_S if wait is None else wait, shape)


def _endpoint(target: Target) -> tuple[Format, str]:
    if target.call is not None:
        return CHAT, f"{PYTHON}/{quote(target.name, safe='')}"
    if target.url is None:
        raise NotAskable(target.name, "it has no address: give it a base_url, a launcher or a call")
    if target.format == "same":
        raise NotAskable(target.name, "format='same' is whatever the code speaks: say 'openai' or 'anthropic'")
    return (MESSAGES if target.format == "anthropic" else CHAT), target.url


def _check_room(
    target: Target, turns: Sequence[Mapping[str, Any]], max_tokens: int | None, count: Count | None
) -> None:
    most = target.max_output_tokens
    if max_tokens is not None and most is not None and max_tokens > most:
        raise NotAskable(target.name, f"max_tokens is {max_tokens}, and it answers with at most {most}")
    if target.context_tokens is None:
        return
    if count is None:
        refuse_too_long(turns, target, answer=max_tokens or 0)
        return
    tokens, limit = (
        count([message_of(turn) for turn in turns], target.asked_as),
        target.context_tokens - (max_tokens or 0),
    )
    if tokens > limit:
        raise PromptTooLong(tokens, limit, target.name)


def _turns(target: Target, messages: Messages) -> list[Mapping[str, Any]]:
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    turns: list[Any] = [_turn(each) if isinstance(each, Message) else each for each in messages]
    if not turns:
        raise NotAskable(target.name, "there is no message")
    for each in turns:
        if not isinstance(each, Mapping) or not isinstance(each.get("role"), str):
            raise NotAskable(target.name, f"a message is a Message or a mapping with a role, not {each!r}")
    return [dict(each) for each in turns]


def _turn(message: Message) -> dict[str, Any]:
    content: Any = message.content
    if message.parts:
        said = [{"type": "text", "text": message.content}] if message.content else []
        content = [*said, *(dict(part) for part in message.parts)]
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in message.tool_calls
    ]
    told = {"name": message.name, "tool_calls": calls or None, "tool_call_id": message.tool_call_id}
    return {"role": message.role, "content": content} | {key: value for key, value in told.items() if value is not None}
