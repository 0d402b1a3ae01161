"""One meaning, one form: durations, money, tokens, sizes and times as every page writes them.

Functions that can't say all in a few characters return a Shown: the words on the page and the exact value for a hover.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from tracer.model import ModelCall, Origin, Status, Step, TraceSummary

MINUTE_NS = 60_000_000_000
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS

STATUS_WORDS: dict[Status, str] = {
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "stopped": "stopped",
    "waiting": "waiting",
    "running": "running",
    "interrupted": "interrupted",
}
#: In a replay: what became of a step, as one word.
ORIGIN_WORDS: dict[Origin, str] = {
    "recorded": "RECORDED",
    "live": "RE-RUN",
    "substituted": "SUBSTITUTED",
    "edited": "EDITED",
    "injected": "INJECTED",
    "stood-in": "STOOD-IN",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """Words for the page, the exact value (or the reason) for a hover, and an optional tone: "dim", "bad", "warn"."""

    text: str
    title: str = ""
    tone: str = ""

    def __bool__(self) -> bool:
        return bool(self.text)


NOTHING = Shown("")


def duration(ns: int | None) -> str:
    """Three figures at most, in the unit that fits: ``0.4 ms``, ``430 ms``, ``1.94 s``, ``2 m 05 s``, ``1 h 02 m``."""
    if ns is None:
        return ""
    if ns < 0:
        return "-" + duration(-ns)
    if ns < 999_500_000:
        ms = ns / 1e6
        return f"{ms:.0f} ms" if ms >= 9.95 else f"{ms:.1f} ms" if ms >= 0.05 else f"{ns / 1e3:.0f} µs"
    if ns < MINUTE_NS - 50_000_000:
        return f"{ns / 1e9:.2f} s" if ns < 9_995_000_000 else f"{ns / 1e9:.1f} s"
    seconds = round(ns / 1e9)
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60:02d} s"
    minutes = round(ns / MINUTE_NS)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} m"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def shown_duration(ns: int | None, status: Status = "completed") -> Shown:
    if ns is not None:
        return Shown(duration(ns), f"{ns:,} ns")
    return Shown("…", "not ended", "dim") if status == "running" else Shown("?", "the end was never recorded", "dim")


def dollars(nusd: int) -> str:
    """Two significant figures below a dollar, cents above: ``$0.00092``, ``$0.31``, ``$4.20``. Zero reads ``$0``."""
    if nusd == 0:
        return "$0"
    sign, amount = ("-" if nusd < 0 else ""), abs(nusd)
    if amount >= 995_000_000:
        return f"{sign}${amount / 1e9:,.2f}"
    exponent = len(str(amount)) - 2
    head = round(amount / 10**exponent) if exponent > 0 else amount
    value = head * 10**exponent if exponent > 0 else amount
    return f"{sign}${value / 1e9:.9f}".rstrip("0")


def call_cost(step: Step) -> Shown:
    """What one model call cost, said honestly: free, not billed, unknown with the reason, or the sum."""
    call = step.call
    if call is None:
        return NOTHING
    if step.origin in ("recorded", "edited", "stood-in", "injected"):
        return Shown("free", f"{ORIGIN_WORDS[step.origin].lower()}: nobody was asked", "dim")
    if call.status_code is not None and call.status_code >= 400 and not (call.cost and call.cost.nusd):
        return Shown("not billed", f"the provider answered {call.status_code}", "dim")
    if call.cost is not None:
        return _priced(call)
    if step.ended_ns is None:
        return Shown("…" if step.status == "running" else "?", "not ended", "dim")
    return Shown("?", call.unpriced_because or "the price is unknown", "warn")


def _priced(call: ModelCall) -> Shown:
    assert call.cost is not None
    exact = f"${call.cost.nusd / 1e9:.9f} by price {call.cost.price}"
    return Shown(dollars(call.cost.nusd), exact) if call.cost.nusd else Shown("free", exact, "dim")


def refusal(call: ModelCall) -> str:
    """What the provider said of an error: ``HTTP 429 rate_limit_error · asks to wait 2 s · request req_1``. Empty where
    it named none."""
    if call.error_type is None and call.retry_after_s is None:
        return ""
    status = "" if call.status_code is None else f"HTTP {call.status_code} "
    told = [f"{status}{call.error_type or ''}".strip()]
    if call.retry_after_s is not None:
        told.append(f"asks to wait {call.retry_after_s:g} s")
    if call.request_id is not None:
        told.append(f"request {call.request_id}")
    return " · ".join(filter(None, told))


def trace_cost(summary: TraceSummary) -> Shown:
    """The cost of a whole trace; a call that is still open, or that was refused, has not cost anything yet."""
    said = summary.input_tokens or summary.output_tokens or summary.cost_nusd or summary.unpriced
    if summary.model_calls and not said and summary.status in ("running", "interrupted"):
        return Shown("…" if summary.status == "running" else "?", "no model call has ended", "dim")
    return cost_sum(summary.cost_nusd, calls=summary.model_calls, unpriced=summary.unpriced)


def cost_sum(nusd: int, *, calls: int, unpriced: int) -> Shown:
    """The cost of several calls. With unknown ones among them it is a floor and says so."""
    if calls == 0:
        return NOTHING
    if unpriced:
        reason = f"{unpriced} of {calls} model calls {'has' if unpriced == 1 else 'have'} no known price"
        return Shown(f"≥ {dollars(nusd)}", reason, "warn") if nusd else Shown("?", reason, "warn")
    return Shown(dollars(nusd), f"${nusd / 1e9:.9f}") if nusd else Shown("free", "nothing was billed", "dim")


def count(number: int) -> str:
    """A number of things in few characters: ``812``, ``1.4k``, ``23k``, ``1.2M``."""
    for limit, unit, size in ((999_500, "k", 1_000), (999_500_000, "M", 1_000_000)):
        if number < 1_000:
            return str(number)
        if number < limit:
            scaled = number / size
            return f"{scaled:.1f}{unit}" if scaled < 9.95 else f"{scaled:.0f}{unit}"
    return f"{number / 1e9:.1f}G"


def tokens(input_tokens: int | None, output_tokens: int | None) -> Shown:
    """``369 / 24``: tokens read and tokens written; ``?`` for the side that is unknown."""
    if input_tokens is None and output_tokens is None:
        return NOTHING
    sides = ["?" if side is None else count(side) for side in (input_tokens, output_tokens)]
    exact = ["unknown" if side is None else f"{side:,}" for side in (input_tokens, output_tokens)]
    return Shown(f"{sides[0]} / {sides[1]}", f"{exact[0]} tokens in, {exact[1]} out")


def attempt(occurrence: int) -> str:
    """A mark like x2 for the second step of a name under the same parent, nothing for the first."""
    return f"\u00d7{occurrence + 1}" if occurrence else ""


def size(octets: int) -> str:
    """Bytes as ``812 B``, ``3.4 KB``, ``12 MB``."""
    if octets < 1_000:
        return f"{octets} B"
    for unit, scale in (("KB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        scaled = octets / scale
        if scaled < 999.5 or unit == "GB":
            return f"{scaled:.1f} {unit}" if scaled < 9.95 else f"{scaled:.0f} {unit}"
    return f"{octets} B"


def exact_time(ns: int) -> str:
    """UTC to the millisecond, as ISO 8601 writes it."""
    moment = datetime.fromtimestamp(ns / 1e9, UTC)
    return moment.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")


def relative_time(ns: int, *, now_ns: int) -> Shown:
    """``12 s ago``, ``5 m ago``, ``3 h 07 m ago``, then the day: ``12 Nov 14:03`` (UTC). The hover is exact."""
    ago, exact = now_ns - ns, exact_time(ns)
    if ago < 0:
        return Shown("just now", exact)
    if ago < MINUTE_NS:
        return Shown(f"{ago // 1_000_000_000} s ago", exact)
    if ago < HOUR_NS:
        return Shown(f"{ago // MINUTE_NS} m ago", exact)
    if ago < DAY_NS:
        return Shown(f"{ago // HOUR_NS} h {ago % HOUR_NS // MINUTE_NS:02d} m ago", exact)
    moment = datetime.fromtimestamp(ns / 1e9, UTC)
    this_year = moment.year == datetime.fromtimestamp(now_ns / 1e9, UTC).year
    return Shown(f"{moment:%d %b %H:%M}" if this_year else f"{moment:%d %b %Y}", exact)


def short_id(trace_id: str) -> str:
    """The beginning of an id: 48 bits of time and 16 of chance tell traces apart, and every command takes it."""
    return trace_id[:16]


def plural(number: int, noun: str) -> str:
    """``1 step``, ``12 steps``, ``2 retries``."""
    if number == 1:
        return f"1 {noun}"
    ending = noun[:-1] + "ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else noun + "s"
    return f"{number:,} {ending}"


def type_name(name: str | None) -> str:
    """The last part of a dotted or colon-separated class name: what a reader calls it."""
    return (name or "").replace(":", ".").rpartition(".")[2]
