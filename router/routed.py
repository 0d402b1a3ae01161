"""One routed call while it runs: asks the clock, chance, limits and breakers for its course, and records it.

The router's step and one of kind attempt per try; outside a workflow it does the same and records nothing.
"""

from __future__ import annotations

from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import tracer
from router.costing import NOTHING, settle
from router.errors import CircuitOpen
from router.flow import (
    Answered,
    Attempt,
    Candidate,
    Course,
    Entry,
    Plan,
    Raised,
    Returned,
    Wait,
    accept,
    course,
    name_of,
)
from router.limits import LIMITS, Limits, Tab, in_force, refuse, take_call
from tracer import span
from tracer.catalogue import Target
from tracer.context import ActiveStep, NoStep
from tracer.decisions import DECISION, TRY, Decision
from tracer.guard import guard
from tracer.waiting import Waiting

if TYPE_CHECKING:
    from router.flow import Permit
    from router.router import Guards, Router

#: The tag of a router's step that says how often SDKs tried again by themselves, below its own attempts.
SDK_RETRIES = "sdk_retries"


class Routed:
    """A context: ``next()`` gives what to do until it gives None, ``trying()`` is around each attempt, ``result()`` is
    what it came to."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.limits = in_force().within(router.deadline_s).paying(router.budget_usd)
        self.sdk_retries = 0
        self._course: Course | None = None
        self._candidates: tuple[Candidate, ...] = ()
        self._pick: Any = None
        self._breakers: dict[str, str] = {}
        self._attempts: list[Attempt] = []
        self._waited_s = 0.0
        self._answer: Answered[Any] | None = None
        self._error: Exception | None = None
        names = list(router.names)
        asked = {"targets": names} if router.role is None else {"targets": names, "role": router.role}
        self._span = span(router.name, kind="router", input=asked)
        self._step: ActiveStep | NoStep

    def __enter__(self) -> Self:
        self._step = self._span.__enter__()
        try:
            self._candidates, self._pick = self.router.candidates()
        except BaseException as error:
            self._span.__exit__(type(error), error, error.__traceback__)
            raise
        router = self.router
        self._course = course(self._candidates, Plan(router.leads_on, router.retry, router.on_break), self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.course.close()
        if isinstance(self._step, ActiveStep):
            self._step.set(tags=self._tags(error))
            if self._answer is not None and error is None:
                self._step.output = self._answer
        self._span.__exit__(kind, error, trace)
        self._tell_watch(error)

    def _tell_watch(self, error: BaseException | None) -> None:
        """A cancelled call, and a stream whose reader left, say nothing of the arm."""
        watch, pick = self.router.watch, self._pick
        escalated = isinstance(error, Waiting)
        if watch is None or pick is None or not (error is None or escalated or isinstance(error, Exception)):
            return
        fell_back = error is None and self._answer is not None and self._answer.target != pick.target
        with guard("count what came of a role's arm"):
            watch.saw(pick, failed=isinstance(error, Exception), fell_back=fell_back, escalated=escalated)

    @property
    def course(self) -> Course:
        assert self._course is not None
        return self._course

    def next(self) -> Attempt | Wait | None:
        """What to do now; None: it is over."""
        if self._answer is None and self._error is None:
            try:
                todo = self.course.send(None)
            except StopIteration as done:
                self._answer = done.value
            except Exception as error:  # noqa: BLE001 - raised by result(), where it is the call's
                self._error = error
            else:
                if isinstance(todo, Wait):
                    self._waited_s += todo.seconds
                return todo
        return None

    def trying(self, attempt: Attempt) -> Trying:
        """Around one attempt. An error in it goes through where it is to be raised, and only there."""
        self._attempts.append(attempt)
        return Trying(self, attempt)

    def result(self) -> Answered[Any]:
        """What answered; raises what is raised where nothing did."""
        if self._error is not None:
            raise self._error
        assert self._answer is not None
        return self._answer

    # -- the gate of the course ------------------------------------------------------------------------------------

    def admit(self, target: Candidate) -> Entry:
        """Leave from the target's breaker and, for a model, from the limits: a rule costs nothing."""
        name = name_of(target)
        permit = None
        breaker = self.router.breakers.get(name)
        if breaker is not None:
            permit = self._permit(name, breaker)
        try:
            timeout_s = self._within_limits(target, name)
        except BaseException:
            if permit is not None:
                permit.abandoned()
            raise
        return Entry(timeout_s, permit)

    def _permit(self, name: str, breaker: Guards) -> Permit:
        try:
            permit = breaker.admit()
        except CircuitOpen:
            self._breakers[name] = "open"
            raise
        self._breakers[name] = permit.state
        return permit

    def passed_over(self, target: Candidate) -> CircuitOpen | None:
        """The refusal of the target's breaker, where it is open. The leave that it would give is given back."""
        name = name_of(target)
        breaker = self.router.breakers.get(name)
        if breaker is None:
            return None
        try:
            self._permit(name, breaker).abandoned()
        except CircuitOpen as error:
            return error
        return None

    def _within_limits(self, target: Candidate, name: str) -> float | None:
        left = self.limits.recorded_left()
        if not isinstance(target, Target):
            return left.time_s
        refuse(name, left)
        take_call(name, self.limits)
        own = target.timeout_s
        if left.time_s is None or own is None:
            return own if left.time_s is None else left.time_s
        return min(left.time_s, own)

    def time_left(self) -> float | None:
        return self.limits.recorded_left().time_s

    def draw(self) -> float:
        return tracer.random()

    def now_s(self) -> float:
        return tracer.now().timestamp()

    # -- the record ------------------------------------------------------------------------------------------------

    def _tags(self, error: BaseException | None) -> dict[str, Any]:
        made, answer, pick = self._attempts, self._answer, self._pick
        candidates = tuple(name_of(target) for target in self._candidates)
        chosen = answer.target if answer is not None and error is None else None
        decision = Decision(
            policy="fallback",
            chosen=chosen,
            reason=self._reason(error),
            candidates=candidates,
            role=self.router.role,
            arm=getattr(pick, "arm", None),
            propensity=getattr(pick, "propensity", None),
            breakers=self._breakers,
            attempts=len(made),
            retries=sum(attempt.at_target > 1 for attempt in made),
            waited_s=round(self._waited_s, 6),
            fell_back=chosen is not None and chosen != candidates[0],
        )
        tags: dict[str, Any] = {DECISION: decision.as_tag()}
        if self.sdk_retries:
            tags[SDK_RETRIES] = self.sdk_retries
        return tags

    def _reason(self, error: BaseException | None) -> str:
        if isinstance(error, GeneratorExit):
            return "its reader stopped before the end"
        if error is not None:
            return f"none answered: {type(error).__name__}"
        if self._answer is None or not self._answer.failed:
            return "the first that was asked answered"
        told = "; ".join(f"{each.target}: {each.error}" for each in self._answer.failed)
        return f"answered after {told}"


