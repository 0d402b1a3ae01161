"""Bands of confidence: which of three ways a number goes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import Bands

_SHARES = st.floats(0.0, 1.0)


class TestBands:
    @pytest.mark.parametrize(
        ("sure", "hopeless"), [(0.3, 0.8), (1.1, 0.3), (0.8, -0.1), (math.nan, 0.3), (0.8, math.nan)]
    )
    def test_thresholds_that_make_no_sense_are_refused(self, sure, hopeless):
        with pytest.raises(ValueError, match="0 <= hopeless <= sure <= 1"):
            Bands(sure, hopeless)

    def test_a_confidence_that_is_no_number_is_hopeless(self):
        assert Bands().of(math.nan) == "hopeless"

    @pytest.mark.parametrize(
        ("confidence", "band"),
        [(0.0, "hopeless"), (0.29, "hopeless"), (0.3, "unsure"), (0.79, "unsure"), (0.8, "sure"), (1.0, "sure")],
    )
    def test_a_threshold_belongs_to_the_band_above_it(self, confidence, band):
        assert Bands(sure=0.8, hopeless=0.3).of(confidence) == band

    @given(st.tuples(_SHARES, _SHARES).map(sorted), _SHARES, _SHARES)
    def test_more_confidence_never_means_less_sure(self, thresholds, one, other):
        bands = Bands(sure=thresholds[1], hopeless=thresholds[0])
        order = ("hopeless", "unsure", "sure")
        lower, higher = sorted((one, other))
        assert order.index(bands.of(lower)) <= order.index(bands.of(higher))

    @given(st.tuples(_SHARES, _SHARES).map(sorted), _SHARES)
    def test_a_choice_says_the_band_and_the_figure_that_decided(self, thresholds, confidence):
        bands = Bands(sure=thresholds[1], hopeless=thresholds[0])
        choice = bands.choose(confidence)
        assert choice.band == bands.of(confidence)
        assert f"{confidence:.2f}" in choice.reason
