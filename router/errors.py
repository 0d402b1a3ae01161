"""What the router raises.

RouterError
├── AllTargetsFailed     every target of a fallback failed (an ExceptionGroup of what each one raised)
├── CircuitOpen          a breaker lets no call through for now
├── LimitExceeded        a call was not begun, because of what is left
│   ├── DeadlineExceeded     of the time
│   └── BudgetExceeded       of the money or of the number of calls
├── OutputRejected       a target answered, and the caller's check refused the answer
├── GuardrailFailed      a text broke a rule
├── InvalidWorkflow      a workflow on paper can't run: what is wrong with it, and where it was declared
├── NoBranch             a route decided for what no branch of it is for
├── NotReached           a bounded repeat came to its end, and what it was for was not reached
├── PromptTooLong        a prompt is longer than its target takes: it was not sent
├── ChunkFailed          one chunk of a document could not be worked on
├── TooLongToReduce      the parts of a document don't fit the window, and can't be brought to
├── MissingExtra         something optional is not installed
├── CallFailed           a target was asked, and no whole answer came
│   ├── ProviderError    it answered with an error
│   ├── CallTimedOut     it said nothing for too long (also a TimeoutError)
│   ├── NoConnection     it can't be reached, or hung up (also a ConnectionError)
│   └── StreamBroke      its stream ended before its end
├── NotAskable           a target can't be asked this, or not by us
├── InvalidAnswer        an answer that is not of the type that was asked for
├── NoConfidence         a confidence that can't be told from what there is
├── Undecided            a vote that nobody won
├── RegistryError        the registry of roles can't be read, or can't become what it was told to
│   └── UnknownRole      it has no role of that name
├── TuningError          what is recorded does not hold what a threshold is tuned by
├── NobodyToAsk          a question to a human where no trace waits for the answer
└── EscalationExpired    nobody answered in time, and there was no default
"""

from __future__ import annotations

from functools import partial
from typing import Any, Self, Sequence


class RouterError(Exception):
    """The root of this tree."""


class OutputRejected(RouterError):
    """A target answered, and ``reject`` said why its answer won't do."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(target, reason)
        self.target = target
        self.reason = reason

    def __str__(self) -> str:
        return f"the answer of {self.target} was refused: {self.reason}"


class GuardrailFailed(RouterError):
    """``text`` broke the rule named ``rule``; ``offence`` is the part of it that did, or what is missing from it."""

    def __init__(self, rule: str, offence: str, text: str) -> None:
        self.rule = rule
        self.offence = offence
        self.text = text
        super().__init__(f"broke the rule {rule!r}: {offence}")


class CallFailed(RouterError):
    """No whole answer came from ``target``."""

    def __init__(self, target: str, reason: str, *more: Any) -> None:
        super().__init__(target, reason, *more)  # as they were given, so that the error passes between processes
        self.target = target
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.target}: {self.reason}"


class ProviderError(CallFailed):
    """``target`` answered with an error. ``status_code`` is of HTTP, ``error_type`` the provider's own word,
    ``retry_after_s`` how long it asks to wait, ``request_id`` what its support asks for; None where it says nothing of
    that."""

    def __init__(  # noqa: PLR0913 - what a provider says of an error
        self,
        target: str,
        reason: str,
        *,
        status_code: int = 0,
        error_type: str | None = None,
        retry_after_s: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(target, reason)
        self.status_code = status_code
        self.error_type = error_type
        self.retry_after_s = retry_after_s
        self.request_id = request_id


class CallTimedOut(CallFailed, TimeoutError):
    """``target`` said nothing for too long."""


class NoConnection(CallFailed, ConnectionError):
    """``target`` can't be reached, or hung up before it had answered."""


class StreamBroke(CallFailed):
    """The stream of ``target`` ended before its end; ``text`` is what it had said so far."""

    def __init__(self, target: str, reason: str, text: str) -> None:
        super().__init__(target, reason, text)
        self.text = text

    def __str__(self) -> str:
        return f"{self.target}: the stream broke after {len(self.text)} characters: {self.reason}"


class NotAskable(RouterError):
    """``target`` can't be asked this; nothing was sent."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(target, reason)
        self.target = target
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.target} can't be asked: {self.reason}"


class PromptTooLong(RouterError):
    """A prompt of ``tokens`` was not sent: it does not fit the ``limit`` that ``target`` takes beside its answer."""

    def __init__(self, tokens: Any, limit: int, target: str) -> None:
        super().__init__(tokens, limit, target)
        self.tokens = tokens
        self.limit = limit
        self.target = target

    def __str__(self) -> str:
        return (
            f"the prompt has {self.tokens} tokens, and {self.target} takes {self.limit} beside its answer: shorten it, "
            "split the document it carries (router.map_reduce), or ask a target with a larger window"
        )


class ChunkFailed(RouterError):
    """The chunk of this ``number``, ``source[start:end]`` of its document; what it raised is the cause."""

    def __init__(self, number: int, start: int, end: int, error: BaseException) -> None:
        self.number = number
        self.start = start
        self.end = end
        self.error = error
        super().__init__(f"chunk {number} (characters {start} to {end}): {type(error).__name__}: {error}")


class TooLongToReduce(RouterError):
    """No two parts of a document, next to each other, fit into the window together. ``tokens`` are those of each."""

    def __init__(self, tokens: Sequence[int], window: int) -> None:
        self.tokens = tuple(tokens)
        self.window = window
        super().__init__(
            f"{len(self.tokens)} parts of {min(self.tokens)} to {max(self.tokens)} tokens, and no two of them fit into "
            f"a window of {window}: let map and reduce answer more briefly (limit their tokens), or take a larger one"
        )


class MissingExtra(RouterError):
    """``what`` stands on ``package``, which is not installed; ``extra`` is the part of playhead that brings it."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        self.what = what
        self.package = package
        self.extra = extra
        super().__init__(f'{what} needs {package}, which is not installed: pip install "playhead[{extra}]"')


