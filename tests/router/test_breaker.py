"""A breaker as its users meet it: threads, decorators, contexts, and what a trace says of it."""

from __future__ import annotations

import asyncio
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from router import Breaker, CircuitOpen, Consecutive, OutputRejected, Rate, UnknownRole
from router.breaker.record import BREAKERS
from tracer import workflow


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def breaker(clock, **told):
    return Breaker("a", **{"trip": Consecutive(2), "open_s": 10.0, "probe_s": 5.0, "clock": clock, **told})


def trip(one, times=2):
    for _ in range(times):
        one.admit().failed("timeout")


class TestABreaker:
    def test_that_is_open_says_who_when_and_why(self, clock):
        one = breaker(clock)
        trip(one)
        clock.now += 4.0
        with pytest.raises(CircuitOpen) as raised:
            one.admit()
        assert (raised.value.name, raised.value.retry_after_s) == ("a", 6.0)
        why = "2 failures in a row, the last one: timeout"
        assert str(raised.value) == f"the circuit of a is open ({why}): try again in 6.0 s, or another target"
        assert one.state == "open"

    @pytest.mark.parametrize(
        "error",
        [CircuitOpen("a", 6.0, "why"), UnknownRole("draught", place="roles.toml", known=["draft"])],
        ids=["breaker", "registry"],
    )
    def test_and_a_registry_raise_what_comes_through_another_process_whole(self, error):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))

    def test_tells_the_probe_from_other_calls(self, clock):
        one = breaker(clock)
        assert one.admit().state == "closed"
        trip(one)
        clock.now += 10.0
        probe = one.admit()
        assert (probe.state, one.state) == ("half-open", "half-open")
        with pytest.raises(CircuitOpen):
            one.admit()
        probe.succeeded()
        assert one.state == "closed"

    def test_hears_of_each_call_once(self, clock):
        one = breaker(clock)
        permit = one.admit()
        permit.failed()
        permit.failed()
        permit.succeeded()
        assert one.state == "closed"
        one.admit().failed()
        assert one.state == "open"

    def test_opens_on_a_rate(self, clock):
        one = breaker(clock, trip=Rate(0.5, window_s=60.0, at_least=4))
        for failed in (False, True, False):
            permit = one.admit()
            permit.failed() if failed else permit.succeeded()
        assert one.state == "closed"
        one.admit().failed()
        assert one.state == "open"


class TestWhatCounts:
    def ends_with(self, one, error):
        with pytest.raises(type(error)), one.admit():
            raise error

    def test_is_every_exception_where_nothing_is_said(self, clock):
        one = breaker(clock, trip=Consecutive(1))
        self.ends_with(one, ValueError())
        assert one.state == "open"

    def test_is_gibberish_if_you_say_so(self, clock):
        one = breaker(clock, trip=Consecutive(1), counts=(TimeoutError, OutputRejected))
        self.ends_with(one, ValueError())
        assert one.state == "closed"
        self.ends_with(one, OutputRejected("a", "no JSON"))
        assert one.state == "open"

    def test_may_be_a_function_of_the_exception(self, clock):
        one = breaker(clock, trip=Consecutive(1), counts=lambda error: "429" in str(error))
        self.ends_with(one, ValueError("400"))
        assert one.state == "closed"
        self.ends_with(one, ValueError("429"))
        assert one.state == "open"

    @pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError, SystemExit])
    def test_is_never_who_was_interrupted_and_its_probe_is_the_next_ones(self, clock, error):
        one = breaker(clock)
        trip(one)
        clock.now += 10.0
        self.ends_with(one, error())
        assert one.admit().state == "half-open"

    def test_decides_about_an_exception_that_is_handed_over(self, clock):
        one = breaker(clock, trip=Consecutive(1), counts=TimeoutError)
        one.admit().failed(ValueError("400"))
        assert one.state == "closed"
        one.admit().failed(TimeoutError())
        with pytest.raises(CircuitOpen, match="TimeoutError"):
            one.admit()

    def test_is_what_a_block_says_itself_whatever_it_ends_with(self, clock):
        one = breaker(clock, trip=Consecutive(1))
        with one.admit() as permit:
            permit.failed("gibberish")
        with pytest.raises(CircuitOpen, match="gibberish"):
            one.admit()

    def test_a_probe_that_never_reports_holds_nobody_up_for_longer_than_stated(self, clock):
        one = breaker(clock)
        trip(one)
        clock.now += 10.0
        one.admit()
        clock.now += 4.9
        with pytest.raises(CircuitOpen):
            one.admit()
        clock.now += 0.1
        assert one.admit().state == "half-open"


