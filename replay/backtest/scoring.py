"""When two outputs count as the same, and which of them is right.

A scorer is a function of a Pair that gives True or False, a number from 0 to 1, or a Score. By name there are:

    exact              equal values of equal types
    json               equal as JSON: a text that is JSON is read, 1 and 1.0 are one number, key order is nothing
    fields             the share of the fields (leaves, by path) that are equal as JSON; the same fields agree fully
    numeric:TOL        as json, with numbers (and texts that are numbers) at most TOL apart; ``numeric:1%`` of the first
    label:NAME         as json, and each side held against the right answer, recorded as the score NAME of any step;
                       ``label:NAME:numeric:TOL`` does all of that as numeric
    module:function    your function
    judge:MODEL        a model of the catalogue is asked whether both say the same (replay.backtest.judge)
"""

from __future__ import annotations

import difflib
import importlib
import json
import math
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator, Mapping

from replay.compare import MISSING, compare
from replay.errors import PlanError
from tracer.plain import plain

_NAMED = "exact, json, fields, numeric:TOL, label:NAME, judge:MODEL or module:function"
#: Characters of two texts that are compared to see how far they are apart.
_MOST_COMPARED = 2_000


@dataclass(frozen=True, slots=True)
class Pair:
    """What a scorer sees of one trace. ``before`` is the recorded output and ``after`` the new one; MISSING where that
    run failed. ``scores`` are those recorded in the old trace, by name. ``budget_nusd`` is what may still be spent."""

    trace_id: str
    input: Any
    before: Any
    after: Any
    scores: Mapping[str, Any] = field(default_factory=dict)
    budget_nusd: int | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """``value`` from 0 (another answer) to 1 (the same); None where nobody can say, with the reason as ``problem``."""

    value: float | None
    right_before: bool | None = None
    right_after: bool | None = None
    problem: str | None = None
    cost_nusd: int = 0
    unpriced: int = 0


Scorer = Callable[[Pair], "Score | float | bool"]


def scorer_of(scorer: str | Scorer) -> Scorer:
    """The scorer of that name, or the function itself. Raises PlanError, which lists what there is."""
    if not isinstance(scorer, str):
        return scorer
    name, _, rest = scorer.partition(":")
    if not rest and name in _PLAIN:
        return _PLAIN[name]
    if rest and name in _WITH_VALUE:
        return _WITH_VALUE[name](rest)
    if rest and name not in _PLAIN:
        return _imported(scorer, name, rest)
    raise PlanError(f"no scorer {scorer!r}; there are {_NAMED}")


def score(scorer: Scorer, pair: Pair) -> Score:
    """What the scorer says. Where a run failed there is nothing to compare: a recorded failure has no score, a new one
    agrees with nothing; labels are asked all the same. What a scorer raises is its ``problem``."""
    labelled = isinstance(scorer, Label)
    if not labelled and pair.before is MISSING:
        return Score(None, problem="the recorded run failed, or asked a human: there is no output to compare with")
    if not labelled and pair.after is MISSING:
        return Score(0.0)
    try:
        said = scorer(pair)
    except Exception as error:  # noqa: BLE001 - the user's function
        return Score(None, problem=f"the scorer raised {type(error).__name__}: {error}")
    return said if isinstance(said, Score) else _as_score(said)


def _as_score(said: Any) -> Score:
    if not isinstance(said, int | float) or not 0 <= said <= 1:
        return Score(None, problem=f"the scorer gave {said!r}, which is no number from 0 to 1")
    return Score(float(said))


def exact(pair: Pair) -> bool:
    return not compare(pair.before, pair.after)


def same_json(pair: Pair) -> bool:
    return _same_json(pair.before, pair.after)


def _same_json(one: Any, other: Any) -> bool:
    return _leaves(one) == _leaves(other)


def same_fields(pair: Pair) -> float:
    before, after = _leaves(pair.before), _leaves(pair.after)
    paths = before.keys() | after.keys()
    return sum(before.get(path, MISSING) == after.get(path, MISSING) for path in paths) / len(paths)


