"""``playhead backtest``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any, Iterator

import click

from replay.cli_rules import parsed_rules, rule_options
from replay.errors import PlanError
from tracer.cli import as_json, console, print_json

#: Without a terminal a line is written after each of this many parts of the whole.
_PARTS = 20


@click.command("backtest")
@click.option("--workflow", help="Only traces of this workflow.")
@click.option("--since", help="Only traces this young: 30m, 12h, 7d.")
@click.option("--status", type=click.Choice(["completed", "failed", "waiting"]), help="Only traces that ended so.")
@click.option("--called", "model", metavar="MODEL", help="Only traces in which this model was called.")
@click.option("--search", "q", help="Only traces in whose inputs, outputs or errors these words occur.")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="At most this many, the newest.")
@rule_options()
@click.option(
    "--on-divergence",
    type=click.Choice(["stop", "live"]),
    default="stop",
    show_default=True,
    help="What becomes of a model call that the record does not explain.",
)
@click.option("--unguarded", is_flag=True, help="Let unmarked code write, delete, start processes and connect.")
@click.option(
    "--scorer",
    default="exact",
    show_default=True,
    help="exact, json, fields, numeric:TOL, label:NAME[:numeric:TOL], judge:MODEL or module:function.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="So many at a time; default: one for each core, of this machine or of the cluster.",
)
@click.option("--dask", metavar="ADDRESS", help="Replay on this Dask cluster instead: tcp://host:8786.")
@click.option("--budget-usd", type=click.FloatRange(min=0), help="Begin no call that could bring all of it above this.")
@click.option("--resume", metavar="ID", help="Go on with this backtest, with its traces and rules; or show its report.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write the report as a page.")
@as_json
def backtest_command(  # noqa: PLR0913 - the options of one command
    *,
    limit: int | None,
    on_divergence: Any,
    unguarded: bool,
    scorer: str,
    workers: int | None,
    dask: str | None,
    budget_usd: float | None,
    resume: str | None,
    html: Path | None,
    as_json: bool,
    **told: Any,
) -> None:
    """Replay many recorded traces with another model, and compare: how often the answer stays, cost, time, failures.

    Exits with 130 where Ctrl-C cut it short; --resume then goes on.
    """
    from replay.backtest.ledger import Ledger, new_id  # noqa: PLC0415 - so that --help needs no database library
    from replay.backtest.run import backtest  # noqa: PLC0415
    from tracer import recorder  # noqa: PLC0415
    from tracer.store import Filter  # noqa: PLC0415

    rules = parsed_rules({name: texts for name, texts in told.items() if name.startswith("rules_")})
    filters = {name: value for name, value in told.items() if value and not name.startswith("rules_")}
    if resume is not None and Ledger.resume(recorder.current_config().home, resume) is None:
        raise PlanError(f"there is no backtest {resume} in {recorder.current_config().home}")
    backtest_id = resume or new_id()
    try:
        # What a workflow prints is not the report.
        with _cluster(dask) as (executor, cores), _progress() as progress, contextlib.redirect_stdout(sys.stderr):
            report = backtest(
                None if resume is not None else Filter.parse(filters),
                *rules,
                scorer=scorer,
                workers=workers or cores,
                executor=executor,
                budget_usd=budget_usd,
                limit=limit,
                on_divergence=on_divergence,
                guarded=not unguarded,
                backtest_id=backtest_id,
                progress=progress,
            )
    except KeyboardInterrupt:
        click.echo(f"Stopped. What is done is kept; go on with: playhead backtest --resume {backtest_id}", err=True)
        sys.exit(130)
    _show(report, html=html, as_json=as_json)


def _show(report: Any, *, html: Path | None, as_json: bool) -> None:
    from replay.backtest.page import report_page  # noqa: PLC0415
    from replay.backtest.table import report_text  # noqa: PLC0415

    if html is not None:
        html.write_text(report_page(report), encoding="utf-8")
    if as_json:
        print_json(report.as_json())
        return
    console().print(report_text(report))
    if html is not None:
        click.echo(f"page      {html}")


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """The executor of a Dask cluster and how many cores it has; two Nones without an address. Raises PlanError where no
    scheduler answers, or where nobody works for it."""
    if address is None:
        yield None, None
        return
    try:
        from distributed import Client  # noqa: PLC0415 - an extra
    except ImportError:
        raise PlanError("--dask needs Dask's distributed: pip install 'playhead[dask]'") from None
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise PlanError(f"no Dask scheduler answers at {address}: {error}") from None
    with client:
        cores = sum(client.ncores().values())
        if not cores:
            raise PlanError(f"the Dask scheduler at {address} has no workers: start some, dask worker {address}")
        yield client.get_executor(), cores


@contextlib.contextmanager
def _progress() -> Iterator[Any]:
    """What is called after each trace: a bar on a terminal, now and then a line elsewhere; on standard error."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replaying", total=None)
        yield lambda done, total, _: bar.update(task, completed=done, total=total)


def _line(done: int, total: int, _: Any) -> None:
    if done == total or done % max(1, total // _PARTS) == 0:
        click.echo(f"{done:,} of {total:,} traces", err=True)
