"""``playhead export`` and ``playhead import``, as a shell sees them; and the tests that they write, run by pytest."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

import tracer
from replay.cassette.cli import export_command, import_command
from tests.replay.support import Recorded
from tests.sources import REPOSITORY
from tracer.cli import Commands
from tracer.reading import open_reading

MAIN = Commands(commands={"export": export_command, "import": import_command})

PIPELINE = """
import os
import sys
from dataclasses import dataclass
from decimal import Decimal
from tracer import step, workflow

@dataclass
class Answer:
    words: tuple
    by: str

@step(kind="tool")
def look_up(word):
    with open(os.environ.get("NOTES", os.devnull), "a") as notes:
        notes.write("looked up")
    return word.upper()

@step
def check(word):
    if word == "BAD":
        raise ValueError("this won't do: " + word)
    return word

@workflow
def plain(word):
    return {"found": check(look_up(word)), "n": 1}

@workflow
def typed(word):
    return Answer((look_up(word),), "me")

@workflow
def stream(word):
    yield look_up(word)

@workflow
async def later(word):
    return check(look_up(word))

@workflow
def money(word):
    return Decimal("1.50"), look_up(word)

@workflow
def numbers(word):
    return [float("nan"), look_up(word)]

if __name__ == "__main__":
    import asyncio
    for which in sys.argv[1:]:
        try:
            given = globals()[which.rstrip("_")]("bad" if which.endswith("_") else "a")
            asyncio.run(given) if which == "later" else which == "stream" and list(given)
        except ValueError:
            pass
"""


EXPORT_ALL = """
from replay.cassette.cli import export_command
from tracer.reading import open_reading

with open_reading() as store:
    traces = [each.trace_id for each in store.traces()]
for each in traces:
    export_command([each, "--format", "pytest", "-o", "checks"], standalone_mode=False)
"""


def run(*words: str) -> Result:
    return CliRunner().invoke(MAIN, list(words))


def said(*words: str) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


class Shell:
    """A project with a pipeline that is a script, and processes in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pyproject.toml").write_text("")
        self.script = folder / "pipeline.py"
        self.script.write_text(PIPELINE)

    def python(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PLAYHEAD_"))}
        own = {
            "PYTHONPATH": str(REPOSITORY),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "NOTES": str(self.folder / "notes"),
            "CI": "true",
        }
        return subprocess.run(
            [sys.executable, *words],
            check=False,
            cwd=cwd or self.folder,
            env={**clean, **own},
            capture_output=True,
            text=True,
            timeout=100,
        )

    def export(self, *which: str) -> dict[str, str]:
        """Record these runs, and write their tests into ``checks``; a name that ends with _ is one that fails. Gives
        the text of each test."""
        self.python("pipeline.py", *which)
        assert self.python("-c", EXPORT_ALL).returncode == 0
        (self.folder / "notes").unlink(missing_ok=True)
        texts = [file.read_text() for file in (self.folder / "checks").glob("test_*.py")]
        return {text.split()[0].strip('"') + "_" * ("raises" in text.split()[1]): text for text in texts}

    def test(self, *words: str) -> subprocess.CompletedProcess[str]:
        plugins = ("-p", "pytest_playhead", "-p", "no:cacheprovider")
        return self.python("-m", "pytest", *plugins, *words, "checks")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    folder = tmp_path / "shop"
    folder.mkdir()
    return Shell(folder)


class TestExport:
    def test_writes_a_cassette_to_standard_output(self, recorded, module):
        module(PIPELINE).plain("a")
        tracer.flush()
        result = run("export", "latest")
        assert result.exit_code == 0
        assert json.loads(result.stdout)["workflow"] == "plain"

    def test_writes_a_file(self, recorded, module, tmp_path):
        module(PIPELINE).plain("a")
        tracer.flush()
        told = said("export", "latest", "-o", str(tmp_path / "deep" / "a.json"))
        assert told["written"] == [str(tmp_path / "deep" / "a.json")]
        assert (tmp_path / "deep" / "a.json").is_file()

    def test_says_where_it_can_not_write(self, recorded, module, tmp_path):
        module(PIPELINE).plain("a")
        tracer.flush()
        (tmp_path / "file").write_text("")
        result = run("export", "latest", "-o", str(tmp_path / "file" / "a.json"))
        assert result.exit_code == 2
        assert "say another place with -o" in result.stderr

    def test_knows_no_trace_that_is_not_there(self, recorded):
        assert run("export", "abc").exit_code == 2

    def test_writes_the_steps_of_all_that_is_found_as_a_table(self, recorded, module, tmp_path):
        pipeline = module(PIPELINE)
        for flow, word in ((pipeline.plain, "a"), (pipeline.plain, "b"), (pipeline.typed, "c")):
            flow(word)
        tracer.flush()
        result = run("export", "--format", "csv", "--search", "workflow:plain")
        assert result.exit_code == 0, result.output
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert [row["path"] for row in rows] == ["plain", "plain/look_up", "plain/check"] * 2
        assert [row["output"] for row in rows if row["name"] == "check"] == ['"B"', '"A"']
        file = tmp_path / "steps.parquet"
        said("export", "latest", "--format", "parquet", "--no-values", "-o", str(file))
        found = parquet.read_table(file).to_pylist()
        assert [(row["path"], row["output"]) for row in found] == [("typed", None), ("typed/look_up", None)]

    def test_writes_a_timeline(self, recorded, module):
        module(PIPELINE).plain("a")
        tracer.flush()
        events = json.loads(run("export", "latest", "--format", "chrome").stdout)["traceEvents"]
        assert [one["name"] for one in events if one["ph"] == "X"] == ["plain", "look_up", "check"]

    def test_leaves_no_half_a_file(self, recorded, module, tmp_path):
        module(PIPELINE).plain("a")
        tracer.flush()
        file = tmp_path / "steps.csv"
        file.write_text("kept")
        with open_reading() as store:
            trace = store.trace(store.resolve("latest"))
        with sqlite3.connect(recorded.folder / "playhead.db") as damaged:
            damaged.execute("DELETE FROM payloads")
        assert run("export", trace.trace_id, "--format", "csv", "-o", str(file)).exit_code != 0
        assert [(each.name, each.read_text()) for each in tmp_path.glob("*steps.csv*")] == [("steps.csv", "kept")]

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            ((), "say which: a TRACE (an id, a prefix, or latest), or --search"),
            (("latest", "--search", "workflow:plain"), "say which"),
            (("--search", "workflow:plain"), "cassette is of one trace"),
            (("latest", "--format", "parquet"), "Parquet is no text: say where with -o"),
        ],
    )
    def test_says_what_it_can_not_do(self, recorded, module, words, why):
        module(PIPELINE).plain("a")
        tracer.flush()
        result = run("export", *words)
        assert (result.exit_code, why in result.stderr) == (2, True), result.stderr


