"""``intent-lr``: a classifier of our own, TF-IDF and logistic regression, trained on the sample when it is first asked.

It stands beside the language model as the small fine-tuned model stands beside the general one in a real system, and it
answers the same question in the same JSON. Its confidences are calibrated by cross-validation.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from tracer.messages import ChatAnswer, ChatRequest

NAME = "intent-lr"
TRAINING = Path(__file__).parent / "data" / "train.jsonl"


def guess(ticket: str) -> tuple[str, float]:
    """The most likely intent and its probability."""
    model = _trained()
    probabilities = model.predict_proba([ticket])[0]
    best = int(probabilities.argmax())
    return str(model.classes_[best]), float(probabilities[best])


def answer(request: ChatRequest) -> ChatAnswer:
    """The model as a target: the ticket is the last message of the user."""
    ticket = next(message.content for message in reversed(request.messages) if message.role == "user")
    intent, confidence = guess(ticket)
    return ChatAnswer.of(json.dumps({"intent": intent, "confidence": round(confidence, 4)}), model=NAME)


@functools.cache
def _trained() -> Any:
    # Imported here: scikit-learn takes a second, which only a process that asks this model should pay.
    from sklearn.calibration import CalibratedClassifierCV  # noqa: PLC0415
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415

    rows = [json.loads(line) for line in TRAINING.read_text(encoding="utf-8").splitlines()]
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    classifier = CalibratedClassifierCV(LogisticRegression(C=10, max_iter=1000), cv=5)
    return make_pipeline(words, classifier).fit([row["text"] for row in rows], [row["label"] for row in rows])
