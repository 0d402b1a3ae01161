"""What a model call cost, and when that is not known."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tracer.corpus import model_calls
from tracer.model import Cost, Usage
from tracer.pricing import price_call
from tracer.providers import CHAT, MESSAGES, RESPONSES
from tracer.providers.bedrock_converse import BedrockConverse
from tracer.providers.bedrock_invoke import BedrockInvoke
from tracer.providers.formats import COHERE
from tracer.providers.gemini import Gemini

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

    def test_its_identity_says_since_when_it_was_the_price(self) -> None:
        cost, _ = price_call(call("o3", usage=tokens(1, 0)), at_ns=AT_NS)
        assert cost.price == f"genai-prices {genai_prices.__version__} openai/o3 from 2025-06-10"

    @pytest.mark.parametrize(("input_tokens", "nusd"), [(200_000, 3_000), (200_001, 6_000)])
    def test_a_long_input_is_dearer_as_a_whole(self, input_tokens: int, nusd: int) -> None:
        usage = tokens(input_tokens, 0)
        cost, _ = price_call(call("claude-sonnet-4-5", provider="anthropic", usage=usage), at_ns=AT_NS)
        assert cost.nusd == input_tokens * nusd

    @pytest.mark.parametrize(
        ("provider", "model"), [("azure", "gpt-4o-mini"), ("openrouter", "openai/gpt-4o-mini")], ids=str
    )
    def test_a_model_costs_the_same_where_another_provider_serves_it_at_that_price(
        self, provider: str, model: str
    ) -> None:
        cost, _ = price_call(call(model, provider=provider, usage=tokens(1_000, 100)), at_ns=AT_NS)
        assert cost.nusd == 1_000 * 150 + 100 * 600

    def test_it_is_not_loaded_before_it_is_needed(self) -> None:
        script = (
            "import sys; from tracer.pricing import price_call;"
            "price_call({'model': 'x', 'price': {'input_nusd': 0, 'output_nusd': 0}}, at_ns=0);"
            "print('genai_prices' in sys.modules)"
        )
        ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
        assert ran.stdout == "False\n"


class TestTiers:
    """An answer that was given faster, slower or in a batch, where the provider's usage says so."""

    DAY_NS = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp()) * 10**9

    def cost(self, model: str, raw: dict[str, Any], provider: str = "anthropic") -> Cost:
        usage = {**tokens(1_000, 100), "raw": raw}
        cost, reason = price_call(call(model, provider=provider, usage=usage), at_ns=self.DAY_NS)
        assert reason is None
        return cost

    def test_a_batch_is_billed_at_half(self) -> None:
        cost = self.cost("claude-sonnet-4-5", {"service_tier": "batch"})
        assert cost.nusd == (1_000 * 3_000 + 100 * 15_000) // 2
        assert cost.price.endswith("anthropic/claude-sonnet-4-5 batch")

    @pytest.mark.parametrize("raw", [{"service_tier": "standard"}, {"service_tier": ["batch"]}, {}], ids=str)
    def test_what_names_no_tier_is_billed_by_the_list(self, raw: dict[str, Any]) -> None:
        cost = self.cost("claude-sonnet-4-5", raw)
        assert cost.nusd == 1_000 * 3_000 + 100 * 15_000
        assert cost.price.endswith("anthropic/claude-sonnet-4-5")

    def test_a_tier_without_a_price_of_its_own_is_not_named(self) -> None:
        assert self.cost("claude-sonnet-4-5", {"service_tier": "priority"}).price.endswith("/claude-sonnet-4-5")

    def test_googles_flex_is_billed_at_half(self) -> None:
        model = "gemini-3.8-flash-tts"
        listed = self.cost(model, {"trafficType": "ON_DEMAND"}, "google")
        flex = self.cost(model, {"trafficType": "ON_DEMAND_FLEX"}, "google")
        assert flex.nusd * 2 == listed.nusd
        assert f"google/{model} flex" in flex.price

    def test_what_is_answered_faster_is_dearer(self) -> None:
        listed, fast = (self.cost("claude-opus-4-8", {"speed": speed}) for speed in ("standard", "fast"))
        assert fast.nusd == listed.nusd * 2
        assert fast.price.endswith("claude-opus-4-8 fast")


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
                call("claude-3-haiku", provider="anthropic", usage=tokens(1, 1, web_searches=1)),
                "no price known for a web search by claude-3-haiku",
            ),
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


