"""The search in stages finds what a search that tries every rule on everything finds."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.strategies import Box, Outer, plain_values
from tests.tracer.test_redact import ALNUM, JWT, PEM, SECRETS, joined
from tracer.codec import encode
from tracer.redact import Redacted, Redactor
from tracer.redact.detection import Detector, Suspects
from tracer.redact.rules import CARD, SHAPES
from tracer.wire import HttpRequest

MANY = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
REDACTOR = Redactor()
DETECTOR = Detector()


class Naive(Redactor):
    """Tries every shape on every text and takes every name for one that may be sensitive."""

    def __init__(self) -> None:
        super().__init__()
        self._suspects = lambda _: Suspects(SHAPES, names=True)


NAIVE = Naive()


def naively(value: Any) -> Redacted:
    return NAIVE.redact(encode(value).data)


def agrees(value: Any) -> bool:
    return REDACTOR.redact(encode(value).data) == naively(value)


#: Every name that is built in, in words.
NAMES = (
    *(("password",), ("passwd",), ("passphrase",), ("secret",), ("authorization",), ("cookie",), ("client", "secret")),
    *((first, "key") for first in ("api", "access", "secret", "private", "signing", "encryption")),
    *((first, "token") for first in ("access", "refresh", "auth", "session", "bearer", "id", "api")),
    ("pass", "phrase"),
)
SEPARATORS = ("", "_", "-", " ", ".")


def spellings(words: tuple[str, ...]) -> list[str]:
    """What Redactor promises: lower, UPPER and Title case, camelCase, each with one separator or none."""
    lower, upper, title = list(words), [word.upper() for word in words], [word.title() for word in words]
    camel = [words[0], *title[1:]]
    sentence = [title[0], *words[1:]]
    cases = (lower, upper, title, camel, sentence)
    return list(dict.fromkeys(separator.join(case) for case in cases for separator in SEPARATORS))


#: An abbreviation before a word in lower case, and "password" as if it were two words.
ODD = (
    *(
        "APIkey",
        "API_key",
        "API-key",
        "API key",
        "APIToken",
        "API token",
        "API_TOKEN",
        "IDToken",
        "ID Token",
        "ID token",
    ),
    *("passWord", "PassWord", "pass_word", "pass-word", "PASS_WORD", "passWd", "pass_wd", "PASS_WD"),
)
SENSITIVE = list(dict.fromkeys((*(spelling for words in NAMES for spelling in spellings(words)), *ODD)))

TOKENS = (
    *SECRETS.values(),
    *("5555555555554444", "378282246310005", "3782 822463 10005", "6011-1111-1111-1117", "4222222222222"),
    *("postgres://ann:hunter2@db/x", "https://h/f?sig=abc", "https://h/f?X-Amz-Signature=abc", "https://h/?token=abc"),
    *(f"Bearer {ALNUM}", f"bearer  {ALNUM}", f"BEARER {JWT}", f"&Token={ALNUM}"),
    *(joined("g", kind, "_", ALNUM[:36]) for kind in ("ho", "hu", "hs", "hr")),
    *(joined("xox", kind, "-1-", ALNUM[:24]) for kind in "abeoprs"),
    *(joined(kind, "k_", mode, "_", ALNUM[:24]) for kind in "srp" for mode in ("live", "test")),
    joined("github_", "pat_", ALNUM[:24]),
    joined("AS", "IAIOSFODNN7EXAMPLE"),
    PEM,
)
NEAR_MISSES = (
    *("sk-", "task-force", "risk-averse-approach-of-2026", "sk-learn-container-with-long-names", "prompt_tokens"),
    *("max_tokens", "secretary", "cookies", "password", "tokens", "API keys", "access", "success", "session_id", "Key"),
    *("://", "@", "http://localhost:8080/v1", "ann@example.com", "eyJ", "eyJhbGciOiJIUzI1NiJ9", "AKIA", "ghp_", "hf_"),
    *("1763800000000", "2026-11-22", "4111 1111", "12 34 56 78 90 12 34 56", "4111111111111112", "-----BEGIN X-----"),
    *(
        "Bearer",
        "bearer of",
        "xoxb-",
        "?",
        "&",
        "=",
        '"',
        '\\"',
        ": ",
        "\n",
        "-",
        "_",
        ".",
        " ",
        "4",
        "k",
        "é",
        "”",
        "漢",
        "🙂",
    ),
)
#: Hit by a needle whose end is the beginning of another one.
OVERLAPS = ("sk-sk-", "assecret", "accessecret", "?TokenTOKEN", "sessk-", "KEYOKEN=", "ghp_hf_", "asssecret")


def pieces() -> st.SearchStrategy[str]:
    return st.one_of(
        st.sampled_from(TOKENS),
        st.sampled_from(NEAR_MISSES),
        st.sampled_from(OVERLAPS),
        st.sampled_from(SENSITIVE),
        st.text(st.sampled_from("abk 0123456789_-.=\"'/:@?&éЖ漢”"), max_size=20),
        st.builds(json.dumps, st.dictionaries(st.sampled_from(SENSITIVE), st.text('ab"\\\n', max_size=6), max_size=2)),
        st.builds(
            lambda name, value: f"?{name}={value}", st.sampled_from(SENSITIVE), st.sampled_from(("a", "", "%20"))
        ),
    )


def loose(parts: list[str]) -> str:
    return " ".join(parts)


def texts() -> st.SearchStrategy[str]:
    parts = st.lists(pieces(), max_size=5)
    filled = st.integers(0, 300).map("x".__mul__)
    return st.one_of(
        parts.map("".join),
        parts.map(loose),
        parts.map("".join).map(json.dumps),
        st.builds(str.__add__, filled, parts.map(loose)),
    )


def names() -> st.SearchStrategy[str]:
    spelled = st.sampled_from(SENSITIVE)
    before = st.sampled_from(("", "x_", "db-", "my ", "MY_", "user", "Ж", "é"))
    after = st.sampled_from(("", "2", "_1", ":", "?", "…", "。", "“", "s", "_hint", "é", "Ж", "漢", "🙂", " \u00a0"))
    return st.builds(lambda *parts: "".join(parts), before, spelled, after) | texts()


def leaves() -> st.SearchStrategy[Any]:
    plain = texts()
    return st.one_of(
        plain,
        plain.map(lambda text: text.encode()),
        plain.map(lambda text: bytearray(text.encode())),
        plain.map(lambda text: f"{text}\ud800"),
        plain.map(ValueError),
        st.integers(0, 127),
        plain_values(),
    )


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(names(), inner, max_size=3),
        st.dictionaries(names() | st.integers(0, 127), inner, max_size=2),
        st.tuples(names(), inner),
        st.tuples(names().map(lambda name: name.encode()), texts()),
        st.tuples(st.just("Set-Cookie") | st.just("authorization"), texts()),
        inner.map(Box),
        inner.map(lambda value: Outer(name="n", api_key=value)),
        st.tuples(inner, inner),
        st.builds(lambda name, text: HttpRequest("GET", text, ((name, text),), None), names(), texts()),
    )


class TestTheSearchInStages:
    @MANY
    @given(st.recursive(leaves(), containers, max_leaves=6))
    def test_finds_exactly_what_trying_every_rule_on_everything_finds(self, value):
        assert agrees(value)

    @MANY
    @given(texts())
    def test_does_so_in_a_bare_text(self, text):
        assert REDACTOR.redact_text(text) == NAIVE.redact_text(text)

    @pytest.mark.parametrize("secret", TOKENS, ids=range(len(TOKENS)))
    def test_finds_a_secret_whatever_length_stands_before_it(self, secret):
        """The last byte of a header's length runs through every letter, digit and separator."""
        for fill in (*range(300), *range(12_300, 12_400), 65_500, 65_536, 0x303041 - len(secret)):
            for value in (f"{secret}{' ' * fill}", [f"{secret} {' ' * fill}".encode(), 52, 53]):
                assert "[redacted: " in str(REDACTOR.redact(encode(value).data).data), fill

    @pytest.mark.parametrize("secret", TOKENS, ids=range(len(TOKENS)))
    def test_finds_a_secret_at_every_alignment_and_before_every_byte(self, secret):
        for fill in range(33):
            assert naively([" " * fill + secret]).paths == ("$[0]",)
            assert REDACTOR.redact(encode([" " * fill + secret]).data).paths == ("$[0]",)
        for number in range(128):
            assert REDACTOR.redact(encode([number, secret, number]).data).paths == ("$[1]",)

    @pytest.mark.parametrize("name", SENSITIVE)
    def test_finds_a_value_by_every_spelling_of_its_name(self, name):
        for value in (
            "x",
            b"x",
            ["x"],
            ("x",),
            {"y": "x"},
            "x" * 40,
            "x" * 300,
            "x" * 70_000,
            bytearray(b"x"),
            "\ud800",
        ):
            for value_at in ({name: value}, {name: value, "a": 1}, {1: 2, name: value}):
                assert agrees(value_at)
        assert REDACTOR.redact(encode({name: "x"}).data).paths
        assert REDACTOR.redact(encode({f"x_{name}2": "x"}).data).paths


