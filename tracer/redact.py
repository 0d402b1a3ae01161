"""Credentials out of encoded bytes, before anything reaches disk. Pure, and free where there is nothing to find.

Two kinds of rule. A *key* says that the text it holds is a secret, whatever it looks like ("password", "x-api-key"). A
*shape* finds a secret by its form inside any text ("sk-...", a bearer token, a card number). Most payloads contain
neither a sensitive word nor the fixed beginning of a shape; a few substring tests over the bytes find that out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from tracer.codec import Lossy, encode
from tracer.codec.tags import Tag
from tracer.codec.tree import Node, Place, dump, parse, path_text, walk


class Redacted(NamedTuple):
    """The bytes to keep, and the paths of what was taken out. Without a finding ``data`` is the very object given."""

    data: bytes
    paths: tuple[str, ...] = ()


class Shape(NamedTuple):
    """A secret's form. ``needles`` are plain texts of which one is in every match. Of a match, the group ``secret`` is
    replaced, or all of it where there is none; ``holds`` has the last word."""

    label: str
    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = bool
    #: The needles as bytes.
    signs: tuple[bytes, ...] = ()


def _shape(label: str, needles: str, pattern: str, holds: Callable[[str], bool] = bool) -> Shape:
    return Shape(label, tuple(needles.split()), re.compile(pattern, re.ASCII), holds, tuple(needles.encode().split()))


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


#: Keys and tokens. Every match holds a run of 16 letters, digits, "_" or "-", which few texts do: one test for all of
#: them. Where one shape matches inside another, the longer one comes first.
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
_SIGNED_URL = _shape("url-parameter", "oken= sig= ignature=", _parameter(r"token|sig|(?:x-amz-)?signature"))
_PASSWORD_IN_URL = _shape(
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
_CARD = Shape(
    "card-number",
    (),
    re.compile(
        r"(?<![\w.+-])(?:[0-9]{13,19}|[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,4}(?:\1[0-9]{1,3})?"
        r"|[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5})(?!\w|[.-][0-9])",
    ),
    _is_card,
)
#: A key is sensitive when its last words, written as one, are among these: "DB_PASSWORD", "x-api-key", "userPassword".
#: "password_hint", "max_tokens" and "secretary" are not; a bare "token" is far more often a piece of text here.
KEYS = (
    *("password", "passwd", "passphrase", "secret", "apikey", "authorization", "cookie", "clientsecret"),
    *("accesskey", "secretkey", "privatekey", "signingkey", "encryptionkey"),
    *("accesstoken", "refreshtoken", "authtoken", "sessiontoken", "bearertoken", "idtoken", "apitoken"),
)
#: A pair of texts is taken for a header only where the first is one of these.
_HEADERS = frozenset(("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key"))
_PARTS = re.compile(r"[0-9]+|[^\W0-9_]+")
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MARK = re.compile(r"\[redacted: [^\]]*\]")
#: One pass over the bytes that makes keys and card numbers findable however they are written: lower case, every digit
#: a "0", separators gone.
_SQUEEZED = bytes(range(256)).lower().translate(bytes.maketrans(b"123456789", b"000000000"))
_SEPARATORS = b" _-"
_CARD_NEEDLE = b"0" * 13
#: Of squeezed bytes: the signs of a sensitive key. The ones that begin with a common word look back or ahead.
_KEY_NEEDLES = (b"secret", b"cookie", b"authorization")
_KEY_SIGNS = (
    re.compile(rb"pass(?:word|wd|phrase)"),
    re.compile(rb"key(?:%s)" % b"|".join(b"(?<=%s)" % key.encode() for key in KEYS if key.endswith("key"))),
    re.compile(rb"token(?:%s)" % b"|".join(b"(?<=%s)" % key.encode() for key in KEYS if key.endswith("token"))),
)
#: One pass over the bytes that turns whatever a token is made of into "a", and the rest into spaces.
_RUNS = bytes(0x61 if byte < 0x80 and (chr(byte).isalnum() or chr(byte) in "_-") else 0x20 for byte in range(256))
_RUN = b"a" * 16


class _Search(NamedTuple):
    """What may be in some bytes."""

    shapes: tuple[Shape, ...]
    keys: bool


class Redactor:
    """Takes secrets out. Beyond the built-in rules: ``keys`` are more names whose text is secret, ``patterns`` are
    (label, regular expression) pairs, where a group named ``secret`` narrows what is replaced, and ``functions`` get
    every text and give back what to keep of it. Text that a function raises on is not kept."""

    def __init__(
        self,
        *,
        keys: Iterable[str] = (),
        patterns: Iterable[tuple[str, str | re.Pattern[str]]] = (),
        functions: Iterable[Callable[[str], str]] = (),
    ) -> None:
        self._keys = frozenset((*KEYS, *("".join(_words(key)) for key in keys)))
        self._key_needles = (*_KEY_NEEDLES, *map(_needle, self._keys.difference(KEYS)))
        self._always = tuple(Shape(label, (), re.compile(pattern)) for label, pattern in patterns)
        self._functions = tuple(functions)

    def redact(self, data: bytes) -> Redacted:
        """The codec's bytes without the secrets in them. Each one is replaced by ``[redacted: <what it was>]``."""
        search = self._search(data)
        if not (search.shapes or search.keys or self._functions):
            return Redacted(data)
        try:
            tree = parse(data)
            paths = [path for place in walk(tree) for path in self._treat(place, search)]
            return Redacted(dump(tree), tuple(dict.fromkeys(map(self.redact_text, paths)))) if paths else Redacted(data)
        except Exception:  # noqa: BLE001  # what can't be searched is not kept
            return Redacted(encode(Lossy("unreadable", "[redacted: unreadable]")).data, ("$",))

    def redact_text(self, text: str) -> str:
        """The same for a bare text, such as the message of an exception."""
        return self._clean(text, self._search(text.encode("utf-8", "surrogatepass")))

    def _search(self, data: bytes) -> _Search:
        squeezed = data.translate(_SQUEEZED, _SEPARATORS)
        keys = any(needle in squeezed for needle in self._key_needles) or any(
            sign.search(squeezed) for sign in _KEY_SIGNS
        )
        shapes = [*self._always, *(_possible(TOKENS, data) if _RUN in data.translate(_RUNS) else ())]
        shapes += _possible(TEXTS, data)
        if b"@" in data:
            shapes += _possible((_PASSWORD_IN_URL,), data)
        if b"=" in data:
            shapes += _possible((_SIGNED_URL,), data)
        if keys:
            shapes += _possible(NAMED, data)
        if _CARD_NEEDLE in squeezed:
            shapes.append(_CARD)
        return _Search(tuple(shapes), keys)

    def _treat(self, place: Place, search: _Search) -> Iterator[str]:
        """Replace what is secret at one place; gives the path if something was."""
        value, kind = place.value, type(place.value)
        if kind is dict:
            if self._clean_keys(value, search):
                yield path_text(place.path)
            return
        if kind is not str and kind is not bytes and kind is not Node:
            return
        label = self._secret_label(place.name) if search.keys and place.name and not place.is_key else None
        kept = self._keep_node(value, label, search) if kind is Node else self._keep(value, label, search)
        if kept is not value:
            place.container[place.at] = kept
            yield path_text(place.path)

    def _secret_label(self, name: str) -> str | None:
        words = _words(name)
        while words and words[-1].isdigit() and words[-1] not in self._keys:
            words.pop()  # "password2", "api_key_1"
        is_secret = any("".join(words[start:]) in self._keys for start in range(len(words)))
        return "-".join(words) if is_secret else None

    def _keep_node(self, node: Node, label: str | None, search: _Search) -> Node:
        """Texts and bytes that MessagePack has no word for, and headers: tuples of a name and a value."""
        if node.tag == Tag.SURROGATE_TEXT:
            text = node.body.decode("utf-8", "surrogatepass")
            kept = self._keep(text, label, search)
            return node if kept is text else Node(node.tag, kept.encode("utf-8", "surrogatepass"))
        if node.tag == Tag.BYTEARRAY:
            kept = self._keep(node.body, label, search)
            return node if kept is node.body else Node(node.tag, kept)
        if node.tag == Tag.LOSSY:
            return self._with_last(node, label, search)
        if node.tag == Tag.TUPLE and search.keys and len(parts := node.open()) == 2:
            header = parts[0].decode("latin-1") if type(parts[0]) is bytes else parts[0]
            if type(header) is str and header.lower() in _HEADERS and type(parts[1]) in (str, bytes):
                return self._with_last(node, header.lower(), search)
        return node

    def _with_last(self, node: Node, label: str | None, search: _Search) -> Node:
        *before, last = node.open()
        kept = self._keep(last, label, search)
        if kept is last:
            return node
        changed = Node(node.tag, b"")
        changed.parts = [*before, kept]
        return changed

    def _keep(self, value: Any, label: str | None, search: _Search) -> Any:
        """What stays of a text or of bytes: the same object where nothing is secret in it."""
        text = value.decode("latin-1") if type(value) is bytes else value
        if label is not None and text:
            kept = text if _MARK.fullmatch(text) else f"[redacted: {label}]"
        else:
            kept = self._clean(text, search)
        if kept == text:
            return value
        return kept.encode("latin-1", "replace") if type(value) is bytes else kept

    def _clean(self, text: str, search: _Search) -> str:
        for shape in search.shapes:
            if not shape.needles or any(needle in text for needle in shape.needles):
                text = shape.pattern.sub(partial(_mark, shape), text)
        for function in self._functions:
            text = _apply(function, text)
        return text

    def _clean_keys(self, mapping: dict[str, Any], search: _Search) -> bool:
        """A secret can be a key, too."""
        kept = {key: self._clean(key, search) for key in mapping}
        if all(key == new for key, new in kept.items()):
            return False
        items = list(mapping.items())
        mapping.clear()
        mapping.update((kept[key], value) for key, value in items)
        return True


