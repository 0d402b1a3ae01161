"""What a text must hold to before it leaves the house, and a request before it is sent: rules as plain values, verdicts
as recorded steps, and what is done about an answer that breaks them.
"""

from router.guardrails.checked import checked, checked_async, guarded, judge, repair, require
from router.guardrails.cited import Markers, Quotes, Verbatim
from router.guardrails.flow import Checked
from router.guardrails.forms import JsonSchema, Parses, Typed
from router.guardrails.money import NoPromiseOfMoney
from router.guardrails.repair import Repaired, repaired
from router.guardrails.request import AnswerLimit, AsksForJson, Prompt, PromptTokens, Temperature, asked
from router.guardrails.text import Bans, Forbids, Length, Matches, TokenLimit
from router.guardrails.verdict import Guardrails, Offence, Rule, Verdict

__all__ = [
    "AnswerLimit",
    "AsksForJson",
    "Bans",
    "Checked",
    "Forbids",
    "Guardrails",
    "JsonSchema",
    "Length",
    "Markers",
    "Matches",
    "NoPromiseOfMoney",
    "Offence",
    "Parses",
    "Prompt",
    "PromptTokens",
    "Quotes",
    "Repaired",
    "Rule",
    "Temperature",
    "TokenLimit",
    "Typed",
    "Verbatim",
    "Verdict",
    "asked",
    "checked",
    "checked_async",
    "guarded",
    "judge",
    "repair",
    "repaired",
    "require",
]
