"""A decision of the router, as the tag it is kept in."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.decisions import DECISION, Decision, decision_in, in_words

words = st.text(max_size=12)
numbers = st.floats(-1e8, 1e8)
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
POLICIES = ["rules", "confidence", "cascade", "vote", "registry", "fallback", "guardrail", "another"]
FIELDS = [each.name for each in fields(Decision) if each.name != "policy"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
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

    @given(st.fixed_dictionaries({"policy": st.sampled_from(POLICIES)}, optional=dict.fromkeys(FIELDS, json_values)))
    def test_whose_tag_holds_anything_can_be_read_and_put_into_words(self, tag: Any) -> None:
        decision = decision_in({DECISION: tag})
        assert decision is not None
        assert decision == decision_in(json.loads(json.dumps({DECISION: decision.as_tag()})))
        assert in_words(decision)


class TestADecisionInWords:
    @pytest.mark.parametrize(
        ("decision", "words"),
        [
            (
                Decision("cascade", "large", "", ("small", "large"), confidence=0.42, thresholds={"accept": 0.8}),
                "small was unsure (0.42 < 0.80), so large was asked",
            ),
            (
                Decision("cascade", "small", "", ("small", "large"), confidence=0.9, thresholds={"accept": 0.8}),
                "small was sure (0.90 ≥ 0.80)",
            ),
            (
                Decision("fallback", "b", "answered after a: timeout", ("a", "b"), fell_back=True),
                "a did not answer, so b was asked: answered after a: timeout",
            ),
            (Decision("fallback", None, "none answered", ("a", "b")), "none of a, b was taken: none answered"),
            (
                Decision("confidence", "sure", "", confidence=0.9, thresholds={"sure": 0.8}),
                "sure was chosen at a confidence of 0.90 ≥ 0.80",
            ),
            (Decision("rules", "billing"), "billing was chosen"),
        ],
        ids=["unsure", "sure", "fell back", "none left", "bands", "rules"],
    )  # fmt: skip
    def test_says_what_was_chosen_and_why(self, decision: Decision, words: str) -> None:
        assert in_words(decision) == words
