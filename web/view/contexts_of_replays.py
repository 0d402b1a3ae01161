"""What the templates of replays may use: the form, a run under way, and the comparison (see contexts)."""

from __future__ import annotations

from dataclasses import dataclass

from tracer.format import Shown
from tracer.model import Kind, Status
from web.view.compare import DiffView
from web.view.contexts import Choice, Chrome, Header, Link
from web.view.planned import Fate, Planned


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One step in the replay form. ``field`` is its path, by which its fields are named."""

    step: str
    field: str
    name: str
    kind: Kind
    status: Status
    depth: int
    model: str
    effect: bool
    choices: tuple[Choice, ...]
    #: The model that is to answer in its place; None where no model is asked in it.
    other_model: str | None
    fault: str
    edit: str
    edit_rows: int
    edit_note: str
    #: The type of what was recorded, in a word.
    edit_type: str
    #: Why the edit does not fit it.
    edit_problem: str
    #: What makes one look again: it fits, and is of another kind than what was recorded.
    edit_warning: str
    edited: bool
    touched: bool
    open: bool
    chosen: bool
    #: What the plan makes of it; None where that is not known, or a step around it is served.
    fate: Fate | None


@dataclass(frozen=True, slots=True)
class ReplayPage:
    chrome: Chrome
    header: Header
    rows: tuple[PlanRow, ...]
    #: Steps that have no row; a rule can still name them.
    omitted: int
    csrf: str
    action: str
    command: str
    budget: str
    #: More rules, as the command line writes them.
    extra: str
    divergence: tuple[Choice, ...]
    models: tuple[str, ...]
    faults: tuple[str, ...]
    planned: Planned | None
    runs: tuple[Link, ...]
    #: Why no replay can be started here; empty when it can.
    refused: str = ""
    #: What went wrong with the last attempt, as a sentence, and what to do about it.
    problem: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class StopView:
    """Where a replay ended early: what it met, both inputs where they differ, and what would let it pass."""

    sentence: str
    advice: str
    #: Path, and what each side holds.
    changes: tuple[tuple[str, str, str], ...]
    #: What to add to the plan; with a link to the form that has it.
    ways: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class RunPage:
    """One run of the viewer, under way or over."""

    chrome: Chrome
    run_id: str
    title: str
    state: str
    #: What it does, or what came of it.
    sentence: str
    done: int
    of: int
    facts: tuple[Shown, ...]
    command: str
    csrf: str
    #: Seconds until the page without script looks again; 0 once it is over.
    again_s: int
    #: Where to go on, the first of them first of all.
    links: tuple[Link, ...]
    problem: str = ""
    stop: StopView | None = None


@dataclass(frozen=True, slots=True)
class DiffPage:
    chrome: Chrome
    diff: DiffView
    swap_href: str = ""
    #: The command that does the same replay again; empty for what is none.
    again: str = ""
    #: Why the replay ended early.
    stop: StopView | None = None
