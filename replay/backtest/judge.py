"""A model that says whether two outputs mean the same: a target of the catalogue, a Python callable or an endpoint that
speaks OpenAI's chat.

It is told the input and both outputs, not which is which model's; its answer begins with yes or no. Models prefer what
they read first: which output stands first alternates with the trace's id.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from replay.backtest.scoring import Pair, Score
from replay.errors import PlanError
from tracer import recorder
from tracer.catalogue import Target
from tracer.messages import ChatAnswer, ChatRequest, Message
from tracer.plain import plain
from tracer.pricing import price_call
from tracer.providers import CHAT, provider_of

#: Characters of each value that the judge reads, and tokens that it may answer with.
_MOST_READ = 8_000
_MOST_SAID = 64
_TIMEOUT_S = 60.0
_ASK = (
    "Two programs were given the same input. Do their outputs say the same to somebody who relies on them? "
    "Wording does not matter, facts, numbers and decisions do. Begin your answer with yes or no.\n\n"
)


class Judge:
    """A scorer: 1 for yes, 0 for no, no score where it says neither or can't be asked."""

    def __init__(self, model: str) -> None:
        self.model = model

    def __call__(self, pair: Pair) -> Score:
        # Looked up here and not before: the workflow's module may be what configures it.
        target = recorder.catalogue().get(self.model)
        request = self._request(pair, target)
        if pair.budget_nusd is not None and (why := _too_dear(target, request, pair.budget_nusd)):
            return Score(None, problem=why)
        answer = _said(target, request)
        cost, _ = price_call(_call(target, answer.usage), at_ns=time.time_ns())
        word = answer.message.content.strip().lower()
        is_told = word.startswith(("yes", "no"))
        return Score(
            float(word.startswith("yes")) if is_told else None,
            problem=None if is_told else f"the judge {self.model} said neither yes nor no: {word[:80]!r}",
            cost_nusd=0 if cost is None else cost.nusd,
            unpriced=int(cost is None),
        )

    def _request(self, pair: Pair, target: Target) -> ChatRequest:
        sides = [pair.before, pair.after] if int(pair.trace_id[-1], 16) % 2 else [pair.after, pair.before]
        named = zip(("Input", "Output 1", "Output 2"), (pair.input, *sides), strict=True)
        text = _ASK + "\n\n".join(f"{name}:\n{_shown(value)}" for name, value in named)
        return ChatRequest(
            target.asked_as, (Message("user", text),), parameters={"temperature": 0, "max_tokens": _MOST_SAID}
        )


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
    return text if len(text) <= _MOST_READ else f"{text[:_MOST_READ]}..."


def _said(target: Target, request: ChatRequest) -> ChatAnswer:
    """Ask the target. Raises PlanError for one that can't be asked so; what asking it raises."""
    if target.call is not None:
        given = target.call(request)
        return ChatAnswer.of(given) if isinstance(given, str) else given
    if target.url is None or target.format != "openai":
        raise PlanError(f"{target.name} can't judge: give it a call, or the base_url of an endpoint with OpenAI's chat")
    recorder.catalogue().make_reachable(target.url)
    body = {
        "model": request.model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        **request.parameters,
    }
    asked = urllib.request.Request(  # noqa: S310 - an endpoint of the user's own catalogue
        target.url.rstrip("/") + CHAT.path,
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json", **target.headers()},
    )
    try:
        with urllib.request.urlopen(asked, timeout=target.timeout_s or _TIMEOUT_S) as response:  # noqa: S310 - likewise
            return CHAT.answer(response.status, {}, response.read())
    except urllib.error.HTTPError as error:
        with error:
            raise PlanError(f"the judge {target.name} answered HTTP {error.code}: {error.read(200)!r}") from None


def _call(target: Target, usage: Any) -> dict[str, Any]:
    parts = urlsplit(target.url or "")
    provider = "local" if target.call is not None else provider_of(parts.hostname or "", parts.path)
    price = target.price
    declared = {} if price is None else {"price": {"input_nusd": price.input_nusd, "output_nusd": price.output_nusd}}
    return {"provider": provider, "model": target.asked_as, "usage": asdict(usage), **declared}


def _too_dear(target: Target, request: ChatRequest, budget_nusd: int) -> str | None:
    """Why the judge is not asked within this budget. A token is taken for two characters, which is rarely too few."""
    usage = ChatAnswer.of("").usage
    expected = {**asdict(usage), "input_tokens": len(request.messages[0].content) // 2, "output_tokens": _MOST_SAID}
    cost, reason = price_call({**_call(target, usage), "usage": expected}, at_ns=time.time_ns())
    if cost is None:
        return f"what the judge {target.name} costs is not known ({reason}), so the budget can't be held"
    return None if cost.nusd <= budget_nusd else f"the budget has too little left to ask the judge {target.name}"
