"""The installed table, asked in our way, says what the library says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import genai_prices
from genai_prices import data_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tracer.test_price_file import usages
from tracer.model import Cost
from tracer.parts import nusd_of
from tracer.price_table import _BUCKETS, _TIERS
from tracer.pricing import price_call

#: Every model that its own id finds.
_LISTED = [
    (each.id, model.id)
    for each in data_snapshot.get_snapshot().providers
    for model in each.models
    if model.is_match(model.id)
]
_DAYS = st.integers(
    int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2027, 6, 1, tzinfo=UTC).timestamp())
)


def theirs(provider: str, model: str, usage: dict[str, int], at_s: int, tier: str | None) -> int:
    counted = genai_prices.Usage(**{_BUCKETS[name]: count for name, count in usage.items()})
    at = datetime.fromtimestamp(at_s, tz=UTC)
    context = _TIERS[tier] if tier else None
    found = genai_prices.calc_price(
        counted, model, provider_id=provider, genai_request_timestamp=at, price_context=context
    )
    return nusd_of(found.total_price)


class TestEveryModelOfTheTable:
    @settings(max_examples=600, deadline=None)
    @given(
        listed=st.sampled_from(_LISTED),
        usage=usages(),
        times=st.sampled_from([1, 1, 20]),
        searches=st.integers(0, 3),
        hears=st.booleans(),
        tier=st.none() | st.sampled_from(sorted(_TIERS)),
        at_s=_DAYS,
    )
    def test_costs_what_the_library_says(  # noqa: PLR0913, PLR0917 - one for each thing that a price depends on
        self,
        listed: tuple[str, str],
        usage: dict[str, int],
        times: int,
        searches: int,
        hears: bool,  # noqa: FBT001 - Hypothesis draws it
        tier: str | None,
        at_s: int,
    ) -> None:
        """Long inputs and short ones, of any day and tier, with audio and without."""
        provider, model = listed
        usage = {name: count * times for name, count in usage.items()}
        if not hears:
            spoken = ("input_audio_tokens", "cache_audio_tokens", "output_audio_tokens")
            usage = {name: count for name, count in usage.items() if name not in spoken}
        usage["web_searches"] = searches
        told = {"provider": provider, "model": model, "usage": {**usage, "raw": {"service_tier": tier}}}
        cost, reason = price_call(told, at_ns=at_s * 10**9)
        if cost is None:
            # what the library counts as nothing is unknown here, and what it refuses is as well
            assert reason is not None
            assert "web search" in reason or "can't be priced" in reason
        else:
            assert cost.nusd == theirs(provider, model, usage, at_s, tier)

    def test_a_name_that_nobody_knows_is_looked_for_once(self, monkeypatch: Any) -> None:
        asked = {"provider": "openai", "model": "nobody-ever-asked", "usage": {"input_tokens": 1, "output_tokens": 1}}
        unknown = (None, "no price known for nobody-ever-asked")
        assert price_call(asked, at_ns=0) == unknown
        monkeypatch.delattr(genai_prices, "calc_price")
        assert price_call(asked, at_ns=0) == unknown

    def test_a_table_that_is_renewed_in_this_process_is_asked_anew(self) -> None:
        asked = {"provider": "mine", "model": "m-1", "usage": {"input_tokens": 10, "output_tokens": 0}}
        assert price_call(asked, at_ns=0)[0] is None
        model = genai_prices.types.ModelInfo(
            id="m-1",
            match=genai_prices.types.ClauseEquals("m-1"),
            prices=genai_prices.types.ModelPrice(input_mtok=genai_prices.types.Decimal(2)),
        )
        provider = genai_prices.types.Provider(id="mine", name="Mine", api_pattern="mine", models=[model])
        data_snapshot.set_custom_snapshot(data_snapshot.DataSnapshot([provider], from_auto_update=False))
        try:
            assert price_call(asked, at_ns=0)[0] == Cost(20_000, f"genai-prices {genai_prices.__version__} mine/m-1")
        finally:
            data_snapshot.set_custom_snapshot(None)
