"""Prices from a file: what they cost, and what is said of a file that can't be read."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.errors import ConfigError
from tracer.model import Cost
from tracer.parts import Priced, parts_of
from tracer.price_file import PriceFile, Rates, read_price_file
from tracer.pricing import price_call

AT_NS = 1_767_225_600 * 10**9
NAMES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "input_audio": "input_audio_mtok",
    "cache_audio": "cache_audio_read_mtok",
    "output_audio": "output_audio_mtok",
    "reasoning": "output_reasoning_mtok",
    "web_searches": "web_searches_kcount",
}


@st.composite
def usages(draw: st.DrawFn) -> dict[str, int]:
    """A usage with all its parts, which add up; too small for a price above so many tokens."""
    count = st.integers(0, 20_000)
    fresh, heard, read, both, minutes, hour, said, reasoned, spoken = (draw(count) for _ in range(9))
    return {
        "input_tokens": fresh + heard + read + both + minutes + hour,
        "cache_read_tokens": read + both,
        "cache_write_tokens": minutes + hour,
        "cache_write_1h_tokens": hour,
        "input_audio_tokens": heard + both,
        "cache_audio_tokens": both,
        "output_tokens": said + reasoned + spoken,
        "reasoning_tokens": reasoned,
        "output_audio_tokens": spoken,
    }


_usd = st.decimals(0, 100, places=4)
rates = st.fixed_dictionaries(
    {"input": _usd, "output": _usd}, optional=dict.fromkeys(NAMES.keys() - {"input", "output"}, _usd)
)


def priced(usd: dict[str, Decimal], usage: dict[str, Any], *, since: date | None = None, **told: Any) -> Priced:
    table = PriceFile("mine.toml", "0a0b", {"m": (Rates(since, usd),)})
    return price_call({"model": "m", "usage": usage, **told}, at_ns=AT_NS, given=table)


class TestParts:
    @given(usage=usages())
    def test_they_are_disjoint_and_sum_to_the_totals(self, usage: dict[str, int]) -> None:
        parts = parts_of(usage)
        output = parts["output"] + parts["reasoning"] + parts["output_audio"]
        assert output == usage["output_tokens"]
        assert sum(parts.values()) - output == usage["input_tokens"]
        assert min(parts.values()) >= 0

    @given(usage=usages(), apart=st.sets(st.sampled_from(sorted(NAMES))))
    def test_they_sum_to_the_totals_whatever_is_priced_apart(self, usage: dict[str, int], apart: set[str]) -> None:
        assert sum(parts_of(usage, apart=apart).values()) == usage["input_tokens"] + usage["output_tokens"]


class TestCost:
    @pytest.mark.parametrize(
        ("provider", "model"),
        [
            ("openai", "gpt-4o-mini"),
            ("openai", "gpt-4o-audio-preview"),
            ("anthropic", "claude-sonnet-4-5"),
            ("anthropic", "claude-haiku-4-5"),
            ("google", "gemini-2.5-flash"),
        ],
    )
    @given(usage=usages(), searches=st.integers(0, 9))
    def test_agrees_with_the_library_at_the_same_rates(
        self, provider: str, model: str, usage: dict[str, int], searches: int
    ) -> None:
        """Two accounts of one usage, made independently, come to the same sum."""
        at = datetime.fromtimestamp(AT_NS // 10**9, tz=UTC)
        found = genai_prices.calc_price(genai_prices.Usage(), model, provider_id=provider, genai_request_timestamp=at)
        prices = {name: getattr(found.model_price, key) for name, key in NAMES.items()}
        usd = {name: getattr(price, "base", price) for name, price in prices.items() if price is not None}
        usage = {**usage, "web_searches": searches if "web_searches" in usd else 0}
        theirs, reason = price_call({"model": model, "provider": provider, "usage": usage}, at_ns=AT_NS)
        ours, why = priced(usd, usage)
        assert (reason, why) == (None, None)
        assert ours.nusd == theirs.nusd

    @given(usd=rates, one=usages(), other=usages())
    def test_two_calls_cost_what_one_of_both_would(
        self, usd: dict[str, Decimal], one: dict[str, int], other: dict[str, int]
    ) -> None:
        both = {name: one[name] + other[name] for name in one}
        costs = [priced(usd, usage)[0] for usage in (one, other, both)]
        assert abs(costs[0].nusd + costs[1].nusd - costs[2].nusd) <= 1  # each is rounded to a billionth

    @given(usd=rates, usage=usages(), more=st.integers(0, 10**5), side=st.sampled_from(["input", "output"]))
    def test_more_tokens_never_cost_less(
        self, usd: dict[str, Decimal], usage: dict[str, int], more: int, side: str
    ) -> None:
        longer = {**usage, f"{side}_tokens": usage[f"{side}_tokens"] + more}
        assert priced(usd, longer)[0].nusd >= priced(usd, usage)[0].nusd

    @given(usd=rates, usage=usages(), over=st.integers(1, 10**5))
    def test_a_part_beyond_its_whole_is_never_priced(
        self, usd: dict[str, Decimal], usage: dict[str, int], over: int
    ) -> None:
        cost, reason = priced(usd, {**usage, "cache_read_tokens": usage["input_tokens"] + over})
        assert cost is None
        assert "add up" in reason

    def test_names_the_file_its_state_the_model_and_the_day(self) -> None:
        usage = {"input_tokens": 1_000, "output_tokens": 0}
        cost, _ = priced({"input": Decimal(2)}, usage, since=date(2025, 6, 1))
        assert cost == Cost(2_000_000, "mine.toml@0a0b m from 2025-06-01")

    def test_beats_what_was_declared_and_what_was_charged(self) -> None:
        usage = {"input_tokens": 1_000, "output_tokens": 0, "raw": {"cost": 5}}
        declared = {"input_nusd": 9, "output_nusd": 9}
        for told in ({"price": declared}, {"provider": "openrouter"}):
            assert priced({"input": Decimal(2)}, usage, **told)[0].nusd == 2_000_000

    def test_what_is_free_is_free_without_a_usage(self) -> None:
        cost, _ = priced({"input": Decimal(0), "output": Decimal(0)}, {})
        assert cost.nusd == 0


class TestUnknown:
    @pytest.mark.parametrize(
        ("usd", "usage", "reason"),
        [
            ({"input": 1}, {"input_tokens": 1, "output_tokens": 1}, "output has no price (mine.toml, m)"),
            ({"input": 1, "output": 1}, {}, "the provider reported no usage (mine.toml, m)"),
            (
                {"input": 1, "output": 1},
                {"output_tokens": 1},
                "the provider reported no input tokens (mine.toml, m)",
            ),
            (
                {"input": 1},
                {"input_tokens": 1, "web_searches": 1},
                "a web search has no price (mine.toml, m)",
            ),
            (
                {"input": 1, "input_audio": 2},
                {"input_tokens": 9, "input_audio_tokens": 5, "cache_read_tokens": 5},
                "the provider did not say how much of the audio was cached (mine.toml, m)",
            ),
        ],
        ids=["output", "usage", "input", "search", "audio"],
    )
    def test_the_reason_is_said(self, usd: dict[str, int], usage: dict[str, int], reason: str) -> None:
        assert priced({name: Decimal(price) for name, price in usd.items()}, usage) == (None, reason)

    def test_a_day_before_the_first_price_has_none(self) -> None:
        cost, reason = priced({"input": Decimal(1)}, {"input_tokens": 1}, since=date(2026, 1, 2))
        assert (cost, reason) == (None, "mine.toml has no price for m on 2026-01-01")


TOML = """
[models."GPT-4o-mini"]
input = 0.15
output = 0.60

