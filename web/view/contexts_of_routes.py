"""What the pages of routes, canaries, thresholds and health may show: frozen values, already in words."""

from __future__ import annotations

from dataclasses import dataclass

from tracer.format import Shown
from web.view.contexts import Choice, Chrome, Link
from web.view.health import Health


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its interval: the words, the counts on hover, and where it lies on a bar from 0 to 100."""

    text: str
    title: str
    at: float
    low: float
    high: float
    href: str = ""


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A target of a router. ``states`` are what its breaker said when it was asked, each with a number."""

    name: str
    answers: Rate
    states: str


@dataclass(frozen=True, slots=True)
class RouterCard:
    """One step that decides, over a period."""

    anchor: str
    name: str
    policy: str
    href: str
    facts: tuple[Shown, ...]
    targets: tuple[TargetRow, ...]
    rates: tuple[tuple[str, Rate], ...]
    #: What it decided and why, with the number of times; the most frequent first.
    reasons: tuple[tuple[str, str, str], ...]
    #: How many more reasons there were.
    more: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in one state, as a rectangle; units are those of the timeline."""

    state: str
    x: float
    width: float
    title: str
    href: str


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A transition in words."""

    at: Shown
    state: str
    was: str
    reason: str
    link: Link


@dataclass(frozen=True, slots=True)
class BreakerCard:
    name: str
    state: str
    facts: tuple[Shown, ...]
    stretches: tuple[Stretch, ...]
    #: Where the labels of time stand, in percent of the width.
    ticks: tuple[tuple[float, str], ...]
    changes: tuple[ChangeRow, ...]
    more: str


@dataclass(frozen=True, slots=True)
class RoutesPage:
    chrome: Chrome
    sentence: str
    periods: tuple[tuple[Link, bool], ...]
    routers: tuple[RouterCard, ...]
    breakers: tuple[BreakerCard, ...]


@dataclass(frozen=True, slots=True)
class ArmRow:
    arm: str
    target: str
    settings: str
    share: str
    outcomes: str
    rates: tuple[Rate, ...]


@dataclass(frozen=True, slots=True)
class RoleChange:
    at: Shown
    by: str
    verb: str
    after: str
    before: str
    because: str


@dataclass(frozen=True, slots=True)
class RoleCard:
    """A role. ``seen`` is the role as this page shows it: a form that was made for another one changes nothing."""

    name: str
    arms: tuple[ArmRow, ...]
    counted: str
    is_bad: bool
    #: Whether enough came of both arms to tell.
    is_ready: bool
    verdict: str
    changes: tuple[RoleChange, ...]
    command: str
    seen: str
    has_canary: bool
    share: str
    back: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CanariesPage:
    chrome: Chrome
    sentence: str
    periods: tuple[tuple[Link, bool], ...]
    roles: tuple[RoleCard, ...]
    #: Roles that traces speak of and that are not in this store.
    elsewhere: tuple[RoleCard, ...]
    csrf: str
    by: str
    because: str
    #: Why nothing can be changed here; empty when it can.
    refused: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A curve over thresholds in one frame of the drawing: the band of its intervals, the line, its points."""

    name: str
    y: float
    height: float
    bands: tuple[str, ...]
    lines: tuple[str, ...]
    dots: tuple[tuple[float, float, str], ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A tuning curve: thresholds to the right, a frame above the other. ``unknown`` are stretches (x, width) of which
    nobody knows anything; ``marks`` are thresholds of interest with their names."""

    width: float
    height: float
    left: float
    right: float
    label: str
    frames: tuple[Line, ...]
    unknown: tuple[tuple[float, float, str], ...]
    ticks: tuple[tuple[float, str], ...]
    marks: tuple[tuple[float, str, str], ...]
    cursor: float


@dataclass(frozen=True, slots=True)
class CurveRow:
    """One threshold of the table."""

    accept: str
    href: str
    asks: str
    quality: str
    cost: str
    worth: str
    mark: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class At:
    """What the chosen threshold would have come to."""

    accept: str
    facts: tuple[tuple[str, str], ...]
    why_not: str


@dataclass(frozen=True, slots=True)
class Tuned:
    """A curve, and what one can do with it."""

    sentence: str
    left: tuple[str, ...]
    drawing: Drawing
    rows: tuple[CurveRow, ...]
    at: At
    slider: tuple[str, str, str]
    recommended: str
    recommended_href: str
    #: What nobody saw and how to see it, where there is such a gap.
    gap: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class ThresholdsPage:
    chrome: Chrome
    sentence: str
    cascades: tuple[tuple[Link, bool], ...]
    #: Name and value of what is chosen, to be sent along.
    kept: tuple[tuple[str, str], ...]
    scorers: tuple[Choice, ...]
    goals: tuple[Choice, ...]
    goal_value: str
    runs: tuple[Choice, ...]
    tuned: Tuned | None
    problem: str
    roles: tuple[Choice, ...]
    csrf: str
    refused: str = ""


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting in force; ``source`` is who said so."""

    name: str
    value: str
    source: str
    is_default: bool


@dataclass(frozen=True, slots=True)
class Section:
    """Some facts under a heading; ``problem`` is what is wrong with all of them."""

    title: str
    facts: tuple[tuple[str, str], ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class HealthPage:
    chrome: Chrome
    #: How recording fares; None for a store whose recording processes are not known here.
    recording: Health | None
    totals: tuple[tuple[str, str, str], ...]
    sections: tuple[Section, ...]
    settings: tuple[SettingRow, ...]
