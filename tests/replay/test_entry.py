"""A recorded workflow is found again, and nothing runs while it is looked for. Scripts are real ones, in a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import tracer
from replay import EntryNotFound, live, replay
from replay.entry import find
from tests.replay.support import did, done
from tracer import step, workflow
from tracer.model import Entry

SCRIPT = """
    import json, os
    from dataclasses import dataclass
    from pathlib import Path
    from tracer import effect, step, workflow

    OUT = Path(os.environ["OUT"])

    @dataclass
    class Order:
        number: int

    @step
    def make(number):
        with OUT.open("a") as out:
            out.write("make\\n")
        return Order(number)

    @effect
    def ship(order):
        with OUT.open("a") as out:
            out.write("ship\\n")
        return order.number

    @workflow
    def ordering(number):
        order = make(number)
        assert type(order) is Order, type(order)
        return ship(order)
"""
CALLS = {
    "under a guard": """
        if __name__ == "__main__":
            ordering(7)
    """,
    "at its top level": """
        ordering(7)
        OUT.write_text("the script went on")
    """,
    "in a pool of threads at its top level": """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor() as pool:
            print(list(pool.map(ordering, [7])))
    """,
    "in a loop at its top level, and ends itself": """
        import asyncio, sys
        async def main():
            return ordering(7)
        sys.exit(0 if asyncio.run(main()) == 7 else 1)
    """,
    "with recording switched off on the way": """
        import tracer
        if "RECORDING" not in os.environ:
            tracer.configure(enabled=False)
        ordering(7)
    """,
}


def script(how: str) -> str:
    return textwrap.dedent(SCRIPT) + textwrap.dedent(CALLS[how])


class Shell:
    """Runs scripts and the command in processes of their own, over one store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out.txt"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PLAYHEAD_")}
        path = str(Path(__file__).resolve().parents[2])
        self.env = {
            **kept,
            "PLAYHEAD_HOME": str(folder / "home"),
            "OUT": str(self.out),
            "PYTHONPATH": path,
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def write(self, source: str, name: str = "orders.py") -> Path:
        path = self.folder / name
        path.write_text(source)
        return path

    def run(self, *words: Any, **env: str) -> subprocess.CompletedProcess[str]:
        told = {**self.env, **env}
        return subprocess.run(
            [sys.executable, *map(str, words)],
            env=told,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def record(self, path: Path) -> None:
        ran = self.run(path, RECORDING="1")
        assert ran.returncode == 0, ran.stderr

    def playhead(self, *words: Any, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "tracer.cli", *words, **env)

    def happened(self) -> list[str]:
        return self.out.read_text().split() if self.out.exists() else []


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


class TestAScript:
    @pytest.mark.parametrize("how", CALLS)
    def test_that_calls_its_workflow_is_loaded_without_running_it(self, shell, how):
        shell.record(shell.write(script(how)))
        shell.out.write_text("")
        again = shell.playhead("replay", "latest", "--live", "make", "--json")
        assert again.returncode == 0, again.stderr
        found = json.loads(again.stdout)
        assert (found["output"], found["served"], found["live"]) == (7, 1, 0)
        assert shell.happened() == ["make"]

    def test_that_fails_while_it_is_loaded_says_so_in_one_line(self, shell):
        path = shell.write(script("under a guard"))
        shell.record(path)
        for text, said in (
            ("def (", "SyntaxError"),
            ("import nowhere_at_all", "ModuleNotFoundError"),
            ("1 / 0", "division"),
        ):
            path.write_text(text)
            assert_one_line(shell.playhead("replay", "latest"), 2, "fails while loading", said)

    def test_that_is_gone_or_lost_its_workflow_says_so_in_one_line(self, shell):
        path = shell.write(script("under a guard"))
        shell.record(path)
        path.write_text(path.read_text().replace("ordering", "buying"))
        assert_one_line(shell.playhead("replay", "latest"), 2, "has no ordering any more")
        path.unlink()
        assert_one_line(shell.playhead("replay", "latest"), 2, "is not there any more")

    def test_whose_workflow_lost_its_decorator_does_not_run(self, shell):
        path = shell.write(script("under a guard"))
        shell.record(path)
        shell.out.write_text("")
        path.write_text(path.read_text().replace("@workflow\n", ""))
        assert_one_line(shell.playhead("replay", "latest"), 2, "is no @workflow")
        assert shell.happened() == []

    def test_is_replayed_where_recording_is_switched_off(self, shell):
        shell.record(shell.write(script("at its top level")))
        shell.out.write_text("")
        again = shell.playhead("replay", "latest", "--json", PLAYHEAD_ENABLED="0")
        assert json.loads(again.stdout)["output"] == 7
        assert shell.happened() == []

    def test_that_configures_another_store_is_replayed_beside_its_record(self, shell):
        path = shell.write(script("under a guard"))
        shell.record(path)
        elsewhere = "import tracer\ntracer.configure(database_url='other.db', home='other')\n"
        path.write_text(elsewhere + path.read_text())
        again = json.loads(shell.playhead("replay", "latest", "--json").stdout)
        assert (again["served"], again["divergences"]) == (1, [])
        listed = json.loads(shell.playhead("ls", "--json").stdout)
        assert [each["replay_of"] for each in listed] == [again["replay_of"], None]


def assert_one_line(ran: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
    assert ran.returncode == code, ran.stderr
    assert ran.stderr.startswith("playhead: ")
    assert ran.stderr.count("\n") == 1
    for words in said:
        assert words in ran.stderr


MODULE = """
    from tracer import step, workflow
    from tests.replay.support import did

    @step
    def one(value):
        did("one")
        return value

    @workflow
    def outer(value):
        return one(value)
"""


class TestAModule:
    def test_whose_import_fails_says_so(self, recorded, module):
        loaded = module(MODULE)
        loaded.outer(1)
        trace = recorded.trace()
        path = Path(loaded.__file__)
        for text in ("def (", "import nowhere_at_all", "raise SystemExit(3)"):
            path.write_text(text)
            sys.modules.pop(loaded.__name__)
            with pytest.raises(EntryNotFound, match="can't be imported any more") as refused:
                replay(trace.trace_id)
            assert "\n" not in str(refused.value)
            sys.modules[loaded.__name__] = loaded

    def test_that_calls_the_workflow_at_import_is_refused_and_nothing_runs(self, recorded, module):
        loaded = module(MODULE)
        loaded.outer(1)
        trace = recorded.trace()
        done()
        Path(loaded.__file__).write_text(Path(loaded.__file__).read_text() + "\nouter(1)\n")
        sys.modules.pop(loaded.__name__)
        with pytest.raises(EntryNotFound, match="calls the workflow at its top level"):
            replay(trace.trace_id)
        assert done() == []
        sys.modules[loaded.__name__] = loaded

    def test_of_the_same_name_from_another_place_is_not_taken_for_it(self, recorded, module, tmp_path):
        loaded = module(MODULE)
        loaded.outer(1)
        trace = recorded.trace()
        loaded.__file__ = str(tmp_path / "elsewhere.py")
        with pytest.raises(EntryNotFound, match="is another module here"):
            replay(trace.trace_id)


class TestAModuleRunAsAScript:
    def test_keeps_its_relative_imports(self, shell):
        package = shell.folder / "orders"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "words.py").write_text("WORD = 'shipped'\n")
        main = "from .words import WORD\nfrom tracer import workflow\n\n@workflow\ndef say():\n    return WORD\n\n"
        (package / "main.py").write_text(main + "if __name__ == '__main__':\n    say()\n")
        shell.run("-m", "orders.main")
        assert json.loads(shell.playhead("replay", "latest", "--json").stdout)["output"] == "shipped"


class TestAClosure:
    def test_can_not_be_imported_and_is_asked_for(self, recorded):
        @workflow
        def local(value):
            return value

        local(1)
        with pytest.raises(
            EntryNotFound, match=r"local was defined inside another function .* replay\(\.\.\., fn=it\)"
        ):
            replay("latest")
        assert replay("latest", fn=local).output == 1


class TestLookingForIt:
    def test_leaves_the_process_as_it_was(self, tmp_path):
        script = tmp_path / "script.py"
        script.write_text("from tracer import workflow\n\n@workflow\ndef found():\n    return 1\n")
        main, path, argv = sys.modules["__main__"], list(sys.path), list(sys.argv)
        function = find(Entry("__main__", "found", str(script), str(tmp_path)))
        assert function.__name__ == "found"
        assert (sys.modules["__main__"], sys.path, sys.argv) == (main, path, argv)
        sys.modules.pop("__mp_main__")

    def test_takes_a_script_that_has_changed_anew(self, tmp_path):
        script = tmp_path / "script.py"
        entry = Entry("__main__", "found", str(script), str(tmp_path))
        for text in ("one", "two"):
            script.write_text(f"def found():\n    return {text!r}\n")
            assert find(entry)() == text
        sys.modules.pop("__mp_main__")

    @pytest.mark.parametrize(
        ("entry", "said"),
        [
            (None, "does not say which function"),
            (Entry("tests.nowhere", "f"), "can't be imported any more"),
            (Entry("json", "JSONEncoder.nothing"), "json has no JSONEncoder.nothing any more"),
            (Entry("json", "__name__"), "is no function any more"),
            (Entry("__main__", "f", None), "is not there any more"),
        ],
    )
    def test_says_what_it_looked_for(self, entry, said):
        with pytest.raises(EntryNotFound, match=said):
            find(entry)

    def test_lets_workflows_begin_again_afterwards(self, recorded):
        with pytest.raises(EntryNotFound):
            find(Entry("tests.nowhere", "f"))
        assert itself(1) == 1
        assert len(recorded.trace().steps) == 2


@step
def inner(value):
    did("inner")
    return value


@workflow
def itself(value):
    return inner(value)


class TestTheStoreOfAReplay:
    def test_is_that_of_its_record_whatever_the_module_configures(self, recorded, module, tmp_path):
        source = """
            import tracer
            from tracer import step, workflow
            {line}

            @step
            def one(value):
                return value

            @workflow
            def outer(value):
                return one(value)
        """
        loaded = module(source.format(line=""))
        loaded.outer(1)
        trace = recorded.trace()
        elsewhere = tmp_path / "elsewhere"
        line = f"tracer.configure(database_url={str(elsewhere / 'x.db')!r}, home={str(elsewhere)!r})"
        Path(loaded.__file__).write_text(textwrap.dedent(source.format(line=line)))
        sys.modules.pop(loaded.__name__)
        again = replay(trace.trace_id, live("one"))
        assert again.database_url == recorded.url
        assert recorded.trace(again.trace_id).summary.replay_of == trace.trace_id
        assert tracer.recorder.current_config().database_url == recorded.url
        assert again.divergences == ()
