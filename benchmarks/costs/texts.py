"""Prompts and answers that read like a support desk's: words, names, order numbers, amounts, dates, punctuation.

Seeded, so that every run of the benchmark and every contestant has the same ones. Not English enough to be read, but of
its make: few words are frequent and many rare, a hundredth of the characters are digits, one text in eight has a
character beyond ASCII.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from random import Random
from typing import Iterator

PROMPT_CHARACTERS = 2_000
ANSWER_CHARACTERS = 1_000
_FREQUENT = (
    "the of and to a in that is was it for on with as be at by this had not are but from or have an they which "
    "one you were all her she there would their we him been has when who will no more if out so up said what its "
    "about than into them can only other time new some could these two may first then do any like my now over "
    "such our man me even most made after also well many must before back see through way where get much go your "
    "know should down work year because come people just say each those take day good how long little use own "
    "very great still men here life both"
)
_RARE = (
    "account address advance agreement airport allowance amount answer appointment approval arrangement arrival "
    "assistant attachment authority available baggage balance booking branch broken browser business calendar "
    "cancellation capacity cardholder carrier category certificate charge checkout claim clerk collection colour "
    "commission company complaint component condition confirmation connection consent contract conversation copy "
    "counter coupon courier coverage credit currency customer damage deadline decision declined default delay "
    "delivery department deposit description destination device difference digital discount dispatch dispute "
    "document double downgrade duplicate duty economy electronic eligible email employee enquiry entry envelope "
    "equipment error estimate evidence exception exchange excuse expired export extension facility failure "
    "feature feedback fee filter final flight folder form forward fraud freight garden gateway gift guarantee "
    "guest guidance handling hardware holiday household identity immediate import incident income incomplete "
    "information instalment instruction insurance interest inventory invoice item journey jurisdiction kitchen "
    "label landlord language laptop lawful ledger liability licence limit location lounge luggage machine "
    "maintenance manager manual manufacturer market material maximum measure membership merchandise message "
    "method minimum mistake mobile monitor mortgage network neighbour notice number offer office operator option "
    "order original overdue owner package parcel partial partner passenger passport password payment penalty "
    "percentage period permission phone platform pledge policy portion possible postcode premium previous "
    "priority procedure product profile promotion proof proposal provider purchase quality quantity question "
    "queue receipt recent reference refund regional register regulation reject release reminder renewal rental "
    "repair replacement reply report request required reservation resident resolution restriction return review "
    "revoke satisfied schedule screen season secure selection sender separate service settlement shipment "
    "shortage signature software solution specialist standard statement station storage street subscription "
    "subtotal summary supervisor supplier support surcharge suspended technical telephone temporary terminal "
    "ticket tracking transaction transfer transit travel treatment unable unauthorised unexpected upgrade urgent "
    "valid value vehicle vendor verification version voucher waiver warehouse warranty website weekend weight "
    "wholesale window withdrawal workshop yesterday"
)
_NAMES = (
    "Amelia",
    "Brandt",
    "Carlos",
    "Dubois",
    "Elena",
    "Fischer",
    "Grace",
    "Huang",
    "Ingrid",
    "Johansson",
    "Kofi",
    "Lindqvist",
    "Mateo",
    "Novak",
    "Olga",
    "Patel",
)
_BEYOND_ASCII = ("€ 40", "café", "½ off", "“as agreed”", "Zürich", "naïve")
_VOCABULARY = [*_FREQUENT.split(), *_RARE.split()]
_SHARES = [*itertools.repeat(6, len(_FREQUENT.split())), *itertools.repeat(1, len(_RARE.split()))]
_UP_TO = list(itertools.accumulate(_SHARES))


def text(chance: Random, characters: int) -> str:
    """Sentences of 6 to 18 words in paragraphs, cut to exactly ``characters``."""
    sentences: list[str] = []
    length = 0
    while length < characters:
        words = chance.choices(_VOCABULARY, cum_weights=_UP_TO, k=chance.randrange(6, 19))
        if chance.random() < 0.4:
            words[chance.randrange(len(words))] = _particular(chance)
        if chance.random() < 0.3:
            words[chance.randrange(len(words) - 1)] += ","
        sentence = " ".join(words)
        end = chance.choice((". ", ". ", ". ", "? ", ": ", ".\n\n"))
        sentences.append(sentence[0].upper() + sentence[1:] + end)
        length += len(sentence) + len(end)
    if chance.random() < 0.125:
        sentences.insert(0, f"{chance.choice(_BEYOND_ASCII)}: ")
    return "".join(sentences)[:characters]


def _particular(chance: Random) -> str:
    """What differs from case to case: a name, an order, an amount, a date, a time, an address."""
    number = chance.randrange(10_000)
    return chance.choice(
        (
            chance.choice(_NAMES),
            f"#{number:05d}-{chance.randrange(100):02d}",
            f"${number / 100:.2f}",
            f"2026-{number % 12 + 1:02d}-{number % 28 + 1:02d}",
            f"{number % 24:02d}:{number % 60:02d}",
            f"({chance.choice(_NAMES).lower()}.{number}@example.com)",
        )
    )


def write(path: Path, count: int) -> None:
    """``count`` lines, each the JSON of one [prompt, answer], no two alike. Nothing is held in memory: a child's peak
    of resident memory begins at its parent's."""
    chance = Random(2026)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            pair = [text(chance, PROMPT_CHARACTERS), text(chance, ANSWER_CHARACTERS)]
            file.write(json.dumps(pair, ensure_ascii=False) + "\n")


def read(path: Path, count: int, *, unique: bool, distinct: int) -> Iterator[tuple[str, str]]:
    """``count`` pairs of prompt and answer: each another one, or the first ``distinct`` again and again."""
    with path.open(encoding="utf-8") as file:
        lines = itertools.islice(file, count if unique else distinct)
        pairs = (tuple(json.loads(line)) for line in lines)
        yield from pairs if unique else itertools.islice(itertools.cycle(pairs), count)
