"""A decision of the router, as the tag it is kept in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.decisions import DECISION, Decision, decision_in

words = st.text(max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
decisions = st.builds(
    Decision,
    policy=words,
    chosen=st.none() | words,
    reason=words,
    candidates=st.lists(words, max_size=3).map(tuple),
    confidence=st.none() | numbers,
    confidence_from=st.none() | words,
    thresholds=st.dictionaries(words, numbers, max_size=3),
    role=st.none() | words,
    arm=st.none() | words,
    propensity=st.none() | numbers,
    breakers=st.dictionaries(words, words, max_size=3),
    attempts=st.integers(0, 9),
    retries=st.integers(0, 9),
    waited_s=numbers,
    fell_back=st.booleans(),
)


class TestADecision:
    @given(decisions)
    def test_comes_back_from_the_json_of_its_tag(self, decision: Decision) -> None:
        assert decision_in(json.loads(json.dumps({DECISION: decision.as_tag()}))) == decision

    def test_leaves_out_what_played_no_part(self) -> None:
        assert Decision("rules", "small").as_tag() == {"policy": "rules", "chosen": "small"}

    def test_of_a_later_version_is_read_as_far_as_it_is_known(self) -> None:
        assert decision_in({DECISION: {"policy": "rules", "chosen": "a", "weather": "fine"}}) == Decision("rules", "a")

    @pytest.mark.parametrize("tags", [None, {}, {DECISION: 3}, {DECISION: {}}, {DECISION: {"policy": 1}}])
    def test_that_is_none_is_none(self, tags: Any) -> None:
        assert decision_in(tags) is None
