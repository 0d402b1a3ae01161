"""``playhead draw``."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from tracer.terminal import inert


@click.command("draw")
@click.argument("workflow")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "svg", "mermaid"]),
    default="text",
    show_default=True,
    help="Box characters for a terminal, a picture, or text for a page that draws it itself.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
@click.option("--width", type=click.IntRange(min=20), help="The columns of the terminal, for text.")
def draw_command(*, workflow: str, form: str, output: Path | None, width: int | None) -> None:
    """Draw a workflow that is on paper, and say what is wrong with it.

    WORKFLOW is module:name, or file.py:name, of a router.Workflow. Its module is imported; nothing of it runs. Exits
    with 1 if the workflow could not run; it is drawn all the same.
    """
    found = _found(workflow)
    columns = width or (shutil.get_terminal_size((100, 24)).columns if output is None else 100)
    drawn = {"svg": found.svg, "mermaid": found.mermaid, "text": lambda: found.text(width=columns)}[form]()
    if output is None:
        click.echo(drawn, nl=False)
    else:
        output.write_text(drawn, encoding="utf-8")
    problems = found.problems()
    for problem in problems:
        click.echo(inert(f"{problem.severity}: {problem}"), err=True)
    sys.exit(1 if any(problem.severity == "error" for problem in problems) else 0)


def _found(told: str) -> Any:
    from router.paper.workflow import Workflow  # noqa: PLC0415 - so that --help needs none of it

    module, _, name = told.rpartition(":")
    if not module or not name:
        raise click.UsageError(f"{told!r} names no workflow: say module:name, or file.py:name")
    found: Any = _module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Workflow):
        known = [key for key, value in vars(_module(module)).items() if isinstance(value, Workflow)]
        there = f"it has {', '.join(known)}" if known else "it has none"
        raise click.UsageError(f"{module} has no router.Workflow of the name {name}: {there}")
    return found


def _module(name: str) -> Any:
    """A module by its name, found from the working directory too, or by its file."""
    file = Path(name)
    folder = str((file.parent if name.endswith(".py") else Path()).resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(file.stem if name.endswith(".py") else name)
    except (Exception, SystemExit) as error:
        raise click.UsageError(f"{name} can't be imported: {type(error).__name__}: {error}") from error
