"""Choose and call models: by confidence, by fallback, within guardrails, and with a human where nothing is sure.

Every decision is a recorded step of the trace it is made in.
"""

from router.attempts import Answered, Failed
from router.breaker import Breaker, Consecutive, Permit, Rate
from router.confidence import Bands, Choice
from router.errors import (
    AllTargetsFailed,
    CircuitOpen,
    GuardrailFailed,
    InvalidWorkflow,
    NoBranch,
    NotReached,
    OutputRejected,
    RegistryError,
    RouterError,
    UnknownRole,
)
from router.escalation import Escalation
from router.guardrails import Bans, Guardrails, Length, NoPromiseOfMoney, Parses, Rule, Verdict
from router.paper import Workflow
from router.registry import Arm, Guard, Pick, Registry, Role
from router.trace import escalate, fallback, fallback_async, judge, require, route
from tracer.catalogue import FREE, Catalogue, Target

__all__ = [
    "FREE",
    "AllTargetsFailed",
    "Answered",
    "Arm",
    "Bands",
    "Bans",
    "Breaker",
    "Catalogue",
    "Choice",
    "CircuitOpen",
    "Consecutive",
    "Escalation",
    "Failed",
    "Guard",
    "GuardrailFailed",
    "Guardrails",
    "InvalidWorkflow",
    "Length",
    "NoBranch",
    "NoPromiseOfMoney",
    "NotReached",
    "OutputRejected",
    "Parses",
    "Permit",
    "Pick",
    "Rate",
    "Registry",
    "RegistryError",
    "Role",
    "RouterError",
    "Rule",
    "Target",
    "UnknownRole",
    "Verdict",
    "Workflow",
    "escalate",
    "fallback",
    "fallback_async",
    "judge",
    "require",
    "route",
]