def cards() -> st.SearchStrategy[str]:
    digits = st.text("0123456789", min_size=13, max_size=19)

    def grouped(text: str, gap: str, sizes: tuple[int, ...]) -> str:
        groups, at = [], 0
        for size in sizes:
            groups.append(text[at : at + size])
            at += size
        return gap.join(group for group in groups if group)

    layouts = st.sampled_from(
        ((19,), (4, 4, 4, 4, 3), (4, 4, 4, 1, 3), (4, 4, 4, 2, 3), (4, 4, 4, 3, 3), (4, 6, 5), (4, 6, 4))
    )
    return st.builds(grouped, digits, st.sampled_from((" ", "-")), layouts)


class TestCardNumbers:
    @MANY
    @given(cards(), st.integers(0, 40), st.text("0123456789 -.", max_size=6), st.integers(0, 127))
    def test_no_layout_slips_through_at_any_alignment(self, card, fill, noise, number):
        value = [f"{'x' * fill} {card}{noise}", number]
        found = re.search(CARD.pattern, value[0])
        if found and found[0][0] in "23456":
            suspects = DETECTOR.suspects(encode(value).data)
            assert suspects is not None
            assert CARD in suspects.shapes
        assert agrees(value)

    @pytest.mark.parametrize("fill", range(4))
    @pytest.mark.parametrize("dates", range(9))
    @pytest.mark.parametrize("card", ["4111111111111111", "4111 1111 1111 1111", "5105-105105-05100"])
    def test_nor_behind_dates_whose_samples_look_like_one(self, card: str, dates: int, fill: int) -> None:
        said = f"{'x' * fill} {'due on 2026-11-23, ' * dates}paid with {card}."
        suspects = DETECTOR.suspects(encode({"text": said}).data)
        assert suspects is not None
        assert CARD in suspects.shapes