def read(wire_format: Any, body: dict[str, Any], headers: Any = None) -> dict[str, Any]:
    """The usage of an answer as its format reads it, and as an event holds it."""
    return asdict(
        wire_format.answer(200, headers or {"content-type": "application/json"}, json.dumps(body).encode()).usage
    )


class TestEachProvidersCount:
    """What a provider counts in its own way costs what its price list says, to the billionth."""

    def test_openai_counts_what_was_cached_inside_the_input(self) -> None:
        usage = {"prompt_tokens": 1_000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}
        cost, _ = price_call(call(usage=read(CHAT, {"usage": usage})), at_ns=AT_NS)
        assert cost.nusd == 600 * 150 + 400 * 75 + 100 * 600

    def test_openai_bills_each_search_beside_the_tokens(self) -> None:
        output = [{"type": "web_search_call", "action": {"type": kind}} for kind in ("search", "open_page", "search")]
        usage = read(RESPONSES, {"output": output, "usage": {"input_tokens": 1_000, "output_tokens": 0}})
        cost, _ = price_call(call("gpt-4o", usage=usage), at_ns=AT_NS)
        without, _ = price_call(call("gpt-4o", usage={**usage, "web_searches": 0}), at_ns=AT_NS)
        assert cost.nusd - without.nusd == 2 * 10_000_000

    def test_anthropic_counts_the_cache_beside_the_input_and_an_hour_costs_more(self) -> None:
        usage = {
            "input_tokens": 100,
            "output_tokens": 10,
            "cache_read_input_tokens": 1_000,
            "cache_creation_input_tokens": 500,
            "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 200},
            "server_tool_use": {"web_search_requests": 1},
        }
        counted = read(MESSAGES, {"type": "message", "usage": usage})
        cost, _ = price_call(call("claude-sonnet-4-5", provider="anthropic", usage=counted), at_ns=AT_NS)
        assert counted["input_tokens"] == 1_600
        tokens_nusd = 100 * 3_000 + 1_000 * 300 + 300 * 3_750 + 200 * 6_000 + 10 * 15_000
        assert cost.nusd == tokens_nusd + 10_000_000

    def test_google_counts_thoughts_beside_the_answer_and_its_own_tools_beside_the_prompt(self) -> None:
        usage = {
            "promptTokenCount": 1_000,
            "cachedContentTokenCount": 400,
            "toolUsePromptTokenCount": 50,
            "candidatesTokenCount": 10,
            "thoughtsTokenCount": 90,
            "totalTokenCount": 1_150,
        }
        counted = read(Gemini(), {"usageMetadata": usage})
        cost, _ = price_call(call("gemini-2.5-flash", provider="google", usage=counted), at_ns=AT_NS)
        assert (counted["input_tokens"], counted["output_tokens"], counted["reasoning_tokens"]) == (1_050, 100, 90)
        assert cost.nusd == 650 * 300 + 400 * 30 + 100 * 2_500

    def test_google_says_how_much_of_the_audio_was_cached(self) -> None:
        details = {"promptTokensDetails": 1_000, "cacheTokensDetails": 400}
        usage = {name: [{"modality": "AUDIO", "tokenCount": tokens}] for name, tokens in details.items()}
        usage |= {"promptTokenCount": 1_000, "cachedContentTokenCount": 400, "candidatesTokenCount": 0}
        counted = read(Gemini(), {"usageMetadata": usage})
        cost, reason = price_call(call("gemini-2.5-flash", provider="google", usage=counted), at_ns=AT_NS)
        assert reason is None
        assert cost.nusd == 600 * 1_000 + 400 * 100

    def test_bedrock_counts_the_cache_beside_the_input(self) -> None:
        usage = {"inputTokens": 100, "outputTokens": 10, "cacheReadInputTokens": 1_000, "cacheWriteInputTokens": 500}
        counted = read(BedrockConverse("m"), {"output": {"message": {}}, "usage": usage})
        model = "anthropic.claude-sonnet-4-5-20250929-v1:0"
        cost, _ = price_call(call(model, provider="aws", usage=counted), at_ns=AT_NS)
        assert counted["input_tokens"] == 1_600
        regional = 1.1  # Amazon's surcharge for an endpoint in one region
        assert cost.nusd == round((100 * 3_000 + 1_000 * 300 + 500 * 3_750 + 10 * 15_000) * regional)

    def test_bedrocks_headers_count_where_a_vendors_body_does_not(self) -> None:
        headers = {"x-amzn-bedrock-input-token-count": "9", "x-amzn-bedrock-output-token-count": "112"}
        counted = read(BedrockInvoke("m"), {"generations": [{"text": "hi"}]}, headers)
        assert (counted["input_tokens"], counted["output_tokens"]) == (9, 112)

    def test_cohere_is_paid_for_what_it_bills(self) -> None:
        usage = {"billed_units": {"input_tokens": 13, "output_tokens": 61}, "tokens": {"input_tokens": 542}}
        counted = read(COHERE, {"message": {}, "usage": usage})
        cost, _ = price_call(call("command-r-08-2024", provider="cohere", usage=counted), at_ns=AT_NS)
        assert cost.nusd == 13 * 150 + 61 * 600

    def test_a_negative_remainder_is_flagged_and_never_clamped(self) -> None:
        usage = {"prompt_tokens": 10, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 11}}
        counted = read(CHAT, {"usage": usage})
        assert price_call(call(usage=counted), at_ns=AT_NS) == (
            None,
            "the usage does not add up: 11 cache read tokens within 10 input tokens",
        )


