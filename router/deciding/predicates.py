"""What a rule can ask of a question: small named values. Pure; what has to be looked up is looked up through ``look``.

They are heuristics and say what they go by. A predicate of your own is any function of the question.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Protocol, Sequence, TypeVar, runtime_checkable

from tracer.messages import Message

T = TypeVar("T")

#: ``look(name, of)`` gives what ``of()`` gives: from the record in a replay.
Look = Callable[[str, Callable[[], Any]], Any]


@runtime_checkable
class Predicate(Protocol):
    """``holds`` says whether a rule applies to a question: a text, a conversation, or whatever is routed."""

    @property
    def name(self) -> str: ...
    def holds(self, question: Any, look: Look) -> bool: ...


def text_of(question: Any) -> str:
    """The words of a question: a text, a message, or what the user says in a conversation. Raises TypeError for
    anything else, because a rule about words has nothing to go by there."""
    if isinstance(question, str):
        return question
    if isinstance(question, Message):
        return question.content
    if isinstance(question, Mapping) and isinstance(question.get("content"), str):
        return str(question["content"])
    if isinstance(question, Sequence) and question and not isinstance(question, bytes):
        return "\n".join(text_of(each) for each in question if _role(each) in {"user", None})
    raise TypeError(f"no text in a {type(question).__name__}: give a text, messages, or a predicate of your own")


def _role(turn: Any) -> str | None:
    return turn.role if isinstance(turn, Message) else turn.get("role") if isinstance(turn, Mapping) else None


_OPERATION = re.compile(
    r"\d\s*(?:[-+*/^=<>×÷−]|\*\*)\s*[\d(]|[a-z]\s*=\s*-?\d|\d\s*%\s*of\b|√|∫|∑|\\(?:frac|sqrt|sum|int)\b"
)
_WORDS = re.compile(
    r"\b(?:calculate|compute|solve|equation|inequality|integral|derivative|logarithm|square root|factorial|polynomial|"
    r"probability|median|arithmetic|algebra|geometry|theorem|prime numbers?|divisible|divided by|multiplied by|"
    r"percentage of|the sum of|how many|how much|how far|how long|how old|per (?:hour|day|week|month|year)|"
    r"times as (?:many|much)|twice as|half as|in total|altogether|remaining|left over|average)\b",
    re.IGNORECASE,
)
_A_NUMBER = (
    r"(?:\d[\d,.]*|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|seventy|"
    r"eighty|ninety|hundred|dozen)"
)
_NUMBER = re.compile(rf"\b{_A_NUMBER}\b", re.IGNORECASE)
#: The same as people say it.
_SPOKEN = re.compile(
    rf"\b{_A_NUMBER} (?:times|plus|minus|multiplied by|divided by) {_A_NUMBER}\b|"
    rf"\b(?:square|cube) root of {_A_NUMBER}\b|\d\s*% off (?:of )?\d",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class MentionsMath:
    """A calculation is written down (``3 * 4``, ``x = 2``, ``\\frac``) or said (``3 times 4``, ``square root of 9``),
    or there are at least two numbers and a word of asking for a quantity."""

    name: str = "mentions math"

    def holds(self, question: Any, look: Look) -> bool:  # noqa: ARG002 - a predicate's shape
        text = text_of(question)
        if _OPERATION.search(text) or _SPOKEN.search(text):
            return True
        return len(_NUMBER.findall(text)) >= 2 and _WORDS.search(text) is not None


@dataclass(frozen=True, slots=True)
class LongerThan:
    """The question has more than so many characters or tokens; tokens are counted by ``count``."""

    characters: int | None = None
    tokens: int | None = None
    count: Callable[[str], int] | None = None

    def __post_init__(self) -> None:
        if (self.characters is None) == (self.tokens is None):
            raise ValueError("longer_than takes characters= or tokens=, one of them")
        if (self.tokens is None) != (self.count is None):
            raise ValueError("longer_than(tokens=...) needs count=, a function that gives the tokens of a text")

    @property
    def name(self) -> str:
        return (
            f"longer than {self.tokens} tokens"
            if self.tokens is not None
            else f"longer than {self.characters} characters"
        )

    def holds(self, question: Any, look: Look) -> bool:  # noqa: ARG002 - likewise
        text = text_of(question)
        if self.tokens is not None and self.count is not None:
            return self.count(text) > self.tokens
        return self.characters is not None and len(text) > self.characters


#: The words that a language can't do without, and that these languages don't share.
_COMMON: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the and of to is was are were you it that have has this with for not what how my can do does "
        "i be on your",
        "de": "der die das und ist nicht ich sie wir ein eine einen mit für auf auch wie was mein meine kann haben "
        "wird zu dem den es habe bei noch wurde warum",
        "fr": "le la les et est pas je vous nous une des du pour avec dans qui que mon ma mes sur ce cette ai suis été "
        "pourquoi comment l d j",
        "es": "el los las y es no yo una por con para que mi mis cómo qué está he ha del se al lo pero muy más puedo "
        "tengo",
        "it": "il gli è non io una per con che mi mio mia come cosa sono ho ha della del di si alla nel più "
        "perché posso",
        "pt": "o os as e é não eu uma por com para que meu minha como foi da do dos das em no na ao está tenho "
        "posso você",
        "nl": "de het een en is niet ik wij je met voor op ook hoe wat mijn kan heb heeft wordt te van dat naar waarom",
    }.items()
}
#: Scripts in which but one widely written language is written.
_SCRIPTS = {"HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "GREEK": "el", "THAI": "th", "HEBREW": "he"}
LANGUAGES = (*_COMMON, *dict.fromkeys(_SCRIPTS.values()))


def language_of(text: str) -> str | None:
    """The language of a text, where that is plain: by its script, or by the commonest words of seven languages in Latin
    script. None where there is too little to go by (fewer than two such words, or as many of another language)."""
    letters = [letter for letter in text if letter.isalpha()][:2_000]
    scripts = Counter(_SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0]) for letter in letters)
    written = {language: count for language, count in scripts.items() if language is not None}
    if written:
        language, count = max(written.items(), key=lambda each: each[1])
        return language if count * 5 >= len(letters) else None  # Japanese mixes in letters of China
    words = Counter(re.findall(r"[^\W\d_]+", text.lower()))
    found = {language: sum(words[word] for word in common) for language, common in _COMMON.items()}
    (best, most), (_, next_most) = sorted(found.items(), key=lambda each: -each[1])[:2]
    return best if most >= 2 and most > next_most else None


@dataclass(frozen=True, slots=True)
class Language:
    """The question is plainly in this language (see ``language_of``); where that is not plain, no."""

    code: str

    def __post_init__(self) -> None:
        if self.code not in LANGUAGES:
            raise ValueError(
                f"no language {self.code!r} is told apart here; there are {', '.join(LANGUAGES)}. For another one "
                "write a predicate of your own"
            )

    @property
    def name(self) -> str:
        return f"in {self.code}"

    def holds(self, question: Any, look: Look) -> bool:  # noqa: ARG002 - likewise
        return language_of(text_of(question)) == self.code


@dataclass(frozen=True, slots=True)
class LeftBelow:
    """Less than ``limit`` is left of something: dollars, seconds. ``left`` looks it up; None is no limit at all. In a
    replay it is what the record says."""

    what: str
    limit: float
    unit: str
    left: Callable[[], float | None]

    @property
    def name(self) -> str:
        return f"{self.what} left below {self.limit:g} {self.unit}"

    def holds(self, question: Any, look: Look) -> bool:  # noqa: ARG002 - likewise
        left = look(f"{self.what} left", self.left)
        return left is not None and left < self.limit


def mentions_math() -> Predicate:
    """Whether a question asks for a calculation."""
    return MentionsMath()


def longer_than(
    *, characters: int | None = None, tokens: int | None = None, count: Callable[[str], int] | None = None
) -> Predicate:
    """Whether a question is longer than so many characters, or tokens in the counting of ``count``."""
    return LongerThan(characters, tokens, count)


def language(code: str) -> Predicate:
    """Whether a question is plainly in a language: en, de, fr, es, it, pt, nl, ja, ko, el, th or he."""
    return Language(code)


def cost_left_below(usd: float, left: Callable[[], float | None]) -> Predicate:
    """Whether fewer dollars are left than ``usd``; ``left`` says how many are, None where nothing limits them."""
    return LeftBelow("cost", usd, "USD", left)


def time_left_below(seconds: float, left: Callable[[], float | None]) -> Predicate:
    """Whether fewer seconds are left than ``seconds``; ``left`` says how many are, None where nothing limits them."""
    return LeftBelow("time", seconds, "s", left)
