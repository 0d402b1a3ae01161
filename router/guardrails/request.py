"""Rules about what is asked, before it is sent. They are held against a ``ChatRequest``, as ``asked`` makes one of the
arguments of an SDK. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Mapping

from router.documents.tokens import counted, surely_within, text_of
from router.guardrails.verdict import Rule
from tracer.messages import ChatRequest, Message

#: What SDKs call the most tokens that an answer may have.
_MOST = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_JSON = frozenset({"json_object", "json_schema"})


def asked(*, messages: str | Iterable[Mapping[str, Any]], model: str | None = None, **parameters: Any) -> ChatRequest:
    """What is about to be sent, from the arguments that the SDK will get: ``asked(**arguments)``.

    A string is one message of the user. A system prompt beside the messages (Anthropic's ``system``) is put in front.
    """
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    if (system := parameters.pop("system", None)) is not None:
        turns = [{"role": "system", "content": system}, *turns]
    said = tuple(Message(str(turn.get("role", "user")), text_of(turn.get("content"))) for turn in turns)
    return ChatRequest(model, said, parameters)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rule about text, held against each message of these roles: ``Prompt(Bans(("insider",)))``."""

    rule: Rule
    roles: tuple[str, ...] = ("user",)

    @property
    def name(self) -> str:
        return f"prompt: {self.rule.name}"

    def offence(self, request: ChatRequest) -> str | None:
        for number, message in enumerate(request.messages):
            offence = self.rule.offence(message.content) if message.role in self.roles else None
            if offence is not None:
                return f"message {number} ({message.role}): {offence}"
        return None


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """All messages together have at most ``at_most`` tokens, as the model that is asked counts them."""

    at_most: int
    name: str = "prompt tokens"

    def offence(self, request: ChatRequest) -> str | None:
        if surely_within(request.messages, self.at_most):
            return None
        found = counted(request.messages, request.model)
        return f"{found} tokens, more than {self.at_most}" if found.tokens > self.at_most else None


@dataclass(frozen=True, slots=True)
class Temperature:
    """The temperature is set, and lies between ``at_least`` and ``at_most``, both included."""

    at_least: float = 0.0
    at_most: float = 1.0
    name: str = "temperature"

    def offence(self, request: ChatRequest) -> str | None:
        given = request.parameters.get("temperature")
        if not isinstance(given, int | float) or isinstance(given, bool):
            return "no temperature is set" if given is None else f"{given!r} is no temperature"
        if not self.at_least <= given <= self.at_most:
            return f"{given:g}, not between {self.at_least:g} and {self.at_most:g}"
        return None


@dataclass(frozen=True, slots=True)
class AnswerLimit:
    """The length of the answer is limited (``max_tokens``, ``max_completion_tokens`` or ``max_output_tokens``), to at
    most ``at_most`` tokens."""

    at_most: int | None = None
    name: str = "answer limit"

    def offence(self, request: ChatRequest) -> str | None:
        given = next((limit for name in _MOST if (limit := request.parameters.get(name)) is not None), None)
        if given is None:
            return f"none of {', '.join(_MOST)} is set"
        if self.at_most is not None and given > self.at_most:
            return f"{given}, more than {self.at_most}"
        return None


@dataclass(frozen=True, slots=True)
class AsksForJson:
    """``response_format`` asks for JSON; with ``schema`` for JSON of a schema, which then is not left to the prompt."""

    schema: bool = False
    name: str = "response format"

    def offence(self, request: ChatRequest) -> str | None:
        form = request.parameters.get("response_format")
        kind = form.get("type") if isinstance(form, Mapping) else form
        if kind == "json_schema" or (kind in _JSON and not self.schema):
            return None
        wanted = "json_schema" if self.schema else "json_object or json_schema"
        return f"response_format is {kind or 'not set'}, not {wanted}"
