"""``risk-playbook``: how risky a clause is for whoever signs, by rules such as a legal department writes down.

Nobody has labelled the risks of these contracts, so nothing can be said about how often it is right.
"""

from __future__ import annotations

import json
import re

from tracer.messages import ChatAnswer, ChatRequest

NAME = "risk-playbook"
#: What a clause of this kind is where no cue says otherwise.
_USUALLY = {
    "Exclusivity": "high",
    "Termination For Convenience": "medium",
    "Cap On Liability": "medium",
    "License Grant": "medium",
    "Anti-Assignment": "medium",
    "Renewal Term": "medium",
}
#: What raises or lowers it, the first that is found.
_CUES = (
    ("high", r"unlimited|without limit|irrevocabl|perpetual|sole (?:and absolute )?discretion"),
    ("high", r"automatically (?:be )?(?:renew|extend)|for any reason or (?:for )?no reason|without cause"),
    ("low", r"shall not be unreasonably withheld|mutual(?:ly)? agree|non-exclusive"),
)


def answer(request: ChatRequest) -> ChatAnswer:
    """The model as a target: asked with ``{"category": ..., "clause": ...}``."""
    asked = json.loads(request.messages[-1].content)
    risk, why = rate(asked["category"], asked["clause"])
    return ChatAnswer.of(json.dumps({"risk": risk, "why": why}), model=NAME)


def rate(category: str, clause: str) -> tuple[str, str]:
    """``high``, ``medium`` or ``low``, and why."""
    for risk, cue in _CUES:
        if found := re.search(cue, clause, re.IGNORECASE):
            return risk, f"it says {found.group()!r}"
    return _USUALLY.get(category, "low"), f"usual for {category}"
