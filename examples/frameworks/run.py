"""Run the frameworks' tests, each environment made from its lock, and write docs/frameworks.md.

    python examples/frameworks/run.py                 all of them
    python examples/frameworks/run.py core litellm    frameworks or environments by name

A folder with a ``framework.toml`` is a framework: ``title``, ``environment`` (a lock in requirements/frameworks),
``packages`` whose versions the page names, ``carrier``, ``notes``, and ``limit_s`` if it needs more than 240 seconds.
Standard library only. Exit code 1: something failed or could not be installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Sequence

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LOCKS = ROOT / "requirements" / "frameworks"
MADE = ROOT / ".frameworks"
PAGE = ROOT / "docs" / "frameworks.md"
#: Frameworks tested at once: their tests wait on servers and processes for much of their time.
AT_ONCE = 2
INSTALL_LIMIT_S = 900

INTRODUCTION = """\
# Frameworks

Each of these was recorded and replayed with the pipeline in its folder, on the versions named here, against a provider
on the same machine. `make frameworks` writes this page: it makes an environment from each lock in
`requirements/frameworks`, runs the tests in it, and puts down what came of them.

*Calls recorded* are the model calls in the traces, of those that reached the provider, retries and failures included.
*Calls replayed* were served again with the provider gone, and nothing connected to anywhere: each trace once as it is,
and once with every step's body run, so that the framework itself asks again and is answered from the record.

| framework | version | what carries its calls | calls recorded | calls replayed | what to know |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Framework:
    name: str
    title: str
    environment: str
    packages: tuple[str, ...]
    carrier: str
    notes: str = ""
    limit_s: int = 240

    @classmethod
    def of(cls, file: Path) -> Framework:
        told: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        return cls(file.parent.name, **{**told, "packages": tuple(told["packages"])})


