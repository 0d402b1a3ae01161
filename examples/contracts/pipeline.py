"""A contract read by five models in a row: find the clauses, rate their risk, say in a sentence what the riskiest mean,
check each of them with a specialised model, and write the result as JSON and as a page.

What a model says of the contract has to stand in the contract: clauses, laws, numbers and names are held against it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, Sequence

from support.local_llm import missing

from contracts.models import CATALOGUE, CLAUSE_CHECK, CLAUSE_LR, PLAYBOOK, SMOLLM2
from contracts.page import html, markdown
from contracts.rules import LawIsCited, NothingAdded, OwnWords
from router import (
    Attempt,
    CallFailed,
    GuardrailFailed,
    Guardrails,
    JsonSchema,
    Length,
    Matches,
    PromptTooLong,
    Retry,
    Router,
    Source,
    Verbatim,
    ask,
    checked,
    is_transient,
    judge,
    require,
)
from tracer import configure, effect, step, workflow
from tracer.recorder import current_config

configure(models=CATALOGUE)

Risk = Literal["high", "medium", "low"]
#: So many clauses of a contract are put in a sentence, the riskiest first.
SUMMARIES = 2
#: So much of a clause is shown to the language model: with the rest of its prompt that surely fits into its window.
_SHOWN = 1200
#: "the laws of the State of New York", "the law of the People's Republic of China".
_LAWS_OF = re.compile(
    r"\blaws? of (?:the )?(?:(?:State|Commonwealth|Province) of )?"
    r"(?P<law>[A-Z][\w'\u2019]*(?:(?: of| the)* [A-Z][\w'\u2019]*)*)"
)
_LAW = {
    "type": "object",
    "required": ["governing_law"],
    "additionalProperties": False,
    "properties": {"governing_law": {"type": ["string", "null"], "minLength": 2, "maxLength": 60}},
}


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that a model takes for a clause."""

    category: str
    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Extracted:
    clauses: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Rated:
    risk: Risk
    why: str


@dataclass(frozen=True, slots=True)
class Opinion:
    """Whether a passage is a clause of the kind it was taken for."""

    holds: bool
    confidence: float


@dataclass(frozen=True, slots=True)
class Clause:
    """``start`` and ``end`` are its place in the contract; ``said_by`` wrote the ``summary``, where it has one."""

    category: str
    text: str
    start: int
    end: int
    risk: Risk
    why: str
    summary: str | None = None
    said_by: str | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """What became of a contract. ``dropped`` are the clauses that the check threw out; ``law_by`` is who named the law
    and how: nobody, where no clause about it was left."""

    contract: str
    clauses: tuple[Clause, ...]
    dropped: tuple[Clause, ...]
    law: str | None = None
    law_by: str | None = None


@workflow
def review(contract: str, text: str) -> Review:
    found = extract(contract, text)
    rated = tuple(rate(clause) for clause in found)
    said = summarise_riskiest(rated)
    kept = tuple(clause for clause in said if is_valid(contract, text, clause))
    law, law_by = law_of(kept)
    read = Review(contract, kept, tuple(clause for clause in said if clause not in kept), law, law_by)
    file_review(contract, to_json(read), markdown(read), html(read))
    return read


@step
def extract(contract: str, text: str) -> tuple[Clause, ...]:
    """The passages that clause-lr takes for clauses. Raises GuardrailFailed for one that is not in the contract."""
    found = ask(CLAUSE_LR, json.dumps({"contract": contract, "text": text}), Extracted).value.clauses
    source = Source(text)
    stands = Guardrails((Verbatim(text),))
    clauses = []
    for each in found:
        require(each.text, stands)
        place = source.locate(each.text)
        clauses.append(Clause(each.category, each.text, place.start, place.end, "low", "not rated"))
    return tuple(clauses)


@step
def rate(clause: Clause) -> Clause:
    """With its risk, by the playbook."""
    rated = ask(PLAYBOOK, json.dumps({"category": clause.category, "clause": clause.text}), Rated).value
    return replace(clause, risk=rated.risk, why=rated.why)


def summarise_riskiest(clauses: Sequence[Clause]) -> tuple[Clause, ...]:
    """All of them, the riskiest few with a summary; of one risk the earlier first."""
    order = ("high", "medium", "low")
    chosen = sorted(range(len(clauses)), key=lambda number: (order.index(clauses[number].risk), number))[:SUMMARIES]
    return tuple(summarised(clause) if number in chosen else clause for number, clause in enumerate(clauses))


