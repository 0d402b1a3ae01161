"""A question as it was asked, and what may be answered to it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping

from replay.answering.schema import breach
from replay.errors import ReplayError
from tracer.errors import CodecError, StoreError, StoreUnreachable
from tracer.model import Escalation, PayloadRef
from tracer.plain import plain


class AnswerRefused(ReplayError):
    """An answer that the question does not allow. Says which it does."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a human is asked. ``unreadable`` says why it can't be told, where it can't; then it can't be answered."""

    text: str
    options: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None
    has_default: bool = False
    default: Any = None
    #: Why the answer before this one was refused by its type, and what it was.
    refused: str = ""
    refused_answer: Any = None
    unreadable: str = ""


def question_of(one: Escalation, value_of: Callable[[PayloadRef], Any]) -> Question:
    """The question of an escalation, from the input of the step that asked."""
    if one.input is None:
        return Question("(not captured)", unreadable="what it asks was not recorded (capture is off)")
    try:
        asked = value_of(one.input)["asked"]
        text = str(asked["question"])
    except StoreUnreachable:
        raise
    except (StoreError, CodecError, LookupError, TypeError) as error:
        return Question("(not readable)", unreadable=f"what it asks can't be read: {error}")
    context = plain(asked.get("context") or {})
    return Question(
        text=text,
        options=tuple(asked.get("options") or ()),
        schema=asked.get("schema"),
        context=context if isinstance(context, dict) else {"context": context},
        timeout_s=asked.get("timeout_s"),
        has_default="default" in asked,
        default=asked.get("default"),
        refused=str(asked.get("refused", "")),
        refused_answer=asked.get("refused_answer"),
    )


def parsed(question: Question, text: str) -> Any:
    """The answer that somebody typed: an option, JSON where a schema is asked for, else the text. Raises AnswerRefused
    for what the question does not allow."""
    value: Any = text.strip()
    if question.schema is not None:
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            if breach(question.schema, value) is not None:  # a text needs no quotes where a text is wanted
                raise AnswerRefused(
                    f"the answer is not JSON ({error.msg} at character {error.pos + 1}); it is to fit "
                    f"{json.dumps(question.schema)}"
                ) from None
    check(question, value)
    return value


def check(question: Question, value: Any) -> None:
    """Raises AnswerRefused where the question does not allow this answer."""
    if question.unreadable:
        raise AnswerRefused(f"nobody can answer this: {question.unreadable}")
    if question.options:
        if value not in question.options:
            raise AnswerRefused(f"{value!r} is none of the options: {', '.join(question.options)}")
    elif question.schema is not None:
        if (wrong := breach(question.schema, value)) is not None:
            raise AnswerRefused(f"the answer does not fit its schema: {wrong}")
    elif not isinstance(value, str) or not value:
        raise AnswerRefused("an answer is a text; this one is empty")
