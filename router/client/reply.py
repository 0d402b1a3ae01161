"""What a model said, as a value that passes between steps with its type, and how it is read. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Generic, Iterable, Mapping, TypeVar

from router.client.asking import Asking
from router.errors import InvalidAnswer, ProviderError
from tracer.messages import ChatAnswer, ToolCall
from tracer.model import Usage
from tracer.providers.base import mapping, parse, sequence
from tracer.providers.headers import Headers

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Token:
    """One token of an answer and the natural logarithm of its probability. ``data`` are its bytes, which need not be a
    whole character."""

    text: str
    logprob: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """``value`` is the answer as the type that was asked for, ``text`` as the model wrote it. ``target`` was asked,
    ``model`` answered; ``tokens`` are there where logprobs were asked for and given."""

    value: T
    text: str
    target: str
    model: str
    usage: Usage = field(default_factory=Usage)
    finish_reason: str | None = None
    tokens: tuple[Token, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()


def reply_of(asking: Asking[T], status: int, headers: Headers, body: bytes) -> Reply[T]:
    """The reply in a whole response. Raises ProviderError and InvalidAnswer."""
    answer = asking.wire.answer(status, headers, body)
    if answer.error is not None or status >= 400:
        raise refused(asking, status, answer)
    return typed(asking, answer, tokens_in([parse(body)]))


def typed(asking: Asking[T], answer: ChatAnswer, tokens: tuple[Token, ...]) -> Reply[T]:
    """The reply with its value; raises InvalidAnswer."""
    said = answer.message
    name = asking.target.name
    plain: Reply[Any] = Reply(
        said.content,
        said.content,
        name,
        answer.model or asking.target.asked_as,
        answer.usage,
        answer.finish_reason,
        tokens,
        said.tool_calls,
    )
    if asking.shape is None:
        return plain
    value, errors = asking.shape.read(said.content)
    if errors:
        cut = answer.finish_reason in {"length", "max_tokens"}
        told = (*errors, "the answer was cut off at max_tokens") if cut else errors
        raise InvalidAnswer(name, said.content, told, plain)
    return replace(plain, value=value)


def refused(asking: Asking[Any], status: int, answer: ChatAnswer) -> ProviderError:
    """A provider's error as an exception; a missing key is named, for that is what most 401s are."""
    message = (answer.error or {}).get("message")
    words = f"{status}: {message if isinstance(message, str) and message else 'no reason given'}"
    if status in {401, 403} and (variable := asking.target.missing_key):
        words += f" (the environment variable {variable} is not set)"
    return ProviderError(
        asking.target.name,
        words,
        status_code=status,
        error_type=answer.error_type,
        retry_after_s=answer.retry_after_s,
        request_id=answer.request_id,
    )


def tokens_in(given: Iterable[Mapping[str, Any]]) -> tuple[Token, ...]:
    """The tokens of the first answer, from a completion or from the chunks of one."""
    return tuple(
        token
        for whole in given
        for choice in sequence(whole.get("choices"))[:1]
        for raw in sequence(mapping(mapping(choice).get("logprobs")).get("content"))
        if (token := _token(mapping(raw))) is not None
    )


def _token(raw: Mapping[str, Any]) -> Token | None:
    text, logprob, data = raw.get("token"), raw.get("logprob"), raw.get("bytes")
    if not isinstance(text, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
        return None
    is_bytes = isinstance(data, list) and all(isinstance(each, int) and 0 <= each < 256 for each in data)
    return Token(text, float(logprob), bytes(data) if is_bytes else text.encode("utf-8", "surrogatepass"))  # type: ignore[arg-type]  # told apart above
