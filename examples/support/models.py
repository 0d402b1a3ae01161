"""The models that this system may ask, by name, and the one way in which it asks them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Sequence, cast

from openai import OpenAI

from support import intent_lr, reply_templates
from support.local_llm import LocalLlm
from tracer import FREE, Target, current, step
from tracer.messages import ChatRequest, Message

#: They all run on this machine, so they cost nothing, by declaration.
SMOLLM2 = Target("smollm2-135m", launcher=LocalLlm(alias="smollm2-135m"), price=FREE)
INTENT_LR = Target(intent_lr.NAME, call=intent_lr.answer, price=FREE)
REPLY_TEMPLATES = Target(reply_templates.NAME, call=reply_templates.answer, price=FREE)
CATALOGUE = (SMOLLM2, INTENT_LR, REPLY_TEMPLATES)


@dataclass(frozen=True, slots=True)
class Said:
    """A model's text and, where it tells, each of its tokens with the natural logarithm of its probability."""

    text: str
    model: str
    tokens: tuple[tuple[str, float], ...] = ()


def chat(
    target: Target, messages: Sequence[Message], *, max_tokens: int, timeout_s: float, logprobs: bool = False
) -> Said:
    """Ask a model: over HTTP with the openai SDK where it has an address, else by calling it."""
    if target.url is None:
        return call(target.name, tuple(messages))
    completion = _client(target.url).chat.completions.create(
        model=target.asked_as,
        messages=cast(Any, [{"role": message.role, "content": message.content} for message in messages]),
        max_tokens=max_tokens,
        temperature=0,
        logprobs=logprobs,
        timeout=timeout_s,
    )
    choice = completion.choices[0]
    told = choice.logprobs.content if choice.logprobs is not None else None
    return Said(choice.message.content or "", completion.model, tuple((one.token, one.logprob) for one in told or ()))


@step(kind="llm", name="chat")
def call(model: str, messages: tuple[Message, ...]) -> Said:
    """Ask a model that is a Python function of this process."""
    current().set(model=model, provider="local")
    target = next(target for target in CATALOGUE if target.name == model)
    assert target.call is not None
    given = target.call(ChatRequest(model, messages))
    return Said(given if isinstance(given, str) else given.message.content, model)


@functools.cache
def _client(url: str) -> OpenAI:
    return OpenAI(base_url=url, api_key="local", max_retries=0)
