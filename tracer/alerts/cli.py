"""``playhead watch``."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracer.cli import as_json, print_json
from tracer.terminal import inert

if TYPE_CHECKING:
    from tracer.alerts.watch import Looked, Watch

#: How often one looks whether a notice is due again.
_NAP_S = 5.0


@click.command("watch")
@click.option(
    "--rules",
    "path",
    type=click.Path(path_type=Path),
    default=Path("alerts.toml"),
    show_default=True,
    help="The file with the rules.",
)
@click.option("--once", is_flag=True, help="Look once and end: 1 where something fires, 0 where nothing does.")
@as_json
def watch_command(*, path: Path, once: bool, as_json: bool) -> None:
    """Look at what is recorded by rules (failure rate, fallback rate, p95, cost per hour, budget), and tell a webhook
    or a command when one of them fires, and when it resolves.

    What fires is kept in the store: a watch that is started anew does not tell it again.
    """
    from tracer.alerts.rules import read_rules  # noqa: PLC0415 - so that --help needs no database library
    from tracer.alerts.watch import Watch  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    if as_json and not once:
        raise click.UsageError("--json is for --once: a watch prints a line for each change")
    rules = read_rules(path, os.environ)
    with open_reading() as store:
        watch = Watch(store, rules, _complain)
        if not once:
            _watch(watch)
            return
        looked = watch.look(time.time_ns())
        watch.tell(time.time_ns())
    if as_json:
        print_json([_as_json(each) for each in looked])
    else:
        for line in _lines(looked):
            click.echo(inert(line))
    sys.exit(1 if any(each.firing for each in looked) else 0)


def _watch(watch: Watch) -> None:
    """Until it is told to end."""
    from tracer.errors import StoreUnreachable  # noqa: PLC0415

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    click.echo(f"playhead: watching {watch.store.place} by {len(watch.rules.rules)} rules   (Ctrl-C ends it)")
    look_s = 0.0
    while not ended.is_set():
        try:
            if time.monotonic() >= look_s:
                look_s = time.monotonic() + watch.rules.every_s
                _adopt(watch)
                for looked in watch.look(time.time_ns()):
                    for notice in looked.notices:
                        click.echo(inert(notice.text))
            watch.tell(time.time_ns())
        except StoreUnreachable as error:
            _complain(f"{error}; it is tried again")
        ended.wait(min(_NAP_S, max(0.05, look_s - time.monotonic())))


def _adopt(watch: Watch) -> None:
    """A run that was killed is there when one looks."""
    from tracer import recorder  # noqa: PLC0415
    from tracer.adoption import adopt_abandoned  # noqa: PLC0415
    from tracer.errors import StoreUnreachable  # noqa: PLC0415
    from tracer.guard import guard  # noqa: PLC0415

    config = recorder.current_config()
    with contextlib.suppress(StoreUnreachable), guard("adopt the journal of a dead process"):
        adopt_abandoned(watch.store, config.home, config.store_tag)


def _complain(what: str) -> None:
    click.echo(f"playhead: {inert(what)}", err=True)


def _lines(looked: list[Looked]) -> list[str]:
    from tracer.alerts.states import sentence  # noqa: PLC0415

    lines: list[str] = []
    for each in looked:
        lines += [
            f"{'FIRING' if reading.of in each.firing else 'ok':<8}{sentence(each.rule, reading)}"
            for reading in each.readings
        ]
        unseen = each.firing.keys() - {reading.of for reading in each.readings}
        lines += [f"FIRING  {each.rule.name} ({of}): nothing seen of it now" for of in sorted(unseen)]
    return lines or ["nothing was recorded that a rule is about"]


def _as_json(looked: Looked) -> dict[str, Any]:
    from dataclasses import asdict  # noqa: PLC0415

    return {
        "rule": looked.rule.name,
        "measure": looked.rule.measure,
        "above": looked.rule.above,
        "resolve_at": looked.rule.resolve_at,
        "readings": [{**asdict(each), "firing": each.of in looked.firing} for each in looked.readings],
        "firing": {of: asdict(each) for of, each in looked.firing.items()},
        "notices": [each.as_json() for each in looked.notices],
    }
