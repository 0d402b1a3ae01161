"""Secrets never reach the disk, and nothing else is touched."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import THOROUGH, Box, Outer, plain_values, texts
from tracer.codec import Lossy, decode, encode
from tracer.redact import KEYS, Redactor
from tracer.wire import Chunk, HttpRequest, HttpResponse

REDACTOR = Redactor()


def joined(*parts: str) -> str:
    """Made-up secrets are written in pieces, so that no scanner of repositories takes them for real ones."""
    return "".join(parts)


ALNUM = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0"
JWT = ".".join(
    base64.urlsafe_b64encode(part).rstrip(b"=").decode()
    for part in (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890"}', b"0123456789abcdef0123456789abcdef")
)
PEM = joined("-----BEGIN RSA PRIV", "ATE KEY-----\nMIIEow\nAb+/=\n-----END RSA PRIV", "ATE KEY-----")
SECRETS = {
    "openai-key": joined("sk-", "proj-", ALNUM),
    "anthropic-key": joined("sk-", "ant-api03-", ALNUM),
    "openrouter-key": joined("sk-", "or-v1-", ALNUM),
    "stripe-key": joined("sk_", "live_", ALNUM[:24]),
    "aws-key": joined("AK", "IAIOSFODNN7EXAMPLE"),
    "github-token": joined("gh", "p_", ALNUM[:36]),
    "gitlab-token": joined("glp", "at-", ALNUM[:20]),
    "slack-token": joined("xo", "xb-123456789012-", ALNUM[:24]),
    "google-key": joined("AI", "za", ALNUM[:35]),
    "huggingface-token": joined("h", "f_", ALNUM[:34]),
    "groq-key": joined("gs", "k_", ALNUM),
    "jwt": JWT,
    "private-key": PEM,
    "card-number": "4111 1111 1111 1111",
}
OPENAI = SECRETS["openai-key"]


def redacted(value: Any, redactor: Redactor = REDACTOR) -> Any:
    return decode(redactor.redact(encode(value).data).data)


def paths(value: Any, redactor: Redactor = REDACTOR) -> tuple[str, ...]:
    return redactor.redact(encode(value).data).paths


def is_untouched(value: Any) -> bool:
    data = encode(value).data
    result = REDACTOR.redact(data)
    return result.data is data and result.paths == ()


class TestShapes:
    @pytest.mark.parametrize(("label", "secret"), SECRETS.items(), ids=SECRETS)
    def test_a_secret_is_replaced_where_it_stands_and_the_rest_is_kept(self, label, secret):
        assert redacted(f"please use {secret}, thanks") == f"please use [redacted: {label}], thanks"
        assert redacted(secret) == f"[redacted: {label}]"
        assert REDACTOR.redact_text(f"({secret})") == f"([redacted: {label}])"

    @pytest.mark.parametrize(("label", "secret"), SECRETS.items(), ids=SECRETS)
    def test_it_is_found_in_every_container(self, label, secret):
        mark = f"[redacted: {label}]"
        for value, expected in (
            ({"messages": [{"content": secret}]}, {"messages": [{"content": mark}]}),
            ((1, (secret,)), (1, (mark,))),
            ({7: secret}, {7: mark}),
            ({secret}, {mark}),
            ({secret: 1}, {mark: 1}),
            ({(1, secret): 1}, {(1, mark): 1}),
            (Box([secret]), Box([mark])),
            (secret.encode(), mark.encode()),
            (bytearray(secret.encode()), bytearray(mark.encode())),
            (f"{secret} \ud800", f"{mark} \ud800"),
            (Outer(name="n", extra=secret), Outer(name="n", extra=mark)),
        ):
            assert redacted(value) == expected
        assert redacted(ValueError(f"bad key {secret}")).args == (f"bad key {mark}",)

    def test_a_secret_in_the_text_of_what_could_not_be_kept_is_found(self):
        assert redacted(Lossy("openai.Client", f"<Client key={OPENAI}>")).text == "<Client key=[redacted: openai-key]>"

    def test_several_secrets_in_one_text_are_all_replaced(self):
        text = f"{OPENAI} {SECRETS['github-token']} {OPENAI}"
        assert redacted(text) == "[redacted: openai-key] [redacted: github-token] [redacted: openai-key]"

    def test_a_bearer_token_goes_and_the_word_stays(self):
        assert redacted(f"Authorization: Bearer {ALNUM}") == "Authorization: Bearer [redacted: bearer-token]"
        assert redacted(f"bearer {JWT}") == "bearer [redacted: jwt]"

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("postgres://ann:hunter2@db/x", "postgres://ann:[redacted: password]@db/x"),
            ("redis://:hunter2@cache:6379/0", "redis://:[redacted: password]@cache:6379/0"),
            ("see https://u:p%40ss@h.com/a@b", "see https://u:[redacted: password]@h.com/a@b"),
            ("https://h/v1?api_key=abc123&q=x", "https://h/v1?api_key=[redacted: url-parameter]&q=x"),
            ("https://h/f?a=1&access_token=t0k#x", "https://h/f?a=1&access_token=[redacted: url-parameter]#x"),
            ("https://h/f?X-Amz-Signature=abcdef", "https://h/f?X-Amz-Signature=[redacted: url-parameter]"),
        ],
    )
    def test_a_url_loses_its_secrets_only(self, url, expected):
        assert redacted({"url": url}) == {"url": expected}
        assert REDACTOR.redact_text(url) == expected

    @pytest.mark.parametrize(
        "number",
        [
            "4111111111111111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "3782 822463 10005",
            "6011-1111-1111-1117",
            "4222222222222",
            "6304000000000000",
        ],
    )
    def test_card_numbers_are_found_however_they_are_grouped(self, number):
        assert redacted(f"card {number}.") == "card [redacted: card-number]."

    def test_json_inside_a_text_is_searched_as_well(self):
        arguments = json.dumps({"user": "ann", "password": 'hun"ter2', "db-api-key": "k", "max_tokens": 5})
        kept = redacted({"tool_calls": [{"function": {"arguments": arguments}}]})
        inner = json.loads(kept["tool_calls"][0]["function"]["arguments"])
        assert inner == {
            "user": "ann",
            "password": "[redacted: field]",
            "db-api-key": "[redacted: field]",
            "max_tokens": 5,
        }
        assert json.loads(json.loads(redacted(json.dumps(arguments))))["password"] == "[redacted: field]"

    def test_a_recorded_answer_is_searched_in_its_bytes(self):
        response = HttpResponse(
            200, (), (Chunk(1, b'{"access_token": "abc"}'), Chunk(2, b"\xff\xfe" + OPENAI.encode()))
        )
        assert redacted(response).raw == b'{"access_token": "[redacted: field]"}\xff\xfe' + b"[redacted: openai-key]"


class TestKeys:
    @pytest.mark.parametrize(
        "key",
        [
            *("password", "Password", "passwd", "secret", "api_key", "apikey", "api-key", "apiKey", "X-API-Key"),
            *("OPENAI_API_KEY", "db_password", "userPassword", "password2", "access_token", "refreshToken", "id_token"),
            *(
                "Authorization",
                "proxy-authorization",
                "cookie",
                "Set-Cookie",
                "private_key",
                "client_secret",
                "clientSecret",
            ),
            *("aws_secret_access_key", "AWS_ACCESS_KEY", "session_token", "passphrase", "signing key"),
        ],
    )
    def test_a_text_under_a_sensitive_key_is_replaced_whole(self, key):
        assert redacted({key: "anything", "other": "stays"})[key].startswith("[redacted: ")
        assert redacted({1: 2, key: "anything"})[key].startswith("[redacted: ")
        assert redacted({key: b"anything"})[key].startswith(b"[redacted: ")
        assert redacted({key: ["one", ("two",)]})[key][1][0].startswith("[redacted: ")
        assert "other" not in str(paths({key: "anything", "other": "stays"}))

    def test_attributes_count_as_keys(self):
        assert redacted(Outer(name="n", api_key="k")).api_key == "[redacted: api-key]"

    def test_the_path_says_where_it_was(self):
        assert paths({"config": [{"db": {"password": "x"}}]}) == ("$.config[0].db.password",)
        assert paths({"x-api-key": "x", "b": {"secret": "y"}}) == ('$["x-api-key"]', "$.b.secret")
        assert paths(Box({"text": OPENAI})) == ("$.content.text",)

    def test_a_path_never_holds_the_secret(self):
        for value in ({OPENAI: OPENAI}, {(1, OPENAI): OPENAI}, {1: 2, OPENAI: {"password": "x"}}):
            assert OPENAI not in str(REDACTOR.redact(encode(value).data))

    def test_headers_are_pairs_of_a_name_and_a_value(self):
        headers = (("accept", "json"), ("Authorization", "Basic dTpw"), ("x-api-key", "k"))
        request = HttpRequest("GET", "https://h", headers, None)
        assert [value for _, value in redacted(request).headers] == [
            "json",
            "[redacted: authorization]",
            "[redacted: x-api-key]",
        ]
        assert redacted([(b"cookie", b"sid=1")]) == [(b"cookie", b"[redacted: cookie]")]

    @pytest.mark.parametrize(
        "value",
        [
            {"max_tokens": 5, "token_count": 7, "tokens": ["a", "b"], "token": "hello", "total_tokens": "12"},
            {"name": "the secretary", "role": "secretary", "secretary": "Ann"},
            {"password_hint": "my cat", "secretariat": "Rome", "keyboard": "qwerty"},
            {"api_key_env": "OPENAI_API_KEY", "cookies_policy": "strict", "author": "Ann", "key": "value"},
            {"password": None, "secret": 12, "api_key": "", "cookie": True, "access_token": 1.5},
            {"properties": {"password": {"type": "string", "description": "of the user"}}, "required": ["password"]},
            ("password", "email"),
            [["cookie", "a biscuit"]],
            "Enter your password: it is a secret. Cookies, keys and tokens.",
        ],
    )
    def test_words_that_only_look_like_it_are_left_alone(self, value):
        assert is_untouched(value)


def names_a_secret(key: str) -> bool:
    """Whether a secret's name is anywhere in a key: hypothesis makes keys of the words that it finds in our code."""
    folded = "".join(filter(str.isalnum, key)).lower()
    return any(name in folded for name in KEYS)


