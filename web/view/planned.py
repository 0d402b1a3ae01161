"""What a plan would do and may cost, in the words of the replay form. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping

from tracer import format as fmt
from web.view.text import sentence

#: What a preview says of a step -> the word of the page, its tone, and what is counted.
_WORDS = {
    "served": ("SERVED", "free", "served from the record"),
    "runs": ("RUNS", "rerun", "run again"),
    "live": ("LIVE", "live", "run for real"),
    "edited": ("EDITED", "edited", "given by you"),
    "fails": ("FAULT", "injected", "made to fail"),
    "stood in": ("STAND-IN", "edited", "stood in for"),
    "unknown": ("DEPENDS", "depends", "that depend on what comes before"),
    "stops": ("REFUSED", "gone", "where it would stop"),
}


@dataclass(frozen=True, slots=True)
class Fate:
    """What the plan makes of one step. ``cost`` is what its call may cost, empty where nothing is asked."""

    word: str
    tone: str
    reason: str
    cost: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """``tally``: word, tone, number of steps, and what they are. ``money`` is one sentence."""

    tally: tuple[tuple[str, str, int, str], ...]
    money: str
    #: Why this plan can't be begun.
    problem: str = ""
    #: Why an edit does not fit, by the path of its step.
    edits: Mapping[str, str] = field(default_factory=dict)
    fates: Mapping[str, Fate] = field(default_factory=dict)

    @property
    def can_run(self) -> bool:
        return not (self.problem or self.edits)


def planned(told: Mapping[str, Any]) -> Planned:
    """From what web.preparing answered."""
    costs = told["estimate"]["by_path"]
    fates = {row["path"]: _fate(row, costs) for row in told["rows"] if row["depth"] > 0}
    counted = Counter(row["word"] for row in told["rows"] if row["depth"] > 0)
    return Planned(
        tally=tuple((*_WORDS[word][:2], counted[word], _WORDS[word][2]) for word in _WORDS if counted[word]),
        money=" ".join(_money(told["estimate"])) if not told["problem"] else "",
        problem=sentence(told["problem"]) if told["problem"] else "",
        edits={path: sentence(said) for path, said in told["edits"].items()},
        fates=fates,
    )


def _fate(row: Mapping[str, Any], costs: Mapping[str, int | None]) -> Fate:
    word, tone, _ = _WORDS[row["word"]]
    cost = costs.get(row["path"], 0)
    said = "" if row["path"] not in costs else "price unknown" if cost is None else f"about {fmt.dollars(cost)}"
    return Fate(word, tone, row["reason"], said)


def _money(told: Mapping[str, Any]) -> Iterator[str]:
    sure, maybe = told["calls"], told["maybe_calls"]
    if not sure and not maybe:
        yield "It asks no model: it costs nothing."
        return
    if sure:
        yield f"{fmt.plural(sure, 'model call')}: about {fmt.dollars(told['nusd'])}."
    if maybe:
        most = fmt.dollars(told["nusd"] + told["maybe_nusd"])
        yield f"{fmt.plural(maybe, 'more call')} where an input changes: up to about {most} in all."
    if told["unpriced"]:
        yield f"No price is known for {', '.join(told['unpriced'])}, which is not in these sums."
    yield "Counted with as many tokens as were recorded; only a budget is a bound."
