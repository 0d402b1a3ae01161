"""A run read as a story: what was said to the models and by them, and what was done in between. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

from tracer import format as fmt
from tracer.format import Shown
from tracer.messages import ChatRequest, Message
from tracer.model import Kind, PayloadRef, Status, Step, Trace
from web.view.conversation import Conversation, asked
from web.view.exchange import request_in, said
from web.view.payload import Limits, block
from web.view.text import one_line

PAGE = 40
_LIMITS = Limits(lines=60, characters=3_000, string=2_000, clamp=10)
#: Kinds that are worth a line between the calls; plain steps and their frames would drown the story.
_DONE = ("tool", "retriever", "reranker", "router", "human", "guardrail", "evaluator")
_DECODE_LIMIT = 500_000
Load = Callable[[PayloadRef], Any]


@dataclass(frozen=True, slots=True)
class Passage:
    """A model call with the turns that are new in it, or one line for something that was done."""

    step_id: str
    name: str
    kind: Kind
    status: Status
    at: str
    model: str
    time: Shown
    cost: Shown
    asked: Conversation | None = None
    answer: Conversation | None = None
    #: Turns that an earlier call had shown.
    known: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    passages: tuple[Passage, ...]
    total: int
    first: int

    @property
    def last(self) -> int:
        return self.first + len(self.passages)


def transcript(trace: Trace, *, load: Load, first: int = 0) -> Transcript:
    """A page of the story, in the order in which it happened."""
    told = [step for step in trace.steps if _is_told(step)]
    first = first - first % PAGE if first < len(told) else 0
    seen: list[tuple[Message, ...]] = []
    if first:  # what the page before showed is known here
        seen = [request.messages for step in told[max(0, first - 5) : first] if (request := _request(step, load))]
    begin = trace.steps[0].started_ns if trace.steps else 0
    passages = tuple(_passage(step, begin, seen, load) for step in told[first : first + PAGE])
    return Transcript(passages, len(told), first)


def _is_told(step: Step) -> bool:
    return step.kind == "llm" or step.kind in _DONE or step.effect


def _passage(step: Step, begin: int, seen: list[tuple[Message, ...]], load: Load) -> Passage:
    since = fmt.duration(step.started_ns - begin) if step.started_ns > begin else "0"
    common: dict[str, Any] = {
        "step_id": step.step_id,
        "name": step.name,
        "kind": step.kind,
        "status": step.status,
        "at": f"+{since}",
        "model": (step.call.model or step.call.model_asked or "") if step.call else "",
        "time": fmt.shown_duration(step.duration_ns, step.status),
        "cost": fmt.call_cost(step),
    }
    request = _request(step, load)
    if request is None:
        return Passage(**common, text=_in_a_line(step, load))
    known = max((_shared(before, request.messages) for before in seen), default=0)
    seen.append(request.messages)
    del seen[:-8]
    new = ChatRequest(request.model, request.messages[known:], {}, ())
    answer = _small(step.output, load)
    return Passage(
        **common,
        asked=asked(new, limits=_LIMITS) if new.messages else None,
        answer=said(answer, request=_small(step.input, load), limits=_LIMITS),
        known=known,
        text=_failed(step),
    )


def _request(step: Step, load: Load) -> ChatRequest | None:
    return request_in(_small(step.input, load)) if step.kind == "llm" else None


def _small(ref: PayloadRef | None, load: Load) -> Any:
    return load(ref) if ref is not None and ref.size <= _DECODE_LIMIT else None


def _shared(before: Sequence[Message], now: Sequence[Message]) -> int:
    """How many turns the two begin with in common."""
    count = 0
    for one, other in zip(before, now, strict=False):
        if (one.role, one.content, one.tool_calls) != (other.role, other.content, other.tool_calls):
            break
        count += 1
    return count


def _failed(step: Step) -> str:
    failure = step.failure
    return "" if failure is None else f"{fmt.type_name(failure.type)}: {one_line(failure.message, 200)}"


def _in_a_line(step: Step, load: Load) -> str:
    if step.failure is not None:
        return _failed(step)
    sides = [_words(_small(ref, load)) for ref in (step.input, step.output)]
    return " → ".join(side for side in sides if side)


def _words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return one_line(value, 160)
    if isinstance(value, Mapping) and not value:
        return ""
    lines = block(value, limits=Limits(lines=12, characters=600, depth=3, string=160, clamp=12)).head
    parts = (f"{line.key}: {line.text}" if line.key and line.text else line.key or line.text for line in lines)
    return one_line(", ".join(part for part in parts if part), 160)
