"""How a stream came in: each piece as a mark in time, and the pauses between them in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from tracer import format as fmt
from tracer.wire import HttpResponse

WIDTH, HEIGHT = 600, 18
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Rhythm:
    """``path`` is drawn in WIDTH by HEIGHT: one stroke per piece, at most one per unit of width."""

    path: str
    words: str
    pauses: str


def rhythm_of(response: HttpResponse) -> Rhythm | None:
    """None for what did not come in pieces."""
    moments = sorted(chunk.after_ns for chunk in response.chunks)
    if len(moments) < _FEWEST or moments[-1] <= 0:
        return None
    total = moments[-1]
    places = sorted({min(WIDTH - 1, max(0, moment * (WIDTH - 1) // total)) for moment in moments})
    gaps = [after - before for before, after in pairwise(moments)]
    longest = max(range(len(gaps)), key=gaps.__getitem__)
    usual = sorted(gaps)[len(gaps) // 2]
    return Rhythm(
        path="".join(f"M{x}.5 2v{HEIGHT - 4}" for x in places),
        words=f"{len(moments):,} pieces in {fmt.duration(total)}, the first after {fmt.duration(moments[0])}",
        pauses=(
            f"{fmt.duration(usual)} between pieces, at most {fmt.duration(gaps[longest])} "
            f"(after {fmt.duration(moments[longest])})"
        ),
    )