class TestImport:
    def test_makes_a_trace_of_each_file(self, recorded, module, tmp_path):
        module(PIPELINE).plain("a")
        before = recorded.trace()
        for form in ("cassette", "jsonl"):
            run("export", "latest", "--format", form, "-o", str(tmp_path / form))
        new = Recorded(tmp_path / "new")
        rows = said("import", str(tmp_path / "cassette"), str(tmp_path / "jsonl"))
        assert [row["file"] for row in rows] == [str(tmp_path / "cassette"), str(tmp_path / "jsonl")]
        assert rows[1]["trace_id"] == before.trace_id
        assert [new.trace(row["trace_id"]).summary.workflow for row in rows] == ["plain", "plain"]

    def test_of_a_damaged_file_brings_nothing_in(self, recorded, module, tmp_path):
        module(PIPELINE).plain("a")
        tracer.flush()
        good, bad = tmp_path / "good.json", tmp_path / "bad.json"
        run("export", "latest", "-o", str(good))
        bad.write_text("{")
        Recorded(tmp_path / "new")
        result = run("import", str(good), str(bad))
        assert result.exit_code == 2
        assert "bad.json, line 1" in result.stderr
        assert "Traceback" not in result.output


class TestTheTestOf:
    def test_a_recorded_run_passes_right_away_in_a_fresh_process(self, shell):
        claims = {
            "plain": "assert playhead.call() == {'found': 'A', 'n': 1}",
            "plain_": 'assert str(raised.value) == "this won\'t do: BAD"',
            "typed": "playhead.check()",
            "money": "assert playhead.call() == playhead.output",
            "stream": "assert playhead.call() == ['A']",
            "later": "assert playhead.call() == 'A'",
            "numbers": "playhead.check()",
        }
        texts = shell.export(*claims)
        assert [name for name, claim in claims.items() if claim not in texts[name]] == []
        done = shell.test()
        assert done.returncode == 0, done.stdout + done.stderr
        assert "7 passed" in done.stdout
        assert not (shell.folder / "notes").exists()

    def test_a_recorded_run_fails_when_the_workflow_gives_something_else(self, shell):
        shell.export("plain")
        shell.script.write_text(PIPELINE.replace('"n": 1', '"n": 2'))
        done = shell.test()
        assert done.returncode == 1
        assert "{'n': 2} != {'n': 1}" in done.stdout

    def test_a_recorded_run_fails_when_the_workflow_asks_something_else(self, shell):
        shell.export("plain")
        shell.script.write_text(PIPELINE.replace("check(look_up(word))", "check(look_up(word + '!'))"))
        done = shell.test()
        assert done.returncode == 1
        for words in ("plain/look_up: its input is not the recorded one", "$.word", "recorded  'a'", "now       'a!'"):
            assert words in done.stdout
        line = PIPELINE.splitlines().index("def plain(word):") + 2
        assert f"called at pipeline.py:{line}, in plain" in done.stdout

    def test_a_recorded_run_is_recorded_again_by_update(self, shell):
        shell.export("plain")
        shell.script.write_text(PIPELINE.replace("check(look_up(word))", "check(look_up(word + '')).upper()"))
        assert shell.test("--update").returncode == 0
        assert shell.test().returncode == 0

    def test_a_recorded_run_moves_with_the_project(self, shell, tmp_path):
        shell.export("plain")
        moved = shell.folder.rename(tmp_path / "elsewhere")
        shell.folder = moved
        done = shell.test()
        assert done.returncode == 0, done.stdout + done.stderr


class TestARunThatNoTestCanMake:
    def test_is_refused_with_the_reason(self, recorded, tmp_path):
        @tracer.workflow
        def inside(a: int) -> int:
            return a

        inside(1)
        tracer.flush()
        result = run("export", "latest", "--format", "pytest", "-o", str(tmp_path / "out"))
        assert result.exit_code == 2
        assert "defined inside another function" in result.stderr
        assert not (tmp_path / "out").exists()
