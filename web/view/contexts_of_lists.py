"""What the pages that list traces may show: frozen values, as ``contexts`` has them for the others."""

from __future__ import annotations

from dataclasses import dataclass

from tracer.format import Shown
from tracer.model import Kind, Status
from web.view.contexts import Chrome, Link


@dataclass(frozen=True, slots=True)
class Chip:
    """A value that the list can be narrowed to, with its number of traces; ``count`` is empty where it was not counted.
    The link of one that is chosen takes it away again."""

    label: str
    count: str
    href: str
    current: bool
    status: str = ""


@dataclass(frozen=True, slots=True)
class Menu:
    """A facet that folds away: its name, the value that is chosen (if one is), and its values."""

    name: str
    chosen: str
    chips: tuple[Chip, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a text; ``marked`` where it is what was searched for."""

    text: str
    marked: bool = False


@dataclass(frozen=True, slots=True)
class HitLine:
    """Where a search struck: the step and its part, with the way there, and the words around it."""

    where: str
    href: str
    around: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class KinRow:
    """A replay of the trace above it, or the run that went on with it."""

    word: str
    link: Link
    status: Status
    started: Shown
    time: Shown
    cost: Shown
    reason: str
    compare_href: str


@dataclass(frozen=True, slots=True)
class Kin:
    """What came of a trace, in a line and one by one: ``2 replays: 1 completed, 1 stopped``."""

    line: str
    rows: tuple[KinRow, ...]


@dataclass(frozen=True, slots=True)
class TraceRow:
    trace_id: str
    href: str
    status: Status
    started: Shown
    workflow: str
    preview: str
    reason: tuple[Piece, ...]
    reason_title: str
    failed: bool
    time: Shown
    #: Its duration as a share of the longest that the page shows, as SVG takes it: "43%".
    share: str
    steps: str
    tokens: Shown
    cost: Shown
    models: Shown
    #: The trace that it replays or resumes.
    origin: Link | None
    hit: HitLine | None = None
    kin: Kin | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A filter that someone has given a name, for everyone who uses this store."""

    name: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class TracesPage:
    chrome: Chrome
    sentence: str
    statuses: tuple[Chip, ...]
    menus: tuple[Menu, ...]
    #: What narrows the list, as it would be typed; the link takes it away.
    terms: tuple[Link, ...]
    saved: tuple[Saved, ...]
    #: The token of the forms that keep and forget a filter; empty where this viewer changes nothing.
    csrf: str
    query: str
    text: str
    #: Parameters that the form carries on in hidden fields.
    kept: tuple[tuple[str, str], ...]
    rows: tuple[TraceRow, ...]
    #: The longest duration of the page, and where a listener for newer traces begins; empty on later pages.
    slowest_ns: int
    newest: str
    next_href: str
    first_href: str
    filtered: bool
    can_change: bool
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RowsPage:
    """Rows by themselves, to be put in the place of those that a page shows."""

    rows: tuple[TraceRow, ...]


@dataclass(frozen=True, slots=True)
class DeletePage:
    """What a deletion would take, or took."""

    chrome: Chrome
    sentence: str
    rows: tuple[TraceRow, ...]
    explained: tuple[str, ...]
    csrf: str
    done: bool


@dataclass(frozen=True, slots=True)
class BesideCell:
    """A step in one of several traces: how it compares with the first's, and its result in a line."""

    word: str
    tone: str
    text: str
    title: str
    href: str
    failed: bool


@dataclass(frozen=True, slots=True)
class BesideRow:
    name: str
    badge: str
    kind: Kind
    depth: int
    first: bool
    #: The first trace's, then those of the others; None where a trace has no such step.
    cells: tuple[BesideCell | None, ...]


@dataclass(frozen=True, slots=True)
class BesideSide:
    name: str
    href: str
    status: Status
    plan: str
    time: Shown
    cost: Shown
    tokens: Shown
    #: How it compares with the first, in a sentence, and the page that says all.
    verdict: str
    diff_href: str


@dataclass(frozen=True, slots=True)
class BesidePage:
    chrome: Chrome
    sentence: str
    same: bool
    sides: tuple[BesideSide, ...]
    rows: tuple[BesideRow, ...]
    omitted: int
