"""Recorded exchanges with model providers: the whole collection where it lies beside the checkout, else our slice.

The collection is named by ``PLAYHEAD_TEST_CORPUS``, or is ``../shared/data`` seen from the repository. What the slice
holds, and where it comes from, stands in ``tests/data/http-exchanges/SOURCE.md``.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.sources import REPOSITORY
from tracer import providers
from tracer.messages import ChatAnswer, ChatRequest
from tracer.providers import Format
from tracer.providers.stream import data_of, framing

COLLECTION = Path(os.environ.get("PLAYHEAD_TEST_CORPUS") or REPOSITORY.parent / "shared" / "data")
SLICE = REPOSITORY / "tests" / "data" / "http-exchanges"
INSTRUMENTATIONS = ("openinference", "openllmetry", "otel-v2")


@dataclass(frozen=True)
class Exchange:
    raw: dict[str, Any]

    @property
    def id(self) -> str:
        return self.raw["id"]

    @property
    def provider(self) -> str:
        return self.raw["provider"]

    @property
    def api(self) -> str:
        return self.raw["api"]

    @property
    def method(self) -> str:
        return self.raw["request"]["method"]

    @property
    def host(self) -> str:
        return urlsplit(self.raw["request"]["url"]).hostname or ""

    @property
    def path(self) -> str:
        return urlsplit(self.raw["request"]["url"]).path

    @property
    def status(self) -> int:
        return self.raw["status"]

    @cached_property
    def asked(self) -> bytes:
        return _body(self.raw["request"])

    @cached_property
    def answered(self) -> bytes:
        return _body(self.raw["response"])

    @cached_property
    def headers(self) -> dict[str, str]:
        given = self.raw["response"]["headers"].items()
        return {name.lower(): value[0] if isinstance(value, list) else value for name, value in given}

    @cached_property
    def format(self) -> Format | None:
        return providers.find(self.method, self.host, self.path, self.asked)

    @cached_property
    def request(self) -> ChatRequest:
        return self.format.request(self.asked)

    @cached_property
    def answer(self) -> ChatAnswer:
        return self.format.answer(self.status, self.headers, self.answered)

    @cached_property
    def how(self) -> str | None:
        return framing(self.headers.get("content-type", ""), self.answered)

    @cached_property
    def documents(self) -> list[Any]:
        """The JSON in the answer: its body, or each event's, those inside of Amazon's frames unwrapped."""
        texts = [self.answered.decode("utf-8", "replace")] if self.how is None else data_of(self.answered, self.how)
        return [_unwrapped(document) for document in map(_json, texts) if document is not None]

    @cached_property
    def words(self) -> str:
        """All the strings in the answer, in order, however many pieces it came in."""
        return "".join(string for document in self.documents for string in strings_in(document))


def is_whole() -> bool:
    return (COLLECTION / "http-exchanges").is_dir()


@cache
def exchanges() -> tuple[Exchange, ...]:
    files = sorted((COLLECTION / "http-exchanges").glob("*.jsonl.gz")) or sorted(SLICE.glob("exchanges.jsonl.gz"))
    return tuple(Exchange(raw) for file in files for raw in _lines(file))


@cache
def model_calls() -> dict[str, tuple[Exchange, ...]]:
    """Those whose format is known, by provider and format."""
    groups: dict[str, list[Exchange]] = {}
    for exchange in exchanges():
        if exchange.format is not None:
            groups.setdefault(f"{exchange.provider}-{type(exchange.format).__name__}", []).append(exchange)
    return {name: tuple(groups[name]) for name in sorted(groups)}


@cache
def spans() -> tuple[dict[str, Any], ...]:
    """What other instrumentations said of the same exchanges."""
    files = [COLLECTION / "otel-spans-replayed" / f"{name}.jsonl.gz" for name in INSTRUMENTATIONS]
    if not files[0].exists():
        files = [SLICE / "spans.jsonl.gz"]
    return tuple(span for file in files for span in _lines(file))


def strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings_in(item)


def is_within(text: str, whole: str) -> bool:
    """Whether the letters of ``text`` come in ``whole`` in the same order (pieces of a stream lie apart)."""
    rest = iter(whole)
    return all(letter in rest for letter in text)


#: What a broken server might send in place of anything.
JUNK: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    1e400,
    2**70,
    "",
    "x",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"a": 1},
    {"type": []},
)


def mutated(value: Any, chance: random.Random) -> Any:
    """The same JSON with some of its parts missing and some of another type."""
    if chance.random() < 0.06:
        return chance.choice(JUNK)
    if isinstance(value, dict):
        return {key: mutated(item, chance) for key, item in value.items() if chance.random() > 0.02}
    return [mutated(item, chance) for item in value] if isinstance(value, list) else value


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _body(side: dict[str, Any]) -> bytes:
    if "body_base64" in side:
        return base64.b64decode(side["body_base64"])
    if "body_text" in side:
        return side["body_text"].encode()
    return b"" if side.get("body") is None else json.dumps(side["body"]).encode()


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _unwrapped(document: Any) -> Any:
    wrapped = document.get("chunk", {}).get("bytes") if isinstance(document, dict) else None
    return json.loads(base64.b64decode(wrapped)) if isinstance(wrapped, str) else document