def shortened(clause: str) -> str:
    """The cautious summary: how the clause begins, in its own words."""
    words = clause.split()
    return " ".join(words[:30]) + (" …" if len(words) > 30 else "")


def in_a_sentence(attempt: Attempt, clause: str) -> str:
    """One model's summary. Raises GuardrailFailed where it adds to the clause, says nothing of it, or was cut off."""
    prompt = f"Say in one short sentence what this clause of a contract means.\n\nClause: {clause[:_SHOWN]}"
    text = ask(attempt.target, prompt, temperature=0, max_tokens=60, timeout_s=attempt.timeout_s).text.strip()
    whole = Matches(r".*[.!]", said="a whole sentence")
    require(text, Guardrails((Length(at_least=20, at_most=300), whole, NothingAdded(clause), OwnWords(clause))))
    return text


#: Where the language model can't run the cautious ones stand alone.
_LLM = (SMOLLM2,) if missing() is None else ()
_FAILS = (CallFailed, PromptTooLong, GuardrailFailed)
summaries = Router(
    [*_LLM, shortened], retry=Retry(on=is_transient, attempts=2), on=_FAILS, deadline_s=60, name="summarise"
)


def summarised(clause: Clause) -> Clause:
    answered = summaries.call(in_a_sentence, clause.text)
    return replace(clause, summary=answered.value, said_by=answered.target)


def is_valid(contract: str, text: str, clause: Clause) -> bool:
    """Whether it stands in the contract, and the specialised model takes it for such a clause too."""
    return judge(clause.text, Guardrails((Verbatim(text),))).passed and check(contract, clause).holds


@step
def check(contract: str, clause: Clause) -> Opinion:
    """The specialised model's opinion; it is not shown what the first one thought."""
    asked = {"contract": contract, "category": clause.category, "clause": clause.text}
    return ask(CLAUSE_CHECK, json.dumps(asked), Opinion).value


def law_by_pattern(clause: str) -> str:
    """The cautious reader of a clause about the governing law, as JSON: what follows on "laws of"."""
    found = _LAWS_OF.search(clause)
    law = None if found is None else found["law"]
    return json.dumps({"governing_law": law})


def law_as_json(attempt: Attempt, clause: str) -> str:
    """One model's answer, held to a schema and to the clause; repaired, and asked for a second time."""
    prompt = [
        {"role": "system", "content": "You answer with JSON: whose law governs?"},
        {"role": "user", "content": "This Agreement shall be governed by the laws of the State of Ohio."},
        {"role": "assistant", "content": '{"governing_law": "Ohio"}'},
        {"role": "user", "content": "This contract is construed in accordance with the laws of England and Wales."},
        {"role": "assistant", "content": '{"governing_law": "England and Wales"}'},
        {"role": "user", "content": clause[:_SHOWN]},
    ]

    def said(more: Sequence[Any]) -> str:
        messages = [*prompt, *more]
        return ask(attempt.target, messages, temperature=0, max_tokens=40, timeout_s=attempt.timeout_s).text

    return checked(said, Guardrails((JsonSchema(_LAW), LawIsCited(clause))), reask=1).text


laws = Router(
    [*_LLM, law_by_pattern], retry=Retry(on=is_transient, attempts=2), on=_FAILS, deadline_s=60, name="format"
)


def law_of(clauses: Sequence[Clause]) -> tuple[str | None, str | None]:
    """The law of the first clause about it, and who named it."""
    about = next((clause for clause in clauses if clause.category == "Governing Law"), None)
    if about is None:
        return None, None
    answered = laws.call(law_as_json, about.text)
    return json.loads(answered.value)["governing_law"], answered.target


def to_json(read: Review) -> str:
    """The review for programs; clauses by their place in the contract."""
    rows = [
        {"category": each.category, "at": [each.start, each.end], "risk": each.risk, "summary": each.summary}
        for each in read.clauses
    ]
    told = {"contract": read.contract, "governing_law": read.law, "clauses": rows}
    return json.dumps(told, ensure_ascii=False, indent=2)


@effect(stand_in=None)
def file_review(contract: str, as_json: str, as_markdown: str, as_html: str) -> None:
    """Put the review where people look for it: ``reviews`` beside the recorded traces."""
    folder = current_config().home / "reviews"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, body in (("json", as_json), ("md", as_markdown), ("html", as_html)):
        (folder / f"{contract}.{suffix}").write_text(body, encoding="utf-8")
