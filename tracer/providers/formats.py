"""Which wire format a request speaks: told by method, path and body. A host only names the provider."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable
from urllib.parse import unquote

from tracer.providers.anthropic_messages import AnthropicMessages
from tracer.providers.base import Format
from tracer.providers.bedrock_converse import BedrockConverse
from tracer.providers.bedrock_invoke import BedrockInvoke
from tracer.providers.cohere_chat import CohereChat
from tracer.providers.completions import AnthropicComplete, OpenAICompletions
from tracer.providers.gemini import Gemini
from tracer.providers.ollama import Ollama
from tracer.providers.openai_chat import OpenAIChat
from tracer.providers.openai_embeddings import OpenAIEmbeddings
from tracer.providers.openai_responses import OpenAIResponses
from tracer.providers.vectors import CohereEmbed, GeminiEmbeddings, OllamaEmbed

CHAT: Format = OpenAIChat()
EMBEDDINGS: Format = OpenAIEmbeddings()
RESPONSES: Format = OpenAIResponses()
COMPLETIONS: Format = OpenAICompletions()
MESSAGES: Format = AnthropicMessages()
COMPLETE: Format = AnthropicComplete()
COHERE: Format = CohereChat()

Match = re.Match[str]
_NAMED = "(?P<model>[^/]+)"
#: Models behind Bedrock's invoke that rank, draw or film.
_GIVES_NO_TEXT = re.compile(r"rerank|image|canvas|stability|reel")


@dataclass(frozen=True, slots=True)
class _Rule:
    """``path`` is searched for; the body must hold every one of ``fields``, if it is known."""

    path: re.Pattern[str]
    fields: tuple[bytes, ...]
    format: Callable[[Match], Format | None]


def _rule(path: str, fields: str, wire_format: Format | Callable[[Match], Format | None]) -> _Rule:
    marks = tuple(b'"%s"' % field.encode() for field in fields.split())
    made = wire_format if callable(wire_format) else lambda _: wire_format
    return _Rule(re.compile(path), marks, made)


def _addressed(made: Callable[[str, bool], Format]) -> Callable[[Match], Format]:
    """For formats whose address says which model is asked, and whether to stream."""
    return lambda found: made(found["model"], found["how"] is not None)


def _embedded(found: Match) -> Format:
    return GeminiEmbeddings(found["model"], found["how"])


def _invoked(found: Match) -> Format | None:
    if _GIVES_NO_TEXT.search(found["model"]):
        return None
    stream = found["how"] is not None
    if "embed" in found["model"]:
        return BedrockInvoke(found["model"], stream, "embedding", "embeddings")
    return BedrockInvoke(found["model"], stream)


#: The first rule that fits decides. Fields tell a model call from what else has such a path (a vector store's
#: embeddings, a thread's messages).
_RULES = (
    _rule(r"/chat/completions$", "messages", CHAT),
    _rule(r"/completions$", "prompt", COMPLETIONS),
    _rule(r"/responses$", "input", RESPONSES),
    _rule(r"/responses$", "model prompt", RESPONSES),
    _rule(r"/responses$", "model previous_response_id", RESPONSES),
    _rule(r"/responses$", "model conversation", RESPONSES),
    _rule(r"/responses/compact$", "input", OpenAIResponses("/responses/compact")),
    _rule(r"/embeddings$", "input", EMBEDDINGS),
    _rule(r"/messages$", "messages", MESSAGES),
    _rule(r"/complete$", "prompt max_tokens_to_sample", COMPLETE),
    _rule(
        rf"/publishers/anthropic/models/{_NAMED}:(?P<how>stream)?[rR]awPredict$",
        "messages",
        _addressed(AnthropicMessages),
    ),
    _rule(rf"/(?:models|tunedModels)/{_NAMED}:(?P<how>stream)?[gG]enerateContent$", "contents", _addressed(Gemini)),
    _rule(rf"/models/{_NAMED}:(?P<how>embedContent)$", "content", _embedded),
    _rule(rf"/models/{_NAMED}:(?P<how>batchEmbedContents)$", "requests", _embedded),
    _rule(r"/models/(?P<model>[^/]*embedding[^/]*):(?P<how>predict)$", "instances", _embedded),
    _rule(r"/model/(?P<model>.+)/converse(?P<how>-stream)?$", "", _addressed(BedrockConverse)),
    _rule(r"/model/(?P<model>.+)/invoke(?P<how>-with-response-stream)?$", "", _invoked),
    _rule(r"/api/chat$", "model messages", Ollama()),
    _rule(r"/api/generate$", "model prompt", Ollama("/api/generate")),
    _rule(r"/api/embed$", "model input", OllamaEmbed()),
    _rule(r"/api/embeddings$", "model prompt", OllamaEmbed("/api/embeddings")),
    _rule(r"/v1/chat$", "messages", CHAT),  # Writer
    _rule(r"/v2/chat$", "messages", COHERE),
    _rule(r"/v1/chat$", "message stream", COHERE),
    _rule(r"/v[12]/embed$", "input_type", CohereEmbed()),
)


def find(method: str, host: str, path: str, body: bytes | None) -> Format | None:  # noqa: ARG001 - see the docstring
    """The format of a model call, or None for any other request.

    ``path`` is without query and fragment; ``body`` is None where it isn't known before it is sent. ``host`` decides
    nothing: any server may speak any format.
    """
    if method.upper() != "POST":
        return None
    path = unquote(path.rstrip("/"))
    for rule in _RULES:
        found = rule.path.search(path)
        if found and (body is None or all(field in body for field in rule.fields)):
            return rule.format(found)
    return None
