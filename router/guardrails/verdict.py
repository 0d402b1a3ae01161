"""Rules in order, and what they say of one text or request. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


class Rule(Protocol):
    """``offence`` gives the part of the text that breaks the rule, or what is missing from it; None where it holds.

    A rule of your own is any object with a ``name`` and an ``offence(text)``; a frozen dataclass is best, because what
    a rule was set to is then recorded with the verdict. A rule for what is asked gets a ``ChatRequest`` instead.
    A rule that reads the text as JSON says so by ``of_json = True``: its offences are tried to be repaired.
    """

    @property
    def name(self) -> str: ...
    def offence(self, text: Any, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Offence:
    """One rule that was broken, and by what."""

    rule: str
    offence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """``rule`` and ``offence`` name the first rule that was broken; both are None when all ``checked`` rules hold.

    ``offences`` are all that were found: the first one, or every one where the guardrails look for ``all``.
    """

    passed: bool
    checked: tuple[str, ...]
    rule: str | None = None
    offence: str | None = None
    offences: tuple[Offence, ...] = ()


@dataclass(frozen=True, slots=True)
class Guardrails:
    """Rules in the order in which they are asked. The first that is broken decides; with ``all`` the others are asked
    too, so that a model can be told everything at once."""

    rules: tuple[Rule, ...] = field(default=())
    all: bool = False

    def judge(self, text: Any) -> Verdict:
        """Hold a text (or a request, for rules about requests) against the rules."""
        checked: list[str] = []
        offences: list[Offence] = []
        for rule in self.rules:
            checked.append(rule.name)
            offence = rule.offence(text)
            if offence is not None:
                offences.append(Offence(rule.name, offence))
                if not self.all:
                    break
        if not offences:
            return Verdict(True, tuple(checked))
        return Verdict(False, tuple(checked), offences[0].rule, offences[0].offence, tuple(offences))

    @property
    def read_json(self) -> frozenset[str]:
        """The names of the rules that read the text as JSON."""
        return frozenset(rule.name for rule in self.rules if getattr(rule, "of_json", False))
