"""A plot over time as SVG takes it: paths and numbers, no colours. Pure.

Lines are told apart by their marks and dashes as well as by their colour; every column of a plot is one link, whose
title says all its values. A figure that nobody knows leaves a gap, or a question mark where money is unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Sequence

WIDTH, HEIGHT = 320, 112
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 316, 8, 94
#: At most this wide is a bar, or what a column leaves free beside it.
_WIDEST = 26.0


#: How a value is said.
Words = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Value:
    """A figure at one time, with the bounds of its interval where it has one."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """One figure over time: ``name`` is its CSS class too."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """All of one time: where it leads, what it says when one points at it, and its marks (class and path)."""

    href: str
    title: str
    x: str
    width: str
    marks: tuple[tuple[str, str], ...]
    #: The middle, for a question mark where the value is unknown.
    unknown_x: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """``lines`` and the marks are (class, path). ``ticks`` are (y, words)."""

    label: str
    lines: tuple[tuple[str, str], ...]
    columns: tuple[Column, ...]
    ticks: tuple[tuple[str, str], ...]
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Ground:
    """What all plots of a page share: for each time its label, its link, and what is said of it first."""

    labels: tuple[str, ...]
    hrefs: tuple[str, ...]
    heads: tuple[str, ...]
    ends: tuple[str, str]


def plot(  # noqa: PLR0913 - what a plot is made of
    label: str,
    ground: Ground,
    series: Sequence[Series],
    words: Words,
    *,
    top: float | None = None,
    bars: bool = False,
    unknown: Sequence[bool] = (),
    tick: Words | None = None,
) -> Plot:
    """``words`` says a value; ``top`` is where the scale ends, if not at the largest. ``unknown`` marks the times of
    which there would be more to say than is known."""
    number = len(ground.labels)
    step = (_RIGHT - _LEFT) / max(1, number)
    middles = [_LEFT + step * (at + 0.5) for at in range(number)]
    highest = top or nice(max((_height(each) for one in series for each in one.values), default=0.0))

    def y(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * min(1.0, max(0.0, value / highest if highest else 0.0))

    columns = []
    for at in range(number):
        marks: list[tuple[str, str]] = []
        told = [ground.heads[at]]
        for one in series:
            each = one.values[at]
            if each.value is not None:
                draw = _bar if bars else _mark
                marks += [*_whisker(one.name, middles[at], each, y), draw(one.name, middles[at], y(each.value), step)]
            told.append(_told(one.name if len(series) > 1 else label, each, words))
        missing = _number(middles[at]) if unknown and unknown[at] else ""
        title = ", ".join(told)
        columns.append(
            Column(ground.hrefs[at], title, _number(middles[at] - step / 2), _number(step), tuple(marks), missing)
        )
    lines = () if bars else tuple((one.name, _line(one.values, middles, y)) for one in series)
    ticks = (
        tuple((_number(y(part * highest)), (tick or words)(part * highest)) for part in (0.0, 0.5, 1.0))
        if highest
        else ()
    )
    return Plot(label, lines, tuple(columns), ticks, *ground.ends)


def nice(value: float) -> float:
    """The smallest of 1, 2, 2.5, 5, 10 times a power of ten that is not below the value; 0 for next to nothing."""
    if not 1e-300 < value < math.inf:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(part * power for part in (1.0, 2.0, 2.5, 5.0, 10.0, 20.0) if part * power >= value)


def mark_path(name: str, x: float, y: float, size: float) -> str:
    """A circle, a square or a triangle, by the name of the line that it marks."""
    a, s = _number(x), _number(size)
    match name:
        case "p95" | "orchestration":
            side = _number(2 * size)
            return f"M{_number(x - size)} {_number(y - size)}h{side}v{side}h-{side}z"
        case "p99":
            return (
                f"M{a} {_number(y - 1.2 * size)}L{_number(x + 1.2 * size)} {_number(y + size)}h-{_number(2.4 * size)}z"
            )
        case _:
            return f"M{a} {_number(y - size)}a{s} {s} 0 1 0 .01 0z"


def _height(each: Value) -> float:
    return each.value or 0.0


def _told(name: str, each: Value, words: Words) -> str:
    if each.value is None:
        return f"{name}: nothing to say"
    bounds = "" if each.low is None or each.high is None else f" ({words(each.low)} to {words(each.high)})"
    return f"{name}: {words(each.value)}{bounds}"


def _mark(name: str, x: float, y: float, step: float) -> tuple[str, str]:
    return name, mark_path(name, x, y, 2.6 if step > 9 else 1.9)


def _bar(name: str, x: float, y: float, step: float) -> tuple[str, str]:
    width = min(_WIDEST, step * 0.7)
    height = max(0.0, _BOTTOM - y)
    return f"bar {name}", f"M{_number(x - width / 2)} {_BOTTOM}v-{_number(height)}h{_number(width)}v{_number(height)}z"


def _whisker(name: str, x: float, each: Value, y: Callable[[float], float]) -> list[tuple[str, str]]:
    if each.low is None or each.high is None:
        return []
    return [(f"whisker {name}", f"M{_number(x)} {_number(y(each.low))}V{_number(y(each.high))}")]


def _line(values: Sequence[Value], middles: Sequence[float], y: Callable[[float], float]) -> str:
    """From point to point; broken where there is none."""
    path, pen = [], "M"
    for each, x in zip(values, middles, strict=True):
        if each.value is None:
            pen = "M"
            continue
        path.append(f"{pen}{_number(x)} {_number(y(each.value))}")
        pen = "L"
    return "".join(path)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