class Trying:
    """The context of one attempt: its step, its limits, and what came of it. ``said`` are the chunks of a stream."""

    __slots__ = ("_attempt", "_limits", "_routed", "_span", "_step", "_tab", "_token", "_value", "said")

    def __init__(self, routed: Routed, attempt: Attempt) -> None:
        self._routed = routed
        self._attempt = attempt
        self._span = span(attempt.name, kind="attempt")
        price = attempt.target.price if isinstance(attempt.target, Target) else None
        self._tab = Tab(price)
        self._limits = Limits(routed.limits.until, routed.limits.purses, self._tab)
        self._token: Token[Limits | None] | None = None
        self._value: Any = NOTHING
        self.said: list[Any] = []

    def __enter__(self) -> Self:
        self._step = self._span.__enter__()
        self._token = LIMITS.set(self._limits)
        return self

    def take(self, value: Any) -> None:
        """This came of it. Raises OutputRejected where the router's ``reject`` has a reason against it."""
        self._step.output = self._value = value
        accept(self._attempt.name, value, reject=self._routed.router.reject)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        assert self._token is not None
        LIMITS.reset(self._token)
        routed, attempt = self._routed, self._attempt
        try:
            self._judge(error)
        except BaseException as raised:  # by a function of the caller's, such as ``on``
            self._span.__exit__(type(raised), raised, raised.__traceback__)
            raise
        routed.sdk_retries += self._tab.sdk_retries
        if isinstance(self._step, ActiveStep):
            self._step.set(tags={TRY: told(attempt)})
        self._span.__exit__(kind, error, trace)
        return attempt.ruling in {"done", "retry", "next"}

    def _judge(self, error: BaseException | None) -> None:
        """Have the course say what the attempt led to."""
        going = self._routed.course
        if error is not None and not isinstance(error, Exception):
            going.close()  # a cancellation: nobody answers for it
            return
        settle(self._limits, self._attempt.target, self._value)
        going.send(Returned(self._value) if error is None else Raised(error, tuple(self.said)))


def told(attempt: Attempt) -> dict[str, Any]:
    """An attempt as the tag it is kept in; what played no part is left out."""
    tag: dict[str, Any] = {"target": attempt.name, "number": attempt.number}
    if attempt.at_target > 1:
        tag["at_target"] = attempt.at_target
    if attempt.waited_s:
        tag["waited_s"] = round(attempt.waited_s, 6)
    if attempt.timeout_s is not None:
        tag["timeout_s"] = round(attempt.timeout_s, 6)
    if attempt.breaker is not None:
        tag["breaker"] = attempt.breaker
    if attempt.ruling is not None:
        tag["verdict"] = attempt.ruling
    if attempt.why:
        tag["why"] = attempt.why
    return tag
