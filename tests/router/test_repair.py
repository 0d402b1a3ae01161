"""What is certain about a broken answer is put right, and nothing else is touched."""

from __future__ import annotations

import ast
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import Repaired, repaired

# what repr writes with \U, or as two surrogates, no JSON can say
PLAIN = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=("Cs",)))
SCALARS = st.none() | st.booleans() | st.integers() | PLAIN
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(PLAIN, inner), max_leaves=12)
OBJECTS = st.dictionaries(PLAIN, VALUES)
WORDS = st.text(st.characters(exclude_characters="{}[]`\ufeff", exclude_categories=("Cs",)))


class TestWhatParses:
    @given(VALUES, st.sampled_from([None, 2]), st.booleans())
    def test_is_never_changed(self, value, indent, ascii_only):
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
        assert repaired(text) == Repaired(text)

    @pytest.mark.parametrize("text", ["NaN", "1e5", ' {"a" : 1}\n', '{"a": 1, "a": 2}', '"```"'])
    def test_is_left_as_it_is_written(self, text):
        assert (repaired(text).text, repaired(text).done, repaired(text).left) == (text, (), None)


class TestWhatIsCertain:
    @given(OBJECTS)
    def test_pythons_way_of_writing_reads_as_python_reads_it(self, value):
        text = repr(value)
        mended = repaired(text)
        assert mended.left is None
        assert json.loads(mended.text) == ast.literal_eval(text)

    @given(OBJECTS, WORDS, WORDS)
    def test_words_around_the_one_object_are_left_out(self, value, before, after):
        mended = repaired(f"{before}{json.dumps(value)}{after}")
        assert json.loads(mended.text) == value

    @given(OBJECTS, WORDS, WORDS)
    def test_a_code_fence_is_left_out(self, value, before, after):
        fenced = f"{before}\n```json\n{json.dumps(value, indent=2)}\n```\n{after}"
        assert json.loads(repaired(fenced).text) == value

    @given(st.lists(VALUES, min_size=1), st.dictionaries(PLAIN, VALUES, min_size=1))
    def test_a_comma_before_a_closing_bracket_is_left_out(self, some, more):
        items = ",\n".join(json.dumps(item) for item in some)
        members = ", ".join(f"{json.dumps(key)}: {json.dumps(item)}" for key, item in more.items())
        mended = repaired(f'{{"some": [{items}, ], "more": {{{members},}} ,\n}}')
        assert json.loads(mended.text) == {"some": some, "more": more}
        assert mended.done == ("a comma before a closing bracket",)

    @pytest.mark.parametrize(
        ("text", "value", "done"),
        [
            ('\ufeff{"a": 1}', {"a": 1}, ("a byte order mark",)),
            ("\u201ca\u201d: 1", None, ()),
            ('{\u201ca\u201d: \u201cb "c" d\u201d}', {"a": 'b "c" d'}, ("curly quotes",)),
            ("{\u2018a\u2019: 1}", {"a": 1}, ("curly quotes",)),
            ("{'it\\'s': 'a \"b\"'}", {"it's": 'a "b"'}, ("single quotes", "Python's escapes")),
            ('{"a": True, "b": None}', {"a": True, "b": None}, ("Python's True, False and None",)),
            ('{"a": "one\ntwo\there"}', {"a": "one\ntwo\there"}, ("control characters in a string",)),
            ('```\n{"a": 1}\n```', {"a": 1}, ("a code fence",)),
            ('```json\n{"a": 1}', {"a": 1}, ("words around it",)),
            ('[{"a": 1}, {"a": 2},]', [{"a": 1}, {"a": 2}], ("a comma before a closing bracket",)),
            ('As [1] says: {"a": 1} (see [2])', {"a": 1}, ("words around it",)),
            ('Fill {name} in: {"a": [1]}', {"a": [1]}, ("words around it",)),
            ("Sure!\n```json\n{'a': [1, 2,],}\n```\nAnything else?", {"a": [1, 2]}, None),
        ],
    )
    def test_is_put_right_and_named(self, text, value, done):
        mended = repaired(text)
        if value is None:
            assert mended.left
            return
        assert json.loads(mended.text) == value
        assert done is None or mended.done == done
        assert mended.left is None

    def test_numbers_keys_and_order_stay_as_they_were_written(self):
        mended = repaired('{"b": 1.50, "a": 1e3, "b": 12345678901234567890,}')
        assert mended.text == '{"b": 1.50, "a": 1e3, "b": 12345678901234567890}'


class TestWhatIsNotCertain:
    @pytest.mark.parametrize(
        ("text", "left"),
        [
            ('{"reply": "I am sor', "ends before it is closed (1 brackets are open)"),
            ('{"a": [1, {"b": 2}, ', "ends before it is closed (2 brackets are open)"),
            ('Here you are: {"a": [1, 2', "ends before it is closed (2 brackets are open)"),
            ('{"a": tru', "no value"),
            ('{"reply": "a "quoted" word"}', "no comma and no }"),
            ("{'reply': 'it's fine'}", "no comma and no }"),
            ('{"a": 1} and {"a": 2}', "2 JSON values, not one"),
            ('```\n{"a": 1}\n```\n```\n{"a": 2}\n```', "2 JSON values, not one"),
            ("I can't do that.", "no JSON values, not one"),
            ("", "no JSON values, not one"),
            ('{"a": 1 "b": 2}', "no comma and no }"),
            ('{"path": "C:\\data"}', "an escape that means nothing"),
            ('{"a": 1, ...}', "no key"),
            ("{a: 1}", "no key"),
            ('{"a": 01}', "no value"),
            ('{"a": "b\u201d}', "ends before it is closed"),
            ('{"a":' * 100 + "1" + "}" * 100 + ",", "nested too deeply"),
        ],
    )
    def test_is_left_as_it_was_and_reported(self, text, left):
        mended = repaired(text)
        assert (mended.text, mended.done) == (text, ())
        assert left in (mended.left or "")

    @given(OBJECTS.filter(bool), st.data())
    def test_an_answer_that_was_cut_off_is_never_made_whole(self, value, data):
        whole = json.dumps(value)
        cut = whole[: data.draw(st.integers(1, len(whole) - 1))]
        assert repaired(cut).text == cut
        assert repaired(cut).left

    @given(st.text(st.sampled_from("{}[]\"',:\\ntrueNo1 \u201c\u201d`")))
    def test_the_result_is_json_or_the_text_itself_with_a_reason(self, text):
        mended = repaired(text)
        if mended.left is None:
            json.loads(mended.text)
        else:
            assert mended.text == text

    @pytest.mark.parametrize("text", ["[" * 50_000, "x " + "[\u201c" * 50_000, "{" * 50_000, "x " + '["a", ' * 50_000])
    def test_many_brackets_that_mean_nothing_are_given_up(self, text):
        assert re.search("character|nested|JSON|ends", repaired(text).left or "")
