"""A report as one HTML file that needs nothing else: no script, no other host."""

from __future__ import annotations

import importlib.resources

from jinja2 import Environment, StrictUndefined

from replay.backtest.report import Report
from replay.backtest.table import figures, headline
from tracer import format as form

_MOST_REASONS = 20


def report_page(report: Report, *, most: int = 50) -> str:
    """The whole page as text."""
    source = importlib.resources.files("replay.backtest").joinpath("page.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(source)
    return template.render(
        report=report,
        headline=headline(report),
        figures=list(figures(report)),
        problems=report.problems()[:_MOST_REASONS],
        changed=report.most_changed(most),
        short=form.short_id,
        dollars=form.dollars,
        duration=form.duration,
    )