[[models."azure/gpt-4o"]]
from = 2026-02-01
input = 3

[[models."azure/gpt-4o"]]
input = 2.5
"""


class TestReading:
    def written(self, tmp_path: Path, text: str, name: str = "prices.toml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    def test_toml_and_json_say_the_same(self, tmp_path: Path) -> None:
        dated = [{"from": "2026-02-01", "input": 3}, {"input": 2.5}]
        told = {"models": {"gpt-4o-mini": {"input": 0.15, "output": 0.6}, "azure/gpt-4o": dated}}
        read = [
            read_price_file(self.written(tmp_path, TOML)).models,
            read_price_file(self.written(tmp_path, json.dumps(told), "prices.json")).models,
        ]
        assert read[0] == read[1]
        assert [each.since for each in read[0]["azure/gpt-4o"]] == [None, date(2026, 2, 1)]

    @pytest.mark.parametrize(("day", "usd"), [("2026-01-31", "2.5"), ("2026-02-01", "3"), ("2026-12-01", "3")])
    def test_a_price_applies_from_its_day_on(self, tmp_path: Path, day: str, usd: str) -> None:
        table = read_price_file(self.written(tmp_path, TOML))
        at_ns = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()) * 10**9
        call = {"provider": "azure", "model": "gpt-4o", "usage": {"input_tokens": 10**6, "output_tokens": 0}}
        cost, _ = price_call(call, at_ns=at_ns, given=table)
        assert cost.nusd == int(Decimal(usd) * 10**9)

    def test_a_model_with_its_provider_is_that_providers_alone(self, tmp_path: Path) -> None:
        table = read_price_file(self.written(tmp_path, TOML))
        assert table.names({"provider": "azure", "model_asked": "GPT-4o"})
        assert not table.names({"provider": "openai", "model": "gpt-4o"})
        assert table.names({"provider": "openai", "model": "x", "model_asked": "gpt-4o-mini"})

    def test_its_version_is_that_of_its_bytes(self, tmp_path: Path) -> None:
        before = read_price_file(self.written(tmp_path, TOML)).version
        assert read_price_file(self.written(tmp_path, TOML)).version == before
        assert read_price_file(self.written(tmp_path, TOML + "\n")).version != before

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[models.m]\ninput = x", "is no TOML (or name it .json): Invalid value (at line 2, column 9)"),
            ("[models.m]\ninput = -1", "models.m.input must be dollars for a million tokens, like 0.15, not -1"),
            ("[models.m]\ninput = nan", "models.m.input must be dollars for a million tokens, like 0.15, not NaN"),
            ("[models.m]\ninput = true", "models.m.input must be dollars for a million tokens, like 0.15, not True"),
            ("[models.m]\nweb_searches = '1'", "must be dollars for a thousand searches"),
            ("[models.m]\nprompt = 1", "models.m.prompt is no price: there are input, output, cache_read"),
            ("[models.m]\nfrom = 2026-01-01", "models.m has no price: write at least input or output"),
            ("[models.m]\ninput = 1\nfrom = 'May'", "models.m.from must be a day, like 2026-01-01, not May"),
            ("[[models.m]]\ninput = 1\n[[models.m]]\ninput = 2", "two prices have no from; give each a day"),
            ("[models]\nm = 1", "models.m must hold prices, like input = 0.15, not 1"),
            ("", 'write [models."NAME"] for each model'),
            ("[model.m]\ninput = 1", 'write [models."NAME"] for each model'),
        ],
        ids=range(12),
    )
    def test_a_mistake_is_named_with_its_place_and_the_way_out(self, tmp_path: Path, text: str, said: str) -> None:
        path = self.written(tmp_path, text)
        with pytest.raises(ConfigError) as caught:
            read_price_file(path)
        assert said in str(caught.value)
        assert str(path) in str(caught.value)

    def test_a_mistake_in_json_is_named_with_its_line(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"is no JSON: .*line 2"):
            read_price_file(self.written(tmp_path, '{"models":\n oops}', "p.json"))

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="can't be read: no such file"):
            read_price_file(tmp_path / "none.toml")

    @given(data=st.binary(max_size=200) | st.text().map(str.encode))
    def test_any_bytes_are_prices_or_a_mistake(self, tmp_path_factory: Any, data: bytes) -> None:
        path = tmp_path_factory.mktemp("any") / "p.toml"
        path.write_bytes(data)
        with pytest.raises(ConfigError):
            read_price_file(path)
