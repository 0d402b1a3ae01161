"""What the router raises.

RouterError
├── AllTargetsFailed     every target of a fallback failed (an ExceptionGroup of what each one raised)
├── OutputRejected       a target answered, and the caller's check refused the answer
├── GuardrailFailed      a text broke a rule
├── InvalidWorkflow      a workflow on paper can't run: what is wrong with it, and where it was declared
├── NoBranch             a route decided for what no branch of it is for
├── NotReached           a bounded repeat came to its end, and what it was for was not reached
├── PromptTooLong        a prompt is longer than its target takes: it was not sent
├── ChunkFailed          one chunk of a document could not be worked on
├── TooLongToReduce      the parts of a document don't fit the window, and can't be brought to
├── MissingExtra         something optional is not installed
└── TuningError          what is recorded does not hold what a threshold is tuned by
"""

from __future__ import annotations

from typing import Any, Self, Sequence


class RouterError(Exception):
    """The root of this tree."""


class OutputRejected(RouterError):
    """A target answered, and ``reject`` said why its answer won't do."""

    def __init__(self, target: str, reason: str) -> None:
        self.target = target
        self.reason = reason
        super().__init__(f"the answer of {target} was refused: {reason}")


class GuardrailFailed(RouterError):
    """``text`` broke the rule named ``rule``; ``offence`` is the part of it that did, or what is missing from it."""

    def __init__(self, rule: str, offence: str, text: str) -> None:
        self.rule = rule
        self.offence = offence
        self.text = text
        super().__init__(f"broke the rule {rule!r}: {offence}")


class PromptTooLong(RouterError):
    """A prompt of ``tokens`` does not fit into the ``limit`` that ``target`` takes, and was not sent."""

    def __init__(self, tokens: Any, limit: int, target: str) -> None:
        self.tokens = tokens
        self.limit = limit
        self.target = target
        super().__init__(
            f"the prompt has {tokens} tokens, and {target} takes {limit}: shorten it, split the document it carries "
            "(router.map_reduce), or ask a target with a larger window"
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
    """``what`` stands on ``library``, which is not installed; ``extra`` is the part of playhead that brings it."""

    def __init__(self, what: str, library: str, extra: str) -> None:
        self.what = what
        self.library = library
        self.extra = extra
        super().__init__(f'{what} needs {library}, which is not installed: pip install "playhead[{extra}]"')


class TuningError(RouterError):
    """What is recorded, or what was asked for, does not do to tune a threshold."""

    #: Of the command line: wrong use.
    exit_code = 2


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
