"""Choose and call models: by confidence, by fallback, within guardrails, and with a human where nothing is sure.

Every decision is a recorded step of the trace it is made in.
"""

from router.attempts import Answered, Failed
from router.client import Reply, Spoken, SpokenAsync, Token, ask, ask_async, ask_stream, ask_stream_async
from router.confidences import Agreement, Confidence, Guess, agreement, from_classifier, from_logprobs, stated
from router.deciding.bands import Bands, Choice
from router.deciding.cascade import Cascaded
from router.deciding.cascading import cascade, cascade_async
from router.deciding.predicates import cost_left_below, language, longer_than, mentions_math, time_left_below
from router.deciding.recorded import decide
from router.deciding.rules import Ruled, Rules, When
from router.deciding.vote import Voted
from router.deciding.voting import vote, vote_async
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
    "Cascaded",
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
    "Ruled",
    "Rules",
    "Spoken",
    "SpokenAsync",
    "StreamBroke",
    "Target",
    "Token",
    "Undecided",
    "Verdict",
    "Voted",
    "When",
    "Workflow",
    "agreement",
    "ask",
    "ask_async",
    "ask_stream",
    "ask_stream_async",
    "cascade",
    "cascade_async",
    "cost_left_below",
    "decide",
    "escalate",
    "fallback",
    "fallback_async",
    "from_classifier",
    "from_logprobs",
    "judge",
    "language",
    "longer_than",
    "mentions_math",
    "require",
    "route",
    "stated",
    "time_left_below",
    "vote",
    "vote_async",
]
