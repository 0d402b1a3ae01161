"""``playhead reprice``: what a period costs by another price, and, if so wanted, its figures written anew.

Three questions, one walk over the recorded calls. By itself: what do they cost by the table that is installed now? With
``--prices``: what do the models in that file cost by it? With ``--as``: what would the same tokens have cost elsewhere?
A figure that is known never becomes unknown; such a call keeps what was recorded.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Mapping

import click
from rich.table import Table

from tracer.cli import as_json, console, print_json
from tracer.errors import ConfigError
from tracer.format import cost_sum, dollars, plural
from tracer.parts import Priced
from tracer.price_file import PriceFile, read_price_file
from tracer.pricing import DECLARED, price_call
from tracer.terminal import inert

if TYPE_CHECKING:
    from tracer.store import Filter
    from tracer.store.repricing import Repriced, StoredCall


@dataclass
class Sum:
    """Calls of one model: what they were recorded to cost, and what they cost now, in nano-dollars. The unknown are
    counted beside the sums; ``unknown`` says why those of the new figures are, ``kept`` why a recorded one stayed."""

    calls: int = 0
    recorded_nusd: int = 0
    recorded_unknown: int = 0
    new_nusd: int = 0
    new_unknown: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)

    def add(self, other: Sum) -> None:
        for name in ("calls", "recorded_nusd", "recorded_unknown", "new_nusd", "new_unknown"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def difference_nusd(self) -> int:
        return self.new_nusd - self.recorded_nusd


@dataclass
class Report:
    """What came of it. ``left`` counts, by reason, the calls that were not priced anew; ``changed`` the figures that
    differ, in their sum or in the price they name."""

    models: dict[str, Sum] = field(default_factory=dict)
    left: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    traces: set[str] = field(default_factory=set)

    @property
    def total(self) -> Sum:
        total = Sum()
        for each in self.models.values():
            total.add(each)
        return total


class Repricing:
    """Which calls are priced anew, and by what."""

    def __init__(self, given: PriceFile | None, others: Mapping[str, Mapping[str, Any]]) -> None:
        self._given = given
        self._others = others
        self.report = Report()

    def price(self, call: StoredCall) -> Priced | None:
        """The call's cost by the new price; None where it is left as it is, which the report then says."""
        found = self._price(call)
        if found is None:
            return None
        cost, reason = found
        if cost is None and call.cost is not None and not self._others:
            if call.counts:
                self._sum_of(call).kept[reason or ""] += 1
            return call.cost, None
        return found

    def _price(self, call: StoredCall) -> Priced | None:
        told = call.told
        if self._others:
            other = self._others.get(told["model"]) or self._others.get(told["model_asked"])
            return None if other is None else price_call({**told, **other}, at_ns=call.at_ns, given=self._given)
        if self._given is not None and not self._given.names(told):
            self._leave(call, f"of models that {self._given.name} does not name")
            return None
        if self._given is None and told["price"] is None and call.cost is not None and call.cost.price == DECLARED:
            self._leave(call, "with a declared price that was not kept")
            return None
        return price_call(told, at_ns=call.at_ns, given=self._given)

    def _leave(self, call: StoredCall, reason: str) -> None:
        if call.counts:
            self.report.left[reason] += 1

    def _sum_of(self, call: StoredCall) -> Sum:
        name = call.told["model"] or call.told["model_asked"] or "(no model)"
        return self.report.models.setdefault(name, Sum())

    def take(self, page: Iterable[Repriced]) -> None:
        """Add to the report what became of these calls."""
        for each in page:
            if each.priced is None:
                continue
            self.report.changed += each.is_changed
            if each.is_changed:
                self.report.traces.add(each.call.trace_id)
            if each.call.counts:
                self._add(self._sum_of(each.call), each.call, each.priced)

    def _add(self, row: Sum, call: StoredCall, priced: Priced) -> None:
        cost, reason = priced
        row.calls += 1
        row.recorded_nusd += 0 if call.cost is None else call.cost.nusd
        row.recorded_unknown += call.cost is None
        row.new_nusd += 0 if cost is None else cost.nusd
        row.new_unknown += cost is None
        if cost is None:
            row.unknown[reason or ""] += 1


@click.command("reprice")
@click.option("--since", help="Only traces that began since then: an age (7d) or a day (2026-11-01).")
@click.option("--until", help="Only traces that began before then: an age or a day.")
@click.option("--workflow", help="Only traces of this workflow.")
@click.option(
    "--status", help="Only traces with this status: completed, failed, cancelled, stopped, waiting, interrupted."
)
@click.option("--model", help="Only calls that this model answered, or was asked.")
@click.option("--prices", type=click.Path(path_type=Path), help="A TOML or JSON file: price the models it names by it.")
@click.option("--as", "others", multiple=True, metavar="OLD=NEW", help="What OLD's tokens would have cost on NEW.")
@click.option("--apply", is_flag=True, help="Write the new figures. Without it nothing is changed.")
@as_json
def reprice_command(  # noqa: PLR0913 - one for each option
    *,
    since: str | None,
    until: str | None,
    prices: Path | None,
    others: tuple[str, ...],
    apply: bool,
    as_json: bool,
    **told: str | None,
) -> None:
    """Compute what recorded model calls cost by another price, and show the difference.

    By itself the price table that is installed now is asked, which may be newer than the one at the time.
    """
    if others and apply:
        raise ConfigError("--as is a question and writes nothing: leave out --apply")
    given = None if prices is None else read_price_file(prices)
    repricing = Repricing(given, dict(_other(each, given) for each in others))
    from tracer.reading import open_reading  # noqa: PLC0415 - so that --help needs no database library

    with open_reading() as store:
        for page in store.reprice(_filter(told, since, until), repricing.price, write=apply):
            repricing.take(page)
    by = f"{given.name}@{given.version}" if given is not None else _table()
    if as_json:
        print_json(_as_json(repricing.report, by, applied=apply))
    else:
        _show(repricing.report, by, applied=apply, asked=bool(others))