HARMLESS = plain_values(keys=texts().filter(lambda key: not names_a_secret(key)))


class TestWhatIsNoSecret:
    @pytest.mark.parametrize(
        "text",
        [
            "task-based and risk-averse, ask-me-anything-about-it 2026",
            "sk-learn-container-with-very-long-class-names sk-toggleable__content-1",
            "sk-estimator-id-12 sk-top-container sk-parallel-item",
            "the bearer of this letter; Bearer authentication is required; bearer certificate-authentication",
            "AKIA is a prefix, AIza another, ghp_ a third, xoxb too, eyJ as well",
            "an id: chatcmpl-9XyZabcdefghijklmnopqrstuvwx call_Abc123def456ghi789jkl012",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "https://example.com:8080/path?q=1&page=2#a@b",
            "http://localhost:11434/v1 and mail ann@example.com",
            "at 1700000000000 ms, or 1735689600000000000 ns",
            "4111111111111112 fails the check, 4111111111111111.5 is no card, v4111111111111111 neither",
            "0000000000000000 1234567890123456 9999999999999999",
            "uuid 41111111-1111-1111-1111-411111111111 and 0.4111111111111111",
            '{"max_tokens": 5, "token": "hello", "secretary": "Ann", "password": {"type": "string"}}',
            "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        ],
    )
    def test_it_is_left_alone(self, text):
        assert is_untouched({"content": [text]})
        assert REDACTOR.redact_text(text) == text

    @THOROUGH
    @given(HARMLESS)
    def test_a_value_without_any_secret_comes_back_as_the_very_same_bytes(self, value):
        assert is_untouched(value)

    @THOROUGH
    @given(st.text(st.sampled_from("abcdefgh ĀЖ漢.,;!?()\n"), max_size=300))
    def test_prose_comes_back_unchanged(self, text):
        assert is_untouched({"role": "user", "content": text, "max_tokens": 100})
        assert REDACTOR.redact_text(text) == text

    @THOROUGH
    @given(HARMLESS, st.sampled_from(sorted(SECRETS.values())))
    def test_nothing_but_the_secret_changes(self, value, secret):
        data = encode([value, "hidden"]).data
        kept = REDACTOR.redact(encode([value, f"<{secret}>"]).data)
        assert kept.paths == ("$[1]",)
        assert kept.data[: len(encode(value).data) + 1] == data[: len(encode(value).data) + 1]

    @pytest.mark.parametrize(
        "secret", [*SECRETS.values(), f"Bearer {ALNUM}", "a://b:c@d", "https://h/?api_key=k", '{"password": "x"}']
    )
    def test_doing_it_twice_changes_nothing_more(self, secret):
        once = REDACTOR.redact(encode({"t": secret, "password": secret}).data).data
        assert REDACTOR.redact(once).data is once


class TestOwnRules:
    def test_a_key_of_ones_own(self):
        redactor = Redactor(keys=["ssn", "Tax-ID", "größe"])
        assert redacted({"user_ssn": "1", "taxId": "2", "Größe": "3", "session": "4"}, redactor) == {
            "user_ssn": "[redacted: user-ssn]",
            "taxId": "[redacted: tax-id]",
            "Größe": "[redacted: größe]",
            "session": "4",
        }

    def test_a_pattern_of_ones_own(self):
        redactor = Redactor(patterns=[("employee", r"E\d{6}"), ("room", r"room (?P<secret>\d+)")])
        assert redacted(["by E123456", "in room 12"], redactor) == [
            "by [redacted: employee]",
            "in room [redacted: room]",
        ]

    def test_a_function_of_ones_own_sees_every_text(self):
        redactor = Redactor(functions=[lambda text: text.replace("Ann", "A.")])
        assert redacted({"who": ("Ann", b"Ann"), "Ann": 1}, redactor) == {"who": ("A.", b"A."), "A.": 1}
        assert paths({"who": ("Ann", 1)}, redactor) == ("$.who[0]",)
        assert redactor.redact_text("Ann and Bob") == "A. and Bob"

    @pytest.mark.parametrize("rule", [lambda _: 1 / 0, lambda _: None])
    def test_a_function_that_fails_keeps_nothing(self, rule):
        assert redacted(["text", 1], Redactor(functions=[rule])) == ["[redacted: rule failed]", 1]

    def test_bytes_that_cannot_be_searched_are_not_kept(self):
        kept = Redactor(functions=[str]).redact(b"\xc1")
        assert decode(kept.data) == Lossy("unreadable", "[redacted: unreadable]")
        assert kept.paths == ("$",)
