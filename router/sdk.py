"""Clients of SDKs that don't try again by themselves: below a Router their attempts would multiply its own."""

from __future__ import annotations

from typing import Any, TypeVar

C = TypeVar("C")


def without_sdk_retries(client: C) -> C:
    """The client without retries of its own: of OpenAI and Anthropic (and what is built on them) a copy that shares its
    connections; of boto3 the client itself, in which they are switched off for good. Raises TypeError for others.
    """
    if hasattr(client, "max_retries") and callable(options := getattr(client, "with_options", None)):
        copied: C = options(max_retries=0)
        return copied
    meta: Any = getattr(client, "meta", None)
    if callable(unregister := getattr(getattr(meta, "events", None), "unregister", None)):
        service = meta.service_model.service_id.hyphenize()
        unregister(f"needs-retry.{service}", unique_id=f"retry-config-{service}")
        return client
    raise TypeError(
        f"without_sdk_retries knows clients of OpenAI, Anthropic and boto3, not {type(client).__name__}: switch the "
        "retries off where it is made"
    )
