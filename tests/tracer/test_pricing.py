"""What a model call cost, and when that is not known."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.model import Cost, Usage
from tracer.pricing import price_call

AT_NS = 1_767_225_600 * 10**9
ROOT = Path(__file__).resolve().parents[2]


def call(
    model: str | None = "gpt-4o-mini", *, provider: str | None = "openai", usage: Any = None, **told: Any
) -> dict[str, Any]:
    return {"model": model, "model_asked": model, "provider": provider, "usage": usage, **told}


def tokens(input_tokens: int | None, output_tokens: int | None, **parts: int) -> dict[str, int | None]:
    return {"input_tokens": input_tokens, "output_tokens": output_tokens, **parts}


class TestPriceTable:
    def test_a_call_costs_its_tokens_at_the_tables_price(self) -> None:
        cost, reason = price_call(call(usage=tokens(1_000, 100)), at_ns=AT_NS)
        # 0.15 and 0.60 dollars for a million tokens
        assert cost == Cost(1_000 * 150 + 100 * 600, f"genai-prices {genai_prices.__version__} openai/gpt-4o-mini")
        assert reason is None

    def test_tokens_from_a_cache_are_cheaper_and_inside_the_total(self) -> None:
        cost, _ = price_call(call(usage=tokens(1_000, 0, cache_read_tokens=400)), at_ns=AT_NS)
        assert cost.nusd == 600 * 150 + 400 * 75

    def test_tokens_written_to_a_cache_are_inside_the_total(self) -> None:
        usage = tokens(1_000, 0, cache_write_tokens=1_000)
        cost, _ = price_call(call("claude-sonnet-4-5", provider="anthropic", usage=usage), at_ns=AT_NS)
        assert cost.nusd == 1_000 * 3_750

    def test_the_model_that_answered_comes_before_the_one_that_was_asked(self) -> None:
        usage = tokens(1_000, 0)
        answered, _ = price_call({**call("gpt-4o", usage=usage), "model_asked": "gpt-4o-mini"}, at_ns=AT_NS)
        assert answered.price.endswith("openai/gpt-4o")

    def test_the_model_that_was_asked_is_priced_where_the_answers_name_is_unknown(self) -> None:
        usage = tokens(1_000, 0)
        asked, _ = price_call({**call("my-deployment", usage=usage), "model_asked": "gpt-4o-mini"}, at_ns=AT_NS)
        assert asked.price.endswith("openai/gpt-4o-mini")

    def test_an_embedding_has_no_output_to_pay_for(self) -> None:
        cost, _ = price_call(call("text-embedding-3-small", usage=tokens(1_000, None)), at_ns=AT_NS)
        assert cost.nusd == 1_000 * 20

    def test_the_price_is_the_one_of_that_day(self) -> None:
        usage = tokens(1_000_000, 0)
        asked = call("o3", usage=usage)
        before, after = (
            price_call(asked, at_ns=int(datetime(2025, month, 1, tzinfo=UTC).timestamp()) * 10**9)[0]
            for month in (5, 7)
        )
        assert before.nusd > after.nusd

    def test_it_is_not_loaded_before_it_is_needed(self) -> None:
        script = (
            "import sys; from tracer.pricing import price_call;"
            "price_call({'model': 'x', 'price': {'input_nusd': 0, 'output_nusd': 0}}, at_ns=0);"
            "print('genai_prices' in sys.modules)"
        )
        ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
        assert ran.stdout == "False\n"


class TestUnknown:
    """Unknown is never zero: no cost, and a reason in words."""

    @pytest.mark.parametrize(
        ("asked", "reason"),
        [
            (call("nobody-knows-me", usage=tokens(1, 1)), "no price known for nobody-knows-me"),
            (call("gpt-4o", provider="my-own-server", usage=tokens(1, 1)), "no price known for gpt-4o"),
            (call(None, usage=tokens(1, 1)), "the model is not known"),
            (call(usage=None), "the provider reported no usage"),
            (call(usage=tokens(None, None)), "the provider reported no usage"),
            (call(usage=tokens(None, 5)), "the provider reported no input tokens"),
            (call(usage=tokens(5, None)), "the provider reported no output tokens"),
            (call(usage=tokens(-1, 5)), "the usage does not add up: input tokens is -1"),
            (call(usage={"input_tokens": "5"}), "the usage does not add up: input tokens is '5'"),
            (
                call(usage=tokens(10, 5, cache_read_tokens=6, cache_write_tokens=5)),
                "the usage does not add up: 11 cache read and cache write tokens within 10 input tokens",
            ),
            (
                call(usage=tokens(10, 5, reasoning_tokens=6)),
                "the usage does not add up: 6 reasoning tokens within 5 output tokens",
            ),
        ],
    )
    def test_the_reason_is_said(self, asked: dict[str, Any], reason: str) -> None:
        assert price_call(asked, at_ns=AT_NS) == (None, reason)


class TestDeclaredPrice:
    def test_it_wins_over_the_table(self) -> None:
        declared = {"input_nusd": 7, "output_nusd": 11}
        cost, _ = price_call(call(usage=tokens(100, 10), price=declared), at_ns=AT_NS)
        assert cost == Cost(700 + 110, "declared")

    def test_what_is_declared_as_free_costs_nothing_even_without_a_usage(self) -> None:
        free = {"input_nusd": 0, "output_nusd": 0}
        assert price_call(call("intent-lr", usage=None, price=free), at_ns=AT_NS) == (Cost(0, "declared"), None)

    def test_what_costs_something_is_unknown_without_a_usage(self) -> None:
        declared = {"input_nusd": 7, "output_nusd": 0}
        assert price_call(call(usage=None, price=declared), at_ns=AT_NS) == (None, "the provider reported no usage")


class TestNotBilled:
    def test_a_refused_call_costs_nothing_and_says_so(self) -> None:
        assert price_call(call(status_code=429), at_ns=AT_NS) == (Cost(0, "not billed: HTTP 429"), None)

    def test_a_refusal_that_reports_a_usage_is_billed(self) -> None:
        cost, _ = price_call(call(status_code=400, usage=tokens(1_000, 0)), at_ns=AT_NS)
        assert cost.nusd == 1_000 * 150

    def test_a_served_call_costs_nothing_now(self) -> None:
        served = call("nobody-knows-me", usage=tokens(1_000, 10), served=True)
        assert price_call(served, at_ns=AT_NS) == (Cost(0, "served from the record"), None)


@st.composite
def usages(draw: st.DrawFn) -> dict[str, int]:
    """A usage that adds up: totals include their parts, and the parts are disjoint."""
    fresh, read, written = (draw(st.integers(0, 10**6)) for _ in range(3))
    said, reasoned = (draw(st.integers(0, 10**6)) for _ in range(2))
    return {
        "input_tokens": fresh + read + written,
        "output_tokens": said + reasoned,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "reasoning_tokens": reasoned,
    }


_priced = st.sampled_from([("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5"), ("openai", "o3")])


class TestAccounting:
    @given(model=_priced, usage=usages())
    def test_a_cost_is_whole_and_never_negative(self, model: tuple[str, str], usage: dict[str, int]) -> None:
        cost, reason = price_call(call(model[1], provider=model[0], usage=usage), at_ns=AT_NS)
        assert reason is None
        assert isinstance(cost.nusd, int)
        assert cost.nusd >= 0

    @given(model=_priced, usage=usages(), more=st.integers(0, 10**6), bucket=st.sampled_from(["input", "output"]))
    def test_more_tokens_never_cost_less(
        self, model: tuple[str, str], usage: dict[str, int], more: int, bucket: str
    ) -> None:
        name = f"{bucket}_tokens"
        less, _ = price_call(call(model[1], provider=model[0], usage=usage), at_ns=AT_NS)
        greater, _ = price_call(
            call(model[1], provider=model[0], usage={**usage, name: usage[name] + more}), at_ns=AT_NS
        )
        assert greater.nusd >= less.nusd

    @given(usage=usages())
    def test_the_parts_are_paid_once_each(self, usage: dict[str, int]) -> None:
        parts = Usage(**usage)
        cost, _ = price_call(call(usage=usage), at_ns=AT_NS)
        # this model has no price of its own for writing to the cache, so such tokens cost what fresh ones do
        fresh = parts.fresh_input_tokens + parts.cache_write_tokens
        assert cost.nusd == fresh * 150 + parts.cache_read_tokens * 75 + parts.output_tokens * 600

    @given(usage=usages(), over=st.integers(1, 10**6))
    def test_a_part_beyond_its_total_is_never_priced(self, usage: dict[str, int], over: int) -> None:
        broken = {**usage, "cache_read_tokens": usage["input_tokens"] + over}
        cost, reason = price_call(call(usage=broken), at_ns=AT_NS)
        assert cost is None
        assert "does not add up" in reason
        assert Usage(**broken).fresh_input_tokens < 0
