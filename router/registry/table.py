"""Roles as a table."""

from __future__ import annotations

import time
from typing import Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from router.registry.entry import Arm, Entry
from tracer.terminal import inert


def roles_table(entries: Mapping[str, Entry]) -> Table:
    """One row for each role, by name."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("role", "production", "canary", "share", "last change (UTC)"):
        made.add_column(heading, justify="right" if heading == "share" else "left")
    for name, entry in sorted(entries.items()):
        role = entry.role
        share = "" if role.canary is None else f"{role.share:g} %"
        made.add_row(Text(inert(name)), _arm(role.production), _arm(role.canary), share, Text(_last(entry)))
    return made


def _arm(arm: Arm | None) -> Text:
    if arm is None:
        return Text("")
    settings = ", ".join(f"{name}={value}" for name, value in arm.settings.items())
    return Text(inert(f"{arm.target} ({settings})" if settings else arm.target))


def _last(entry: Entry) -> str:
    if not entry.changes:
        return ""
    change = entry.changes[-1]
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(change.at_ns // 10**9))
    return inert(f"{at}  {change.verb} by {change.by}")
