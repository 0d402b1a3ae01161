"""A question to a human. It ends the run as waiting; the answer resumes it, in whatever process and however late."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Callable, Generic, Mapping, NoReturn, Sequence, TypeVar, overload

from router.errors import EscalationExpired, NobodyToAsk
from tracer import current, recorded, step
from tracer.declared import Capture
from tracer.waiting import ANSWER, DUE, Waiting

T = TypeVar("T")
_NONE: Any = object()


@overload
def escalate(
    question: str,
    *,
    options: Sequence[str] = ...,
    context: Mapping[str, Any] | None = ...,
    timeout_s: float | None = ...,
    default: str = ...,
) -> str: ...
@overload
def escalate(
    question: str,
    *,
    schema: type[T],
    context: Mapping[str, Any] | None = ...,
    timeout_s: float | None = ...,
    default: T = ...,
) -> T: ...
def escalate(  # noqa: PLR0913 - what there is to say of a question
    question: str,
    *,
    options: Sequence[str] = (),
    schema: Any = None,
    context: Mapping[str, Any] | None = None,
    timeout_s: float | None = None,
    default: Any = _NONE,
) -> Any:
    """Put a question to a human: a step of kind human, with which this run ends, as waiting.

    The caller of the workflow gets ``Waiting``, which no ``except Exception`` inside it catches. When somebody has
    answered (``playhead escalations``, or the viewer's inbox), the run goes on: all that finished is served, and this
    call gives the answer: one of ``options``, a value of the type ``schema`` (anything that pydantic knows), or, with
    neither, a text. ``context`` is what the human needs to decide. After ``timeout_s`` seconds the ``default`` is
    taken, or, without one, EscalationExpired raised here.
    Raises ValueError for a question that can't be, NobodyToAsk outside a recorded workflow.
    """
    adapter = None if schema is None else _adapter(schema)
    asked = _question(question, options, adapter, context, timeout_s, default)
    _expect_to_go_on(question)
    given = _ask(asked)
    while adapter is not None:
        try:
            return adapter.validate_python(given)
        except ValueError as refused:  # what the type refuses and its schema could not say: it is asked again
            given = _ask({**asked, "refused": str(refused), "refused_answer": given})
    return given


@dataclass(frozen=True, slots=True)
class Human(Generic[T]):
    """A human as a target, for the end of a chain: called, it escalates. What it is called with is told as context
    ``request``, and to ``question``, where that is a function of it."""

    question: str | Callable[..., str]
    options: tuple[str, ...] = ()
    schema: type[T] | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None
    default: Any = _NONE
    name: str = "human"

    def __call__(self, *request: Any) -> Any:
        """Ask. Gives the answer when the run is resumed with it."""
        question = self.question if isinstance(self.question, str) else self.question(*request)
        told = {} if not request else {"request": request[0] if len(request) == 1 else list(request)}
        rest: dict[str, Any] = {"context": {**self.context, **told}, "timeout_s": self.timeout_s}
        if self.default is not _NONE:
            rest["default"] = self.default
        shape = {"options": self.options} if self.schema is None else {"schema": self.schema}
        return escalate(question, **shape, **rest)


@step(kind="human", name="escalate")
def _ask(asked: Mapping[str, Any]) -> Any:
    given: Mapping[str, Any] = recorded(ANSWER, partial(_wait, asked))
    current().set(tags={"how": given["how"], "answered_by": given["by"]})
    if given["how"] == "expired":
        raise EscalationExpired(asked["question"])
    return given["value"]


def _wait(asked: Mapping[str, Any]) -> NoReturn:
    here = current()
    if "timeout_s" in asked:
        here.set(tags={DUE: time.time_ns() + round(asked["timeout_s"] * 1e9)})
    raise Waiting(asked["question"], here.trace_id or "", here.step_id or "")


def _question(  # noqa: PLR0913, PLR0917 - the parts of a question
    question: str,
    options: Sequence[Any],
    adapter: Any,
    context: Mapping[str, Any] | None,
    timeout_s: float | None,
    default: Any,
) -> dict[str, Any]:
    """The question as plain values, without what was not said. Raises ValueError."""
    _check(options, adapter, timeout_s, default)
    asked: dict[str, Any] = {"question": question}
    if options:
        asked["options"] = list(options)
    if adapter is not None:
        asked["schema"] = adapter.json_schema()
    if context:
        asked["context"] = dict(context)
    if timeout_s is not None:
        asked["timeout_s"] = float(timeout_s)
    if default is not _NONE:
        asked["default"] = default if adapter is None else adapter.dump_python(default, mode="json")
    return asked


def _expect_to_go_on(question: str) -> None:
    """Raises NobodyToAsk where no answer could ever be given to this run."""
    here = current()
    if not here.trace_id:
        raise NobodyToAsk(
            f"nobody could answer {question!r}: no trace waits for it. Escalate inside a @workflow that is recorded "
            "(neither switched off nor sampled out: of traces that escalate, configure(keep=...) keeps all)"
        )
    if getattr(here, "capture", Capture.FULL) is not Capture.FULL:
        raise NobodyToAsk(
            f"nobody could answer {question!r}: what this run is about is not captured, so that it could not go on. "
            "Capture the content of workflows that escalate; redact= takes out what must not be kept"
        )


def _check(options: Sequence[Any], adapter: Any, timeout_s: float | None, default: Any) -> None:
    if isinstance(options, str) or not all(isinstance(option, str) and option for option in options):
        raise ValueError(f"options are texts, not {options!r}; for another type of answer say schema=...")
    if options and adapter is not None:
        raise ValueError("a question has options or a schema, not both: a Literal[...] as schema is options too")
    if timeout_s is not None and not 0 < timeout_s < 3e9:
        raise ValueError(f"timeout_s is a number of seconds above 0, not {timeout_s!r}")
    if default is not _NONE and timeout_s is None:
        raise ValueError("a default is taken when the time is over: say timeout_s=... too")
    if default is not _NONE and options and default not in options:
        raise ValueError(f"the default {default!r} is none of the options: {', '.join(options)}")


def _adapter(schema: Any) -> Any:
    from pydantic import TypeAdapter  # noqa: PLC0415 - for the few that ask for a type; it takes long to import

    return TypeAdapter(schema)
