"""What each template may use: one frozen value per page, already in words. Templates compute nothing."""

from __future__ import annotations

from dataclasses import dataclass

from tracer.format import Shown
from tracer.model import Kind, Status
from web.view.compare import FieldChange
from web.view.conversation import Conversation
from web.view.copying import Copy
from web.view.deciding import Decided
from web.view.events import Events
from web.view.failure import ErrorBlock
from web.view.health import Health
from web.view.noting import Said
from web.view.payload import Block
from web.view.pictured import Pictured
from web.view.rhythm import Rhythm
from web.view.stepping import Stepping
from web.view.transcript import Transcript
from web.view.waterfall import Waterfall


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    href: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Chrome:
    """The frame around a page. ``command`` is the command line that shows the same (the ``y`` key copies it)."""

    title: str
    crumbs: tuple[Link, ...] = ()
    here: str = ""
    json_href: str = ""
    command: str = ""
    prev_href: str = ""
    next_href: str = ""
    replay_href: str = ""
    compare_href: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """An option of a select."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Header:
    """The strip above a trace."""

    trace_id: str
    workflow: str
    version: str
    status: Status
    started: Shown
    facts: tuple[Shown, ...]
    tags: tuple[tuple[str, str], ...]
    #: The trace that it replays or resumes.
    origin: Link | None
    replays: tuple[Link, ...]
    #: The runs that went on where this one had stopped.
    resumes: tuple[Link, ...] = ()
    compare_href: str = ""
    #: A sentence for what a status word alone does not tell: interrupted, still running, stopped, waiting.
    note: str = ""
    #: What is to be done about it.
    note_link: Link | None = None


@dataclass(frozen=True, slots=True)
class PayloadView:
    """An input or an output. Exactly one of ``conversation``, ``block``, ``changes`` and ``absent`` says what there is
    to see."""

    title: str
    conversation: Conversation | None = None
    block: Block | None = None
    absent: str = ""
    digest: str = ""
    size: str = ""
    marks: tuple[str, ...] = ()
    source: Link | None = None
    #: Where it differs from the recorded value that stands in its place in the origin of a replay.
    changes: tuple[FieldChange, ...] | None = None
    #: Where else in this trace the same value stands.
    same: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Tab:
    """One of several ways to look at the same."""

    label: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class NoteForm:
    """Where a score or a note is sent, the token it carries, and the address to come back to."""

    action: str
    csrf: str
    back: str


@dataclass(frozen=True, slots=True)
class StepPanel:
    step_id: str
    name: str
    kind: Kind
    status: Status
    effect: bool
    crumbs: tuple[Link, ...]
    origin: str
    origin_title: str
    facts: tuple[Shown, ...]
    error: ErrorBlock | None
    #: Where the error comes from, when this step only passed it on.
    passed_on: Link | None
    payloads: tuple[PayloadView, ...]
    details: tuple[tuple[str, str, str], ...]
    replay_href: str
    edit_href: str
    command: str
    stepping: Stepping
    shapes: tuple[Tab, ...] = ()
    decided: Decided | None = None
    rhythm: Rhythm | None = None
    said: tuple[Said, ...] = ()
    #: None where this server only reads.
    form: NoteForm | None = None
    #: What one can take along.
    copies: tuple[Copy, ...] = ()


@dataclass(frozen=True, slots=True)
class TracePage:
    """A trace and one chosen step. Of ``transcript``, ``picture``, ``events`` and ``json`` the one is there that
    ``view`` names; ``tree`` is there for the views that show the steps."""

    chrome: Chrome
    header: Header
    view: str
    views: tuple[Tab, ...]
    selected: str
    step_base: str
    #: ``step_base`` without what is open, for the links that open and close.
    fold_base: str
    #: Where the other views link to.
    timeline_base: str
    tree: Waterfall | None = None
    panel: StepPanel | None = None
    transcript: Transcript | None = None
    picture: Pictured | None = None
    events: Events | None = None
    json: str = ""
    earlier_href: str = ""
    later_href: str = ""


@dataclass(frozen=True, slots=True)
class AskedRow:
    """One question to a human. A ``closed`` one can't be answered; one that has not ``gone_on`` can be resumed."""

    trace_id: str
    step_id: str
    question: str
    workflow: str
    trace_href: str
    facts: tuple[Shown, ...]
    assignee: str
    options: tuple[Choice, ...]
    #: The JSON Schema of the answer, indented; empty where any text will do.
    schema: str
    #: What was typed, where it is no option.
    text: str
    context: Block | None
    #: Why the answer before this one was refused.
    refused: str
    #: Why nobody can answer it.
    unreadable: str
    closed: bool
    gone_on: Link | None
    csrf: str
    action: str
    problem: str


@dataclass(frozen=True, slots=True)
class EscalationsPage:
    chrome: Chrome
    sentence: str
    rows: tuple[AskedRow, ...]
    everything: bool
    #: Who answers, as was entered last.
    by: str
    #: Why nothing can be answered here; empty when it can.
    refused: str = ""


@dataclass(frozen=True, slots=True)
class PayloadPage:
    chrome: Chrome
    digest: str
    size: str
    value: PayloadView
    raw_href: str
    #: Where it stands, among so many of the newest traces.
    found: tuple[Link, ...]
    among: int


@dataclass(frozen=True, slots=True)
class AboutPage:
    chrome: Chrome
    facts: tuple[tuple[str, str], ...]
    #: How recording fares; None for a store whose recording processes are not known here.
    health: Health | None
    #: Key, what it does on the list, what it does on a trace.
    keys: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class ErrorPage:
    chrome: Chrome
    status: int
    sentence: str
    hint: str = ""
    ways_out: tuple[Link, ...] = ()
