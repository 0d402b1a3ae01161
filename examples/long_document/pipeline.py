"""A summary of a contract, however long: in one go where the model's window holds it, else chunk by chunk, group by
group, and cited by the chunks that it comes from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Sequence

from contracts.rules import NothingAdded, OwnWords
from support.local_llm import CONTEXT_TOKENS, SLOTS, LocalLlm, missing, weights

from long_document.gguf_tokens import Tokens
from router import (
    Attempt,
    CallFailed,
    Chunk,
    GuardrailFailed,
    Guardrails,
    Length,
    Markers,
    Matches,
    Part,
    PromptTooLong,
    Retry,
    Router,
    Target,
    ask_stream,
    is_transient,
    map_reduce,
    markers,
    require,
    split,
    tokenizer,
)
from tracer import FREE, configure, step, workflow

NAME = "smollm2-135m"
SMOLLM2 = Target(NAME, launcher=LocalLlm(alias=NAME), context_tokens=CONTEXT_TOKENS // SLOTS, price=FREE)
configure(models=(SMOLLM2,))
if (_weights := weights()) is not None:
    tokenizer(NAME, Tokens(_weights).encode, name=NAME)

#: Tokens of a chunk, and of the notes that are brought together at once: far less than the window, because a model this
#: small loses the thread of long prompts. Groups of that size make more than one level of them.
WINDOW = 320
#: Tokens of an answer.
ANSWER = 60
_TASK = "You summarise contracts. Answer with one short sentence, in the words of the text."
#: Up to the first full stop that ends a sentence, and not a number.
_SENTENCE = re.compile(r".{20,}?[a-z)\"%]\.(?=\s|$)")
_FAILS = (CallFailed, PromptTooLong, GuardrailFailed)
_RETRY = Retry(on=is_transient, attempts=2)
#: A sentence of a note and its markers; what is said holds no other brackets.
_CITED = re.compile(r"\s*([^\[\]]+?) (\[[\d, ]+\])")
#: Where the language model can't run the cautious writers stand alone.
_LLM = (SMOLLM2,) if missing() is None else ()


@dataclass(frozen=True, slots=True)
class Note:
    """``text`` ends with the markers of the chunks that it comes from; ``by`` wrote it."""

    text: str
    by: str


@dataclass(frozen=True, slots=True)
class Summary:
    """``cites`` are the chunks that ``text`` cites, as places in the contract; none where it was read in one go.
    ``notes`` are what each chunk came to."""

    text: str
    by: str
    cites: tuple[tuple[int, int], ...] = ()
    notes: tuple[Note, ...] = ()
    levels: int = 0


@workflow
def summarise(contract: str) -> Summary:
    """Refused in one go before anything is sent, where the window can't hold it: then in parts."""
    return at_once.call(whole, contract).value


def whole(attempt: Attempt, contract: str) -> Summary:
    return Summary(said(attempt, contract, contract), attempt.name)


def in_parts(contract: str) -> Summary:
    """By chunks. Raises GuardrailFailed where the summary cites none, or one that there is not."""
    done = map_reduce(cut(contract), map=note, reduce=bring_together, window=WINDOW, parallel=SLOTS, model=NAME)
    last: Note = done.value
    known = tuple(cite.number for cite in done.cites)
    require(last.text, Guardrails((Markers(known, required=True),)))
    places = tuple((cite.start, cite.end) for cite in done.cited(markers(last.text)))
    return Summary(last.text, last.by, places, tuple(part.value for part in done.parts), done.levels)


@step
def cut(contract: str) -> tuple[Chunk, ...]:
    return split(contract, max_tokens=WINDOW, model=NAME)


def note(chunk: Chunk) -> Note:
    """What a chunk says, in a sentence, with its marker."""
    answered = notes.call(of_chunk, chunk)
    return Note(f"{answered.value} {chunk.marker}", answered.target)


def of_chunk(attempt: Attempt, chunk: Chunk) -> str:
    return said(attempt, chunk.text, chunk.text)


def beginning(chunk: Chunk) -> str:
    """The cautious note: how the chunk begins, in its own words."""
    return _shortened(chunk.text, 25)


def bring_together(parts: Sequence[Part]) -> Note:
    """One note of several. The markers are ours: what a model says of its sources is worth nothing at this size."""
    if len(parts) == 1:
        return parts[0].value
    answered = reductions.call(of_notes, parts)
    return Note(answered.value, answered.target)


def of_notes(attempt: Attempt, parts: Sequence[Part]) -> str:
    text = "\n".join(_without_markers(part.value.text) for part in parts)
    numbers = [cite.number for part in parts for cite in part.cites]
    return f"{said(attempt, text, text)} [{', '.join(map(str, numbers))}]"


def beginnings(parts: Sequence[Part]) -> str:
    """The cautious reduction: how each note begins, with its own markers, so that what is cited stays apart."""
    cited = (_CITED.match(part.value.text) for part in parts)
    room = max(6, 80 // len(parts))
    return " ".join(f"{_shortened(found[1], room)} {found[2]}" for found in cited if found is not None)


def said(attempt: Attempt, text: str, source: str) -> str:
    """The first sentence that one model says of a text, read as it is said. Raises GuardrailFailed where it adds to the
    source, has little to do with it, or is none."""
    messages = [{"role": "system", "content": _TASK}, {"role": "user", "content": text}]
    spoken = ask_stream(attempt.target, messages, temperature=0, max_tokens=ANSWER, timeout_s=attempt.timeout_s)
    for _ in spoken:
        pass
    words = " ".join(spoken.reply.text.split())
    first = _SENTENCE.match(words)
    sentence = words if first is None else first.group()
    whole_one = Matches(r"[^\[\]]*\.", said="a whole sentence without brackets")
    require(sentence, Guardrails((Length(20, 320), whole_one, NothingAdded(source), OwnWords(source))))
    return sentence


at_once = Router([*_LLM, in_parts], on=_FAILS, retry=_RETRY, name="at_once")
notes = Router([*_LLM, beginning], on=_FAILS, retry=_RETRY, deadline_s=60, name="note")
reductions = Router([*_LLM, beginnings], on=_FAILS, retry=_RETRY, deadline_s=60, name="bring_together")


def _shortened(text: str, words: int) -> str:
    said_words = text.replace("[", "(").replace("]", ")").split()
    return " ".join(said_words[:words]) + (" …" if len(said_words) > words else "")


def _without_markers(text: str) -> str:
    return " ".join(found[1] for found in _CITED.finditer(text))
