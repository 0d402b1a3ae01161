"""Rules about requests, and the newer ones about answers."""

from __future__ import annotations

import json
import socket
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from router import (
    AnswerLimit,
    AsksForJson,
    Bans,
    Forbids,
    Guardrails,
    JsonSchema,
    Length,
    Markers,
    Matches,
    Parses,
    Prompt,
    PromptTokens,
    Quotes,
    Temperature,
    TokenLimit,
    Typed,
    Verbatim,
    asked,
)

SOURCE = (
    "The Company\u2019s liability  shall not\nexceed the fees paid in the \u201cTerm\u201d of this Agreement. "
    "Either party may terminate this Agreement upon thirty (30) days written notice."
)


class TestARequest:
    RAILS = Guardrails(
        (
            Prompt(Bans(("insider",))),
            PromptTokens(50),
            Temperature(at_most=0.5),
            AnswerLimit(at_most=200),
            AsksForJson(schema=True),
        ),
        all=True,
    )

    def test_that_holds_to_every_rule_passes(self):
        form = {"type": "json_schema", "json_schema": {}}
        request = asked(messages="Hello", model="m", temperature=0, max_tokens=100, response_format=form)
        assert self.RAILS.judge(request).passed

    def test_is_told_all_its_offences_at_once(self):
        messages = [
            {"role": "system", "content": "You know insider things."},
            {"role": "user", "content": [{"type": "text", "text": "An insider " + "word " * 100}]},
        ]
        verdict = self.RAILS.judge(asked(messages=messages, temperature=0.9, max_completion_tokens=1000))
        assert [(each.rule, each.offence) for each in verdict.offences] == [
            ("prompt: banned topic", "message 1 (user): insider"),
            ("prompt tokens", "about 121 tokens, more than 50"),
            ("temperature", "0.9, not between 0 and 0.5"),
            ("answer limit", "1000, more than 200"),
            ("response format", "response_format is not set, not json_schema"),
        ]
        assert (verdict.rule, verdict.offence) == ("prompt: banned topic", "message 1 (user): insider")

    @pytest.mark.parametrize(
        ("given", "offence"),
        [
            ({}, "no temperature is set"),
            ({"temperature": None}, "no temperature is set"),
            ({"temperature": "hot"}, "'hot' is no temperature"),
            ({"temperature": True}, "True is no temperature"),
            ({"temperature": 1.1}, "1.1, not between 0 and 1"),
            ({"temperature": 1}, None),
        ],
    )
    def test_has_a_temperature_within_its_range(self, given, offence):
        assert Temperature().offence(asked(messages="x", **given)) == offence

    @pytest.mark.parametrize(
        ("given", "offence"),
        [
            ({}, "none of max_tokens, max_completion_tokens, max_output_tokens is set"),
            ({"max_output_tokens": 5}, None),
            ({"max_tokens": 11}, "11, more than 10"),
        ],
    )
    def test_limits_its_answer(self, given, offence):
        assert AnswerLimit(10).offence(asked(messages="x", **given)) == offence

    @pytest.mark.parametrize(
        ("form", "offence"),
        [
            ({"type": "json_object"}, None),
            ("json_schema", None),
            ({"type": "text"}, "response_format is text, not json_object or json_schema"),
        ],
    )
    def test_asks_for_json(self, form, offence):
        assert AsksForJson().offence(asked(messages="x", response_format=form)) == offence

    def test_has_a_system_prompt_beside_its_messages_put_in_front(self):
        request = asked(messages="x", system="Be brief.")
        assert [(each.role, each.content) for each in request.messages] == [("system", "Be brief."), ("user", "x")]
        assert Prompt(Bans(("brief",)), roles=("system",)).offence(request) == "message 0 (system): brief"


