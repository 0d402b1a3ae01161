"""Cascades called and recorded: a step of kind router, with one of kind attempt for each target that was asked."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Awaitable, Callable, Generic, Iterator, Sequence, TypeVar

from router.confidences import Confidence
from router.deciding.bands import Bands
from router.deciding.cascade import Answer, Cascaded, Draw, Flow, Raised, cascaded
from router.deciding.recorded import Sure, confidence_in, told_of
from router.deciding.rules import name_of
from router.retry import On
from tracer import random, span
from tracer.decisions import DECISION, TRY, Decision

T = TypeVar("T")
Target = TypeVar("Target")


class _Cascade(Generic[T]):
    """What the two drivers share: the flow, how an answer is weighed, and what is told of both."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a cascade is
        self,
        targets: Sequence[Any],
        sure: Sure[T],
        accept: float | Bands,
        explore: float,
        on: On,
        name: str,
    ) -> None:
        self._names = tuple(map(name_of, targets))
        self._sure = sure
        self._bands = accept if isinstance(accept, Bands) else Bands(sure=accept, hopeless=0.0)
        self._flow: Flow[T] = cascaded(targets, accept=self._bands, explore=explore, on=on)
        self._name = name
        self._asked = 0
        #: The first target's: what the threshold is held against.
        self._first: Confidence | None = None
        self._done: Cascaded[T] | None = None

    @property
    def done(self) -> Cascaded[T]:
        assert self._done is not None
        return self._done

    @contextmanager
    def deciding(self) -> Iterator[None]:
        with span(self._name, kind="router", input={"targets": self._names}) as step:
            try:
                yield
            finally:
                step.set(tags={DECISION: self._decision().as_tag()})
                step.output = self._done

    def next(self, outcome: Answer[T] | Raised | None) -> Any:
        """The target to ask now; None at the end. Raises what the flow raises."""
        sent: Any = outcome
        try:
            while isinstance(wanted := self._flow.send(sent), Draw):
                sent = random()
        except StopIteration as end:
            self._done = end.value
            return None
        self._asked += 1
        return wanted

    def attempt(self, target: Any) -> span:
        return span(name_of(target), kind="attempt", tags={TRY: self._told(target)})

    def heard(self, attempt: Any, target: Any, value: T) -> Answer[T]:
        attempt.output = value
        confidence = confidence_in(value, self._sure)
        if self._asked == 1:
            self._first = confidence
        if confidence is not None:
            band = self._bands.of(confidence.value)
            attempt.set(tags={TRY: {**self._told(target), **told_of(confidence), "band": band}})
        return Answer(name_of(target), value, confidence)

    def _told(self, target: Any) -> dict[str, Any]:
        return {"target": name_of(target), "number": self._asked}

    def _decision(self) -> Decision:
        done, bands = self._done, self._bands
        return Decision(
            "cascade",
            None if done is None else done.target,
            "nobody answered" if done is None else self._reason(done),
            self._names,
            **told_of(self._first),
            thresholds={"accept": bands.sure} | ({"hopeless": bands.hopeless} if bands.hopeless else {}),
            propensity=None if done is None else done.propensity,
            attempts=self._asked,
        )

    def _reason(self, done: Cascaded[T]) -> str:
        if done.confidence is None:
            return f"how sure {done.target} is can't be told"
        why = self._bands.choose(done.confidence.value).reason
        return f"{done.target} is {done.band}: {why}{'; the next one was asked to explore' if done.explored else ''}"


def cascade(  # noqa: PLR0913 - each is one thing to say about a cascade
    targets: Sequence[Target],
    call: Callable[[Target], T],
    *,
    confidence: Sure[T],
    accept: float | Bands,
    explore: float = 0.0,
    on: On = (),
    name: str = "cascade",
) -> Cascaded[T]:
    """Call the targets in order, cheapest first, until one is sure of its answer.

    ``confidence`` says how sure an answer is (None, or NoConfidence raised: unsure). ``accept`` is the confidence from
    which an answer is taken; with Bands one that is hopeless is taken too, at once, for the caller to put to a human:
    see ``band``. The last answer is taken whatever it is. ``explore`` is the share of sure answers after which the next
    target is asked all the same, so that thresholds can be tuned without bias; the answer stays the sure one. ``on``
    says after which errors the next target is asked. A step of kind router, with one of kind attempt per call. Raises
    AllTargetsFailed, or as it is any error that ``on`` does not name.
    """
    asking = _Cascade(targets, confidence, accept, explore, on, name)
    with asking.deciding():
        outcome: Answer[T] | Raised | None = None
        while (target := asking.next(outcome)) is not None:
            try:
                with asking.attempt(target) as attempt:
                    outcome = asking.heard(attempt, target, call(target))
            except Exception as error:  # noqa: BLE001 - whether it may pass is decided by what the caller said
                outcome = Raised(error)
        return asking.done


async def cascade_async(  # noqa: PLR0913 - likewise
    targets: Sequence[Target],
    call: Callable[[Target], Awaitable[T]],
    *,
    confidence: Sure[T],
    accept: float | Bands,
    explore: float = 0.0,
    on: On = (),
    name: str = "cascade",
) -> Cascaded[T]:
    """``cascade`` for coroutines."""
    asking = _Cascade(targets, confidence, accept, explore, on, name)
    with asking.deciding():
        outcome: Answer[T] | Raised | None = None
        while (target := asking.next(outcome)) is not None:
            try:
                with asking.attempt(target) as attempt:
                    outcome = asking.heard(attempt, target, await call(target))
            except Exception as error:  # noqa: BLE001 - likewise
                outcome = Raised(error)
        return asking.done
