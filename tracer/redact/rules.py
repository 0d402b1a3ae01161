"""What a secret is: the shapes of tokens and numbers, and the names of what is secret whatever it looks like."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple


class Shape(NamedTuple):
    """A secret's form. ``needles`` are plain texts of which one is in every match. Of a match, the group ``secret`` is
    replaced, or all of it where there is none; ``holds`` has the last word."""

    label: str
    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = bool


def _shape(label: str, needles: str, pattern: str, holds: Callable[[str], bool] = bool) -> Shape:
    return Shape(label, tuple(needles.split()), re.compile(pattern, re.ASCII), holds)


def _is_random(text: str) -> bool:
    """Tells a key from hyphenated words: a digit, a letter, and a stretch of 12 characters without a separator."""
    stretches = re.findall(r"[A-Za-z0-9]+", text)
    return bool(re.search(r"[0-9]", text) and re.search(r"[A-Za-z]", text) and max(map(len, stretches)) >= 12)


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)


_ISSUERS = re.compile(r"4|5[0-8]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|3(?:[4-9]|0[0-5])|6")


def _is_card(text: str) -> bool:
    """Luhn's check, and the first digits of a card issuer: without them one timestamp in ten would look like a card."""
    digits = [int(character) for character in text if character.isdigit()]
    if len(set(digits)) == 1 or not _ISSUERS.match("".join(map(str, digits))):
        return False
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + doubled) % 10 == 0


#: Names of secrets as they stand in a URL or in JSON inside a text.
_NAMED = (
    r"(?:[\w-]{1,40}[_-])?(?:pass(?:word|wd|phrase)|(?:client[_-]?)?secret|(?:api|secret|private|access)[_-]?key"
    r"|(?:access|refresh|auth|session|bearer|id|api)[_-]?token)"
)


def _parameter(names: str) -> str:
    return rf"[?&](?i:{names})=(?P<secret>[^&\s#\"'<>]+)"


#: Keys and tokens. Where one shape matches inside another, the longer one comes first.
TOKENS: tuple[Shape, ...] = (
    _shape("anthropic-key", "sk-ant-", r"(?<![\w-])sk-ant-[\w-]{16,}", _is_random),
    _shape("openrouter-key", "sk-or-", r"(?<![\w-])sk-or-[\w-]{16,}", _is_random),
    _shape("openai-key", "sk-", r"(?<![\w-])sk-[\w-]{16,}", _is_random),
    _shape("stripe-key", "k_live_ k_test_", r"(?<!\w)[srp]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    _shape("aws-key", "AKIA ASIA", r"(?<![A-Za-z0-9])A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _shape("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"(?<!\w)gh[pousr]_[A-Za-z0-9]{30,}"),
    _shape("github-token", "github_pat_", r"(?<!\w)github_pat_\w{22,}"),
    _shape("gitlab-token", "glpat-", r"(?<!\w)glpat-[\w-]{20,}"),
    _shape("slack-token", "xox", r"(?<!\w)xox[abeoprs]-[A-Za-z0-9-]{11,}", _has_digit),
    _shape("google-key", "AIza", r"(?<!\w)AIza[\w-]{35}(?![\w-])"),
    _shape("huggingface-token", "hf_", r"(?<!\w)hf_[A-Za-z0-9]{30,}"),
    _shape("groq-key", "gsk_", r"(?<!\w)gsk_[A-Za-z0-9]{30,}"),
    _shape("jwt", "eyJ", r"(?<![\w-])eyJ[\w-]{13,}\.eyJ[\w-]{8,}\.[\w-]*"),
)
#: Secrets that stand beside a word or a sign that gives them away.
TEXTS: tuple[Shape, ...] = (
    _shape(
        "private-key",
        "-----BEGIN",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z0-9 ]+-----|\Z)",
    ),
    _shape("bearer-token", "earer EARER", r"(?i:\bBearer)\s+(?P<secret>[\w.~+/=-]{16,})", _has_digit),
)
SIGNED_URL = _shape("url-parameter", "oken= OKEN= sig= ignature=", _parameter(r"token|sig|(?:x-amz-)?signature"))
PASSWORD_IN_URL = _shape(
    "password", "://", r"(?i:\b[a-z][a-z0-9+.-]{0,20})://[^\s/:@\"'<>]*:(?P<secret>[^\s/@\"'<>`]+)@"
)
#: One character of a text in JSON that stands in a JSON text itself, so that every escape is written twice.
_TWICE = r"(?:[^\"\\]|\\\\(?:\\[\"\\]|[^\"\\])|\\[^\"\\])"
#: Secrets that a sensitive key gives away, but in a URL, in JSON inside a text, and in JSON inside that JSON.
NAMED: tuple[Shape, ...] = (
    _shape("url-parameter", "=", _parameter(_NAMED)),
    _shape("field", '"', rf"\"(?i:{_NAMED})\"\s*:\s*\"(?P<secret>(?:[^\"\\]|\\.)+)\""),
    _shape("field", '\\"', rf"\\\"(?i:{_NAMED})\\\"\s*:\s*\\\"(?P<secret>{_TWICE}+)\\\""),
)
CARD = Shape(
    "card-number",
    (),
    re.compile(
        r"(?<![\w.+-])(?:[0-9]{13,19}|[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,4}(?:\1[0-9]{1,3})?"
        r"|[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5})(?!\w|[.-][0-9])",
    ),
    _is_card,
)
#: Every shape that is built in, in the order in which a text is cleaned of them.
SHAPES = (*TOKENS, *TEXTS, PASSWORD_IN_URL, SIGNED_URL, *NAMED, CARD)
#: A key is sensitive when its last words, written as one, are among these: "DB_PASSWORD", "x-api-key", "userPassword".
#: "password_hint", "max_tokens" and "secretary" are not; a bare "token" is far more often a piece of text here.
KEYS = (
    *("password", "passwd", "passphrase", "secret", "apikey", "authorization", "cookie", "clientsecret"),
    *("accesskey", "secretkey", "privatekey", "signingkey", "encryptionkey"),
    *("accesstoken", "refreshtoken", "authtoken", "sessiontoken", "bearertoken", "idtoken", "apitoken"),
)
#: A pair of texts is taken for a header only where the first is one of these.
HEADERS = frozenset(("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key"))
_PARTS = re.compile(r"[0-9]+|[^\W0-9_]+")
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
MARK = re.compile(r"\[redacted: [^\]]*\]")


def words_of(name: str) -> list[str]:
    """The words of a key in any style, in lower case; a number is a word."""
    return [word.lower() for part in _PARTS.findall(name) for word in _HUMPS.split(part)]
