"""``clause-lr``: finds clauses. TF-IDF over words and one logistic regression per category, trained on sentences that
lawyers marked; never on those of the contract that it is asked about, nor of the others in its third.
"""

from __future__ import annotations

import functools
import json
from typing import Any, Iterable, Mapping

from contracts.cuad import CATEGORIES, Contract, fold_of, others, sentences, texts
from tracer.messages import ChatAnswer, ChatRequest

NAME = "clause-lr"
#: Low, so that little is missed: throwing out what is none is the business of clause-check.
ACCEPT = 0.1
#: A category with fewer marked sentences than that can't be learnt.
_FEWEST = 3


def answer(request: ChatRequest) -> ChatAnswer:
    """The model as a target: asked with ``{"contract": id, "text": ...}`` it gives each clause that it found."""
    asked = json.loads(request.messages[-1].content)
    found = clauses(trained(fold_of(asked["contract"])), asked["text"])
    return ChatAnswer.of(json.dumps({"clauses": found}), model=NAME)


def clauses(finder: Finder, text: str) -> list[dict[str, Any]]:
    """Each sentence above the threshold with its category, in the order of the text."""
    said = [text[slice(*span)] for span in sentences(text)]
    told = finder.probabilities(said) if said else {}
    return [
        {"category": category, "text": words, "confidence": round(float(row[number]), 4)}
        for number, words in enumerate(said)
        for category, row in told.items()
        if row[number] >= ACCEPT
    ]


class Finder:
    """One classifier per category that there are enough examples of."""

    def __init__(self, given: Iterable[Contract]) -> None:
        # Imported here: scikit-learn takes a second, which only a process that asks this model should pay.
        from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

        rows = texts(given)
        self._words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_features=40_000)
        seen = self._words.fit_transform([text for text, _ in rows])
        self._models = {
            category: LogisticRegression(C=30, class_weight="balanced", solver="liblinear").fit(seen, is_one)
            for category in CATEGORIES
            if sum(is_one := [category in names for _, names in rows]) >= _FEWEST
        }

    def probabilities(self, said: list[str]) -> Mapping[str, Any]:
        """For each category one number per sentence."""
        seen = self._words.transform(said)
        return {category: model.predict_proba(seen)[:, 1] for category, model in self._models.items()}


@functools.cache
def trained(fold: int | None) -> Finder:
    """The model for the contracts of one third, or for new ones."""
    return Finder(others(fold))
