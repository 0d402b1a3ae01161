"""Embeddings in the formats of Google, Cohere and Ollama. (OpenAI's, which many speak, has a module of its own.)"""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Iterable, Iterator

from tracer.messages import ChatAnswer, ChatRequest, Message
from tracer.model import Kind, Usage
from tracer.providers.base import count, mapping, parse, sequence, text, total_of
from tracer.providers.headers import Headers
from tracer.providers.reader import Json, Reader


class Vectors(Reader):
    """A vector is not made of tokens: where input was counted, output is 0."""

    kind: Kind = "embedding"
    operation = "embeddings"
    #: The fields of a request that are no parameters.
    own_fields: tuple[str, ...] = ("model",)
    model: str | None

    def request(self, body: bytes) -> ChatRequest:
        asked = parse(body)
        return ChatRequest(
            model=text(asked.get("model")) or self.model,
            messages=tuple(Message("user", item) for item in self.texts(asked)),
            parameters={key: value for key, value in asked.items() if key not in self.own_fields},
        )

    @abstractmethod
    def texts(self, asked: Json) -> Iterable[str]: ...

    def said(self, given: Json, headers: Headers) -> ChatAnswer:
        tokens, raw = self.counted(given, headers)
        usage = Usage() if tokens is None else Usage(input_tokens=tokens, output_tokens=0, raw=raw)
        return ChatAnswer(Message("assistant", ""), text(given.get("model")), None, usage, text(given.get("id")))

    @abstractmethod
    def counted(self, given: Json, headers: Headers) -> tuple[int | None, Any]:
        """Tokens of the input, and where that was read."""


@dataclass(frozen=True, slots=True)
class GeminiEmbeddings(Vectors):
    """embedContent, batchEmbedContents, and Vertex's predict, the only one that counts tokens."""

    model: str | None = None
    verb: str = "embedContent"
    own_fields = ("model", "content", "requests", "instances")

    @property
    def path(self) -> str:  # type: ignore[override]
        return self.path_for(self.model or "")

    def path_for(self, model: str) -> str:
        return f"/models/{model}:{self.verb}"

    def readdress(self, body: bytes, model: str) -> bytes:
        asked, named = parse(body), f"models/{model}"
        changed = {**asked, "model": named} if "model" in asked else asked
        if "requests" in asked:
            changed = {**asked, "requests": [{**mapping(each), "model": named} for each in sequence(asked["requests"])]}
        return json.dumps(changed).encode()

    def request(self, body: bytes) -> ChatRequest:
        asked = Vectors.request(self, body)
        return ChatRequest(self.model, asked.messages, asked.parameters)

    def texts(self, asked: Json) -> Iterator[str]:
        contents = [asked.get("content"), *(mapping(each).get("content") for each in sequence(asked.get("requests")))]
        for content in contents:
            said = [text(mapping(part).get("text")) for part in sequence(mapping(content).get("parts"))]
            if any(said):
                yield "".join(each or "" for each in said)
        yield from _strings(mapping(each).get("content") for each in sequence(asked.get("instances")))

    def counted(self, given: Json, headers: Headers) -> tuple[int | None, Any]:  # noqa: ARG002
        found = [mapping(mapping(each).get("embeddings")) for each in sequence(given.get("predictions"))]
        tokens = [count(mapping(each.get("statistics")).get("token_count")) for each in found]
        raw = given.get("usageMetadata") or ({"token_counts": tokens} if any(tokens) else None)
        return total_of(*tokens, count(mapping(given.get("usageMetadata")).get("promptTokenCount"))), raw


@dataclass(frozen=True, slots=True)
class CohereEmbed(Vectors):
    """It says what it bills."""

    path = "/embed"
    model: str | None = None
    own_fields = ("model", "texts", "inputs")

    def texts(self, asked: Json) -> Iterator[str]:
        yield from _strings(sequence(asked.get("texts")))
        for given in sequence(asked.get("inputs")):
            yield from _strings(mapping(part).get("text") for part in sequence(mapping(given).get("content")))

    def counted(self, given: Json, headers: Headers) -> tuple[int | None, Any]:  # noqa: ARG002
        meta = mapping(given.get("meta"))
        billed = mapping(meta.get("billed_units"))
        return total_of(count(billed.get("input_tokens")), count(billed.get("image_tokens"))), meta


@dataclass(frozen=True, slots=True)
class OllamaEmbed(Vectors):
    path: str = "/api/embed"
    model: str | None = None
    own_fields = ("model", "input", "prompt")

    def texts(self, asked: Json) -> Iterator[str]:
        yield from _strings([asked.get("input"), asked.get("prompt"), *sequence(asked.get("input"))])

    def counted(self, given: Json, headers: Headers) -> tuple[int | None, Any]:  # noqa: ARG002
        raw = {name: given[name] for name in ("prompt_eval_count",) if name in given}
        return count(given.get("prompt_eval_count")), raw


def _strings(values: Iterable[Any]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))
