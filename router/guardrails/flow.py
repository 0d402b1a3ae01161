"""How an answer comes to hold to its rules, as a generator that neither asks nor judges: it yields what is to be done
and is sent what came of it. Pure.

Answer, judge; where JSON was broken, put right what is certain and judge again; ask again with what was wrong; in the
end fall back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generator, Mapping

from router.errors import GuardrailFailed
from router.guardrails.repair import Repaired
from router.guardrails.verdict import Guardrails, Verdict

#: Messages to put behind those of the prompt.
More = tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the model, the ``number``-th time (from 1), with ``more`` behind the messages of the prompt."""

    number: int
    more: More


@dataclass(frozen=True, slots=True)
class Judge:
    """Hold this text against the rules."""

    text: str


@dataclass(frozen=True, slots=True)
class Repair:
    """Put right what is certain about this text."""

    text: str


@dataclass(frozen=True, slots=True)
class FallBack:
    """Take the answer that is there for when no other is."""

    failed: GuardrailFailed


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer that holds to its rules. ``repairs`` is what was put right in it, ``asked`` how often the model was
    asked, ``fell_back`` whether it is not the model's at all, and ``verdicts`` are all that were given on the way."""

    text: str
    asked: int
    repairs: tuple[str, ...] = ()
    fell_back: bool = False
    verdicts: tuple[Verdict, ...] = ()

    @property
    def how(self) -> str:
        """``answer``, ``repaired``, ``asked again`` or ``fallback``."""
        if self.fell_back:
            return "fallback"
        return "repaired" if self.repairs else "asked again" if self.asked > 1 else "answer"


Flow = Generator[Ask | Judge | Repair | FallBack, Any, Checked]


def checking(guardrails: Guardrails, *, repair: bool, reask: int, falls_back: bool) -> Flow:
    """Sent a str for Ask and FallBack, a Verdict for Judge, a Repaired for Repair. Raises GuardrailFailed with the last
    verdict where nothing held."""
    verdicts: list[Verdict] = []
    more: More = ()
    asked, text = 0, ""
    while asked <= reask:
        asked += 1
        text = yield Ask(asked, more)
        text, repairs = yield from _judged(text, guardrails, verdicts, repair=repair)
        if verdicts[-1].passed:
            return Checked(text, asked, repairs, verdicts=tuple(verdicts))
        more = complaint(text, verdicts[-1])
    failed = broken(verdicts[-1], text)
    if not falls_back:
        raise failed
    text = yield FallBack(failed)
    verdicts.append((yield Judge(text)))
    if not verdicts[-1].passed:
        raise broken(verdicts[-1], text) from failed
    return Checked(text, asked, fell_back=True, verdicts=tuple(verdicts))


def _judged(
    text: str, guardrails: Guardrails, verdicts: list[Verdict], *, repair: bool
) -> Generator[Judge | Repair, Any, tuple[str, tuple[str, ...]]]:
    verdict: Verdict = yield Judge(text)
    verdicts.append(verdict)
    if verdict.passed or not repair or not any(each.rule in guardrails.read_json for each in verdict.offences):
        return text, ()
    mended: Repaired = yield Repair(text)
    if not mended.done:
        return text, ()
    verdicts.append((yield Judge(mended.text)))
    return mended.text, mended.done


def complaint(text: str, verdict: Verdict) -> More:
    """The two messages that a model is asked again with: what it said, and what was wrong with it."""
    wrong = "\n".join(f"- {each.rule}: {each.offence}" for each in verdict.offences)
    told = f"This answer can't be used:\n{wrong}\nGive the whole answer again, put right, and nothing else."
    return ({"role": "assistant", "content": text}, {"role": "user", "content": told})


def broken(verdict: Verdict, text: str) -> GuardrailFailed:
    """The error that a verdict which was not passed is raised as."""
    return GuardrailFailed(verdict.rule or "", verdict.offence or "", text)