class InvalidAnswer(RouterError, ValueError):
    """``text``, the answer of ``target``, is not of the type that was asked for; ``errors`` say where and why, one line
    each. ``reply`` is the untyped reply, with its usage."""

    def __init__(self, target: str, text: str, errors: Sequence[str], reply: Any = None) -> None:
        super().__init__(target, text, tuple(errors), reply)
        self.target = target
        self.text = text
        self.errors = tuple(errors)
        self.reply = reply

    def __str__(self) -> str:
        return f"the answer of {self.target} is not what was asked for: {'; '.join(self.errors)}"


class NoConfidence(RouterError, ValueError):
    """There is no confidence in what was given; the text says what is missing and how to get it."""


class Undecided(RouterError):
    """No answer of a vote got what it takes. ``tally`` pairs each answer with its weight, most first."""

    def __init__(self, reason: str, tally: Sequence[tuple[Any, float]]) -> None:
        super().__init__(reason, tuple(tally))
        self.reason = reason
        self.tally = tuple(tally)

    def __str__(self) -> str:
        return f"the vote decided nothing: {self.reason}"


class CircuitOpen(RouterError):
    """The breaker ``name`` lets no call through; after ``retry_after_s`` seconds it may let one try."""

    def __init__(self, name: str, retry_after_s: float, reason: str = "") -> None:
        self.name = name
        self.retry_after_s = retry_after_s
        self.reason = reason
        super().__init__(name, retry_after_s, reason)

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return f"the circuit of {self.name} is open{why}: try again in {self.retry_after_s:.1f} s, or another target"


class LimitExceeded(RouterError):
    """A call of ``target``, or a wait before it, was not begun; ``reason`` says what was left."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(target, reason)
        self.target = target
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.target} was not called: {self.reason}"


class DeadlineExceeded(LimitExceeded):
    """The time is up, or would be before the next try."""


class BudgetExceeded(LimitExceeded):
    """The money or the calls are used up, or it is not known what is left of the money."""


class TuningError(RouterError):
    """What is recorded, or what was asked for, does not do to tune a threshold."""

    #: Of the command line: wrong use.
    exit_code = 2


class NobodyToAsk(RouterError):
    """``escalate`` outside a workflow, or in a run that is not recorded: an answer would find nothing to go on with."""


class EscalationExpired(RouterError):
    """``question`` was not answered in time, and had no default. Raised into the workflow, which may deal with it."""

    def __init__(self, question: str) -> None:
        super().__init__(question)
        self.question = question

    def __str__(self) -> str:
        return f"nobody answered in time: {self.question}"


class AllTargetsFailed(ExceptionGroup[Exception], RouterError):
    """Every target was tried and none answered. ``attempts`` pairs each name with what it raised, in order."""

    attempts: tuple[tuple[str, Exception], ...]

    def __new__(cls, attempts: Sequence[tuple[str, Exception]], *of_group: Any) -> Self:
        if of_group:  # made anew from its ``args``, as tblib (and so Dask) does: the attempts are set afterwards
            return super().__new__(cls, attempts, *of_group)  # type: ignore[arg-type]  # message and exceptions
        told = "; ".join(f"{target}: {type(error).__name__}" for target, error in attempts)
        self = super().__new__(cls, f"no target answered ({told})", [error for _, error in attempts])
        self.attempts = tuple(attempts)
        return self


class InvalidWorkflow(RouterError):
    """The workflow named ``workflow`` can't run. ``problems`` say what is wrong, one line each, with its place."""

    def __init__(self, workflow: str, problems: Sequence[str]) -> None:
        self.workflow = workflow
        self.problems = tuple(problems)
        told = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"the workflow {workflow!r} can't run:{told}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.workflow, self.problems)


class NoBranch(RouterError):
    """The route named ``route`` decided for ``value``, and has no branch for it."""

    def __init__(self, route: str, value: Any, branches: Sequence[Any], place: str) -> None:
        self.route = route
        self.value = value
        self.branches = tuple(branches)
        self.place = place
        known = ", ".join(map(repr, branches))
        super().__init__(
            f"{place}: {route} decided for {value!r}, which leads nowhere: its branches are {known}. Add one to to=, "
            "or say otherwise="
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.route, self.value, self.branches, self.place)


class NotReached(RouterError):
    """The repeat named ``name`` ran ``times`` times without what it was for; ``last`` is what it gave at the end."""

    def __init__(self, name: str, times: int, last: Any, place: str) -> None:
        self.name = name
        self.times = times
        self.last = last
        self.place = place
        super().__init__(
            f"{place}: {name} ran {times} times and until= never held. Allow more with at_most=, or go on with the "
            'last value: otherwise="last"'
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.times, self.last, self.place)


class RegistryError(RouterError):
    """The registry of roles can't be read, or can't be changed in this way."""

    #: What the command line ends with: wrong use.
    exit_code = 2


class UnknownRole(RegistryError):
    """The registry at ``place`` has no role ``role``."""

    def __init__(self, role: str, *, place: str, known: Sequence[str]) -> None:
        self.role = role
        self.place = place
        self.known = tuple(sorted(known))
        names = ", ".join(self.known) or "none"
        super().__init__(
            f"no role {role!r} in {place} (it has {names}); make it with: playhead roles set {role} --production MODEL"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), self.role, place=self.place, known=self.known), ()
