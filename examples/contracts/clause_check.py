"""``clause-check``: says whether a passage is a clause of the kind that it was taken for. It reads letters, not words,
and has learnt from what clause-lr takes wrongly for a clause in contracts that it was not trained on.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from contracts.clause_lr import Finder, clauses
from contracts.cuad import CATEGORIES, Contract, agree, fold_of, others, texts
from router import Source
from tracer.messages import ChatAnswer, ChatRequest

NAME = "clause-check"


def answer(request: ChatRequest) -> ChatAnswer:
    """The model as a target: asked with ``{"contract": id, "category": ..., "clause": ...}``."""
    asked = json.loads(request.messages[-1].content)
    words, models = trained(fold_of(asked["contract"]))
    model = models.get(asked["category"])
    sure = 0.0 if model is None else float(model.predict_proba(words.transform([asked["clause"]]))[0, 1])
    return ChatAnswer.of(json.dumps({"holds": sure >= 0.5, "confidence": round(sure, 4)}), model=NAME)


@functools.cache
def trained(fold: int | None) -> tuple[Any, dict[str, Any]]:
    """What turns a text into numbers, and a classifier per category."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415 - as in clause_lr
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    given = others(fold)
    right = [(text, category) for text, names in texts(given) for category in names]
    wrong = _taken_wrongly(given)
    rows = [*right, *wrong]
    words = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2, max_features=60_000)
    seen = words.fit_transform([text for text, _ in rows])
    models = {}
    for category in CATEGORIES:
        # against what was taken for this category, and the clauses of all others
        mine = [number for number, (_, name) in enumerate(rows) if name == category or number < len(right)]
        is_one = [number < len(right) and rows[number][1] == category for number in mine]
        if 0 < sum(is_one) < len(is_one):
            model = LogisticRegression(C=10, class_weight="balanced", solver="liblinear")
            models[category] = model.fit(seen[mine], is_one)
    return words, models


def _taken_wrongly(given: tuple[Contract, ...]) -> list[tuple[str, str]]:
    """What a finder that knows one half of the contracts finds in the other, and no lawyer marked."""
    return [
        (found["text"], found["category"])
        for half in (0, 1)
        for finder in (Finder(given[half::2]),)
        for contract in given[1 - half :: 2]
        for source in (Source(contract.text),)
        for found in clauses(finder, contract.text)
        if not _is_marked(contract, source, found)
    ]


def _is_marked(contract: Contract, source: Source, found: dict[str, Any]) -> bool:
    place = source.locate(found["text"])
    return any(agree((place.start, place.end), span) for span in contract.spans[found["category"]])
