"""Deadlines and budgets: contexts that only shrink."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import (
    FREE,
    BudgetExceeded,
    DeadlineExceeded,
    OutputRejected,
    Router,
    Target,
    budget,
    calls_left,
    check_limits,
    deadline,
    spend,
    time_left,
    usd_left,
)
from tests.loopback import Loopback, Reply
from tracer import Price, configure, workflow

ONE, TWO = Target("one"), Target("two")
PRICED = Target("priced", price=Price(input_nusd=1_000_000, output_nusd=2_000_000))


@dataclass
class Usage:
    prompt_tokens: int = 10
    completion_tokens: int = 5


@dataclass
class Completion:
    """As an SDK gives it."""

    model: str = "priced"
    usage: Usage | None = field(default_factory=Usage)


class TestShrinking:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: deadline(-1),
            lambda: deadline(float("nan")),
            budget,
            lambda: budget(usd=-1),
            lambda: budget(usd=float("inf")),
            lambda: budget(calls=-1),
            lambda: budget(usd=1, unpriced="maybe"),
        ],
    )
    def test_a_limit_that_makes_no_sense_is_refused(self, make):
        with pytest.raises(ValueError, match=r"deadline|budget|unpriced"):
            make()

    def test_nothing_is_limited_where_nothing_is_said(self):
        assert (time_left(), usd_left(), calls_left()) == (None, None, None)
        check_limits()

    @given(st.lists(st.floats(0, 1e6), min_size=1, max_size=5))
    def test_of_nested_deadlines_the_nearest_holds_and_each_ends_with_its_block(self, seconds):
        def enter(rest):
            if rest:
                with deadline(rest[0]):
                    enter(rest[1:])
                    assert time_left() <= rest[0]
            else:
                assert time_left() <= min(seconds)

        enter(seconds)
        assert time_left() is None

    @given(st.lists(st.tuples(st.none() | st.integers(0, 10**6), st.integers(0, 50)), min_size=1, max_size=5))
    def test_of_nested_budgets_the_smallest_holds_and_spending_counts_for_all(self, budgets):
        def enter(rest):
            if not rest:
                spend(0.001)
                return
            usd, calls = rest[0]
            with budget(usd=usd, calls=calls):
                before = usd_left(), calls_left()
                enter(rest[1:])
                assert calls_left() == before[1] - 1
                assert usd_left() == (None if before[0] is None else pytest.approx(before[0] - 0.001))

        enter(budgets)
        assert (usd_left(), calls_left()) == (None, None)

    def test_a_block_that_fails_ends_its_limit(self):
        with pytest.raises(KeyError), deadline(1), budget(calls=1):
            raise KeyError
        assert (time_left(), calls_left()) == (None, None)


class TestBeingSpent:
    def test_past_a_deadline_a_check_raises_and_names_what_was_to_be_called(self):
        with deadline(0), pytest.raises(DeadlineExceeded, match="the summary was not called: the deadline passed"):
            check_limits("the summary")

    def test_calls_and_money_are_refused_when_they_are_used_up(self):
        with budget(calls=1):
            spend(None)
            with pytest.raises(BudgetExceeded, match="calls are used up"):
                check_limits()
        with budget(usd=0.01):
            check_limits()
            spend(0.03)
            with pytest.raises(BudgetExceeded, match=r"used up: 0\.020000 USD over it"):
                check_limits()

    def test_after_a_cost_that_is_unknown_nothing_else_is_begun_unless_that_is_allowed(self):
        with budget(usd=1):
            spend(None, why="an invoice comes later")
            with pytest.raises(BudgetExceeded, match=r'an invoice comes later.*unpriced="allow"'):
                check_limits()
        with budget(usd=1, unpriced="allow"):
            spend(None)
            check_limits()
            assert usd_left() == 1


class TestAsADecorator:
    def test_each_call_has_limits_of_its_own(self):
        @budget(calls=2)
        def work():
            spend(0.0)
            return calls_left()

        @deadline(60)
        async def wait():
            await asyncio.sleep(0)
            return time_left()

        assert [work(), work()] == [1, 1]
        assert 0 < asyncio.run(wait()) <= 60
        assert time_left() is None

    def test_a_generator_is_refused_because_its_reader_is_not_inside(self):
        with pytest.raises(TypeError, match="generator"):

            @deadline(1)
            def items():
                yield 1


class TestInheriting:
    def test_a_task_is_bound_and_spends_what_is_its_parents(self):
        async def one():
            spend(0.25)
            return time_left()

        async def main():
            with deadline(60), budget(usd=1):
                lefts = await asyncio.gather(one(), one())
                return lefts, usd_left()

        lefts, left = asyncio.run(main())
        assert all(0 < each <= 60 for each in lefts)
        assert left == 0.5

    def test_threads_that_a_workflow_starts_are_bound(self, recorded):
        def one():
            spend(0.25)
            seen.append(time_left())

        @workflow
        def work():
            with deadline(60), budget(usd=1):
                with ThreadPoolExecutor(1) as pool:
                    pool.submit(one).result()
                thread = threading.Thread(target=one)
                thread.start()
                thread.join()
                return usd_left()

        seen = []
        assert work() == 0.5
        assert all(0 < each <= 60 for each in seen)
        assert len(seen) == 2

    def test_a_thread_of_a_pool_is_free_again_afterwards(self, recorded):
        @workflow
        def work(pool):
            with deadline(60):
                bound = pool.submit(time_left).result()
            return bound, pool.submit(time_left).result()

        with ThreadPoolExecutor(1) as pool:
            bound, free = work(pool)
        assert bound is not None
        assert free is None

    def test_outside_a_workflow_a_copied_context_carries_them(self):
        with budget(calls=3), ThreadPoolExecutor(1) as pool:
            assert pool.submit(contextvars.copy_context().run, calls_left).result() == 3


class TestARouterWithinABudget:
    def test_never_begins_more_calls_than_there_are_however_many_threads(self):
        called = []
        router = Router([ONE], on=())

        def work():
            try:
                router.call(lambda attempt: called.append(1))
            except BudgetExceeded:
                refused.append(1)

        refused = []
        with budget(calls=20):
            contexts = [contextvars.copy_context() for _ in range(64)]
            with ThreadPoolExecutor(16) as pool:
                for future in [pool.submit(context.run, work) for context in contexts]:
                    future.result()
            assert calls_left() == 0
        assert (len(called), len(refused)) == (20, 44)

    def test_takes_the_cost_from_the_result_where_nothing_else_saw_it(self):
        router = Router([PRICED], on=())
        with budget(usd=0.05, calls=5):
            router.call(lambda attempt: Completion())
            assert usd_left() == pytest.approx(0.05 - 10 * 0.001 - 5 * 0.002)
            assert calls_left() == 4

    def test_takes_a_dictionary_for_a_usage_too(self):
        with budget(usd=0.05):
            Router([PRICED], on=()).call(
                lambda attempt: type("Reply", (), {"usage": {"input_tokens": 10, "output_tokens": 0}})()
            )
            assert usd_left() == pytest.approx(0.04)

    def test_an_answer_without_a_price_is_given_and_the_next_call_refused_with_the_way_out(self):
        router = Router([ONE], on=())
        with budget(usd=1):
            assert router.call(lambda attempt: "hello").value == "hello"
            with pytest.raises(BudgetExceeded, match="one: the provider reported no usage"):
                router.call(lambda attempt: "hello")
        with budget(usd=1, unpriced="allow"):
            router.call(lambda attempt: "hello")
            router.call(lambda attempt: "hello")

    def test_a_model_that_is_free_and_a_rule_cost_nothing(self):
        with budget(usd=1, calls=1):
            Router([Target("mine", price=FREE)], on=()).call(lambda attempt: "hello")
            assert (usd_left(), calls_left()) == (1, 0)
            assert Router([ONE, lambda: "rule"], on=()).call(lambda attempt: "hello").value == "rule"
            assert usd_left() == 1

    def test_a_call_that_was_not_answered_closes_no_budget(self):
        def call(attempt):
            if attempt.target is ONE:
                raise TimeoutError
            return Completion()

        with budget(usd=1, calls=5):
            assert Router([ONE, PRICED], on=TimeoutError).call(call).target == "priced"
            assert calls_left() == 3
            check_limits()

    def test_what_it_paid_for_an_answer_that_is_rejected_is_spent(self):
        other = Target("other", price=PRICED.price)
        router = Router([PRICED, other], on=(), reject=lambda _: "bad", budget_usd=0.01)
        with pytest.raises(BudgetExceeded, match="other was not called: the budget is used up") as raised:
            router.call(lambda attempt: Completion())
        assert isinstance(raised.value.__cause__, OutputRejected)


class TestCallsThatAWorkflowCaptures:
    def ask(self, server, attempt):
        import openai

        client = openai.OpenAI(base_url=server.url, api_key="k", max_retries=0)
        with client:
            answer = client.chat.completions.create(model="priced", messages=[{"role": "user", "content": "hi"}])
        return answer.choices[0].message.content

    def test_cost_what_their_usage_says_whatever_the_function_gives(self, recorded):
        configure(models=[PRICED, Target("loopback-1-2026-10-01", price=PRICED.price)])

        @workflow
        def work():
            with budget(usd=1, calls=3):
                Router([PRICED], on=()).call(lambda attempt: self.ask(server, attempt))
                return usd_left(), calls_left()

        with Loopback() as server:
            usd, calls = work()
        assert usd == pytest.approx(1 - 11 * 0.001 - 7 * 0.002)
        assert calls == 2

    def test_count_without_a_router_too_and_each_for_itself(self, recorded):
        configure(models=[Target("loopback-1-2026-10-01", price=PRICED.price)])

        @workflow
        def work():
            with budget(usd=1, calls=5):
                self.ask(server, None)
                Router([PRICED], on=()).call(lambda attempt: [self.ask(server, attempt), self.ask(server, attempt)])
                return usd_left(), calls_left()

        with Loopback() as server:
            usd, calls = work()
        assert usd == pytest.approx(1 - 3 * (11 * 0.001 + 7 * 0.002))
        assert calls == 2

    def test_a_refusal_costs_a_call_and_no_money(self, recorded):
        import openai

        @workflow
        def work():
            with budget(usd=1, calls=5):
                with pytest.raises(openai.RateLimitError):
                    self.ask(server, None)
                check_limits()
                return usd_left(), calls_left()

        with Loopback() as server:
            server.next(Reply(status=429))
            assert work() == (1, 4)
