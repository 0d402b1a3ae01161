"""Choose and call models: by confidence, by fallback, within guardrails, and with a human where nothing is sure.

Every decision is a recorded step of the trace it is made in.
"""

from router.attempts import Answered, Failed
from router.confidence import Bands, Choice
from router.errors import AllTargetsFailed, GuardrailFailed, OutputRejected, RouterError
from router.escalation import Escalation
from router.guardrails import Bans, Guardrails, Length, NoPromiseOfMoney, Parses, Rule, Verdict
from router.trace import escalate, fallback, fallback_async, judge, require, route
from tracer.catalogue import FREE, Catalogue, Target

__all__ = [
    "FREE",
    "AllTargetsFailed",
    "Answered",
    "Bands",
    "Bans",
    "Catalogue",
    "Choice",
    "Escalation",
    "Failed",
    "GuardrailFailed",
    "Guardrails",
    "Length",
    "NoPromiseOfMoney",
    "OutputRejected",
    "Parses",
    "RouterError",
    "Rule",
    "Target",
    "Verdict",
    "escalate",
    "fallback",
    "fallback_async",
    "judge",
    "require",
    "route",
]