def _possible(shapes: tuple[Shape, ...], data: bytes) -> list[Shape]:
    return [shape for shape in shapes if any(sign in data for sign in shape.signs)]


def _words(name: str) -> list[str]:
    """The words of a key in any style, in lower case; a number is a word."""
    return [word.lower() for part in _PARTS.findall(name) for word in _HUMPS.split(part)]


def _needle(key: str) -> bytes:
    """What to look for in squeezed bytes, which are lower-cased in ASCII only; nothing is in all of them."""
    return key.encode().translate(_SQUEEZED, _SEPARATORS) if key.isascii() else b""


def _mark(shape: Shape, match: re.Match[str]) -> str:
    whole = match[0]
    if not shape.holds(whole):
        return whole
    if "secret" not in shape.pattern.groupindex or match["secret"] is None:
        return f"[redacted: {shape.label}]"
    if match["secret"].startswith("[redacted:"):
        return whole
    start, end = (at - match.start() for at in match.span("secret"))
    return f"{whole[:start]}[redacted: {shape.label}]{whole[end:]}"


def _apply(function: Callable[[str], str], text: str) -> str:
    try:
        kept = function(text)
    except Exception:  # noqa: BLE001  # a user's rule must not decide by failing that a secret stays
        return "[redacted: rule failed]"
    return kept if type(kept) is str else "[redacted: rule failed]"
