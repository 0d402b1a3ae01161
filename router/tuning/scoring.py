"""How good an answer of a cascade was, told by a function, by the right answer, or by a score that was recorded."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping

from router.client.reply import Reply
from router.confidences import Guess
from router.errors import TuningError


@dataclass(frozen=True, slots=True)
class Given:
    """An answer, as a scorer sees it. ``input`` is what the workflow was given; ``scores`` are those recorded in the
    trace, by name, and ``own`` those of the step that gave this answer."""

    trace_id: str
    input: Any
    answer: Any
    scores: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)


#: Gives True or False, a number from 0 to 1, or None where nobody can say.
Scorer = Callable[[Given], Any]


def scorer_of(scorer: str | Scorer) -> Scorer:
    """``module:function``; ``label:NAME``, where right is an answer that equals the recorded score NAME (of a
    router.Guess or Reply its value does); or ``NAME``,
    the score itself, recorded on the step that gave the answer. Raises TuningError."""
    if not isinstance(scorer, str):
        return scorer
    head, colon, rest = scorer.partition(":")
    if not colon:
        return lambda given: given.own.get(scorer)
    if head == "label":
        return lambda given: _said(given.answer) == given.scores[rest] if rest in given.scores else None
    return _imported(scorer, head, rest)


def _said(answer: Any) -> Any:
    """What is compared with a label: of a Guess and a Reply their value."""
    return answer.value if isinstance(answer, Guess | Reply) else answer


def _imported(scorer: str, module: str, name: str) -> Scorer:
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise TuningError(f"no scorer {scorer!r} ({error}): write module:function, label:NAME or NAME") from None
    if not callable(found):
        raise TuningError(f"the scorer {scorer!r} is no function but {found!r}")
    return found  # type: ignore[no-any-return]  # whatever is imported is Any


def scored(scorer: Scorer, given: Given) -> float | None:
    """What the scorer says. Raises TuningError with the trace, where it raises or gives no score."""
    try:
        said = scorer(given)
    except Exception as error:
        raise TuningError(f"the scorer raised {type(error).__name__}: {error} (trace {given.trace_id})") from error
    if said is None:
        return None
    if not isinstance(said, int | float) or not 0 <= said <= 1:
        raise TuningError(f"the scorer gave {said!r}, which is no number from 0 to 1 (trace {given.trace_id})")
    return float(said)
