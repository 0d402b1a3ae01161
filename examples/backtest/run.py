"""Record a pipeline on one model, backtest it on another, and see whether the known accuracies come back.

    python examples/backtest/run.py [--questions 665] [--workers N] [--scorer label:gold:numeric:0] [--html report.html]

No key and no network: a server on 127.0.0.1 gives the answers that both models really gave (data/SOURCE.md).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from answers import STRONG, WEAK, Provider, rows
from rich.console import Console

import tracer
from replay import backtest, substitute
from replay.backtest.page import report_page
from replay.backtest.table import report_text
from tracer.store import Filter


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--questions", type=int, default=len(rows()))
    options.add_argument("--workers", type=int, default=None)
    options.add_argument("--scorer", default="label:gold")
    options.add_argument("--html", type=Path)
    told = options.parse_args()
    asked = rows()[: told.questions]
    with Provider() as provider, tempfile.TemporaryDirectory() as home:
        os.environ["MODEL_URL"] = provider.url
        tracer.configure(home=home)
        from pipeline import solve  # noqa: PLC0415 - as anybody's code would be: it reads MODEL_URL

        for row in asked:
            solve(row.question, row.gold)
        report = backtest(
            Filter(workflow="solve"), substitute("ask", model=STRONG), scorer=told.scorer, workers=told.workers
        )
        tracer.shutdown()
    Console(highlight=False, width=160).print(report_text(report, most=5))
    if told.html is not None:
        told.html.write_text(report_page(report), encoding="utf-8")
    labels = report.labels
    known = [sum(row.correct[model] for row in asked) for model in (WEAK, STRONG)]
    found = None if labels is None else [labels.before.count, labels.after.count]
    print(f"\nknown from the data: {known[0]} and {known[1]} right; found by the backtest: {found}")
    # Another scorer may well find something else: that is what it is for.
    sys.exit(0 if found == known or told.scorer != "label:gold" else 1)


if __name__ == "__main__":
    main()
