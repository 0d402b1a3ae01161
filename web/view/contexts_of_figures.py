"""What the pages of figures may show: frozen values, as ``contexts`` has them for the others."""

from __future__ import annotations

from dataclasses import dataclass

from web.view.contexts import Chrome, Link
from web.view.contexts_of_lists import Chip
from web.view.plots import Plot


@dataclass(frozen=True, slots=True)
class Key:
    """A line of a plot with its mark, what it is, and its value over all."""

    name: str
    mark: str
    value: str


@dataclass(frozen=True, slots=True)
class Card:
    """A figure over all and over time. ``interval`` and ``note`` are empty where there is nothing to say."""

    title: str
    value: str
    interval: str
    tone: str
    href: str
    note: str
    keys: tuple[Key, ...]
    plot: Plot


@dataclass(frozen=True, slots=True)
class Cell:
    """``share`` is a bar behind the number, as SVG takes it: "43%"."""

    text: str
    title: str = ""
    href: str = ""
    tone: str = ""
    share: str = ""
    #: How far it is indented, up to 5.
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    label: str
    title: str = ""
    number: bool = True


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of figures. ``folded``: what it says stands above already, for who reads no plots."""

    title: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    more: Link | None = None
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Sides:
    """Two sides beside each other: what the difference is, in a sentence for each figure."""

    title: str
    #: What is different for certain.
    verdict: str
    grids: tuple[Grid, ...]
    #: What a reader must know to believe it, or why there is nothing.
    note: str
    close: Link


@dataclass(frozen=True, slots=True)
class Scope:
    """What is counted, and what else could be. ``kept`` are the parameters that a form carries on."""

    path: str
    sentence: str
    #: How old the figures are, and how many are left out.
    age: str
    wider: Link | None
    periods: tuple[Chip, ...]
    workflows: tuple[Chip, ...]
    terms: tuple[Link, ...]
    traces: Link
    kept: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OverviewPage:
    chrome: Chrome
    scope: Scope
    #: Links that compare two sides, by what sides are there.
    compared: tuple[Link, ...]
    sides: Sides | None
    refused: str
    before: str
    cards: tuple[Card, ...]
    grids: tuple[Grid, ...]


@dataclass(frozen=True, slots=True)
class GridPage:
    """A page of one table."""

    chrome: Chrome
    title: str
    scope: Scope
    grid: Grid
    #: Sentences below it.
    notes: tuple[str, ...]
    empty: str
