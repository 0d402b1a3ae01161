"""A fault matrix in the words of its page: steps down, faults across, what came of each. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Mapping, Sequence

from replay.matrix import Cell, Matrix
from replay.outcomes import Outcome
from tracer import format as fmt
from web.view.contexts import Chrome, Header, Link
from web.view.text import one_line

#: Outcome -> its sign, its word in a cell, and what it means.
OUTCOMES: Mapping[Outcome, tuple[str, str, str]] = {
    "same": ("=", "same", "the same result, and the same effects"),
    "degraded": ("~", "degraded", "a retry, a fallback or another decision answered, and the trace says so"),
    "escalated": ("?", "escalated", "a human is asked"),
    "failed": ("×", "failed", "failed loudly: the workflow raised"),
    "different": ("!", "silent", "silently different: another result, and nothing in the trace says so"),
    "needs-live": (">", "needs live", "it came to a call that the record does not hold"),
    "stopped": ("■", "stopped", "it came to an effect, to the guard or to the end of the budget"),
    "not-applicable": ("-", "", "not played: the fault has no meaning there, or was not chosen"),
}
_NOTE = 240
#: What the list below the matrix spells out.
_SPELT_OUT: Sequence[Outcome] = ("different", "needs-live", "stopped")


@dataclass(frozen=True, slots=True)
class CellView:
    tone: str
    sign: str
    word: str
    title: str
    #: The comparison with the record; empty where nothing was played.
    href: str


@dataclass(frozen=True, slots=True)
class MatrixView:
    faults: tuple[str, ...]
    #: The step's path without the workflow, and its cells.
    rows: tuple[tuple[str, tuple[CellView, ...]], ...]
    #: Tone, sign, word, number and meaning of each outcome that occurs.
    legend: tuple[tuple[str, str, str, int, str], ...]
    #: Tone, place, fault, note and comparison of what is worth reading.
    notes: tuple[tuple[str, str, str, str, str], ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class Choosable:
    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class FaultsPage:
    chrome: Chrome
    header: Header
    steps: tuple[Choosable, ...]
    faults: tuple[Choosable, ...]
    once: bool
    #: What pressing the button does, and costs.
    size: str
    action: str
    csrf: str
    matrix: MatrixView | None
    junit_href: str
    command: str
    #: The run under way, empty where there is none; how far it is, and the token to cancel it.
    run_id: str = ""
    run_state: str = ""
    done: int = 0
    of: int = 0
    cancel_csrf: str = ""
    again_s: int = 0
    refused: str = ""
    problem: str = ""
    #: The replay without any fault, where that one stopped.
    stopped: Link | None = None


def matrix_view(matrix: Matrix, cells: Mapping[tuple[str, str], Cell]) -> MatrixView:
    """``cells`` are those that were played, or of which it is known why they were not, by path and fault."""
    trace_id, above = matrix.trace_id, f"{matrix.workflow}/"
    counted = Counter(cell.outcome for cell in cells.values() if cell.trace_id)
    silent = counted["different"]
    said = f"{fmt.plural(silent, 'fault')} slipped through." if silent else "No fault slipped through."
    return MatrixView(
        faults=matrix.faults,
        rows=tuple(
            (path.removeprefix(above), tuple(_cell(trace_id, cells.get((path, fault))) for fault in matrix.faults))
            for path in matrix.steps
        ),
        legend=tuple((key, *OUTCOMES[key][:2], counted[key], OUTCOMES[key][2]) for key in OUTCOMES if counted[key]),
        notes=tuple(
            (OUTCOMES[word][1], cell.path.removeprefix(above), cell.fault, _note(cell), _href(trace_id, cell))
            for word in _SPELT_OUT
            for cell in cells.values()
            if cell.outcome == word and cell.trace_id
        ),
        sentence=f"{said} {fmt.plural(counted.total(), 'replay')}, each a trace that can be opened.",
    )


def _note(cell: Cell) -> str:
    return one_line(cell.note, _NOTE)


def _cell(trace_id: str, cell: Cell | None) -> CellView:
    tone: Outcome = "not-applicable" if cell is None else cell.outcome
    sign, word, meaning = OUTCOMES[tone]
    note = "" if cell is None else _note(cell)
    return CellView(tone, sign, word, f"{meaning}: {note}" if note else meaning, _href(trace_id, cell))


def _href(trace_id: str, cell: Cell | None) -> str:
    return "" if cell is None or cell.trace_id is None else f"/diff/{trace_id}/{cell.trace_id}"
