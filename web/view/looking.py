"""How a trace is looked at: everything that the address of its page says besides the step. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Mapping, get_args
from urllib.parse import urlencode

View = Literal["timeline", "tree", "conversation", "graph", "events", "json"]
Shape = Literal["typed", "raw", "recorded"]
VIEWS: tuple[View, ...] = get_args(View)
SHAPES: tuple[Shape, ...] = get_args(Shape)
#: Folds that are open at once: every link of the page names them.
MOST_OPEN = 12
_KEY = 20


@dataclass(frozen=True, slots=True)
class Looking:
    """``within`` is the query of the list that the trace was opened from, ``first`` the place that a paged view begins
    at. What can't be is left out: an address that someone cut short still opens."""

    within: str = ""
    view: View = "timeline"
    #: How inputs and outputs are shown: as typed values, as JSON, or against the recorded ones of a replay.
    shape: Shape = "typed"
    opened: tuple[str, ...] = ()
    whole: bool = False
    first: int = 0

    @classmethod
    def parse(cls, query: Mapping[str, str], *, within: str = "") -> Looking:
        view, shape, first = query.get("view", ""), query.get("as", ""), query.get("from", "")
        keys = [key for key in query.get("open", "").split(",") if key.isalnum() and len(key) <= _KEY]
        return cls(
            within=within,
            view=view if view in VIEWS else "timeline",
            shape=shape if shape in SHAPES else "typed",
            opened=tuple(dict.fromkeys(keys))[-MOST_OPEN:],
            whole=query.get("rows") == "all",
            first=int(first) if first.isdecimal() and len(first) < 10 else 0,
        )

    @property
    def base(self) -> str:
        """The beginning of every address of this page: ``step=...`` goes behind it."""
        said = {
            "in": self.within,
            "view": "" if self.view == "timeline" else self.view,
            "as": "" if self.shape == "typed" else self.shape,
            "rows": "all" if self.whole else "",
            "open": ",".join(self.opened),
            "from": str(self.first) if self.first else "",
        }
        told = urlencode({name: value for name, value in said.items() if value}, safe=",")
        return f"?{told}&" if told else "?"

    def at(self, step_id: str, **changes: Any) -> str:
        """The address of a step, looked at otherwise."""
        return f"{replace(self, **changes).base}step={step_id}"
