"""The table: what each convention calls what we know of a step. The first name that a span has decides.

Three conventions and two habits are read: OpenTelemetry's for generative AI in its present spelling and those before
(``gen_ai.*``), OpenInference (``llm.*``, ``openinference.*``), Traceloop's additions (``traceloop.*``), and what
Vercel's SDK (``ai.*``) and playhead itself (``playhead.*``) write. ``TABLE`` changes with every change of meaning.
"""

from __future__ import annotations

import re
from typing import Any, Mapping

TABLE = 1

#: Fields of a model call that are texts.
CALL: Mapping[str, tuple[str, ...]] = {
    "model_asked": ("gen_ai.request.model", "llm.request.model_name", "ai.model.id"),
    "model": (
        *("gen_ai.response.model", "llm.response.model_name", "ai.response.model", "llm.model_name"),
        *("embedding.model_name", "reranker.model_name"),
    ),
    "response_id": ("gen_ai.response.id", "ai.response.id"),
    "finish_reason": (
        *("gen_ai.response.finish_reasons", "llm.finish_reason", "gen_ai.response.finish_reason"),
        *("llm.response.finish_reason", "ai.response.finishReason"),
    ),
    "request_id": ("playhead.request_id",),
}
PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider")
HOST = ("server.address", "gen_ai.openai.api_base", "net.peer.name")
#: Counts of tokens, by the names of model.Usage. ``input`` and ``output`` are totals that include their parts, except
#: where a writer left the cache out (see reading.usage_of).
USAGE: Mapping[str, tuple[str, ...]] = {
    "input_tokens": (
        *("gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.usage.prompt_tokens"),
        *("llm.usage.prompt_tokens", "ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens"),
    ),
    "output_tokens": (
        *("gen_ai.usage.output_tokens", "llm.token_count.completion", "gen_ai.usage.completion_tokens"),
        *("llm.usage.completion_tokens", "ai.usage.outputTokens", "ai.usage.completionTokens"),
    ),
    "cache_read_tokens": (
        *("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
        *("gen_ai.usage.cache_read_tokens", "gen_ai.usage.details.cache_read_tokens"),
        *("llm.token_count.prompt_details.cache_read", "ai.usage.cachedInputTokens"),
    ),
    "cache_write_tokens": (
        *("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
        *("gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.cache_write_tokens"),
        *("gen_ai.usage.details.cache_write_tokens", "llm.token_count.prompt_details.cache_write"),
    ),
    "reasoning_tokens": (
        *("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"),
        *("gen_ai.usage.details.reasoning_tokens", "llm.token_count.completion_details.reasoning"),
        "ai.usage.reasoningTokens",
    ),
    "input_audio_tokens": ("gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio"),
    "output_audio_tokens": ("gen_ai.usage.audio.output_tokens", "llm.token_count.completion_details.audio"),
    "cache_write_1h_tokens": ("playhead.usage.cache_write_1h_tokens",),
    "cache_audio_tokens": ("playhead.usage.cache_audio_tokens",),
    "web_searches": ("playhead.usage.web_searches",),
}
STREAMED = ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming", "playhead.streamed")
STATUS_CODE = ("http.response.status_code", "http.status_code")
ERROR_TYPE = ("error.type",)
#: Time to the first token, and how many nanoseconds one of its unit has.
FIRST_TOKEN: Mapping[str, int] = {
    "gen_ai.response.time_to_first_chunk": 10**9,
    "gen_ai.server.time_to_first_token": 10**9,
    "ai.response.msToFirstChunk": 10**6,
}
#: Events that mark the first token.
FIRST_TOKEN_EVENTS = frozenset(
    {
        *("First Token Stream Event", "gen_ai.content.completion.chunk", "llm.content.completion.chunk"),
        "ai.stream.firstChunk",
    }
)
#: Parameters of a request, by what OpenAI's chat calls them.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "temperature": ("gen_ai.request.temperature", "ai.settings.temperature"),
    "top_p": ("gen_ai.request.top_p", "ai.settings.topP"),
    "top_k": ("gen_ai.request.top_k", "ai.settings.topK"),
    "max_tokens": ("gen_ai.request.max_tokens", "ai.settings.maxOutputTokens", "ai.settings.maxTokens"),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", "ai.settings.frequencyPenalty"),
    "presence_penalty": ("gen_ai.request.presence_penalty", "ai.settings.presencePenalty"),
    "seed": ("gen_ai.request.seed", "gen_ai.openai.request.seed", "ai.settings.seed"),
    "stop": ("gen_ai.request.stop_sequences", "ai.settings.stopSequences"),
    "n": ("gen_ai.request.choice.count",),
    "reasoning_effort": ("gen_ai.request.reasoning_effort",),
}
INVOCATION = ("llm.invocation_parameters", "embedding.invocation_parameters")
#: What a step was given and what it gave, where it is no model call.
INPUT = (
    *("playhead.input", "gen_ai.tool.call.arguments", "input.value", "traceloop.entity.input", "ai.toolCall.args"),
    *("gen_ai.retrieval.query.text", "tool_arguments", "ai.prompt", "ai.value", "ai.values"),
)
OUTPUT = (
    *("playhead.output", "gen_ai.tool.call.result", "output.value", "traceloop.entity.output", "ai.toolCall.result"),
    *("gen_ai.retrieval.documents", "tool_response", "ai.response.text", "ai.response.object", "ai.embedding"),
    "ai.embeddings",
)
#: Names of what was called, better than the span's own.
NAME = ("playhead.name", "gen_ai.tool.name", "tool.name", "ai.toolCall.name", "traceloop.entity.name")
WORKFLOW = ("playhead.workflow", "gen_ai.workflow.name", "traceloop.workflow.name")

#: What says the kind of a step, and our word for what it says; the first that is known decides.
KINDS: tuple[tuple[str, Mapping[str, str]], ...] = (
    (
        "playhead.kind",
        {
            kind: kind
            for kind in (
                *("workflow", "step", "llm", "embedding", "tool", "retriever", "reranker", "agent", "guardrail"),
                *("evaluator", "router", "human", "http", "attempt"),
            )
        },
    ),
    (
        "openinference.span.kind",
        {
            **{kind: kind for kind in ("llm", "embedding", "tool", "retriever", "reranker", "agent", "guardrail")},
            "evaluator": "evaluator",
            "chain": "step",
            "prompt": "step",
        },
    ),
    (
        "gen_ai.operation.name",
        {
            **dict.fromkeys(("chat", "text_completion", "generate_content", "completion"), "llm"),
            **dict.fromkeys(("embeddings", "embedding"), "embedding"),
            **dict.fromkeys(("invoke_agent", "create_agent"), "agent"),
            **dict.fromkeys(("retrieval", "search_memory"), "retriever"),
            "execute_tool": "tool",
            "invoke_workflow": "workflow",
            "plan": "step",
            "rerank": "reranker",
        },
    ),
    (
        "llm.request.type",
        {"chat": "llm", "completion": "llm", "embedding": "embedding", "rerank": "reranker"},
    ),
    ("traceloop.span.kind", {"workflow": "workflow", "task": "step", "agent": "agent", "tool": "tool"}),
    (
        "ai.operationId",
        {
            **{f"ai.{call}.{do}": "llm" for call, do in (("generateText", "doGenerate"), ("streamText", "doStream"))},
            **{
                f"ai.{call}.{do}": "llm"
                for call, do in (("generateObject", "doGenerate"), ("streamObject", "doStream"))
            },
            "ai.embed.doEmbed": "embedding",
            "ai.embedMany.doEmbed": "embedding",
            "ai.toolCall": "tool",
            **dict.fromkeys(("ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject"), "step"),
            **dict.fromkeys(("ai.embed", "ai.embedMany"), "step"),
        },
    ),
)
#: Providers, in the ids of genai-prices (see providers.hosts).
PROVIDERS: Mapping[str, str] = {
    **dict.fromkeys(("aws.bedrock", "aws_bedrock", "bedrock", "amazon-bedrock", "amazon", "aws"), "aws"),
    **dict.fromkeys(
        ("azure.ai.openai", "az.ai.openai", "azure.ai.inference", "az.ai.inference", "azure-openai"), "azure"
    ),
    **dict.fromkeys(
        ("gcp.gemini", "gcp.vertex_ai", "gcp.gen_ai", "vertex_ai", "vertexai", "gemini", "google"), "google"
    ),
    **dict.fromkeys(("mistral_ai", "mistralai", "mistral"), "mistral"),
    **dict.fromkeys(("moonshot_ai", "moonshotai"), "moonshotai"),
    **dict.fromkeys(("x_ai", "xai", "x-ai"), "x-ai"),
}
#: The same the other way, as the present convention says it.
PROVIDER_NAMES: Mapping[str, str] = {
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google": "gcp.gen_ai",
    "mistral": "mistral_ai",
    "moonshotai": "moonshot_ai",
    "x-ai": "x_ai",
}
#: The messages, in every spelling. What is read as content is no tag as well.
_CONTENT = re.compile(
    r"gen_ai\.(input\.messages|output\.messages|system_instructions|tool\.definitions|prompt(\.\d+\..*)?"
    r"|completion(\.\d+\..*)?)$|llm\.(input_messages|output_messages|tools|prompts|completions|request\.functions)\.\d+\."
    r"|embedding\.embeddings\.|retrieval\.documents\.|ai\.(prompt|response)\.(messages|text|object|toolCalls|tools)$"
    r"|(input|output)\.mime_type$|exception\.|llm\.token_count\.total$|gen_ai\.usage\.total_tokens$|llm\.usage\.total_tokens$"
)
_READ = frozenset(
    {
        *(name for table in (CALL, USAGE, PARAMETERS) for names in table.values() for name in names),
        *(*PROVIDER, *STREAMED, *ERROR_TYPE, *FIRST_TOKEN, *INVOCATION, *INPUT, *OUTPUT, *NAME, *WORKFLOW),
        *(name for name, _ in KINDS),
    }
)


def first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The value under the first of these names that there is; None where there is none."""
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def is_read(name: str) -> bool:
    """Whether what this attribute says is kept elsewhere than in a tag."""
    return name in _READ or _CONTENT.match(name) is not None


def kind_of(attributes: Mapping[str, Any]) -> str | None:
    """Our word for what this span is; None where no convention that is known says it."""
    for name, words in KINDS:
        said = attributes.get(name)
        if isinstance(said, str) and (kind := words.get(said) or words.get(said.lower())) is not None:
            return kind
    return None
