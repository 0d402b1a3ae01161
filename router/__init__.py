"""Choose and call models: by confidence, by fallback, within guardrails, and with a human where nothing is sure.

Every decision is a recorded step of the trace it is made in.
"""

from router.attempts import Answered, Failed
from router.client import Reply, Spoken, SpokenAsync, Token, ask, ask_async, ask_stream, ask_stream_async
from router.confidences import Agreement, Confidence, Guess, agreement, from_classifier, from_logprobs, stated
from router.deciding.bands import Bands, Choice
from router.errors import (
    AllTargetsFailed,
    CallFailed,
    CallTimedOut,
    GuardrailFailed,
    InvalidAnswer,
    InvalidWorkflow,
    NoBranch,
    NoConfidence,
    NoConnection,
    NotAskable,
    NotReached,
    OutputRejected,
    PromptTooLong,
    ProviderError,
    RouterError,
    StreamBroke,
    Undecided,
)
from router.escalation import Escalation
from router.guardrails import Bans, Guardrails, Length, NoPromiseOfMoney, Parses, Rule, Verdict
from router.paper import Workflow
from router.trace import escalate, fallback, fallback_async, judge, require, route
from tracer.catalogue import FREE, Catalogue, Target

__all__ = [
    "FREE",
    "Agreement",
    "AllTargetsFailed",
    "Answered",
    "Bands",
    "Bans",
    "CallFailed",
    "CallTimedOut",
    "Catalogue",
    "Choice",
    "Confidence",
    "Escalation",
    "Failed",
    "GuardrailFailed",
    "Guardrails",
    "Guess",
    "InvalidAnswer",
    "InvalidWorkflow",
    "Length",
    "NoBranch",
    "NoConfidence",
    "NoConnection",
    "NoPromiseOfMoney",
    "NotAskable",
    "NotReached",
    "OutputRejected",
    "Parses",
    "PromptTooLong",
    "ProviderError",
    "Reply",
    "RouterError",
    "Rule",
    "Spoken",
    "SpokenAsync",
    "StreamBroke",
    "Target",
    "Token",
    "Undecided",
    "Verdict",
    "Workflow",
    "agreement",
    "ask",
    "ask_async",
    "ask_stream",
    "ask_stream_async",
    "escalate",
    "fallback",
    "fallback_async",
    "from_classifier",
    "from_logprobs",
    "judge",
    "require",
    "route",
    "stated",
]