@dataclass
class Result:
    """What came of a framework. ``trouble`` is why it failed, and empty where it did not."""

    framework: Framework
    versions: str = ""
    sums: dict[str, int] = field(default_factory=dict)
    trouble: str = ""
    took_s: float = 0

    @property
    def row(self) -> str:
        name = f"[{self.framework.title}](../examples/frameworks/{self.framework.name}/pipeline.py)"
        recorded = f"{self.sums.get('recorded', 0)} of {self.sums.get('arrived', 0)}"
        replayed = f"{self.sums.get('served', 0)} in {self.sums.get('replays', 0)} replays"
        if self.trouble:
            recorded, replayed = "**failed**", _cell(self.trouble)
        notes = _cell(self.framework.notes)
        return f"| {name} | {self.versions} | {_cell(self.framework.carrier)} | {recorded} | {replayed} | {notes} |"


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ").strip()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("which", nargs="*", help="names of frameworks or environments; all without any")
    chosen = _chosen(parser, parser.parse_args(arguments).which)
    environments = sorted({framework.environment for framework in chosen})
    refused = {name: trouble for name in environments if (trouble := _install(name))}
    runnable = [framework for framework in chosen if framework.environment not in refused]
    results = [
        Result(framework, "not installed", trouble=refused[framework.environment])
        for framework in chosen
        if framework.environment in refused
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results += pool.map(_run, runnable)
    _write_page(results)
    return 1 if any(result.trouble for result in results) else 0


def _chosen(parser: argparse.ArgumentParser, which: Sequence[str]) -> list[Framework]:
    every = [Framework.of(file) for file in sorted(HERE.glob("*/framework.toml"))]
    known = {name for framework in every for name in (framework.name, framework.environment)}
    if unknown := sorted(set(which) - known):
        parser.error(
            f"no framework or environment is called {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        )
    return [each for each in every if not which or {each.name, each.environment} & set(which)]


# -- environments ------------------------------------------------------------------------------------------------------


def _python(environment: str) -> Path:
    return MADE / environment / "bin" / "python"


def _install(environment: str) -> str:
    """Make an environment from its lock, unless it is there already. Gives the reason if that fails, else nothing."""
    lock = LOCKS / f"{environment}.txt"
    stamp = MADE / environment / ".made"
    made_of = hashlib.sha256(
        lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + sys.version.encode()
    ).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == made_of:
        return ""
    print(f"Installing {environment}", flush=True)
    began = time.monotonic()
    shutil.rmtree(MADE / environment, ignore_errors=True)
    for command in _installing(environment, lock):
        try:
            ended = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"could not be installed: {error}"
        if ended.returncode != 0:
            print(ended.stdout + ended.stderr, file=sys.stderr)
            return f"could not be installed: {_last_line(ended.stderr or ended.stdout)}"
    stamp.write_text(made_of, encoding="utf-8")
    print(f"Installed {environment} in {time.monotonic() - began:.0f} s", flush=True)
    return ""


def _installing(environment: str, lock: Path) -> list[list[str]]:
    """By uv where there is one, for it takes a tenth of the time; else by pip."""
    where, python = str(MADE / environment), str(_python(environment))
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    editable = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    locked = ["--require-hashes", "--requirement", str(lock)]
    if uv is not None:
        into = [uv, "pip", "install", "--quiet", "--python", python]
        return [[uv, "venv", "--quiet", "--python", sys.executable, where], [*into, *locked], [*into, *editable]]
    into = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return [[sys.executable, "-m", "venv", where], [*into, *locked], [*into, *editable]]


# -- one framework -----------------------------------------------------------------------------------------------------


def _run(framework: Framework) -> Result:
    result = Result(framework, _versions(framework))
    report = MADE / f"{framework.name}.json"
    report.unlink(missing_ok=True)
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PLAYHEAD_", "PYTHON", "PYTEST_"))
    }
    command = [
        *(str(_python(framework.environment)), "-m", "pytest", "--quiet", "-c", str(HERE / "pytest.ini")),
        *("--rootdir", str(HERE), str(HERE / framework.name)),
    ]
    began = time.monotonic()
    try:
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env={**kept, "FRAMEWORKS_REPORT": str(report)},
            capture_output=True,
            text=True,
            timeout=framework.limit_s,
            check=False,
        )
        output = ended.stdout + ended.stderr
        result.trouble = "" if ended.returncode == 0 else f"pytest gave {ended.returncode}: {_last_line(output)}"
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode(errors="replace")
        result.trouble = f"was not done after {framework.limit_s} s"
    result.took_s = time.monotonic() - began
    _read_report(result, report)
    print(
        f"{'FAILED' if result.trouble else 'ok':6}  {framework.name:14} {result.versions}  {result.took_s:.0f} s",
        flush=True,
    )
    if result.trouble:
        print(output, file=sys.stderr)
    return result


def _read_report(result: Result, report: Path) -> None:
    if not report.is_file():
        return
    told = json.loads(report.read_text(encoding="utf-8"))
    result.sums = {name: count for name, count in told.items() if name != "why"}
    if told["why"]:
        result.trouble = told["why"][0]
    elif not told["recorded"]:
        result.trouble = result.trouble or "no test recorded a model call"


def _versions(framework: Framework) -> str:
    code = (
        "import sys; from importlib.metadata import version; "
        "print(*(f'{name} {version(name)}' for name in sys.argv[1:]), sep=', ')"
    )
    ended = subprocess.run(
        [str(_python(framework.environment)), "-c", code, *framework.packages],
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout.strip() or _last_line(ended.stderr)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # No address of this machine's registry, and no path of it, belongs on a page.
    return re.sub(r"\S*(?:://|/)\S*", "...", lines[-1])[:160] if lines else "it said nothing"


# -- the page ----------------------------------------------------------------------------------------------------------


def _write_page(results: Sequence[Result]) -> None:
    """Rows of frameworks that were not run stay as they are."""
    rows = {}
    if PAGE.is_file():
        rows = {found[1]: line for line in PAGE.read_text(encoding="utf-8").splitlines() if (found := _ROW.match(line))}
    rows = {name: line for name, line in rows.items() if (HERE / name / "framework.toml").is_file()}
    rows |= {result.framework.name: result.row for result in results}
    ordered = sorted(rows.items(), key=lambda row: row[1].lower())
    PAGE.write_text(INTRODUCTION + "".join(f"{line}\n" for _, line in ordered), encoding="utf-8")


_ROW = re.compile(r"\| \[[^\]]+\]\(\.\./examples/frameworks/([^/]+)/pipeline\.py\)")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
