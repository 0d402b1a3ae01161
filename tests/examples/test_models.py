"""The example's own models, asked for real."""

from __future__ import annotations

import json

import pytest
from support import intent_lr, reply_templates
from support.models import Said
from support.pipeline import CONTENT, FORM, BadAnswer, probability_of, read_guess
from support.prompts import EXAMPLES, INTENTS, to_classify, to_draft

from tracer.messages import ChatRequest


def said(text, *tokens):
    return Said(text, "a-model", tokens)


class TestReadGuess:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "something that is no JSON"),
            ('{"intent": "cancel_card_card_card', "something that is no JSON"),
            ("Sure! The intent is change_pin.", "something that is no JSON"),
            ('{"intent": "close_account"}', "an intent that does not exist"),
            ('{"label": "change_pin"}', "an intent that does not exist"),
            ('{"intent": ["change_pin"]}', "an intent that does not exist"),
            ('["change_pin"]', "an intent that does not exist"),
            ("null", "an intent that does not exist"),
        ],
    )
    def test_an_answer_that_is_no_guess_is_named_with_its_text(self, text, told):
        with pytest.raises(BadAnswer) as raised:
            read_guess(said(text))
        assert str(raised.value) == f"a-model answered with {told}: {text!r}"

    def test_without_token_probabilities_the_stated_confidence_counts(self):
        guess = read_guess(said('{"intent": "change_pin", "confidence": 0.75}'))
        assert (guess.intent, guess.confidence, guess.model) == ("change_pin", 0.75, "a-model")

    @pytest.mark.parametrize("stated", ["", ', "confidence": null', ', "confidence": "high"'])
    def test_a_confidence_that_is_no_number_is_none_at_all(self, stated):
        assert read_guess(said(f'{{"intent": "change_pin"{stated}}}')).confidence == 0.0

    def test_token_probabilities_beat_what_the_model_says_of_itself(self):
        tokens = [('{"intent": "', -0.5), ("change", -0.6931471805599453), ("_pin", 0.0), ('", "confidence": 1}', -3.0)]
        guess = read_guess(said("".join(token for token, _ in tokens), *tokens))
        assert guess.confidence == pytest.approx(0.5)


class TestProbabilityOf:
    def test_a_word_that_was_not_said_has_none(self):
        assert probability_of("change_pin", said("x", ("age_limit", -0.1))) == 0.0

    def test_tokens_that_reach_over_the_ends_of_the_word_count_whole(self):
        tokens = (('{"intent": "ch', -1.0), ("ange_pi", -1.0), ('n"}', -1.0))
        assert probability_of("change_pin", said("", *tokens)) == pytest.approx(2.718281828459045**-3)


class TestIntentLr:
    def test_it_is_right_on_nine_in_ten_tickets_that_it_never_saw(self, tickets):
        right = sum(intent_lr.guess(ticket["text"])[0] == ticket["label"] for ticket in tickets)
        assert right / len(tickets) > 0.9

    def test_it_is_more_often_right_where_it_is_surer(self, tickets):
        judged = sorted(
            (intent_lr.guess(row["text"])[1], intent_lr.guess(row["text"])[0] == row["label"]) for row in tickets
        )
        half = len(judged) // 2
        assert sum(right for _, right in judged[half:]) >= sum(right for _, right in judged[:half])

    def test_it_reads_the_ticket_and_answers_in_the_form_the_language_model_is_asked_for(self):
        request = ChatRequest("whatever", tuple(to_classify("How do I change my PIN?")))
        guess = read_guess(said(intent_lr.answer(request).message.content))
        assert guess.intent == "change_pin"
        assert guess.confidence > 0.6


class TestReplyTemplates:
    @pytest.mark.parametrize("intent", [*INTENTS, "something_else"])
    def test_every_reply_holds_to_the_guardrails(self, intent):
        text = reply_templates.answer(ChatRequest(None, tuple(to_draft("Hello", intent)))).message.content
        assert FORM.judge(text).passed
        assert CONTENT.judge(json.loads(text)["reply"]).passed

    def test_there_is_one_for_each_intent(self):
        assert set(reply_templates.REPLIES) == set(INTENTS)


class TestData:
    def test_no_ticket_of_the_test_was_in_the_training_or_in_the_prompt(self, tickets):
        seen = {json.loads(line)["text"] for line in intent_lr.TRAINING.read_text(encoding="utf-8").splitlines()}
        seen |= {text for text, _ in EXAMPLES}
        assert not seen & {ticket["text"] for ticket in tickets}

    def test_every_label_is_one_of_the_intents(self, tickets):
        assert {ticket["label"] for ticket in tickets} == set(INTENTS)
        assert {label for _, label in EXAMPLES} == set(INTENTS)
