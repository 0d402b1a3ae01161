"""How sure an answer is, from 0 to 1, and what that number is: four sources that are not to be taken for each other.

``logprobs``    the probability that the model gave to the very words it wrote; says nothing of what is true
``classifier``  the probability of a class, by a model that was trained for it; as good as its calibration
``agreement``   the share of samples that say the same
``stated``      a number that the model wrote down; mostly too high

Pure. What a source is worth in a pipeline of yours is measured: see ``router.calibration``.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Callable, Generic, Iterable, Literal, Mapping, Sequence, TypeVar, get_args

from router.client.reply import Reply, Token
from router.errors import NoConfidence

T = TypeVar("T")
Source = Literal["logprobs", "classifier", "agreement", "stated"]


@dataclass(frozen=True, slots=True)
class Confidence:
    """``value`` from 0 to 1, ``source`` what it is, ``detail`` what it was made of; ``float()`` gives the value."""

    value: float
    source: Source
    detail: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.source not in get_args(Source):
            raise ValueError(f"no source {self.source!r}; there are {', '.join(get_args(Source))}")
        if not 0.0 <= self.value <= 1.0:
            raise ValueError(f"a confidence lies between 0 and 1, not at {self.value}")

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True, slots=True)
class Guess(Generic[T]):
    """An answer, and how sure it is."""

    value: T
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class Agreement(Generic[T]):
    """What most of the samples say. ``tally`` pairs each different answer with how many say it, most first; ``tied``
    says that another is as frequent as ``value``, which then is the one that came first."""

    value: T
    confidence: Confidence
    tally: tuple[tuple[T, int], ...]
    tied: bool = False


def from_logprobs(reply: Reply[Any] | Sequence[Any], *, of: str | None = None) -> Confidence:
    """The joint probability of the tokens that spell ``of`` in an answer (all of it by default), given what stands
    before them: how probable it was that the model would write just that.

    It is the product, not the geometric mean: only the product is the probability of anything, and of a closed set of
    labels the products sum to at most 1. So a long span is less sure than a short one: name the part that decides, such
    as the label in a JSON object. A token that reaches over the edge of ``of`` counts whole. ``of`` must occur once.
    ``reply`` may also be tokens: ours, ``choice.logprobs.content`` of an SDK, or pairs of a text and its logarithm.
    Raises NoConfidence.
    """
    tokens = reply.tokens if isinstance(reply, Reply) else tuple(map(_token, reply))
    if not tokens:
        who = f" of {reply.target}" if isinstance(reply, Reply) else ""
        raise NoConfidence(f"the answer{who} has no logprobs: ask(..., logprobs=True), of a provider that gives them")
    chosen = tokens if of is None else _covering(tokens, of.encode())
    total = sum(token.logprob for token in chosen)
    if math.isnan(total):
        raise NoConfidence("a token's logprob is no number")
    # Rounding may leave a certain token a hair above 0.
    detail = {"tokens": len(chosen), "least": _probability(min(token.logprob for token in chosen))}
    return Confidence(_probability(total), "logprobs", detail if of is None else {**detail, "of": of})


def _token(given: Any) -> Token:
    if isinstance(given, Token):
        return given
    if isinstance(given, tuple) and len(given) == 2:
        text, logprob, data = *given, None
    elif isinstance(given, Mapping):
        text, logprob, data = given.get("token"), given.get("logprob"), given.get("bytes")
    else:
        text, logprob, data = (getattr(given, name, None) for name in ("token", "logprob", "bytes"))
    if not isinstance(text, str) or not isinstance(logprob, int | float):
        raise NoConfidence(f"no token with a logprob: {given!r}")
    return Token(text, float(logprob), text.encode("utf-8", "surrogatepass") if data is None else bytes(data))


def _covering(tokens: Sequence[Token], wanted: bytes) -> list[Token]:
    data = b"".join(token.data for token in tokens)
    start = data.find(wanted)
    if not wanted or start < 0:
        raise NoConfidence(f"the answer does not hold {wanted.decode()!r}: {data.decode(errors='replace')[:200]!r}")
    if data.find(wanted, start + 1) >= 0:
        raise NoConfidence(f"the answer holds {wanted.decode()!r} more than once: name a longer part that occurs once")
    chosen: list[Token] = []
    position = 0
    for token in tokens:
        if position < start + len(wanted) and position + len(token.data) > start:
            chosen.append(token)
        position += len(token.data)
    return chosen


def _probability(logprob: float) -> float:
    return min(1.0, math.exp(min(logprob, 0.0)))


def from_classifier(classes: Sequence[T], probabilities: Iterable[float], *, calibrated_by: str = "") -> Guess[T]:
    """The most likely class and its probability, out of what ``predict_proba`` gives for one item.

    ``calibrated_by`` says how the probabilities were calibrated ("isotonic, 5 folds"); it is kept with the confidence,
    empty meaning not at all. Raises NoConfidence for what is no distribution over ``classes``.
    """
    given = [float(each) for each in probabilities]
    if not given or len(given) != len(classes):
        raise NoConfidence(f"{len(given)} probabilities for {len(classes)} classes: give those of one item")
    total = math.fsum(given)
    if not all(0.0 <= each <= 1.0 + 1e-9 for each in given) or abs(total - 1.0) > 1e-3:
        raise NoConfidence(f"probabilities lie between 0 and 1 and sum to 1; these sum to {total:g}")
    best = max(range(len(given)), key=given.__getitem__)
    second = max((each for place, each in enumerate(given) if place != best), default=0.0)
    detail = {"second": second, "classes": len(given), "calibrated_by": calibrated_by}
    return Guess(classes[best], Confidence(min(1.0, given[best]), "classifier", detail))


def agreement(samples: Iterable[T], *, same: Callable[[T, T], bool] | None = None) -> Agreement[T]:
    """What most of k samples say, and the share of them that says so.

    ``same`` tells whether two samples mean the same (``==`` by default); each is compared with the first of every
    group. Of equally frequent answers the one that came first is taken, and ``tied`` says so. Raises NoConfidence where
    there is no sample.
    """
    is_same = same or _equal
    groups: list[list[T]] = []
    for sample in samples:
        group = next((group for group in groups if is_same(group[0], sample)), None)
        if group is None:
            groups.append([sample])
        else:
            group.append(sample)
    if not groups:
        raise NoConfidence("there is no agreement of no samples")
    groups.sort(key=len, reverse=True)  # stable: the first stays before its equals
    count = sum(map(len, groups))
    tally = tuple((group[0], len(group)) for group in groups)
    confidence = Confidence(len(groups[0]) / count, "agreement", {"agree": len(groups[0]), "of": count})
    return Agreement(groups[0][0], confidence, tally, len(groups) > 1 and len(groups[1]) == len(groups[0]))


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other)


def stated(answer: Any, path: str = "confidence", *, out_of: float = 1.0) -> Confidence:
    """The confidence that a model wrote down itself: at ``path`` ("confidence", "intent.confidence", "0.score") of a
    value, a mapping, a Reply, or a text that is JSON; ``out_of`` is the top of its scale (10, or 100 for percent).

    Raises NoConfidence where it is missing, no number, or off the scale: 95 of 1 is a misunderstanding, and not 1.
    """
    found = answer.value if isinstance(answer, Reply) else answer
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            raise NoConfidence(f"no confidence stated: the answer is no JSON: {found[:200]!r}") from None
    for part in path.split("."):
        found = _member(found, part, path)
    if isinstance(found, Confidence):
        found = found.value
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0.0 <= found <= out_of:
        raise NoConfidence(f"{path} is {found!r}, and no number from 0 to {out_of:g}: say out_of= for another scale")
    return Confidence(min(1.0, found / out_of), "stated", {"path": path, "stated": found, "out_of": out_of})


def _member(value: Any, part: str, path: str) -> Any:
    if isinstance(value, Mapping) and part in value:
        return value[part]
    if isinstance(value, list | tuple) and part.isdecimal() and int(part) < len(value):
        return value[int(part)]
    if not isinstance(value, Mapping | str) and not part.startswith("_") and hasattr(value, part):
        return getattr(value, part)
    raise NoConfidence(f"no confidence stated at {path}: a {type(value).__name__} without {part!r}")
