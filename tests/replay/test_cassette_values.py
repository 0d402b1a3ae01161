"""Any payload as JSON in a file, and back to the same bytes."""

from __future__ import annotations

import json
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.cassette.layout import dumps
from replay.cassette.values import packed, readable
from tests.strategies import THOROUGH, Coin, alike, plain_values, values
from tracer import codec
from tracer.codec import Encoded
from tracer.wire import Chunk, HttpRequest, HttpResponse


def through_a_file(data: bytes) -> bytes:
    return packed(json.loads(dumps(readable(data))))


def shown(value: object) -> object:
    return readable(codec.encode(value).data)


class TestAPayload:
    @THOROUGH
    @given(values())
    def test_of_any_exact_value_comes_back_from_a_file_byte_by_byte(self, value):
        data = codec.encode(value).data
        assert through_a_file(data) == data
        assert alike(codec.decode(through_a_file(data)), value)

    @THOROUGH
    @given(st.binary(max_size=60))
    def test_of_any_bytes_whatever_comes_back_from_a_file(self, data):
        assert through_a_file(data) == data

    @THOROUGH
    @given(plain_values(keys=st.text(st.sampled_from("$ab"), max_size=3)))
    def test_with_keys_like_ours_is_not_taken_for_ours(self, value):
        data = codec.encode(value).data
        assert through_a_file(data) == data

    @THOROUGH
    @given(values())
    def test_of_the_codec_is_always_readable(self, value):
        said = readable(codec.encode(value).data)
        assert not (isinstance(said, dict) and "$packed" in said)

    def test_nested_as_deep_as_the_codec_goes_comes_back(self):
        value: object = "core"
        for _ in range(95):
            value = (value,)
        data = codec.encode(value).data
        assert through_a_file(data) == data

    def test_that_names_a_class_needs_no_class(self):
        data = codec.encode(Coin(1)).data.replace(b"tests.strategies:Coin", b"tests.strategies:Gone")
        assert through_a_file(data) == data
        assert "tests.strategies:Gone" in dumps(readable(data))


class TestTheReadableForm:
    def test_of_plain_data_is_the_data(self):
        value = {"intent": "billing", "scores": [0.5, 1, None, True]}
        assert shown(value) == value

    def test_names_what_json_has_no_word_for(self):
        assert shown((1, Decimal("1.50"))) == {"$tuple": [1, {"$decimal": "1.50"}]}
        assert shown(UUID(int=7)) == {"$uuid": "00000000-0000-0000-0000-000000000007"}
        assert shown(2**70) == {"$big_int": str(2**70)}
        assert shown(float("inf")) == {"$float": "inf"}

    def test_shows_long_text_line_by_line(self):
        text = "Dear customer,\n" * 8
        assert shown(text) == {"$lines": text.split("\n")}

    @pytest.mark.parametrize(
        "style", [{}, {"separators": (",", ":")}, {"indent": 2}], ids=["spaced", "compact", "wide"]
    )
    def test_shows_the_json_of_a_body(self, style):
        body = json.dumps({"choices": [{"text": "Hellö"}]}, **style).encode()
        said = shown(HttpResponse(200, (), (Chunk(0, body),)))
        assert '"text": "Hellö"' in dumps(said)
        assert packed(said) == codec.encode(HttpResponse(200, (), (Chunk(0, body),))).data

    @pytest.mark.parametrize("body", [b'{"a": 1, "a": 2}', b'{"a":1e3}', b"{torn", b"data: {}\n\n"])
    def test_shows_as_text_what_only_looks_like_json(self, body):
        assert shown(body) == {"$utf8": body.decode()}

    def test_of_an_exchange_is_short(self):
        request = HttpRequest("POST", "http://a/b", (("accept", "*/*"),), {"model": "m"})
        response = HttpResponse(200, (("server", "x"),), (Chunk(0, b'{"a":1}'),))
        assert shown(request) == {
            "$request": {"method": "POST", "url": "http://a/b", "headers": [["accept", "*/*"]], "body": {"model": "m"}}
        }
        assert shown(response) == {
            "$response": {"status": 200, "headers": [["server", "x"]], "body": {"$json": {"a": 1}}}
        }

    @THOROUGH
    @given(
        st.builds(
            HttpResponse,
            st.integers(0, 599),
            st.lists(st.tuples(st.text(), st.text() | st.integers())).map(tuple),
            st.lists(st.builds(Chunk, st.integers(0, 1), st.binary() | st.just(b'{"a": [1]}')), max_size=2).map(tuple),
            st.sampled_from(("complete", "broken")),
            st.none() | st.text(),
        )
        | st.builds(HttpRequest, st.text(), st.text(), st.just((("a", "b"),)), plain_values())
    )
    def test_of_an_exchange_of_any_shape_comes_back(self, value):
        data = codec.encode(value).data
        assert through_a_file(data) == data

    def test_shows_other_bytes_in_base64(self):
        assert shown(b"\x00\xff") == {"$base64": "AP8="}


class TestAFileThatIsDamaged:
    @pytest.mark.parametrize(
        ("said", "words"),
        [
            ({"$nonsense": 1}, "nonsense is no word"),
            ({"$tuple": 3}, "takes a list"),
            ({"$base64": "&"}, "no base64"),
            ({"$packed": 5}, "no base64"),
            ({"$lines": [1]}, "list of texts"),
            ({"$tuple": [], "b": 1}, "stands alone"),
            ({"$float": "many"}, "16 hex digits"),
            ({"$request": {"method": "GET"}}, "not whole"),
            ({"$response": 1}, "not whole"),
            ({"$uuid": "short"}, "badly formed"),
            (2**70, "[Ii]nteger"),
        ],
        ids=lambda value: None if isinstance(value, str) else json.dumps(value)[:20],
    )
    def test_is_told_by_what_is_wrong(self, said, words):
        with pytest.raises(ValueError, match=words):
            packed(said)


class TestTheLayout:
    def test_changes_one_line_for_one_change(self):
        before = {"steps": [{"path": f"support/step[{number}]", "text": "x" * 80} for number in range(9)]}
        after = json.loads(json.dumps(before))
        after["steps"][4]["text"] = "y" * 80
        pairs = list(zip(dumps(before).splitlines(), dumps(after).splitlines(), strict=True))
        assert sum(one != other for one, other in pairs) == 1

    @THOROUGH
    @given(plain_values(keys=st.text()).filter(lambda value: isinstance(codec.encode(value), Encoded)))
    def test_is_json(self, value):
        said = readable(codec.encode(value).data)
        assert json.loads(dumps(said)) == said

    def test_lets_nothing_stand_unseen(self):
        text = dumps("a\u202eb\u2028c\x1bd é")
        assert text == '"a\\u202eb\\u2028c\\u001bd é"\n'
