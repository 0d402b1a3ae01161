"""What the formats share in dressing an answer."""

from __future__ import annotations

import json
from typing import Any

from tracer.messages import ChatAnswer, ToolCall
from tracer.providers.base import mapping, parse

JSON = (("content-type", "application/json"),)
STREAM = (("content-type", "text/event-stream; charset=utf-8"),)


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def status_of(answer: ChatAnswer) -> int:
    """The status that an error names as its code, else 500."""
    code = mapping(answer.error).get("code")
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """A call's arguments as the object that formats other than OpenAI's want; text that is none stands in it whole."""
    arguments = parse(call.arguments)
    return arguments or ({} if call.arguments.strip() in {"", "{}"} else {"arguments": call.arguments})
