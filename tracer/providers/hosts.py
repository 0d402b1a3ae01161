"""Whose endpoint a host is, in the ids of genai-prices, which the price of a call is looked up by."""

from __future__ import annotations

_HOSTS = {
    "api.openai.com": "openai",
    "openrouter.ai": "openrouter",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.deepseek.com": "deepseek",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "api.cerebras.ai": "cerebras",
    "api.fireworks.ai": "fireworks",
    "api.x.ai": "x-ai",
    "api.z.ai": "zai",
    "api.perplexity.ai": "perplexity",
    "api.moonshot.ai": "moonshotai",
    "api.moonshot.cn": "moonshotai",
    "api.novita.ai": "novita",
    "api.anthropic.com": "anthropic",
    "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere",
    "api.voyageai.com": "voyageai",
    "inference.baseten.co": "baseten",
    "generativelanguage.googleapis.com": "google",
    "api.arcee.ai": "arcee",
    "api.avian.io": "avian",
    "api.doubleword.ai": "doubleword",
    "api.githubcopilot.com": "github-copilot",
    "api.meta.ai": "meta",
    "api.minimax.io": "minimax",
    "api.minimaxi.com": "minimax",
    "oai.endpoints.kepler.ai.cloud.ovh.net": "ovhcloud",
    "api.quicksilverpro.io": "quicksilverpro",
    "open.bigmodel.cn": "zhipuai",
}
_SUFFIXES = {
    ".openai.com": "openai",  # regional endpoints: eu.api.openai.com
    ".openai.azure.com": "azure",
    ".services.ai.azure.com": "azure",
    ".cognitiveservices.azure.com": "azure",
    ".azure-api.net": "azure",
    ".openrouter.ai": "openrouter",
    ".googleapis.com": "google",
    ".amazonaws.com": "aws",
    ".cloud.databricks.com": "databricks",
    ".azuredatabricks.net": "databricks",
    ".gcp.databricks.com": "databricks",
    ".modal.run": "modal",
    ".api.aws": "aws",
}
_LOOPBACK = ("localhost", "127.", "::1", "[::1]", "0.0.0.0")  # noqa: S104 - compared with, never listened on
#: An endpoint that speaks OpenAI's format and that we don't know by name.
UNKNOWN = "openai-compatible"


def provider_of(host: str, path: str = "") -> str:
    """The provider behind a host: a genai-prices id, ``local`` for this machine, else ``openai-compatible``."""
    host = host.lower().rstrip(".")
    if host.startswith(_LOOPBACK):
        return "local"
    if host == "router.huggingface.co":
        # One host, many providers: the first part of the path says which, and "v1" lets Hugging Face choose.
        first = path.lstrip("/").partition("/")[0]
        return UNKNOWN if first in {"", "v1"} else f"huggingface_{first}"
    if host in _HOSTS:
        return _HOSTS[host]
    return next((provider for suffix, provider in _SUFFIXES.items() if host.endswith(suffix)), UNKNOWN)
