"""A question that goes to a human, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping


@dataclass(frozen=True, slots=True)
class Escalation:
    """Somebody has to answer ``question``; ``options`` are the answers there are, empty meaning any."""

    question: str
    options: tuple[str, ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict)
    state: str = "waiting"
