"""The rows, chips and sentence of the traces list. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Sequence, get_args
from urllib.parse import urlencode

from tracer import format as fmt
from tracer.format import Shown
from tracer.model import Status, TraceSummary
from tracer.store import Facets, Filter
from web.view.contexts import Chip, Choice, TraceRow
from web.view.heading import origin_of
from web.view.text import one_line

_STATUSES: tuple[Status, ...] = get_args(Status)
#: Statuses that have a chip even when no trace has them.
_ALWAYS = ("completed", "failed")


def list_href(wanted: Filter, *, before: str = "") -> str:
    """The address of the list under this filter."""
    query = "&".join(part for part in (wanted.query, urlencode({"before": before}) if before else "") if part)
    return f"/?{query}" if query else "/"


def trace_href(trace_id: str, wanted: Filter | None = None) -> str:
    """The address of a trace; ``in`` carries the list's filter, so that next, previous and back keep to it."""
    query = wanted.query if wanted is not None else ""
    return f"/t/{trace_id}?{urlencode({'in': query})}" if query else f"/t/{trace_id}"


def sentence_of(wanted: Filter, *, shown: int, more: bool, first: bool) -> str:
    """What the list shows, in words: ``25 failed traces of support, last 7 days, newest first``."""
    if not shown:
        return f"No {wanted.sentence}" if first else f"No older {wanted.sentence}"
    number = (
        f"{'The newest' if first else 'The next'} {shown}" if more else str(shown) if first else f"The last {shown}"
    )
    words = wanted.sentence
    if shown == 1:
        words = words.replace("traces", "trace", 1).replace("replays", "replay", 1)
    return f"{number} {words}, newest first" if shown > 1 else f"{number} {words}"


def chips_of(wanted: Filter, counted: Facets) -> tuple[Chip, ...]:
    """A chip for all, and one per status that occurs."""
    counts = counted.statuses
    total = fmt.count(counted.total) + ("+" if counted.bounded else "")
    chips = [Chip("all", total, list_href(replace(wanted, statuses=())), not wanted.statuses)]
    for status in _STATUSES:
        if counts.get(status) or status in _ALWAYS or status in wanted.statuses:
            href = list_href(replace(wanted, statuses=(status,)))
            chips.append(Chip(status, fmt.count(counts.get(status, 0)), href, status in wanted.statuses, status))
    return tuple(chips)


def choices_of(anything: str, names: Sequence[str], chosen: str | None) -> tuple[Choice, ...]:
    known = [*names, chosen] if chosen and chosen not in names else list(names)
    return (Choice("", anything, chosen is None), *(Choice(name, name, name == chosen) for name in known))


def row_of(summary: TraceSummary, wanted: Filter, *, now_ns: int) -> TraceRow:
    reason, title = _reason(summary)
    models = ", ".join(summary.models)
    return TraceRow(
        trace_id=summary.trace_id,
        href=trace_href(summary.trace_id, wanted),
        status=summary.status,
        started=fmt.relative_time(summary.started_ns, now_ns=now_ns),
        workflow=summary.workflow,
        preview=one_line(summary.preview),
        reason=reason,
        reason_title=title,
        failed=summary.status == "failed",
        time=fmt.shown_duration(summary.duration_ns, summary.status),
        tokens=fmt.tokens(summary.input_tokens, summary.output_tokens) if _has_tokens(summary) else fmt.NOTHING,
        cost=fmt.trace_cost(summary),
        models=Shown(models, models if len(summary.models) > 1 else ""),
        origin=origin_of(summary),
    )


def _has_tokens(summary: TraceSummary) -> bool:
    return bool(summary.input_tokens or summary.output_tokens)


def _reason(summary: TraceSummary) -> tuple[str, str]:
    """Why it failed: ``draft · RateLimitError 429 too many requests``; and the whole for a hover."""
    if summary.failed_step and summary.status != "completed":
        code, message = _gist(summary.error_message or "")
        error = " ".join(word for word in (fmt.type_name(summary.error_type), code) if word)
        words = f"{summary.failed_step} · {error}" if error else summary.failed_step
        return f"{words}: {message}" if message else words, summary.error_message or ""
    if summary.escalations:
        return "escalated to a human", fmt.plural(summary.escalations, "escalation")
    if summary.status == "interrupted":
        return "the process ended before it did", ""
    return "", ""


#: How SDKs word an HTTP error: the status, then the provider's error object as JSON or as Python writes it.
_HTTP_ERROR = re.compile(r"^Error code: (\d{3}) - (.*)", re.DOTALL)
_ITS_MESSAGE = re.compile(r"""["']message["']: (?:"([^"]{1,300})|'([^']{1,300}))""")


def _gist(message: str) -> tuple[str, str]:
    """An error's message for one line: the HTTP status and the provider's own words, where an SDK has wrapped them."""
    wrapped = _HTTP_ERROR.match(message[:4_000])
    if wrapped is None:
        return "", one_line(message, 120)
    inner = _ITS_MESSAGE.search(wrapped[2])
    return wrapped[1], one_line((inner[1] or inner[2]) if inner else wrapped[2], 120)
