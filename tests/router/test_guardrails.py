"""Rules for a text that is about to leave the house."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import Bans, Guardrails, Length, NoPromiseOfMoney, Parses


class TestParses:
    @pytest.mark.parametrize(
        ("text", "offence"),
        [
            ("", "no JSON"),
            ('{"reply": "I am sor', "no JSON"),
            ('{"reply": "a "quoted" word"}', "no JSON"),
            ("[" * 100_000, "no JSON"),
            ('["reply"]', "a JSON list, not an object"),
            ("null", "a JSON NoneType, not an object"),
            ("{}", "no key reply"),
            ('{"answer": "hello"}', "no key reply"),
        ],
    )
    def test_what_is_no_object_with_the_keys_is_named(self, text, offence):
        assert offence in (Parses(("reply",)).offence(text) or "")

    @given(st.dictionaries(st.text(), st.text()))
    def test_every_object_with_the_key_passes(self, rest):
        assert Parses(("reply",)).offence(json.dumps({**rest, "reply": "hello"})) is None

    def test_names_the_key_whose_value_is_of_another_type(self):
        form = Parses({"reply": str})
        assert form.offence('{"reply": "hello"}') is None
        assert form.offence('{"reply": 3}') == "reply is a int, not a str"
        assert form.offence("{}") == "no key reply"


class TestLength:
    @pytest.mark.parametrize(
        ("text", "offence"),
        [
            ("", "0 characters, fewer than 2"),
            ("   a   ", "1 characters, fewer than 2"),
            ("abcdef", "6 characters, more than 5"),
            ("ab", None),
            ("  abcde  ", None),
        ],
    )
    def test_white_space_around_the_text_does_not_count(self, text, offence):
        assert Length(at_least=2, at_most=5).offence(text) == offence

    @given(st.text())
    def test_without_limits_everything_passes(self, text):
        assert Length().offence(text) is None


class TestBans:
    @pytest.mark.parametrize(
        ("text", "offence"),
        [
            ("Please talk to a LAWYER about it", "LAWYER"),
            ("we give legal advice here", "legal advice"),
            ("call 1-800-555", "1-800"),
            ("lawyers are fine", None),
            ("outlawyer", None),
            ("", None),
        ],
    )
    def test_whole_words_are_found_in_any_case_and_parts_of_words_are_not(self, text, offence):
        assert Bans(("lawyer", "legal advice", "1-800")).offence(text) == offence

    def test_a_sign_in_a_phrase_is_a_sign_and_no_pattern(self):
        assert Bans(("a.b",)).offence("a+b axb") is None
        assert Bans(("[your",)).offence("call [Your Company]") == "[Your"

    @given(st.text())
    def test_banning_nothing_stops_nothing(self, text):
        assert Bans(()).offence(text) is None


class TestNoPromiseOfMoney:
    @pytest.mark.parametrize(
        "text",
        [
            "We will refund the payment.",
            "We'll gladly reimburse you.",
            "We\u2019ll refund it today.",
            "I have credited your account.",
            "I've already refunded the fee.",
            "you will receive $50",
            "You will get a full refund.",
            "You'll be refunded tomorrow.",
            "You are going to be compensated.",
            "We give you 20 euros for the trouble.",
            "Your refund has been approved.",
            "we  can\nwaive the fee",
        ],
    )
    def test_a_promise_is_found(self, text):
        assert NoPromiseOfMoney().offence(text)

    @pytest.mark.parametrize(
        "text",
        [
            "You can ask the shop for a refund.",
            "Some withdrawals carry a fee of 2 euros.",
            "I'm sorry about the wait.",
            "Open a dispute in the app, and we look into it.",
            "We use the interbank rate at the moment of your exchange.",
        ],
    )
    def test_talk_about_money_is_no_promise(self, text):
        assert NoPromiseOfMoney().offence(text) is None

    def test_the_offending_words_are_given_as_they_stand(self):
        assert NoPromiseOfMoney().offence("Well, you will receive $50.20 soon") == "receive $50.20"


class TestGuardrails:
    RAILS = Guardrails((Length(at_least=3), Bans(("crypto",)), NoPromiseOfMoney()))

    def test_the_first_broken_rule_decides_and_later_ones_are_not_asked(self):
        verdict = self.RAILS.judge("crypto: we will refund it")
        assert (verdict.passed, verdict.rule, verdict.offence) == (False, "banned topic", "crypto")
        assert verdict.checked == ("length", "banned topic")

    def test_a_text_that_breaks_none_passes_all(self):
        verdict = self.RAILS.judge("You can see it in the app.")
        assert verdict.passed
        assert verdict.checked == ("length", "banned topic", "no promise of money")

    def test_a_rule_of_ones_own_is_an_object_with_a_name_and_an_offence(self):
        class Shouts:
            name = "no shouting"

            def offence(self, text):
                return text if text.isupper() else None

        assert Guardrails((Shouts(),)).judge("NO").rule == "no shouting"
