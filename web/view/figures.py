"""Figures as every page of them writes them: shares, times and money, with what they can be trusted for. Pure."""

from __future__ import annotations

from tracer import format as fmt
from tracer.stats.intervals import Interval
from tracer.stats.rows import Latency, Money
from web.view.contexts_of_figures import Cell
from web.view.plots import Words

UNKNOWN = "?"


def percent(value: float) -> str:
    return f"{100 * value:.1f}%" if 0 < value < 1 else f"{100 * value:.0f}%"


def scale(value: float) -> str:
    """A share as an axis says it."""
    return f"{100 * value:g}%"


def took(value: float) -> str:
    return fmt.duration(round(value)) if value else "0 s"


def usd(value: float) -> str:
    return fmt.dollars(round(value))


def number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def interval(found: Interval, words: Words) -> str:
    """``91.0% to 94.8%``; a question mark for a bound that there are too few to say."""
    if (found.low is None and found.high is None) or not found.of:
        return ""
    low, high = (UNKNOWN if bound is None else words(bound) for bound in (found.low, found.high))
    return f"{low} to {high}"


def value_of(found: Interval, words: Words) -> str:
    return UNKNOWN if found.value is None else words(found.value)


def cell(found: Interval, words: Words, *, href: str = "", bad: bool = False) -> Cell:
    """A figure, with its interval for a hover; a bad one is red where it is not zero."""
    if found.value is None:
        return Cell("", "nothing to count")
    bounds = interval(found, words)
    title = f"{bounds} with 95 % confidence, of {found.of:,}" if bounds else f"of {found.of:,}"
    return Cell(words(found.value), title, href, "bad" if bad and found.value else "")


def times(latency: Latency, *, p99: bool = True) -> tuple[Cell, ...]:
    each = (latency.p50, latency.p95, latency.p99) if p99 else (latency.p50, latency.p95)
    return tuple(cell(one, took) for one in each)


def money(cost: Money, of: int, *, what: str = "runs") -> Cell:
    """A sum; a floor where some of it is unknown, a question mark where all of it is."""
    return sum_of(cost.total_nusd, unpriced=cost.unpriced, of=of, what=what)


def sum_of(nusd: int, *, unpriced: int, of: int, what: str, share: str = "") -> Cell:
    if unpriced:
        reason = f"{unpriced:,} of {of:,} {what} have a price that is not known"
        return Cell(f"≥ {usd(nusd)}" if nusd else UNKNOWN, reason, tone="warn", share=share)
    return Cell(usd(nusd), f"${nusd / 1e9:.9f}", share=share)


def part(value: float, of: float) -> str:
    """As SVG takes it, and as one reads it; empty where there is nothing to be part of."""
    return f"{100 * value / of:.0f}%" if of else ""
