"""Votes called and recorded: a step of kind router, with one of kind attempt for each voice, several at once."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, Awaitable, Callable, Generic, Iterator, Sequence, TypeVar

from router.deciding.cascade import Raised
from router.deciding.recorded import Sure, confidence_in, told_of
from router.deciding.rules import name_of
from router.deciding.vote import By, Counting, Ties, Voice, Voted
from router.errors import AllTargetsFailed
from router.flow import Failed
from router.retry import On, lets_go_on
from tracer import span
from tracer.decisions import DECISION, TRY, Decision

T = TypeVar("T")
Target = TypeVar("Target")


class _Vote(Generic[T]):
    """What the two drivers of a vote share."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a vote is
        self,
        targets: Sequence[Any],
        counting: Counting,
        sure: Sure[T] | None,
        on: On,
        at_most: int,
        name: str,
    ) -> None:
        if not targets:
            raise ValueError("a vote needs at least one target")
        if at_most < 1:
            raise ValueError(f"at_most is how many are asked at once, from 1 on, not {at_most}")
        if counting.by == "confidence" and sure is None:
            raise ValueError("a vote by confidence needs confidence=, a function that tells how sure an answer is")
        self.names = tuple(map(name_of, targets))
        self._counting = counting
        self._sure = sure
        self._on = on
        self._name = name
        self._voted: Voted[T] | None = None
        self.outcomes: list[Voice[T] | Raised | None] = [None] * len(targets)

    def attempt(self, place: int) -> span:
        """A voice is known by its place, so that a replay finds its record whichever is first."""
        told = {"target": self.names[place], "number": place + 1}
        return span(self.names[place], kind="attempt", input={"voice": place + 1}, tags={TRY: told})

    def heard(self, place: int, attempt: Any, value: T) -> None:
        attempt.output = value
        confidence = None if self._sure is None else confidence_in(value, self._sure)
        attempt.set(tags={TRY: {"target": self.names[place], "number": place + 1, **told_of(confidence)}})
        self.outcomes[place] = Voice(self.names[place], value, confidence)

    def raised(self, place: int, error: Exception) -> bool:
        """Note what a voice raised; whether it ends the vote."""
        self.outcomes[place] = Raised(error)
        return not lets_go_on(self._on, error)

    @contextmanager
    def deciding(self) -> Iterator[None]:
        with span(self._name, kind="router", input={"targets": self.names}) as step:
            try:
                yield
            except Exception as error:
                step.set(tags={DECISION: self._decision(None, str(error)).as_tag()})
                raise
            assert self._voted is not None
            sure = self._voted.confidence.detail
            reason = f"{sure['agree']} of {sure['of']} agree{', tied' if self._voted.tied else ''}"
            step.set(tags={DECISION: self._decision(self._voted, reason).as_tag()}, output=self._voted)

    def count(self) -> Voted[T]:
        """Raises the first error that ends the vote, AllTargetsFailed and Undecided."""
        raised = [(place, each.error) for place, each in enumerate(self.outcomes) if isinstance(each, Raised)]
        for _, error in raised:
            if not lets_go_on(self._on, error):
                raise error
        if len(raised) == len(self.outcomes):
            raise AllTargetsFailed([(self.names[place], error) for place, error in raised])
        voices = [each for each in self.outcomes if isinstance(each, Voice)]
        failed = [Failed(self.names[place], type(error).__name__, str(error)) for place, error in raised]
        self._voted = self._counting.count(voices, failed)
        return self._voted

    def _decision(self, voted: Voted[T] | None, reason: str) -> Decision:
        quorum = self._counting.quorum
        return Decision(
            "vote",
            None if voted is None else voted.target,
            reason,
            tuple(dict.fromkeys(self.names)),
            **told_of(None if voted is None else voted.confidence),
            thresholds={"quorum": float(quorum)} if quorum > 1 else {},
            attempts=sum(each is not None for each in self.outcomes),
        )


def vote(  # noqa: PLR0913 - each is one thing to say about a vote
    targets: Sequence[Target],
    call: Callable[[Target], T],
    *,
    by: By = "majority",
    confidence: Sure[T] | None = None,
    same: Callable[[T, T], bool] | None = None,
    quorum: int = 1,
    ties: Ties = "first",
    on: On = (),
    at_most: int = 8,
    name: str = "vote",
) -> Voted[T]:
    """Ask all targets, at most ``at_most`` at once in threads, and take what most of them say; k samples of one model
    are ``[target] * k``.

    How they are counted says ``Counting``: ``by`` majority or weighted by ``confidence``, ``quorum``, ``ties``,
    ``same``. A voice that raises what ``on`` names is not counted; any other error is raised. A step of kind router,
    with one of kind attempt per voice. Raises Undecided and AllTargetsFailed.
    """
    voting: _Vote[T] = _Vote(targets, Counting(by, quorum, ties, same), confidence, on, at_most, name)

    def speak(place: int) -> None:
        try:
            with voting.attempt(place) as attempt:
                voting.heard(place, attempt, call(targets[place]))
        except Exception as error:
            if voting.raised(place, error):
                raise

    with voting.deciding():
        with ThreadPoolExecutor(min(at_most, len(targets)), thread_name_prefix="playhead-vote") as pool:
            said: list[Future[None]] = [pool.submit(copy_context().run, speak, place) for place in range(len(targets))]
            for each in said:
                if each.exception() is not None:
                    pool.shutdown(wait=True, cancel_futures=True)
                    break
        return voting.count()


async def vote_async(  # noqa: PLR0913 - likewise
    targets: Sequence[Target],
    call: Callable[[Target], Awaitable[T]],
    *,
    by: By = "majority",
    confidence: Sure[T] | None = None,
    same: Callable[[T, T], bool] | None = None,
    quorum: int = 1,
    ties: Ties = "first",
    on: On = (),
    at_most: int = 8,
    name: str = "vote",
) -> Voted[T]:
    """``vote`` for coroutines: in tasks, under asyncio and trio; the others are cancelled when one ends the vote."""
    import anyio  # noqa: PLC0415 - `import router` stays light

    voting: _Vote[T] = _Vote(targets, Counting(by, quorum, ties, same), confidence, on, at_most, name)
    room = anyio.CapacityLimiter(at_most)

    async def speak(place: int) -> None:
        async with room:
            try:
                with voting.attempt(place) as attempt:
                    voting.heard(place, attempt, await call(targets[place]))
            except Exception as error:  # noqa: BLE001 - raised below, once and by itself
                if voting.raised(place, error):
                    tasks.cancel_scope.cancel()

    with voting.deciding():
        async with anyio.create_task_group() as tasks:
            for place in range(len(targets)):
                tasks.start_soon(speak, place)
        return voting.count()
