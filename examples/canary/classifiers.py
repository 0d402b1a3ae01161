"""The two models: real classifiers, trained on the same 204 messages, answering the same question in the same JSON.

``intent-lr`` is the one of ``examples/support``: it reads words. ``intent-chars`` reads pieces of words, so that it
understands what is mistyped; it is the one to be tried.
"""

from __future__ import annotations

import functools
import json
from typing import Any, Callable, Mapping

from support.intent_lr import TRAINING, guess

PRODUCTION, CANARY = "intent-lr", "intent-chars"


def guess_by_chars(ticket: str) -> tuple[str, float]:
    """The most likely intent and its probability, as the model gives it; it is not calibrated."""
    model = _trained()
    probabilities = model.predict_proba([ticket])[0]
    best = int(probabilities.argmax())
    return str(model.classes_[best]), float(probabilities[best])


#: By the name that the provider knows them by.
MODELS: Mapping[str, Callable[[str], tuple[str, float]]] = {PRODUCTION: guess, CANARY: guess_by_chars}


def answer(model: str, ticket: str) -> str:
    """What a model says of a ticket. Raises KeyError for one that there is not."""
    intent, confidence = MODELS[model](ticket)
    return json.dumps({"intent": intent, "confidence": round(confidence, 4)})


@functools.cache
def _trained() -> Any:
    # Imported here: scikit-learn takes a second, which only a process that asks this model should pay.
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415

    rows = [json.loads(line) for line in TRAINING.read_text(encoding="utf-8").splitlines()]
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    classifier = LogisticRegression(C=10, max_iter=1000)
    return make_pipeline(pieces, classifier).fit([row["text"] for row in rows], [row["label"] for row in rows])