class TestADecorator:
    def test_keeps_what_a_function_is_and_gives(self, clock):
        @breaker(clock)
        def ask(question: str) -> str:
            """Ask."""
            return question + "?"

        assert (ask("why"), ask.__name__, ask.__doc__) == ("why?", "ask", "Ask.")

    def test_refuses_in_place_of_the_call(self, clock):
        called = []

        @breaker(clock)
        def ask():
            called.append(1)
            raise TimeoutError

        for _ in range(2):
            with pytest.raises(TimeoutError):
                ask()
        with pytest.raises(CircuitOpen):
            ask()
        assert len(called) == 2

    def test_does_the_same_for_coroutines(self, clock):
        called = []
        one = breaker(clock)

        @one
        async def ask():
            called.append(1)
            await asyncio.sleep(0)
            raise TimeoutError

        async def all_of_it():
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    await ask()
            with pytest.raises(CircuitOpen):
                await ask()

        asyncio.run(all_of_it())
        assert len(called) == 2

    def test_gives_the_probe_of_a_cancelled_task_to_the_next_one(self, clock):
        one = breaker(clock)
        trip(one)
        clock.now += 10.0

        async def all_of_it():
            begun = asyncio.Event()

            @one
            async def ask():
                begun.set()
                await asyncio.Event().wait()

            task = asyncio.create_task(ask())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(all_of_it())
        assert one.admit().state == "half-open"

    def test_refuses_a_generator_and_says_what_to_do(self, clock):
        def stream():
            yield 1

        with pytest.raises(TypeError, match=r"with breaker\.admit\(\)"):
            breaker(clock)(stream)


class TestThreads:
    def test_call_at_the_same_time(self, clock):
        """Each waits inside its call until all four are inside theirs: one at a time they never would be."""
        one = breaker(clock)
        inside = threading.Barrier(4)

        def call():
            with one.admit():
                inside.wait(30)

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(call) for _ in range(4)]:
                done.result(60)

    def test_of_fifty_make_exactly_the_transitions_that_they_should(self, clock):
        """Rounds of: all fifty fail at once, the circuit opens once; all fifty ask at once, one is the probe."""
        one, rounds = breaker(clock, trip=Consecutive(50)), 20
        both = threading.Barrier(50)
        admitted = [[0] * 50 for _ in range(rounds)]

        def caller(number):
            for at in range(rounds):
                permit = one.admit()
                both.wait(60)
                permit.failed("timeout")
                both.wait(60)
                if number == 0:
                    assert one.state == "open"
                    clock.now += 10.0
                both.wait(60)
                try:
                    probe = one.admit()
                    admitted[at][number] = 1
                except CircuitOpen:
                    probe = None
                both.wait(60)
                if probe is not None:
                    probe.succeeded()
                both.wait(60)

        with ThreadPoolExecutor(50) as pool:
            for done in [pool.submit(caller, number) for number in range(50)]:
                done.result(100)
        assert [sum(each) for each in admitted] == [1] * rounds
        # opened, half-open, closed: three a round, and not one more
        assert one._circuit.state.epoch == 3 * rounds


class TestWhatATraceSaysOfABreaker:
    def test_is_every_transition_on_the_step_in_which_it_happened(self, clock, recorded):
        one = breaker(clock)

        @workflow
        def answer():
            trip(one)
            clock.now += 10.0
            one.admit().succeeded()

        answer()
        changes = recorded().root.tags[BREAKERS]
        assert [(each["name"], each["was"], each["is"], each["heard"]) for each in changes] == [
            ("a", "closed", "open", "failed"),
            ("a", "open", "half-open", "asked"),
            ("a", "half-open", "closed", "succeeded"),
        ]
        assert changes[0]["reason"] == "2 failures in a row, the last one: timeout"

    def test_is_every_answer_and_what_came_of_it(self, clock, recorded):
        one = breaker(clock, trip=Consecutive(1))

        @workflow
        def answer():
            one.admit().failed("timeout")
            with pytest.raises(CircuitOpen):
                one.admit()

        answer()
        notes = [(note.name, note.occurrence, note.value) for note in recorded().root.notes]
        assert notes == [
            ("breaker a", 0, {"state": "closed", "counted": 0, "admits": True}),
            ("breaker a: outcome", 0, "failed"),
            (
                "breaker a",
                1,
                {
                    "state": "open",
                    "left_s": 10.0,
                    "reason": "1 failure, the last one: timeout",
                    "admits": False,
                },
            ),
        ]
