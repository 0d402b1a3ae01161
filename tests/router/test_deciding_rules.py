"""Rules: which target a question goes to, and what the record says of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import replay
from router import (
    Rules,
    Target,
    When,
    cost_left_below,
    decide,
    language,
    longer_than,
    mentions_math,
    time_left_below,
)
from router.deciding.predicates import LANGUAGES, language_of, text_of
from tests import recording
from tests.recording import Project, step_named
from tracer import workflow
from tracer.decisions import decision_in
from tracer.messages import Message

project = recording.project

SMALL, LARGE, MATH = Target("small"), Target("large"), Target("math")


def plain(name, of):
    return of()


class TestRules:
    def test_the_first_that_applies_decides(self):
        rules = Rules([(mentions_math(), MATH, "it calculates"), (longer_than(characters=20), LARGE)], otherwise=SMALL)
        ruled = rules.choose("what is 3 * 4, said at some length?")
        assert (ruled.target, ruled.rule, ruled.why, ruled.passed_over) == (MATH, "mentions math", "it calculates", ())
        ruled = rules.choose("a question without any figures")
        assert (ruled.target, ruled.why) == (LARGE, "longer than 20 characters")
        assert ruled.passed_over == ("mentions math",)
        ruled = rules.choose("hello")
        assert (ruled.target, ruled.rule, ruled.why) == (SMALL, None, "no rule applies")
        assert rules.candidates == ("math", "large", "small")

    def test_any_function_and_any_target_will_do(self):
        def shouts(question):
            return question.isupper()

        assert Rules([When(shouts, "loud")], otherwise="calm").choose("HELP").rule == "shouts"

    def test_an_error_of_a_predicate_goes_on_and_names_its_rule(self):
        def broken(question):
            raise KeyError("tier")

        with pytest.raises(KeyError) as raised:
            Rules([(broken, LARGE)], otherwise=SMALL).choose("hi")
        assert raised.value.__notes__ == ["raised by the rule 'broken', which would choose large"]

    @pytest.mark.parametrize("rule", [(mentions_math(),), ("math", LARGE), LARGE, (1, 2, 3, 4)], ids=str)
    def test_what_is_no_rule_is_refused_with_its_place(self, rule):
        with pytest.raises(TypeError, match="rule 1 must be"):
            Rules([(mentions_math(), MATH), rule], otherwise=SMALL)

    @given(st.lists(st.booleans(), max_size=6))
    def test_all_rules_before_the_one_that_applies_are_passed_over(self, holds):
        rules = Rules([(lambda _, each=each: each, place) for place, each in enumerate(holds)], otherwise=-1)
        ruled = rules.choose("")
        assert ruled.target == (holds.index(True) if True in holds else -1)
        assert len(ruled.passed_over) == (holds.index(True) if True in holds else len(holds))


class TestPredicates:
    @pytest.mark.parametrize(
        "question",
        [
            "what is 12*7",
            "solve x = 3",
            "Ann has 3 apples and buys 4. How many are there in total?",
            r"\frac{1}{2}",
            "what's 47 times 83",
            "what is the solution to sixty times thirty",
            "can you calculate the square root of 172",
            "can you tell me what 30% off 235 is, please",
        ],
    )
    def test_math(self, question):
        assert mentions_math().holds(question, plain)

    @pytest.mark.parametrize(
        "question", ["how much is the fee?", "call 555 1234", "my 2 cards arrived", "I tried it 3 times", ""]
    )
    def test_no_math(self, question):
        assert not mentions_math().holds(question, plain)

    def test_length_in_characters_and_in_tokens(self):
        assert longer_than(characters=3).holds("four", plain)
        assert not longer_than(characters=4).holds("four", plain)
        by_words = longer_than(tokens=2, count=lambda text: len(text.split()))
        assert by_words.holds("one two three", plain)
        assert (by_words.name, by_words.holds("one two", plain)) == ("longer than 2 tokens", False)

    @pytest.mark.parametrize("wrong", [{}, {"characters": 1, "tokens": 1}, {"tokens": 1}], ids=str)
    def test_a_length_without_its_measure_is_refused(self, wrong):
        with pytest.raises(ValueError, match="longer_than"):
            longer_than(**wrong)

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("Where is the card that you sent to me?", "en"),
            ("Warum wurde meine Karte nicht angenommen?", "de"),
            ("Pourquoi est-ce que ma carte a été refusée ?", "fr"),
            ("¿Por qué no funciona mi tarjeta con la aplicación?", "es"),
            ("Perché la mia carta non è stata accettata?", "it"),
            ("Por que o meu cartão não foi aceito na loja?", "pt"),
            ("Waarom is mijn kaart niet geaccepteerd?", "nl"),
            ("カードが届きません、どうすればいいですか", "ja"),
            ("카드가 아직 도착하지 않았습니다", "ko"),
            ("Πού είναι η κάρτα μου;", "el"),
            ("บัตรของฉันอยู่ที่ไหน", "th"),
            ("איפה הכרטיס שלי", "he"),
        ],
        ids=lambda each: each if len(each) == 2 else "",
    )
    def test_a_language_is_told_where_it_is_plain(self, text, code):
        assert language_of(text) == code
        assert language(code).holds(text, plain)

    @pytest.mark.parametrize("text", ["", "PIN?", "12345", "Где моя карта?", "卡在哪里"])
    def test_and_not_where_it_is_not(self, text):
        assert language_of(text) is None

    def test_a_language_that_cannot_be_told_is_refused(self):
        with pytest.raises(ValueError, match="no language 'ru' is told apart here; there are en, de"):
            language("ru")

    @given(st.text(max_size=60))
    def test_any_text_has_a_known_language_or_none(self, text):
        assert language_of(text) in {*LANGUAGES, None}

    @pytest.mark.parametrize(("left", "holds"), [(0.01, True), (0.05, False), (None, False)], ids=str)
    def test_what_is_left(self, left, holds):
        assert cost_left_below(0.05, lambda: left).holds("", plain) is holds
        assert time_left_below(0.05, lambda: left).holds("", plain) is holds

    def test_a_conversation_is_what_its_user_says(self):
        turns = [Message("system", "3 * 4"), {"role": "user", "content": "hi"}, {"role": "assistant", "content": "2+2"}]
        assert text_of(turns) == "hi"

    @pytest.mark.parametrize("thing", [3, None, [], {"text": "hi"}], ids=str)
    def test_what_has_no_words_is_refused(self, thing):
        with pytest.raises(TypeError, match="no text in a"):
            text_of(thing)


class TestTheRecord:
    def test_a_step_of_kind_router_holds_what_was_decided_and_why(self, project: Project):
        rules = Rules([(mentions_math(), MATH, "it calculates"), (longer_than(characters=99), LARGE)], otherwise=SMALL)

        @workflow
        def answer(question):
            return decide(rules, question).target.name

        step = step_named(project.record(answer, "hello"), "rules")
        decision = decision_in(step.tags)
        assert decision is not None
        assert (step.kind, decision.policy, decision.chosen, decision.reason) == (
            "router",
            "rules",
            "small",
            "no rule applies",
        )
        assert decision.candidates == ("math", "large", "small")
        assert list(project.value(step)["passed_over"]) == ["mentions math", "longer than 99 characters"]

    def test_a_replay_decides_by_what_was_left_then(self, project: Project):
        purse = [0.01]
        rules = Rules([(cost_left_below(0.05, lambda: purse[0]), SMALL)], otherwise=LARGE)

        @workflow
        def answer():
            return decide(rules, "hi").target.name

        trace = project.record(answer)
        purse[0] = 1.0
        assert answer() == "large"
        assert replay.replay(trace.trace_id, fn=answer).output == "small"
