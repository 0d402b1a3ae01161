"""Where a confidence comes from, and what is refused as one."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import Confidence, NoConfidence, Reply, Token, agreement, from_classifier, from_logprobs, stated
from router.calibration import Calibration, reliability


def tokens(*pairs: tuple[str, float]) -> tuple[Token, ...]:
    return tuple(Token(text, math.log(probability), text.encode()) for text, probability in pairs)


SAID = tokens(('{"', 1.0), ("intent", 0.9), ('": "', 1.0), ("lost", 0.5), ("_card", 0.8), ('"}', 1.0))


class TestAConfidence:
    @pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf])
    def test_lies_between_0_and_1(self, value):
        with pytest.raises(ValueError, match="between 0 and 1"):
            Confidence(value, "stated")

    def test_is_named_as_what_it_is(self):
        with pytest.raises(ValueError, match="no source 'vibes'; there are logprobs, classifier, agreement, stated"):
            Confidence(0.5, "vibes")  # type: ignore[arg-type]


class TestFromLogprobs:
    def test_it_is_the_joint_probability_of_the_tokens_that_spell_the_part(self):
        sure = from_logprobs(SAID, of="lost_card")
        assert sure.value == pytest.approx(0.5 * 0.8)
        assert sure.source == "logprobs"
        assert sure.detail == {"tokens": 2, "least": pytest.approx(0.5), "of": "lost_card"}

    def test_of_a_reply_without_a_part_it_is_that_of_the_whole(self):
        reply = Reply("", "", "one", "m", tokens=SAID)
        assert from_logprobs(reply).value == pytest.approx(0.9 * 0.5 * 0.8)

    def test_a_token_over_the_edge_counts_whole(self):
        assert from_logprobs(SAID, of="card").value == pytest.approx(0.8)

    def test_tokens_of_an_sdk_will_do(self):
        from openai.types.chat import ChatCompletionTokenLogprob

        card = {"token": "card", "logprob": math.log(0.5), "bytes": list(b"card")}
        of_openai = ChatCompletionTokenLogprob(**card, top_logprobs=[])
        for given_token in (of_openai, card, ("card", math.log(0.5)), Token("card", math.log(0.5), b"card")):
            assert from_logprobs([given_token], of="card").value == pytest.approx(0.5)
        with pytest.raises(NoConfidence, match="no token with a logprob"):
            from_logprobs(["card"])

    def test_a_character_may_be_spread_over_tokens(self):
        e, acute = Token("\\xc3", math.log(0.5), b"\xc3"), Token("\\xa9", math.log(0.5), b"\xa9")
        assert from_logprobs([*tokens(("caf", 0.9)), e, acute], of="é").value == pytest.approx(0.25)

    @pytest.mark.parametrize(
        ("given_tokens", "of", "told"),
        [
            ((), None, r"ask\(..., logprobs=True\)"),
            (SAID, "pizza", "does not hold 'pizza'"),
            (SAID, '"', "more than once"),
            (SAID, "", "does not hold ''"),
            ((Token("a", math.nan, b"a"),), None, "no number"),
        ],
        ids=["none", "absent", "twice", "empty", "nan"],
    )
    def test_what_cannot_be_told_is_refused(self, given_tokens, of, told):
        with pytest.raises(NoConfidence, match=told):
            from_logprobs(given_tokens, of=of)

    @given(st.lists(st.tuples(st.text(min_size=1, max_size=3), st.floats(-50, 0.001)), min_size=1, max_size=8))
    def test_a_part_is_at_least_as_sure_as_the_whole(self, pairs):
        said = [Token(text, logprob, text.encode("utf-8", "surrogatepass")) for text, logprob in pairs]
        whole = from_logprobs(said)
        assert 0.0 <= whole.value <= 1.0
        assert whole.value <= whole.detail["least"] * 1.01


class TestFromAClassifier:
    def test_it_is_the_probability_of_the_most_likely_class(self):
        guess = from_classifier(["card", "loan"], [0.3, 0.7], calibrated_by="isotonic")
        assert (guess.value, guess.confidence.value) == ("loan", 0.7)
        assert guess.confidence.source == "classifier"
        assert guess.confidence.detail == {"second": 0.3, "classes": 2, "calibrated_by": "isotonic"}

    @pytest.mark.parametrize("given_ones", [[], [1.0], [0.5, 0.9], [-0.5, 1.5], [math.nan, 1.0]], ids=str)
    def test_what_is_no_distribution_is_refused(self, given_ones):
        with pytest.raises(NoConfidence):
            from_classifier(["card", "loan"], given_ones)

    def test_arrays_of_numpy_will_do(self):
        import numpy as np

        guess = from_classifier(np.array(["card", "loan"]), np.array([0.1, 0.9], dtype=np.float32))
        assert str(guess.value) == "loan"


class TestAgreement:
    def test_it_is_the_share_of_the_samples_that_say_the_same(self):
        found = agreement(["a", "b", "a", "c"])
        assert (found.value, found.confidence.value, found.tied) == ("a", 0.5, False)
        assert found.tally == (("a", 2), ("b", 1), ("c", 1))
        assert found.confidence.detail == {"agree": 2, "of": 4}

    def test_a_tie_goes_to_who_came_first_and_says_so(self):
        found = agreement(["b", "a", "a", "b"])
        assert (found.value, found.tied) == ("b", True)

    def test_what_is_the_same_may_be_said(self):
        assert agreement(["Yes", "yes ", "no"], same=lambda a, b: a.strip().lower() == b.strip().lower()).value == "Yes"

    def test_values_that_cannot_be_hashed_are_compared(self):
        assert agreement([{"a": [1]}, {"a": [1]}, {}]).tally[0] == ({"a": [1]}, 2)

    def test_no_samples_agree_on_nothing(self):
        with pytest.raises(NoConfidence):
            agreement([])

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
    def test_the_tally_counts_every_sample_once(self, samples):
        found = agreement(samples)
        assert dict(found.tally) == {each: samples.count(each) for each in samples}
        assert found.confidence.value == max(map(samples.count, samples)) / len(samples)
        top = [each for each, count in found.tally if count == found.tally[0][1]]
        assert found.value == min(top, key=samples.index)
        assert found.tied == (len(top) > 1)


class Answer(pydantic.BaseModel):
    intent: str = "card"
    confidence: float = 0.7


@dataclasses.dataclass
class Nested:
    intent: Answer = dataclasses.field(default_factory=Answer)


class TestStated:
    @pytest.mark.parametrize(
        ("answer", "path"),
        [
            (Answer(), "confidence"),
            (Nested(), "intent.confidence"),
            ({"scores": [{"p": 0.7}]}, "scores.0.p"),
            ('{"confidence": 0.7}', "confidence"),
            (Reply(Answer(), "", "one", "m"), "confidence"),
            ({"confidence": Confidence(0.7, "logprobs")}, "confidence"),
        ],
        ids=["model", "nested", "list", "json", "reply", "confidence"],
    )
    def test_it_is_the_number_at_the_path(self, answer, path):
        sure = stated(answer, path)
        assert (sure.value, sure.source) == (0.7, "stated")

    def test_another_scale_is_said(self):
        assert stated({"confidence": 85}, out_of=100).value == 0.85

    @pytest.mark.parametrize("number", [95, -0.1, True, "0.9", None, math.nan], ids=str)
    def test_what_is_off_the_scale_is_refused_and_not_bent(self, number):
        with pytest.raises(NoConfidence, match="no number from 0 to 1"):
            stated({"confidence": number})

    @pytest.mark.parametrize(
        "answer", ["I am sure", {"sure": 1}, Answer(), ["x"]], ids=["text", "key", "field", "list"]
    )
    def test_what_is_missing_is_named(self, answer):
        with pytest.raises(NoConfidence, match="no confidence stated"):
            stated(answer, "certainty")

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(st.sampled_from("ab"), deeper, max_size=2),
            max_leaves=6,
        )
    )
    def test_any_json_has_a_confidence_in_range_or_none(self, value: Any):
        try:
            sure = stated(json.dumps(value), "a.0.b")
        except NoConfidence:
            return
        assert 0.0 <= sure.value <= 1.0


class TestReliability:
    def test_confidences_that_keep_their_word_have_no_error(self):
        told = reliability([(0.75, True), (0.75, True), (0.75, True), (0.75, False)])
        assert (told.error, told.count) == (0.0, 4)
        assert [(each.low, each.high, each.count, each.accuracy) for each in told.bins] == [(0.7, 0.8, 4, 0.75)]

    def test_overconfidence_is_told_in_full(self):
        told = reliability([(Confidence(1.0, "stated"), True), (1.0, False)])
        assert (told.error, told.brier) == (0.5, 0.5)

    def test_no_answers_have_no_reliability(self):
        with pytest.raises(NoConfidence):
            reliability([])


class TestCalibration:
    def test_a_confidence_becomes_the_accuracy_of_its_like(self):
        calibrated = Calibration.of([(0.6, False), (0.6, True), (0.9, True), (0.9, True)])
        sure = calibrated(Confidence(0.7, "logprobs", {"of": "card"}))
        assert (sure.value, sure.source) == (0.5, "logprobs")
        assert sure.detail == {"of": "card", "uncalibrated": 0.7, "calibrated_on": 4}
        assert calibrated(Confidence(0.1, "logprobs")).value == 0.5
        assert calibrated(Confidence(1.0, "logprobs")).value == 1.0

    @given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
    def test_it_never_falls_and_leaves_no_error_where_it_was_made(self, pairs):
        calibrated = Calibration.of(pairs)
        assert list(calibrated.values) == sorted(calibrated.values)
        after = [(calibrated(Confidence(value, "stated")), right) for value, right in pairs]
        assert sum(float(value) for value, _ in after) == pytest.approx(sum(right for _, right in pairs))
        assert reliability(after).brier <= reliability(pairs).brier + 1e-9
