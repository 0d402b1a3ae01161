"""The rows of the traces list. Pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import Iterable, Mapping, Sequence
from urllib.parse import urlencode

from tracer import format as fmt
from tracer.format import Shown
from tracer.model import TraceSummary
from tracer.store import Filter, Hit
from web.view.contexts import Link
from web.view.contexts_of_lists import HitLine, Kin, KinRow, TraceRow
from web.view.heading import origin_of
from web.view.marking import around, marked, says
from web.view.text import one_line

_KIN_SHOWN = 20


def trace_href(trace_id: str, wanted: Filter | None = None, *, step: str = "") -> str:
    """The address of a trace; ``in`` carries the list's filter, so that next, previous and back keep to it."""
    query = wanted.query if wanted is not None else ""
    told = urlencode([(name, value) for name, value in (("in", query), ("step", step)) if value])
    return f"/t/{trace_id}?{told}" if told else f"/t/{trace_id}"


def row_of(  # noqa: PLR0913 - what is known of a trace beside its summary
    summary: TraceSummary,
    wanted: Filter,
    *,
    now_ns: int,
    slowest_ns: int = 0,
    hit: Hit | None = None,
    kin: Sequence[TraceSummary] = (),
) -> TraceRow:
    reason, title = _reason(summary)
    models = ", ".join(summary.models)
    return TraceRow(
        trace_id=summary.trace_id,
        href=trace_href(summary.trace_id, wanted),
        status=summary.status,
        started=fmt.relative_time(summary.started_ns, now_ns=now_ns),
        workflow=summary.workflow,
        preview=one_line(summary.preview, 160),
        reason=marked(reason, wanted.words),
        reason_title=title,
        failed=summary.status == "failed",
        time=fmt.shown_duration(summary.duration_ns, summary.status),
        share=_share(summary.duration_ns, slowest_ns),
        steps=fmt.count(summary.steps),
        tokens=fmt.tokens(summary.input_tokens, summary.output_tokens) if _has_tokens(summary) else fmt.NOTHING,
        cost=fmt.trace_cost(summary),
        models=Shown(models, models if len(summary.models) > 1 else ""),
        origin=origin_of(summary),
        hit=None if hit is None else _hit(summary, hit, wanted),
        kin=_kin(summary, kin, now_ns=now_ns),
    )


def family(rows: Sequence[TraceSummary], followers: Iterable[TraceSummary]) -> Mapping[str, list[TraceSummary]]:
    """What came of each of these traces, by its id: replays, resumed runs, and what came of those; newest first.

    What is in here and also one of the rows stands below its origin, not in a row of its own.
    """
    shown = {row.trace_id for row in rows}
    origins = {one.trace_id: one.replay_of or one.resume_of for one in (*rows, *followers)}
    found: dict[str, list[TraceSummary]] = {}
    for one in sorted({one.trace_id: one for one in (*rows, *followers)}.values(), key=_age):
        top, seen = origins[one.trace_id], {one.trace_id}
        last = None
        while top is not None and top not in seen:
            last = top if top in shown else last
            seen.add(top)
            top = origins.get(top)
        if last is not None and last != one.trace_id:
            found.setdefault(last, []).append(one)
    return found


def _age(one: TraceSummary) -> tuple[int, str]:
    return -one.started_ns, one.trace_id


def _share(duration_ns: int | None, slowest_ns: int) -> str:
    if duration_ns is None or slowest_ns <= 0:
        return ""
    return f"{max(2, min(100, round(100 * duration_ns / slowest_ns)))}%"


def _hit(summary: TraceSummary, hit: Hit, wanted: Filter) -> HitLine:
    """The index knows small letters only; what the row shows anyway is shown as it was written."""
    spelled = next((text for text in _spelled(summary, hit) if says(text, wanted.words)), hit.text)
    where = f"name of {hit.name}" if hit.part == "name" else f"{hit.name} {hit.part}"
    href = trace_href(summary.trace_id, wanted, step=hit.step_id)
    return HitLine(one_line(where, 40), href, around(spelled, wanted.words))


def _spelled(summary: TraceSummary, hit: Hit) -> tuple[str, ...]:
    if hit.part == "error":
        return (one_line(summary.error_message or "", 500),)
    return (summary.preview,) if hit.part == "input" else ()


def _kin(summary: TraceSummary, kin: Sequence[TraceSummary], *, now_ns: int) -> Kin | None:
    if not kin:
        return None
    replays = [one for one in kin if one.replay_of]
    resumed = [one for one in kin if not one.replay_of]
    words = [_counted("replay", replays), _counted("resumed run", resumed)]
    more = f" (the newest {_KIN_SHOWN} here)" if len(kin) > _KIN_SHOWN else ""
    rows = tuple(_kin_row(summary, one, now_ns=now_ns) for one in kin[:_KIN_SHOWN])
    return Kin(" · ".join(filter(None, words)) + more, rows)


def _counted(noun: str, some: Sequence[TraceSummary]) -> str:
    counts = Counter(one.status for one in some)
    told = ", ".join(f"{number} {status}" for status, number in counts.most_common())
    return f"{fmt.plural(len(some), noun)}: {told}" if some else ""


def _kin_row(origin: TraceSummary, one: TraceSummary, *, now_ns: int) -> KinRow:
    reason, _ = _reason(one)
    direct = origin.trace_id in (one.replay_of, one.resume_of)
    word = "replay" if one.replay_of else "went on"
    return KinRow(
        word=word if direct else f"{word} of {fmt.short_id(one.replay_of or one.resume_of or '')}",
        link=Link(fmt.short_id(one.trace_id), trace_href(one.trace_id), one.trace_id),
        status=one.status,
        started=fmt.relative_time(one.started_ns, now_ns=now_ns),
        time=fmt.shown_duration(one.duration_ns, one.status),
        cost=fmt.trace_cost(one),
        reason=one_line(reason, 120),
        compare_href=f"/diff/{origin.trace_id}/{one.trace_id}",
    )


def _has_tokens(summary: TraceSummary) -> bool:
    return bool(summary.input_tokens or summary.output_tokens)


def _reason(summary: TraceSummary) -> tuple[str, str]:
    """Why it failed: ``draft · RateLimitError 429 too many requests``; and the whole for a hover."""
    if summary.failed_step and summary.status != "completed":
        code, message = _gist(summary.error_message or "")
        error = " ".join(word for word in (fmt.type_name(summary.error_type), code) if word)
        words = f"{summary.failed_step} · {error}" if error else summary.failed_step
        return f"{words}: {message}" if message else words, one_line(summary.error_message or "", 300)
    if summary.status == "waiting":
        return "asks a human", fmt.plural(summary.escalations, "escalation")
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
