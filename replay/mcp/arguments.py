"""What each tool takes. The descriptions are what a coding agent reads."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from replay.plan import FAULTS

Trace = Annotated[
    str, Field(description="A trace: its id, the beginning of one as the lists show it, or latest.", min_length=1)
]
_Value = TypeVar("_Value")


def _object(given: Any) -> Any:
    """Some clients send an object within the arguments as the text of one."""
    try:
        return json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        return given


_ByStep = Annotated[dict[str, _Value], BeforeValidator(_object)]
_Limit = Annotated[int, Field(ge=1, le=100, description="At most this many traces.")]
_FILTER = (
    "Terms that must all hold, as in the viewer's search box: status:failed workflow:NAME model:NAME step:NAME "
    "error:CLASS tag:NAME=VALUE since:7d cost>0.01 duration>2s replays:no, and free words that occur in the trace. "
    "Statuses: completed, failed, cancelled, stopped, waiting, running, interrupted."
)


class Arguments(BaseModel):
    """The root of these: a name that a tool doesn't know is an error."""

    model_config = ConfigDict(extra="forbid")


class ListTraces(Arguments):
    filter: str = Field("status:failed", description=f"{_FILTER} Empty for all traces.")
    limit: _Limit = 20
    older_than: Trace | None = Field(None, description="For the next page: the last trace of the page before.")


class Search(Arguments):
    words: str = Field(description=f"Words that all occur in a trace, with any of these terms. {_FILTER}")
    limit: _Limit = 20


class ReadTrace(Arguments):
    trace: Trace
    skip: int = Field(0, ge=0, description="Leave out this many steps of the tree: to read on in a long one.")


class ReadStep(Arguments):
    trace: Trace
    step: str = Field(description="A step as read_trace shows it: its number like #3, or its path.", min_length=1)
    part: Literal["all", "input", "output", "error"] = "all"
    offset: int = Field(0, ge=0, description="Begin at this character of the part: to read on in a long one.")


class Stats(Arguments):
    by: Literal["workflow", "step", "model", "arm", "day", "version"] = "workflow"
    workflow: str | None = Field(None, description="Only runs of this workflow.")
    since: str | None = Field(None, description="Only runs this young: 30m, 12h, 7d.")


class Diff(Arguments):
    before: Trace
    after: Trace


class Preview(Arguments):
    """The plan of a replay. A step is named by its name, by its path or the end of one, or by a glob over either."""

    trace: Trace
    models: _ByStep[str] = Field(
        default_factory=dict,
        description="By step: the model that answers the model calls inside it, as the workflow's models are named.",
    )
    edits: _ByStep[Any] = Field(
        default_factory=dict,
        description="By step: its result, as JSON, in place of the recorded one. Its code does not run.",
    )
    faults: _ByStep[str] = Field(
        default_factory=dict,
        description=f"By step: the fault that its calls fail with: {', '.join(FAULTS)}. Ending in :once "
        "it strikes only the first try.",
    )
    stand_ins: _ByStep[Any] = Field(
        default_factory=dict,
        description="By effect: a result, as JSON, where the record holds none. Nothing happens in the world.",
    )
    on_divergence: Literal["stop", "live"] = Field(
        "stop", description="What becomes of a model call that the record does not explain."
    )


class Replay(Preview):
    budget_usd: float | None = Field(
        None, ge=0, le=1e6, description="Dollars that it may cost; at most what this server has left."
    )
    max_live_calls: int | None = Field(None, ge=0, description="Calls that may run for real.")


def complaint(tool: str, model: type[Arguments], error: ValidationError) -> str:
    """What is wrong with the arguments of a call, and what the tool takes."""
    wrong = "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'arguments'}: {each['msg'].lower()}" for each in error.errors()[:5]
    )
    fields = (name if field.is_required() else f"{name} (optional)" for name, field in model.model_fields.items())
    return f"{wrong}. {tool} takes {', '.join(fields)}"
