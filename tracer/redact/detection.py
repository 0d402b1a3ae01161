"""Which secrets may be in some bytes: nearly free where there are none, and never silent where there is one.

Encoded bytes hold every text as it is, between headers of MessagePack. One pass over them looks for *signs*: the fixed
beginning of a token, a stem of a sensitive name. At each sign a regular expression of bytes looks at that place only.
It takes whatever the exact rule takes, and little else: it can't know where a text begins or ends, because a header's
length may look like a digit or a letter, and so may what follows the text. The exact rules have the last word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tracer.importing import IMPORTING
from tracer.redact.rules import CARD, NAMED, PASSWORD_IN_URL, SHAPES, SIGNED_URL, TEXTS, TOKENS, Shape


class Suspects(NamedTuple):
    """The shapes that may be in some bytes, and whether there may be a value with a sensitive name."""

    shapes: tuple[Shape, ...]
    names: bool


class Sign(NamedTuple):
    """``pattern`` must match ``offset`` bytes after the beginning of a needle; then ``shapes`` may be there, and with
    ``names`` a value that a sensitive key names."""

    pattern: bytes
    shapes: tuple[Shape, ...]
    names: bool = False
    offset: int = 0


def _start(before: str) -> str:
    """No character of ``before`` stands in front, unless it is a length: the last 1, 2 or 4 bytes of a header."""
    return rf"(?:(?<!{before})|(?<=[\xc4\xd9].)|(?<=[\xc5\xda]..)|(?<=[\xc6\xdb]....))"


def _compiled(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode("latin-1"), re.DOTALL)


_BY_LABEL = {
    label: tuple(shape for shape in (*TOKENS, *TEXTS) if shape.label == label)
    for label in {shape.label for shape in (*TOKENS, *TEXTS)}
}
_WORD, _HYPHENATED = _start(r"\w"), _start(r"[\w-]")
#: Needles, what is to stand there, labels. Where an exact rule wants a digit or a long stretch in what it matched, so
#: do these: more bytes behind a text can only add some.
_TOKENS = (
    (
        "sk-",
        rf"(?=sk-[\w-]{{16}}){_HYPHENATED}(?=[\w-]*?[0-9])(?=[\w-]*?[A-Za-z0-9]{{12}})",
        "anthropic-key openrouter-key openai-key",
    ),
    ("k_live_ k_test_", r"(?<=[srp])k_(?:live|test)_[A-Za-z0-9]{16}", "stripe-key"),
    ("AKIA ASIA", rf"{_start('[A-Za-z0-9]')}A[KS]IA[A-Z0-9]{{16}}", "aws-key"),
    ("ghp_ gho_ ghu_ ghs_ ghr_", rf"{_WORD}gh[pousr]_[A-Za-z0-9]{{30}}", "github-token"),
    ("github_pat_", rf"{_WORD}github_pat_\w{{22}}", "github-token"),
    ("glpat-", rf"{_WORD}glpat-[\w-]{{20}}", "gitlab-token"),
    (
        "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs-",
        rf"{_WORD}xox[abeoprs]-(?=[A-Za-z-]*[0-9])[A-Za-z0-9-]{{11}}",
        "slack-token",
    ),
    ("AIza", rf"{_WORD}AIza[\w-]{{35}}", "google-key"),
    ("hf_", rf"{_WORD}hf_[A-Za-z0-9]{{30}}", "huggingface-token"),
    ("gsk_", rf"{_WORD}gsk_[A-Za-z0-9]{{30}}", "groq-key"),
    ("eyJ", rf"{_HYPHENATED}eyJ[\w-]{{13,}}+\.eyJ[\w-]{{8,}}+\.", "jwt"),
    ("-----BEGIN", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY", "private-key"),
    ("earer EARER", r"(?i:(?<=b)earer)\s+(?=[\w.~+/=-]{16})(?=[A-Za-z_.~+/=-]*[0-9])", "bearer-token"),
)
#: What may stand between the last letter of a name and the name's end: no letter. Of other alphabets only the blocks of
#: punctuation and signs are read over; a name that ends in another character is taken for a sensitive one at first.
_REST = (
    r"[^A-Za-z\x80-\xff]*+(?:(?:\xc2[\x80-\xbf]|\xe2[\x80-\xbf]{2}|\xe3\x80[\x80-\xbf]|\xef[\x80-\xbf]{2}"
    r"|\xf0\x9f[\x80-\xbf]{2})[^A-Za-z\x80-\xff]*+)*+"
)
#: What follows a sensitive name: the header of a text, of bytes, of a container or of an extension; or, in JSON inside
#: a text, a text; or, in a URL, its value.
_NAMES = rf"(?:{_REST}[\x80-\xbf\xc4-\xc9\xd4-\xdf]|\\?\"\s*:\s*\\?\"|(?P<parameter>=))"
_APART = r"[^A-Za-z0-9\x80-\xff]*+"


def _behind(*words: str) -> str:
    """One of these words stands in front, or one and a separator."""
    return "(?:" + "|".join(rf"(?<={word})|(?<={word}[^A-Za-z0-9])" for word in words) + ")"


#: Needles, and what is to stand there, in any case. Which ends of words and which joints are looked for decides which
#: spellings are found: see Redactor.
_KEYS = (
    ("ecret ECRET", rf"ecret(?:{_APART}key)?+"),
    ("ookie OOKIE", "ookie"),
    ("uthorization UTHORIZATION", "uthorization"),
    ("assw assW ASSW", "assw(?:or)?d"),
    ("ass_w ass-w ASS_W", "ass[_-]w(?:or)?d"),
    ("hrase HRASE", "(?:(?<=passp)|(?<=pass[^A-Za-z0-9]p))hrase"),
    ("api Api API", rf"api{_APART}(?:key|token)"),
    ("acces Acces", rf"access{_APART}(?:key|token)"),
    ("rivate", rf"rivate{_APART}key"),
    ("igning", rf"igning{_APART}key"),
    ("ncryption", rf"ncryption{_APART}key"),
    ("efresh", rf"efresh{_APART}token"),
    ("sess Sess", rf"session{_APART}token"),
    ("earer", rf"earer{_APART}token"),
    ("uthtok uth_tok uth-tok uth.tok", rf"uth{_APART}token"),
    ("dtok d_tok d-tok d.tok", rf"(?<=i)d{_APART}token"),
    ("KEY", rf"{_behind('access', 'private', 'signing', 'encryption')}key"),
    ("TOKEN Token", rf"{_behind('access', 'refresh', 'auth', 'session', 'bearer', 'id')}token"),
)
#: The same with a space, which is no separator in a list of needles.
_SPACED_KEYS = (
    (("uth tok",), rf"uth{_APART}token"),
    (("id tok", "Id tok", "ID tok"), rf"id{_APART}token"),
)
_PARAMETERS = (
    ("oken=", r"(?<=[?&]t)oken="),
    ("TOKEN", r"(?<=[?&])token="),
    ("sig=", r"(?<=[?&])sig="),
    ("ignature=", r"(?:(?<=[?&]s)|(?<=[?&]x-amz-s))ignature="),
)
_IN_URL = _compiled(r"[?&][\w-]*=\Z")
_PASSWORD = _compiled(r"://[^\s/:@\"'<>]*+:[^\s/@\"'<>`]++@")

_DIGITS_AND_GAPS = bytes(
    0x30 if byte in b"0123456789" else 0x31 if byte in b" -" else 0x20 for byte in range(256)
)  # "0", "1" and " "
#: Every fourth byte of a card number. Let its first one that is looked at be the r-th, r = 0..3. Of digits without gaps
#: the first three are "000". Groups of 4-4-4-1 and more have gaps at 4, 9 and 14: r = 0 gives "0100", r = 1 "0010" (at
#: 1, 5, 9, 13), r = 2 and 3 "000". Groups of 4-6-4 and 4-6-5 have them at 4 and 11: r = 0 gives "0100", r = 1 and 2
#: "000", r = 3 "0010". The last byte this needs is the 16th, and the shortest grouped number has 16.
_SAMPLED = re.compile(rb"0(?:00|010|100)")
#: What a card number's next bytes are like from such a sample on: between two gaps there are at least four digits.
_WITHIN = re.compile(rb"[0-9]*(?:[ -][0-9]{4,})*(?:[ -][0-9]*)?")
_WITHIN_BYTES = 9
#: More places than this are looked at all at once.
_MOST_PLACES = 2
#: And where to look on when it was not one: in digits without gaps, no number begins at the second one.
_LAYOUTS = ((b"0" * 13, 13), (b"0000100001000010", 1), (b"0000100000010000", 1))
#: An issuer's digit is 2 to 6. One or two digits in front may be a header's length.
_CARD_START = _compiled(rf"[0-9]{{0,2}}?(?=[2-6]){_start('[A-Za-z0-9_.+-]')}")


def _signs() -> dict[bytes, list[Sign]]:
    signs: dict[bytes, list[Sign]] = {}

    def add(needles: Iterable[str], sign: Sign) -> None:
        for needle in needles:
            signs.setdefault(needle.encode(), []).append(sign)

    for needles, pattern, labels in _TOKENS:
        shapes = tuple(shape for label in labels.split() for shape in _BY_LABEL[label])
        add(needles.split(), Sign(pattern.encode(), shapes))
    for split, pattern in (*((needles.split(), pattern) for needles, pattern in _KEYS), *_SPACED_KEYS):
        add(split, Sign(f"(?i:{pattern}){_NAMES}".encode(), NAMED, names=True))
    for needle, pattern in _PARAMETERS:
        add([needle], Sign(f"(?i:{pattern})".encode(), (SIGNED_URL,)))
    return signs


class Needle(NamedTuple):
    """What to check where a needle stands. Found needles never overlap, so it answers for those that may lie over its
    bytes, too. ``may_hold`` matches where any of the ``checks`` does."""

    may_hold: Callable[[bytes, int], re.Match[bytes] | None]
    checks: tuple[tuple[re.Pattern[bytes], Sign], ...]


class Needles(dict[int, Needle]):
    """By index. Made when first found: most processes find few, and to compile them all takes 30 ms."""

    def __init__(self, needles: list[bytes], signs: dict[bytes, list[Sign]]) -> None:
        super().__init__()
        self.needles = needles
        self.signs = signs

    def __missing__(self, index: int) -> Needle:
        needle = self.needles[index]
        here = [
            sign._replace(offset=at)
            for at in range(len(needle))
            for other in self.needles
            if needle[at:].startswith(other) or other.startswith(needle[at:])
            for sign in self.signs[other]
        ]
        either = b"|".join(b".{%d}%s" % (sign.offset, sign.pattern.replace(b"?P<parameter>", b"?:")) for sign in here)
        checks = tuple((re.compile(sign.pattern, re.DOTALL), sign) for sign in here)
        made = self[index] = Needle(re.compile(either, re.DOTALL).match, checks)
        return made


class Detector:
    """Two automata, because that many needles are searched for fastest apart: all of at least four bytes, at most 64
    of them, and the few of three. Both make use of SIMD only where the leftmost match is asked for."""

    def __init__(self) -> None:
        with IMPORTING:
            from ahocorasick_rs import BytesAhoCorasick, MatchKind  # noqa: PLC0415 - import tracer must not pay for it

        signs = _signs()
        # In this order, too few of them share a bucket of the searcher to make it stop at common words.
        in_order = sorted(signs, key=len)
        long, short = ([needle for needle in in_order if (len(needle) > 3) is is_long] for is_long in (True, False))
        self._long_needles, self._short_needles = Needles(long, signs), Needles(short, signs)
        self._find_long = BytesAhoCorasick(long, matchkind=MatchKind.LeftmostFirst).find_matches_as_indexes
        self._find_short = BytesAhoCorasick(short, matchkind=MatchKind.LeftmostFirst).find_matches_as_indexes

    def suspects(self, data: bytes) -> Suspects | None:
        """What may be in some bytes; None, which most bytes get, means that nothing is."""
        long, short = self._find_long(data), self._find_short(data)
        marks = data[::4].translate(_DIGITS_AND_GAPS)
        has_card = _may_have_card(data, marks)
        has_password = 0x40 in data and 0x2F in data and _may_have_password(data)  # "@" and "/"
        if not (long or short or has_card or has_password):
            return None
        found: list[Sign] = []
        if long:
            _check(data, long, self._long_needles, found)
        if short:
            _check(data, short, self._short_needles, found)
        if not (found or has_card or has_password):
            return None
        shapes = {shape for sign in found for shape in sign.shapes}
        if has_card:
            shapes.add(CARD)
        if has_password:
            shapes.add(PASSWORD_IN_URL)
        return Suspects(tuple(shape for shape in SHAPES if shape in shapes), any(sign.names for sign in found))


def _check(data: bytes, hits: list[tuple[int, int, int]], needles: Needles, found: list[Sign]) -> None:
    for index, start, _ in hits:
        may_hold, checks = needles[index]
        if may_hold(data, start):
            for check, sign in checks:
                match = check.match(data, start + sign.offset)
                if match and sign not in found and _is_meant(match):
                    found.append(sign)


def _is_meant(match: re.Match[bytes]) -> bool:
    """Whether what looks like a parameter is one of a URL."""
    if match.lastgroup is None:
        return True
    return _IN_URL.search(match.string, max(0, match.start() - 64), match.end()) is not None


def _may_have_password(data: bytes) -> bool:
    """A password ends at an "@", and has no "/" between itself and the "://"."""
    begin, at = 0, data.find(b"@")
    while at >= 0:
        slash = data.rfind(b"/", begin, at)
        if slash > 1 and _PASSWORD.match(data, slash - 2):
            return True
        begin, at = at + 1, data.find(b"@", at + 1)
    return False


def _may_have_card(data: bytes, marks: bytes) -> bool:
    """A look at the places where the samples fit a card; where there are many, at all of it at once."""
    found = _SAMPLED.search(marks)
    for _ in range(_MOST_PLACES):
        if found is None:
            return False
        place = 4 * found.start()
        # The number begins at the sample or up to 3 bytes before it; 5 more may be the header in front of it.
        if _WITHIN.fullmatch(data, place, place + _WITHIN_BYTES) and _has_layout(data[max(0, place - 8) : place + 16]):
            return True
        found = _SAMPLED.search(marks, found.start() + 1)
    return found is not None and _has_layout(data)


def _has_layout(data: bytes) -> bool:
    marks = data.translate(_DIGITS_AND_GAPS)
    layouts = _LAYOUTS if b"1" in marks else _LAYOUTS[:1]
    return any(layout in marks and _begins(data, marks, layout, step) for layout, step in layouts)


def _begins(data: bytes, marks: bytes, layout: bytes, step: int) -> bool:
    at = marks.find(layout)
    while at >= 0:
        if _CARD_START.match(data, at):
            return True
        at = marks.find(layout, at + step)
    return False
