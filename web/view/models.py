"""The table of models: how they do, what they cost, and by which price. Pure."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Iterable, Iterator, Mapping

from tracer import format as fmt
from tracer.pricing import SERVED
from tracer.seen import CallSeen
from tracer.stats.rows import ModelRow
from tracer.store import Filter
from web.view.contexts_of_figures import Cell, Grid, Head
from web.view.figures import UNKNOWN, cell, part, percent, times, took, usd
from web.view.narrowing import list_href
from web.view.overview import money_share
from web.view.text import one_line

_FREE = (SERVED, "not billed")


@dataclass(slots=True)
class Told:
    """What the calls of a model say beside how they went. ``prices`` and ``reasons`` are counts of calls, ``last_ns``
    when each price was last used."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_ns: int = 0
    prices: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    last_ns: dict[str, int] = field(default_factory=dict)


def told_of(calls: Iterable[CallSeen]) -> Mapping[str, Told]:
    """By model, as ``tracer.stats`` names them."""
    found: defaultdict[str, Told] = defaultdict(Told)
    for call in calls:
        if not call.counts:
            continue
        of = found[call.model or "unknown"]
        of.input_tokens += call.input_tokens or 0
        of.output_tokens += call.output_tokens or 0
        if call.ended_ns is None:
            continue
        of.total_ns += call.ended_ns - call.started_ns
        if call.cost_nusd is None:
            of.reasons[call.unpriced_because or "the price is unknown"] += 1
        elif call.price is not None:
            of.prices[call.price] += 1
            of.last_ns[call.price] = max(of.last_ns.get(call.price, 0), call.started_ns)
    return found


def models_grid(rows: Iterable[ModelRow], told: Mapping[str, Told], wanted: Filter) -> Grid:
    some = sorted(rows, key=lambda row: (-row.cost.total_nusd, -row.calls, row.name))
    total_nusd = sum(row.cost.total_nusd for row in some)
    total_ns = sum(told[row.name].total_ns for row in some if row.name in told)
    heads = (
        Head("Model", number=False),
        *map(Head, ("Calls", "Errors", "Again")),
        *map(Head, ("p50", "p95", "Time in all")),
        Head("Tokens", "in / out"),
        Head("Cost", "of what all models cost"),
        Head("Per call"),
        Head("Price", number=False),
    )
    return Grid(
        "Models", heads, tuple(_row(row, told.get(row.name, Told()), wanted, total_nusd, total_ns) for row in some)
    )


def _row(row: ModelRow, told: Told, wanted: Filter, total_nusd: int, total_ns: int) -> tuple[Cell, ...]:
    of_model = replace(wanted, model=row.name if row.name != "unknown" else None)
    href = list_href(of_model)
    failed = list_href(replace(of_model, statuses=("failed",)))
    tokens = fmt.tokens(told.input_tokens, told.output_tokens)
    return (
        Cell(one_line(row.name, 60), href=href),
        Cell(f"{row.calls:,}", href=href),
        cell(row.errors, percent, href=failed if row.errors.value else "", bad=True),
        cell(row.retries, percent),
        *times(row.latency, p99=False),
        Cell(took(told.total_ns), share=part(told.total_ns, total_ns)),
        Cell(tokens.text, tokens.title),
        money_share(row.cost.total_nusd, total_nusd, row.cost.unpriced, row.calls),
        cell(row.cost.mean, usd)
        if row.cost.mean.value is not None
        else Cell(UNKNOWN, "no price is known", tone="warn"),
        _price(told),
    )


def _price(told: Told) -> Cell:
    """The price that was used last, with the day; or why there is none."""
    if told.prices:
        # what was served or not billed says nothing of the model's price
        last = max(told.last_ns, key=lambda name: (not name.startswith(_FREE), told.last_ns[name]))
        others = f" and {len(told.prices) - 1} more" if len(told.prices) > 1 else ""
        title = "; ".join(
            f"{name}: {fmt.plural(count, 'call')}, last {fmt.exact_time(told.last_ns[name])[:10]}"
            for name, count in told.prices.most_common(6)
        )
        unknown = f" · unknown: {next(iter(told.reasons))}" if told.reasons else ""
        day = fmt.exact_time(told.last_ns[last])[:10]
        return Cell(
            f"{one_line(last, 60)} · {day}{others}{one_line(unknown, 80)}", title, tone="warn" if unknown else ""
        )
    if told.reasons:
        return Cell(f"unknown: {one_line(told.reasons.most_common(1)[0][0], 90)}", tone="warn")
    return Cell("")


def ways_out(told: Mapping[str, Told]) -> Iterator[str]:
    """What to do about the prices that nobody knows, a line for each model."""
    for name, of in sorted(told.items()):
        if of.reasons:
            (reason, _), calls = of.reasons.most_common(1)[0], sum(of.reasons.values())
            model = one_line(name, 60)
            yield (
                f"{model}, {fmt.plural(calls, 'call')} without a price: {one_line(reason, 120)}. Write its price into "
                f"a file and run playhead reprice --model {shlex.quote(model)} --prices prices.toml --apply"
            )
