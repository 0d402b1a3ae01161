"""A model call as people read one: who said what, in turns. Knows tracer.messages, and no wire format."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from tracer.format import plural
from tracer.messages import ChatAnswer, ChatRequest, Message, ToolCall
from web.view.images import image_in, images_of
from web.view.payload import PANEL, Block, Limits, block, text_block
from web.view.text import one_line

#: Turns of one conversation on a page; the payload page has them all.
TURN_LIMIT = 40
#: Of more turns than these, the middle is folded away: one looks for what was just said, and for the answer below it.
OPEN_TURNS = 6
_LAST_TURNS = 3
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


@dataclass(frozen=True, slots=True)
class ToolUse:
    name: str
    id: str
    arguments: Block


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. ``tone`` chooses the bar (system, user, assistant, tool); ``folded`` shows ``preview`` first."""

    role: str
    tone: str
    name: str
    body: Block | None
    preview: str = ""
    folded: bool = False
    reasoning: Block | None = None
    tools: tuple[ToolUse, ...] = ()
    parts: tuple[Block, ...] = ()
    #: The numbers of its images among those of the whole request.
    images: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of a request or of an answer, and what came with them."""

    turns: tuple[Turn, ...]
    #: Turns in the middle, to be opened; they stand behind the first ``head`` ones.
    middle: tuple[Turn, ...] = ()
    head: int = 1
    omitted: int = 0
    parameters: tuple[tuple[str, str], ...] = ()
    tools: tuple[str, ...] = ()
    error: Block | None = None


def asked(request: ChatRequest, *, limits: Limits = PANEL) -> Conversation:
    """The request: its turns (of very many, the first and the last), its parameters, the tools it offers."""
    messages = request.messages
    omitted = max(0, len(messages) - TURN_LIMIT)
    shown = messages if not omitted else (*messages[:2], *messages[2 + omitted :])
    share = _share(limits, len(shown))
    numbers = _image_numbers(messages)
    turns = tuple(_turn(message, limits=share, folds=True, images=numbers.get(id(message), ())) for message in shown)
    head = 1 if turns and turns[0].tone == "system" else 0
    middle = turns[head:-_LAST_TURNS] if len(turns) > OPEN_TURNS else ()
    return Conversation(
        turns=(*turns[:head], *turns[head + len(middle) :]),
        middle=middle,
        head=head,
        omitted=omitted,
        parameters=tuple((name, _parameter(value)) for name, value in request.parameters.items()),
        tools=tuple(_tool_name(tool) for tool in request.tools),
    )


def answered(answer: ChatAnswer, *, limits: Limits = PANEL) -> Conversation:
    """The answer: one turn, or the provider's error object."""
    error = block(dict(answer.error), limits=limits) if answer.error else None
    message = answer.message
    empty = not (message.content or message.tool_calls or message.reasoning or message.parts)
    turns = () if error is not None and empty else (_turn(message, limits=limits, folds=False),)
    return Conversation(turns=turns, error=error)


def _image_numbers(messages: Sequence[Message]) -> dict[int, tuple[int, ...]]:
    """The numbers of the images of each turn that has some, by the turn's identity here."""
    found: dict[int, tuple[int, ...]] = {}
    number = 0
    for message in messages:
        count = sum(1 for _ in images_of((message,)))
        if count:
            found[id(message)] = tuple(range(number, number + count))
        number += count
    return found


def _turn(message: Message, *, limits: Limits, folds: bool, images: tuple[int, ...] = ()) -> Turn:
    tone = _ROLES.get(message.role, "other")
    return Turn(
        role=message.role,
        tone=tone,
        name=message.name or message.tool_call_id or "",
        body=_body(message.content, limits=limits) if message.content else None,
        preview=one_line(message.content, 160),
        folded=folds and tone == "system" and len(message.content) > 90,
        reasoning=text_block(message.reasoning, limits=limits) if message.reasoning else None,
        tools=tuple(_tool_use(call, limits=limits) for call in message.tool_calls),
        parts=tuple(
            block(dict(part), limits=limits) for part in message.parts if not images or image_in(message, part) is None
        ),
        images=images,
    )


def _body(text: str, *, limits: Limits) -> Block:
    """What a model said: JSON objects and lists are laid out as values, everything else is text."""
    stripped = text.strip()
    if stripped[:1] in ("{", "[") and len(stripped) <= limits.characters:
        parsed = _parse(stripped)
        if isinstance(parsed, (dict, list)) and parsed:
            return block(parsed, limits=limits)
    return text_block(text, limits=limits)


def _tool_use(call: ToolCall, *, limits: Limits) -> ToolUse:
    parsed = _parse(call.arguments)
    arguments = block(parsed, limits=limits) if parsed is not None else text_block(call.arguments, limits=limits)
    return ToolUse(call.name, call.id, arguments)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _parameter(value: Any) -> str:
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr), 80)


def _tool_name(tool: Mapping[str, Any]) -> str:
    function = tool.get("function")
    named = function if isinstance(function, Mapping) else tool
    return str(named.get("name") or named.get("type") or "tool")


def _share(limits: Limits, turns: int) -> Limits:
    """The same room for the whole, divided: many turns get less each, but never less than a paragraph."""
    if turns <= 4:
        return limits
    return Limits(
        lines=max(20, limits.lines * 4 // turns),
        characters=max(1_000, limits.characters * 4 // turns),
        depth=limits.depth,
        string=limits.string,
        clamp=max(8, limits.clamp * 4 // turns),
    )


def turns_in_words(conversation: Conversation) -> str:
    """``3 turns``, for the title of a block."""
    return plural(len(conversation.turns) + len(conversation.middle) + conversation.omitted, "turn")
