"""Breakers as a table."""

from __future__ import annotations

import time
from typing import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from router.breaker.history import Known
from tracer.terminal import inert

_STYLES = {"open": "red", "half-open": "yellow", "closed": "green"}


def table(breakers: Sequence[Known]) -> Table:
    """One row for each, by name."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("breaker", "state", "since (UTC)", "trips", "probes", "last error"):
        made.add_column(heading, justify="right" if heading in {"trips", "probes"} else "left")
    for each in breakers:
        state = Text(f"{each.state}, shared" if each.shared else each.state, style=_STYLES.get(each.state, ""))
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(each.since_ns // 10**9)) if each.since_ns else ""
        told = (Text(inert(each.name)), state, since, str(each.trips), str(each.probes), Text(inert(each.last_error)))
        made.add_row(*told)
    return made