def _table() -> str:
    from tracer.price_table import NAME  # noqa: PLC0415 - loads the table

    return NAME


def _filter(told: Mapping[str, str | None], since: str | None, until: str | None) -> Filter:
    from tracer.store import Filter  # noqa: PLC0415 - as above

    ends = {"since_ns": ("--since", since), "until_ns": ("--until", until)}
    period = {name: str(_moment(option, text)) for name, (option, text) in ends.items() if text}
    return Filter.parse({**{name: value for name, value in told.items() if value}, **period})


def _moment(option: str, text: str) -> int:
    """A day, a time or an age, in epoch nanoseconds."""
    from tracer.store.query import parse_since  # noqa: PLC0415 - as above

    if not re.match(r"\d{4}-", text):
        try:
            return max(0, time.time_ns() - parse_since(text))
        except ConfigError:
            raise ConfigError(f"{option} {text!r} is neither an age, like 7d, nor a day, like 2026-11-01") from None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} {text!r} is no day and no time: write 2026-11-01 or 2026-11-01T12:00") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0, int(moment.timestamp())) * 10**9


def _other(pair: str, given: PriceFile | None) -> tuple[str, dict[str, Any]]:
    """``OLD=NEW`` as the name to look for and what is told of a call instead; ConfigError where NEW has no price."""
    old, _, new = pair.partition("=")
    if not old or not new:
        raise ConfigError(f"--as {pair!r}: write OLD=NEW, two names of models")
    provider, _, model = new.partition("/")
    for who in ((None, new), (provider, model)):
        other = {"provider": who[0], "model": who[1], "model_asked": None, "price": None}
        one = {**other, "usage": {"input_tokens": 1, "output_tokens": 1}}
        if given is not None and given.names(one):
            return old, other
        if price_call(one, at_ns=time.time_ns())[0] is not None:
            return old, other
    raise ConfigError(f"--as {pair}: no price is known for {new}; write PROVIDER/MODEL, or give it one with --prices")


def _as_json(report: Report, by: str, *, applied: bool) -> dict[str, Any]:
    def row(found: Sum) -> dict[str, Any]:
        return {**vars(found), "difference_nusd": found.difference_nusd}

    return {
        "by": by,
        "applied": applied,
        "changed": report.changed,
        "traces": len(report.traces),
        "models": [{"model": name, **row(found)} for name, found in _ordered(report)],
        "total": {name: value for name, value in row(report.total).items() if name not in ("unknown", "kept")},
        "left": dict(report.left),
    }


def _ordered(report: Report) -> list[tuple[str, Sum]]:
    """What changed most comes first."""
    return sorted(report.models.items(), key=lambda item: (-abs(item[1].difference_nusd), item[0]))


def _show(report: Report, by: str, *, applied: bool, asked: bool) -> None:
    if report.models:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("model", "calls", "recorded", "new", "difference", "unknown"):
            table.add_column(name, justify="left" if name == "model" else "right", no_wrap=True)
        rows = _ordered(report)
        for name, found in [*rows, ("all", report.total)] if len(rows) > 1 else rows:
            table.add_row(inert(name), *_cells(found))
        console().print(table)
    for remark in _remarks(report):
        click.echo(inert(remark))
    figures, traces = plural(report.changed, "figure"), plural(len(report.traces), "trace")
    if not report.models and not report.left:
        click.echo("No model calls there.")
    elif asked:
        click.echo("A question only: nothing is changed.")
    elif applied:
        click.echo(inert(f"Wrote {figures} in {traces}, by {by}."))
    else:
        click.echo(inert(f"{figures} in {traces} would change, by {by}. Nothing is written without --apply."))


def _remarks(report: Report) -> Iterator[str]:
    """What the sums leave open, and why."""
    for name, found in _ordered(report):
        for reason, count in found.unknown.items():
            yield f"unknown: {plural(count, 'call')} of {name}: {reason}"
        for reason, count in found.kept.items():
            yield f"kept as recorded: {plural(count, 'call')} of {name}: {reason}"
    for reason, count in report.left.items():
        yield f"left as recorded: {plural(count, 'call')} {reason}"


def _cells(found: Sum) -> tuple[str, ...]:
    recorded = cost_sum(found.recorded_nusd, calls=found.calls, unpriced=found.recorded_unknown).text
    new = cost_sum(found.new_nusd, calls=found.calls, unpriced=found.new_unknown).text
    sign = "+" if found.difference_nusd > 0 else ""
    before, after = found.recorded_unknown, found.new_unknown
    unknown = f"{before:,} → {after:,}" if before != after else f"{after:,}" if after else ""
    return f"{found.calls:,}", recorded, new, sign + dollars(found.difference_nusd), unknown