class TestWhatOpenRouterCharged:
    RAW: ClassVar[dict[str, Any]] = {"prompt_tokens": 10, "completion_tokens": 1, "cost": 0.00333825, "is_byok": False}

    def cost(self, **raw: Any) -> tuple[Cost | None, str | None]:
        usage = {"input_tokens": 10, "output_tokens": 1, "raw": {**self.RAW, **raw}}
        return price_call(call("openai/gpt-4o-mini", provider="openrouter", usage=usage), at_ns=AT_NS)

    def test_is_what_it_cost(self) -> None:
        assert self.cost() == (Cost(3_338_250, "charged by openrouter"), None)

    @pytest.mark.parametrize("raw", [{"is_byok": True}, {"cost": None}, {"cost": -1}, {"cost": True}, {"cost": 1e400}])
    def test_is_not_used_where_it_is_no_price_of_the_call(self, raw: dict[str, Any]) -> None:
        assert self.cost(**raw)[0].price.startswith("genai-prices")

    def test_gives_way_to_a_declared_price(self) -> None:
        usage = {"input_tokens": 10, "output_tokens": 1, "raw": self.RAW}
        declared = {"input_nusd": 1, "output_nusd": 1}
        assert price_call(call(provider="openrouter", usage=usage, price=declared), at_ns=AT_NS) == (
            Cost(11, "declared"),
            None,
        )

    def test_agrees_with_the_table_for_every_recorded_call_to_claude(self) -> None:
        """An independent check of how tokens are put into buckets: their bill against our sum."""
        checked = 0
        for exchange in (e for group in model_calls().values() for e in group if e.provider == "openrouter"):
            usage = asdict(exchange.answer.usage)
            charged = (usage["raw"] or {}).get("cost")
            if not charged or "claude" not in exchange.answer.model or usage["web_searches"]:
                continue
            told = {**usage, "raw": None}
            ours, _ = price_call(call(exchange.answer.model, provider="openrouter", usage=told), at_ns=AT_NS)
            assert ours.nusd == round(charged * 10**9), exchange.id
            checked += 1
        assert checked >= 4
