"""``playhead doctor TRACE``: real scripts, recorded and examined by real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.nondeterminism.finding import only_order
from tests.sources import REPOSITORY


class Project:
    """A folder with a script that records a trace when it is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "flow.py"
        # The entry point as an installation has it: what this checkout declares, not what happens to be installed.
        declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
        installed = folder / "installed" / "playhead_here-0.dist-info"
        installed.mkdir(parents=True)
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: playhead-here\nVersion: 0\n")
        points = "\n".join(f"{name} = {value}" for name, value in declared["playhead.doctor"].items())
        (installed / "entry_points.txt").write_text(f"[playhead.doctor]\n{points}\n")
        self.env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(installed.parent), str(REPOSITORY)]),
            "PLAYHEAD_HOME": str(folder / "home"),
            "PLAYHEAD_STRICT": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=self.folder, env={**self.env, **more}, capture_output=True, text=True, timeout=100, check=False
        )

    def record(self, source: str) -> None:
        head = "from tracer import effect, now, step, workflow\n"
        self.script.write_text(head + textwrap.dedent(source) + '\nif __name__ == "__main__":\n    flow()\n')
        done = self.run(str(self.script), PYTHONHASHSEED="7")
        assert done.returncode == 0, done.stderr

    def doctor(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "tracer.cli", "doctor", "latest", *words)

    def examined(self) -> tuple[int, list[dict[str, Any]]]:
        done = self.doctor("--json")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)["sources"]

    def line(self, text: str) -> int:
        """The number of the one line that has this text."""
        (found,) = (number for number, line in enumerate(self.script.read_text().splitlines(), 1) if text in line)
        return found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path.resolve())


#: What a step's body may ask, with the words that mark its line; and what is said of it.
ASKED = {
    "time.time": ("import time", "time.time()", "time"),
    "time.time_ns": ("from time import time_ns as stamp", "stamp()", "time"),
    "datetime.now": ("import datetime as dt", "dt.datetime.now()", "time"),
    "time.perf_counter": ("import time", "time.perf_counter()", "duration"),
    "random.random": ("import random", "random.random()", "random"),
    "random.choice": ("import random", "random.choice([1, 2])", "random"),
    "secrets.token_hex": ("import secrets", "secrets.token_hex()", "random"),
    "uuid.uuid4": ("import uuid", "uuid.uuid4()", "random"),
    "os.urandom": ("import os", "os.urandom(8)", "random"),
    "os.environ['LANG']": ("import os", "os.environ.get('LANG')", "environment"),
    "open data.txt": ("from pathlib import Path", "Path('data.txt').read_text()", "I/O"),
    "os.listdir .": ("import os", "os.listdir('.')", "I/O"),
    "subprocess.Popen ['true']": ("import subprocess", "subprocess.run(['true'])", "I/O"),
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, int, list[dict[str, Any]]]:
    """One workflow with a step for each thing to ask for, examined once."""
    project = Project(tmp_path_factory.mktemp("asked").resolve())
    (project.folder / "data.txt").write_text("x")
    steps = [
        f"{head}\n@step\ndef inner_{at}():\n    value_{at} = {asking}\n    return 1\n"
        for at, (head, asking, _) in enumerate(ASKED.values())
    ]
    calls = "\n".join(f"    inner_{at}()" for at in range(len(steps)))
    project.record("\n".join([*steps, f"@workflow\ndef flow():\n{calls}\n    return 1\n"]))
    return (project, *project.examined())