@dataclass(frozen=True, slots=True)
class Numeric:
    """Numbers at most this far apart; relative: of the recorded number."""

    tolerance: float
    relative: bool = False

    @classmethod
    def of(cls, text: str) -> Numeric:
        try:
            tolerance = float(text.removesuffix("%"))
        except ValueError:
            tolerance = math.nan
        if not 0 <= tolerance < math.inf:
            raise PlanError(f"numeric:TOL takes a number from 0 on or a percentage, not {text!r}")
        return cls(tolerance / 100 if text.endswith("%") else tolerance, relative=text.endswith("%"))

    def __call__(self, pair: Pair) -> bool:
        return self.same(pair.before, pair.after)

    def same(self, one: Any, other: Any) -> bool:
        before, after = _leaves(one), _leaves(other)
        return before.keys() == after.keys() and all(self._near(before[path], after[path]) for path in before)

    def _near(self, one: tuple[str, Any], other: tuple[str, Any]) -> bool:
        left, right = _number(one), _number(other)
        if left is None or right is None:
            return one == other
        most = self.tolerance * abs(left) if self.relative else self.tolerance
        if left == right:
            return True
        # So that 0.1 + 0.2 is 0.3 at any tolerance.
        return abs(left - right) <= most + 1e-12 * max(abs(left), abs(right))


@dataclass(frozen=True, slots=True)
class Label:
    """Right is an output that is the ``same`` as the recorded score of this name; a run that failed is not."""

    name: str
    same: Callable[[Any, Any], bool]

    @classmethod
    def of(cls, text: str) -> Label:
        name, _, how = text.partition(":")
        if not how:
            return cls(name, _same_json)
        kind, _, tolerance = how.partition(":")
        if kind != "numeric":
            raise PlanError(f"label:NAME takes numeric:TOL after the name, not {how!r}")
        return cls(name, Numeric.of(tolerance).same)

    def __call__(self, pair: Pair) -> Score:
        if self.name not in pair.scores:
            known = ", ".join(pair.scores) or "none"
            return Score(None, problem=f"the trace has no score named {self.name!r} (it has {known})")
        right = pair.scores[self.name]
        before, after = (side is not MISSING and self.same(right, side) for side in (pair.before, pair.after))
        if pair.before is MISSING:
            return Score(None, right_before=before, right_after=after)
        is_same = pair.after is not MISSING and self.same(pair.before, pair.after)
        return Score(float(is_same), right_before=before, right_after=after)


def apart(before: Any, after: Any) -> float:
    """How far two values are apart to the eye, 0 to 1: to sort by, not to judge by."""
    if before is MISSING or after is MISSING:
        return float(before is not after)
    one, other = _leaves(before), _leaves(after)
    if one == other:
        return 0.0
    paths = one.keys() | other.keys()
    return sum(_leaf_apart(one.get(path), other.get(path)) for path in paths) / len(paths)


def _leaf_apart(one: tuple[str, Any] | None, other: tuple[str, Any] | None) -> float:
    if one == other:
        return 0.0
    if one is None or other is None or one[0] != "text" or other[0] != "text":
        return 1.0
    left, right = (str(leaf[1])[:_MOST_COMPARED].split() for leaf in (one, other))
    return 1.0 - difflib.SequenceMatcher(a=left, b=right, autojunk=False).quick_ratio()


def _leaves(value: Any) -> dict[str, tuple[str, Any]]:
    """A value's leaves by path, each with what it is in JSON; an empty list or object is a leaf."""
    return dict(_walk("$", _read(plain(value))))


def _read(value: Any) -> Any:
    """A text that is a JSON object or array is what it says: models answer so."""
    if isinstance(value, str) and value.strip()[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _walk(path: str, value: Any) -> Iterator[tuple[str, tuple[str, Any]]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _walk(f"{path}[{key!r}]", item)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _walk(f"{path}[{index}]", item)
    elif isinstance(value, bool) or value is None:
        yield path, ("word", value)
    elif isinstance(value, int | float):
        yield path, ("number", value)
    else:
        yield path, ("text", value) if isinstance(value, str) else ("empty", type(value).__name__)


def _number(leaf: tuple[str, Any]) -> float | None:
    kind, value = leaf
    if kind not in {"number", "text"}:
        return None
    try:
        return float(value.replace(",", "")) if kind == "text" else float(value)
    except (ValueError, OverflowError):
        return None


def _imported(scorer: str, module: str, name: str) -> Scorer:
    try:
        function: Any = importlib.import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise PlanError(f"the scorer {scorer} can't be imported ({error}); there are {_NAMED}") from None
    if not callable(function):
        raise PlanError(f"the scorer {scorer} is no function")
    return function  # type: ignore[no-any-return]  # just seen to be callable


def _judge(model: str) -> Scorer:
    from replay.backtest.judge import Judge  # noqa: PLC0415 - most backtests ask no judge

    return Judge(model)


_PLAIN: dict[str, Scorer] = {"exact": exact, "json": same_json, "fields": same_fields}
_WITH_VALUE: dict[str, Callable[[str], Scorer]] = {"numeric": Numeric.of, "label": Label.of, "judge": _judge}