class TestPatterns:
    def test_a_forbidden_one_is_told_as_it_was_found(self):
        assert Forbids((r"\bIBAN\b", r"\d{4}-\d{4}")).offence("card 1234-5678") == "1234-5678"
        assert Forbids((r"\d{4}",)).offence("none") is None

    def test_a_format_holds_for_the_whole_text(self):
        rule = Matches(r"(yes|no)", said="yes or no")
        assert rule.offence(" Yes\n") is None
        assert rule.offence("yes, surely") == "not yes or no"

    @pytest.mark.parametrize("make", [lambda: Forbids(("(",)), lambda: Matches("[")], ids=["forbids", "matches"])
    def test_what_is_no_pattern_is_refused_when_the_rule_is_made(self, make):
        with pytest.raises(ValueError, match="has a pattern that is none"):
            make()


class TestTokenLimit:
    def test_a_longer_text_is_told_how_long_it_is(self):
        assert TokenLimit(3).offence("one two three four five") == "about 5 tokens, more than 3"
        assert TokenLimit(3, model="pixtral-12b-2409").offence("one two three four five") == "5 tokens, more than 3"

    def test_a_text_of_fewer_bytes_passes_without_being_counted(self):
        assert TokenLimit(5).offence("abcde") is None


class TestJsonSchema:
    SCHEMA: ClassVar = {
        "type": "object",
        "properties": {"risk": {"enum": ["low", "high"]}, "pages": {"type": "array", "items": {"type": "integer"}}},
        "required": ["risk"],
    }

    @pytest.mark.parametrize(
        ("text", "offence"),
        [
            ('{"risk": "low", "pages": [1]}', None),
            ('{"risk": "medium"}', "$.risk: 'medium' is not one of ['low', 'high']"),
            ("{}", "$: 'risk' is a required property"),
            ('{"risk": "low", "pages": [1, "2"]}', "$.pages[1]: '2' is not of type 'integer'"),
            ('{"risk"', "no JSON: "),
            ("[" * 100_000, "no JSON: "),
        ],
    )
    def test_what_breaks_it_is_named_with_its_place(self, text, offence):
        found = JsonSchema(self.SCHEMA).offence(text)
        assert found is None if offence is None else (found or "").startswith(offence)

    def test_only_the_first_few_offences_are_told(self):
        wrong = json.dumps({"risk": "low", "pages": ["x"] * 1000})
        assert (JsonSchema(self.SCHEMA).offence(wrong) or "").endswith("; and 995 more")

    def test_a_schema_that_is_none_is_refused_when_the_rule_is_made(self):
        with pytest.raises(ValueError, match="has a schema that is none: "):
            JsonSchema({"type": "objekt"})

    def test_a_reference_to_elsewhere_is_refused_and_never_fetched(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            rule = JsonSchema({"$ref": f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"})
            with pytest.raises(ValueError, match="which its schema does not hold"):
                rule.offence("{}")
            with pytest.raises(BlockingIOError):
                server.accept()

    @given(st.dictionaries(st.text(), st.integers()))
    def test_a_schema_that_allows_everything_passes_all_json(self, value):
        assert JsonSchema({}).offence(json.dumps(value)) is None


class Risk(BaseModel):
    level: str
    pages: list[int] = Field(max_length=2)


class TestTyped:
    @pytest.mark.parametrize(
        ("text", "offence"),
        [
            ('{"level": "low", "pages": [1]}', None),
            ('{"pages": [1, "x"]}', "$.level: Field required; $.pages[1]: Input should be a valid integer"),
            ("no", "no JSON: "),
        ],
    )
    def test_what_the_model_refuses_is_named_with_its_place(self, text, offence):
        found = Typed(Risk).offence(text)
        assert found is None if offence is None else (found or "").startswith(offence)

    def test_what_is_no_model_is_refused_when_the_rule_is_made(self):
        with pytest.raises(TypeError, match="needs a pydantic model, not <class 'dict'>"):
            Typed(dict)


class TestQuotes:
    @pytest.mark.parametrize(
        "quoting",
        [
            '"shall not exceed the fees paid"',
            "\u201cThe Company's liability shall not exceed\u201d",
            "\u00abthirty (30) days written notice.\u00bb",
            '"the fees paid in the "Term" of this Agreement"',
            '"Either party may terminate \u2026 upon thirty (30) days"',
            '"a word"',
            "no quotation at all",
        ],
    )
    def test_what_stands_in_the_source_passes_whatever_its_marks_and_spaces(self, quoting):
        assert Quotes(SOURCE).offence(f"It says {quoting}.") is None

    def test_what_does_not_is_told_with_the_passage_that_is_nearest(self):
        offence = Quotes(SOURCE).offence(
            'It says "party may terminate this Agreement upon sixty (60) days written notice".'
        )
        start = SOURCE.index("party may")
        assert offence is not None
        assert offence.startswith('"party may terminate this Agreement upon sixty (60) days written notice" is not in')
        assert f"nearest, at characters {start} to {len(SOURCE) - 1}: " in offence
        assert "thirty (30) days" in offence

    def test_every_wrong_quotation_is_told(self):
        offence = Quotes(SOURCE).offence('"one two three" and "shall not exceed the fees" and "four five six"')
        assert (offence or "").count("is not in the source") == 2

    def test_parts_around_an_ellipsis_stand_in_their_order(self):
        assert Quotes(SOURCE).offence('"thirty (30) days ... Either party may"') is not None

    def test_one_may_be_required(self):
        assert Quotes(SOURCE, required=True).offence("It limits it.") == "nothing of at least 3 words is quoted"

    @given(st.data())
    def test_every_passage_of_the_source_is_found_in_it(self, data):
        words = SOURCE.replace("\u201c", "").replace("\u201d", "").split()
        start = data.draw(st.integers(0, len(words) - 4))
        end = data.draw(st.integers(start + 3, len(words)))
        source = SOURCE.replace("\u201c", "").replace("\u201d", "")
        assert Quotes(source).offence(f'"{" ".join(words[start:end])}"') is None

    @given(st.text(), st.text())
    def test_no_text_and_no_source_is_too_strange(self, text, source):
        Quotes(source).offence(f'"{text}"')


class TestMarkers:
    def test_each_points_at_what_was_shown(self):
        assert Markers((0, 1, 7)).offence("So it is [1], and so [0, 7].") is None
        assert Markers((0, 1)).offence("So it is [1; 7] and [12].") == "no source has the number 7, 12"

    def test_one_may_be_required(self):
        assert Markers((0,), required=True).offence("So it is.") == "nothing is cited"


class TestGuardrailsForAll:
    def test_every_broken_rule_is_told_and_the_first_one_decides(self):
        rails = Guardrails((Length(at_most=3), Parses(("a",)), Bans(("no",))), all=True)
        verdict = rails.judge("no way")
        assert [each.rule for each in verdict.offences] == ["length", "parses", "banned topic"]
        assert verdict.rule == "length"
        assert verdict.checked == ("length", "parses", "banned topic")


class TestVerbatim:
    def test_holds_for_what_stands_in_the_source_quotation_marks_and_all(self):
        source = 'The "Term" of this Agreement is\n two years.'
        assert Verbatim(source).offence('The "Term" of this Agreement is two years') is None

    def test_tells_the_nearest_passage_of_what_does_not(self):
        offence = Verbatim("The term is two years. The law is that of Ohio.").offence("the term is three years")
        assert offence is not None
        assert "is not in the source; nearest" in offence

    @pytest.mark.parametrize("text", ["", " \n", "...", '""'], ids=["empty", "white", "dots", "marks"])
    def test_a_citation_without_a_word_is_none(self, text):
        assert Verbatim("Something.").offence(text) == "nothing is cited"

    @given(st.text(min_size=1), st.integers(0, 50), st.integers(1, 50))
    def test_holds_for_whole_words_of_any_source(self, source, start, length):
        words = source.split()[start : start + length]
        passage = " ".join(words)
        offence = Verbatim(source).offence(passage)
        assert offence in (None, "nothing is cited")