class TestWhatUserCodeAsksFor:
    @pytest.mark.parametrize("what", ASKED)
    def test_it_is_named_with_its_kind_its_line_and_its_step(self, asked, what):
        project, code, sources = asked
        at, (_, _, kind) = list(ASKED).index(what), ASKED[what]
        assert code == 1
        found = [dict(source) for source in sources if source["step"] == f"flow/inner_{at}"]
        assert found[0].pop("times") >= 1  # a choice may draw more than once
        assert found == [
            {
                "kind": kind,
                "what": what,
                "file": str(project.script),
                "line": project.line(f"value_{at} ="),
                "step": f"flow/inner_{at}",
                "matters": kind not in {"duration", "environment"},
            }
        ]

    def test_nothing_else_is_named_and_what_matters_comes_first(self, asked):
        _, _, sources = asked
        assert len(sources) == len(ASKED)
        assert [source["matters"] for source in sources] == sorted((each["matters"] for each in sources), reverse=True)

    def test_what_only_might_matter_is_listed_and_ends_with_0(self, project):
        project.record(
            """
            import os, time
            from dataclasses import dataclass, field

            @dataclass
            class Timed:
                begun: float = field(default_factory=time.monotonic)

            @workflow
            def flow():
                Timed()
                return os.getenv("HOME", "")[:0]
            """
        )
        done = project.doctor()
        assert done.returncode == 0, done.stderr
        assert "Nothing found that makes two runs of this workflow differ." in done.stdout
        assert f"flow.py:{project.line('Timed()')}" in done.stdout
        assert "os.environ['HOME']" in done.stdout

    def test_what_is_recorded_or_seeded_or_a_librarys_own_affair_is_no_source(self, project):
        project.record(
            """
            import asyncio, logging, random, tracer

            @step
            def inner():
                logging.getLogger("x").warning("logged")
                found = [tracer.now(), tracer.random(), tracer.uuid4(), random.Random(5).random()]
                asyncio.run(asyncio.sleep(0.01))
                return 1

            @workflow
            def flow():
                return inner()
            """
        )
        assert project.examined() == (0, [])
        assert "Nothing found" in project.doctor().stdout

    def test_what_a_served_call_asks_for_is_not_asked(self, project):
        project.record(
            """
            import random
            from pathlib import Path

            @effect
            def send():
                with Path("sent.txt").open("a") as sent:
                    sent.write("once")
                return random.random()

            @workflow
            def flow():
                return send()
            """
        )
        assert project.examined() == (0, [])
        assert (project.folder / "sent.txt").read_text() == "once"


class TestTheOrderOfASet:
    SOURCE = """
        @step(kind="tool")
        def look_up(names):
            return len(names)

        @workflow
        def flow():
            names = {f"name {at}" for at in range(30)}
            return look_up(%s)
        """

    @pytest.mark.parametrize("how", ["list(names)", "', '.join(names)"])
    def test_it_is_found_where_it_reaches_an_input(self, project, how):
        project.record(self.SOURCE % how)
        code, (found,) = project.examined()
        assert code == 1
        assert (found["kind"], found["step"], found["file"]) == ("set order", "flow/look_up", str(project.script))
        assert found["line"] == project.line("return look_up(")

    @pytest.mark.parametrize("how", ["sorted(names)", "names"])
    def test_a_set_itself_or_a_sorted_one_is_none(self, project, how):
        project.record(self.SOURCE % how)
        assert project.examined() == (0, [])

    @given(st.permutations(["a b", "c", "d", "e"]), st.sampled_from(["a b", "c"]))
    def test_only_order_means_that_nothing_else_differs(self, items, one):
        pairs = list(zip(["a b", "c", "d", "e"], items, strict=True))
        changes = [("$", before, after) for before, after in pairs if before != after]
        assert only_order(changes) is bool(changes)
        assert not only_order([*changes, ("$", one, "new")])


class TestAnInputThatDiffers:
    def test_it_is_named_with_where_the_step_is_called_and_what_differs(self, project):
        project.record(
            """
            import random

            @step(kind="tool")
            def look_up(value):
                return value

            @workflow
            def flow():
                value = random.random()
                return look_up(value)
            """
        )
        code, found = project.examined()
        assert code == 1
        assert [(each["kind"], each["line"], each["step"]) for each in found] == [
            ("random", project.line("value = random"), "flow"),
            ("input", project.line("return look_up("), "flow/look_up"),
        ]
        assert "$.value" in found[1]["what"]
        shown = project.doctor()
        assert shown.returncode == 1
        assert f"flow.py:{project.line('value = random')}" in shown.stdout
        assert "stopped early" in shown.stdout


class TestATraceThatCanNotBeReplayed:
    def test_that_is_said_in_one_line_with_exit_code_2(self, project):
        project.record("@workflow\ndef flow():\n    return 1\n")
        project.script.unlink()
        done = project.doctor()
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        assert "flow.py" in done.stderr
