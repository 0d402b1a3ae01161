"""The pytest plugin, as a project that uses it sees it: real test runs in processes of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Iterator

import pytest

from tests.loopback import Loopback, Reply
from tests.sources import REPOSITORY

APP = """
import os
import httpx
from tracer import effect, step, workflow

PROMPT = "Be brief."

def note(what):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(what + "\\n")

@step
def ask(question):
    note("ask")
    messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": question}]
    body = {"model": "loopback-1", "messages": messages}
    answer = httpx.post(os.environ["MODEL"] + "/chat/completions", json=body)
    return answer.json()["choices"][0]["message"]["content"]

@step(kind="tool")
def look_up(word):
    note("look_up " + word)
    return word.upper()

@effect
def send(text):
    note("send " + text)
    return "sent"

@workflow
def support(question):
    return look_up(ask(question)) + " " + send(question)

@workflow
async def support_async(question):
    return look_up(question)
"""

TESTS = """
import pytest
from app import support

@pytest.mark.playhead
def test_support():
    assert support("my card") == "HELLO, WORLD sent"
"""


class Project:
    """A folder with a pipeline and its tests."""

    def __init__(self, folder: Path, server: Loopback) -> None:
        self.folder = folder
        self.server = server
        self.write("app.py", APP)
        self.write("test_app.py", TESTS)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(textwrap.dedent(text))

    def change(self, name: str, before: str, after: str) -> None:
        text = (self.folder / name).read_text()
        assert before in text
        (self.folder / name).write_text(text.replace(before, after))

    def run(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """``pytest`` with these words; the notes of what it did start anew."""
        (self.folder / "notes").write_text("")
        plugins = ["-p", "pytest_playhead", "-p", "anyio.pytest_plugin", "-p", "no:cacheprovider"]
        if "-n" in words:
            plugins += ["-p", "xdist.plugin"]
        command = [sys.executable, "-m", "pytest", *plugins, "-rA", *words]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CI"))}
        own = {
            "PYTHONPATH": f"{REPOSITORY}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "NOTES": str(self.folder / "notes"),
            "MODEL": self.server.url,
            "PLAYHEAD_HOME": str(self.folder / "home"),
            "PLAYHEAD_STRICT": "1",
        }
        return subprocess.run(
            command,
            check=False,
            cwd=self.folder,
            env={**clean, **own, **env},
            capture_output=True,
            text=True,
            timeout=100,
        )

    def passes(self, *words: str, **env: str) -> str:
        done = self.run(*words, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def fails(self, *words: str, **env: str) -> str:
        done = self.run(*words, **env)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stdout

    @property
    def notes(self) -> list[str]:
        """What the pipeline did in the last run."""
        return (self.folder / "notes").read_text().splitlines()

    def cassette(self, name: str = "test_app/test_support") -> Path:
        return self.folder / "cassettes" / f"{name}.json"


@pytest.fixture
def project(tmp_path: Path, server: Loopback) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder, server)


@pytest.fixture(scope="module")
def recorded_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose test has its cassette."""
    with Loopback() as server:
        project = Project(tmp_path_factory.mktemp("recorded"), server)
        project.passes()
        yield project


@pytest.fixture
def played(recorded_once: Project, tmp_path: Path) -> Project:
    """A copy of it, with the same model behind it."""
    shutil.copytree(recorded_once.folder, tmp_path / "project")
    return Project(tmp_path / "project", recorded_once.server)


class TestAMarkedTest:
    def test_records_its_cassette_where_there_is_none(self, project):
        said = project.passes()
        assert project.notes == ["ask", "look_up Hello, world", "send my card"]
        assert "wrote cassettes/test_app/test_support.json" in said
        assert json.loads(project.cassette().read_text())["workflow"] == "support"

    def test_is_played_from_its_cassette_from_then_on(self, played):
        before, seen = played.cassette().read_bytes(), len(played.server.seen)
        played.passes()
        assert played.notes == ["ask"]  # its own code runs; what reaches out is served
        assert len(played.server.seen) == seen
        assert played.cassette().read_bytes() == before

    def test_leaves_no_trace_in_the_users_own_store(self, played):
        assert not (played.folder / "home").exists()

    def test_needs_no_key_of_the_store_that_recorded(self, played):
        assert played.passes("--replay-mode", "none", PLAYHEAD_HOME=str(played.folder / "other"))

    def test_is_recorded_only_when_it_passes(self, project):
        project.change("test_app.py", "HELLO, WORLD sent", "nonsense")
        project.fails()
        assert not project.cassette().exists()

    def test_fails_where_nothing_is_recorded_and_nothing_may_be(self, project):
        said = project.fails(CI="true")
        assert "there is no cassette" in said
        assert "--replay-mode once" in said
        assert project.notes == []

    def test_is_played_under_xdist(self, played):
        said = played.passes("-n", "2")
        assert played.notes == ["ask"]
        assert "1 passed" in said

    def test_may_name_its_cassette(self, project):
        project.change("test_app.py", "mark.playhead", "mark.playhead(cassette='here/it.json')")
        project.passes()
        assert (project.folder / "here" / "it.json").is_file()
        project.passes("--replay-mode", "none")

    def test_that_calls_no_workflow_says_so(self, project):
        project.write("test_app.py", "import pytest\n@pytest.mark.playhead\ndef test_it():\n    pass\n")
        assert "Does it call a @workflow" in project.fails()

    def test_that_is_marked_wrongly_says_how(self, project):
        project.change("test_app.py", "mark.playhead", "mark.playhead(casette='a')")
        assert "it has no casette" in project.fails()


class TestManyTests:
    def test_of_one_function_each_have_a_cassette(self, project):
        project.write(
            "test_app.py",
            """
            import pytest
            from app import support

            class TestIt:
                @pytest.mark.playhead
                @pytest.mark.parametrize("question", ["a", "b/c", "b:c"])
                def test_all(self, question):
                    assert support(question) == "HELLO, WORLD sent"
            """,
        )
        project.passes("-n", "2")
        names = sorted(path.name for path in (project.folder / "cassettes" / "test_app").iterdir())
        assert len(names) == 3
        assert names[0] == "TestIt.test_all-a.json"
        project.passes("--replay-mode", "none", "-n", "2")
        assert project.notes == ["ask"] * 3

    def test_without_the_mark_record_where_they_always_did(self, project):
        project.change("test_app.py", "@pytest.mark.playhead\n", "")
        project.passes()
        assert not (project.folder / "cassettes").exists()
        assert (project.folder / "home" / "playhead.db").exists()

    def test_marked_and_not_stand_beside_each_other(self, project):
        project.change("test_app.py", "import pytest\n", "import pytest\n\ndef test_plain():\n    support('x')\n\n")
        project.write("test_zz.py", "from app import support\ndef test_plain():\n    support('x')\n")
        project.passes()
        done = subprocess.run(
            [sys.executable, "-m", "tracer.cli", "ls", "--json"],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PLAYHEAD_HOME": str(project.folder / "home")},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert len(json.loads(done.stdout)) == 2

    def test_that_call_several_workflows_have_a_cassette_for_each(self, project):
        project.change("test_app.py", "    assert", "    support('first')\n    support('second')\n    assert")
        project.passes()
        assert project.cassette("test_app/test_support-3").exists()
        project.passes("--replay-mode", "none")
        project.change("test_app.py", "    support('first')\n", "")
        said = project.passes("--replay-mode", "none")
        assert "recorded and not used: support (the whole workflow)" in said
        project.passes("--update")
        assert not project.cassette("test_app/test_support-3").exists()
        project.passes("--replay-mode", "none")

    def test_may_be_async(self, project):
        project.write(
            "test_app.py",
            """
            import asyncio
            import pytest
            from app import support_async

            @pytest.fixture
            def anyio_backend():
                return "asyncio"

            @pytest.mark.playhead
            @pytest.mark.anyio
            async def test_awaited():
                assert await asyncio.gather(support_async("a"), support_async("b")) == ["A", "B"]

            @pytest.mark.playhead
            def test_run():
                assert asyncio.run(support_async("c")) == "C"
            """,
        )
        project.passes()
        assert sorted(project.notes) == ["look_up a", "look_up b", "look_up c"]
        project.passes("--replay-mode", "none")
        assert project.notes == []


class TestATestThatIsNotAsRecorded:
    def test_fails_with_what_differs_and_the_way_out(self, played):
        played.change("app.py", "Be brief.", "Be very brief.")
        seen = len(played.server.seen)
        said = played.fails("--replay-mode", "none")
        for words in (
            "replay mode none, cassette cassettes/test_app/test_support.json",
            "support/ask/chat: its input is not the recorded one",
            "called at app.py:17, in ask",
            "$.body.messages[0].content",
            "recorded  'Be brief.'",
            "now       'Be very brief.'",
            'pytest "test_app.py::test_support" --update',
        ):
            assert words in said
        line = re.search(
            r"nearest in the record: support/ask/chat \(cassettes/test_app/test_support.json:(\d+)\)", said
        )
        assert line is not None
        shown = played.cassette().read_text().splitlines()[int(line.group(1)) - 1]
        assert '"path": "support/ask/chat"' in shown
        assert len(played.server.seen) == seen

    def test_fails_even_where_the_code_swallows_the_stop(self, played):
        played.change("app.py", "Be brief.", "Be very brief.")
        played.change(
            "app.py",
            "    return look_up(ask",
            "    try:\n        ask(question)\n    except BaseException:\n        return 'HELLO, WORLD sent'\n"
            "    return look_up(ask",
        )
        assert "its input is not the recorded one" in played.fails()

    def test_fails_at_a_call_that_is_new(self, played):
        played.change(
            "app.py", "    return look_up(ask", "    look_up('more')\n    look_up('again')\n    return look_up(ask"
        )
        said = played.fails()
        assert "support/look_up: its input is not the recorded one" in said
        assert played.notes == []

    def test_fails_where_its_assertion_does_and_says_what_else_there_is(self, played):
        played.change("app.py", '+ " " +', '+ "!" +')
        said = played.fails()
        assert "assert 'HELLO, WORLD!sent'" in said

    def test_fails_where_a_workflow_has_no_cassette_left(self, played):
        played.change("test_app.py", "    assert", "    support('my card')\n    assert")
        assert "this call is not in the cassette" in played.fails()

    def test_reports_what_it_did_not_use(self, played):
        played.change("app.py", 'look_up(ask(question)) + " " + send(question)', "'HELLO, WORLD ' + send(question)")
        said = played.passes()
        assert "recorded and not used: support/ask, support/look_up" in said
        assert "recorded and not used: support/ask, support/look_up" in played.passes("-n", "2")

    def test_fails_for_what_it_did_not_use_where_it_is_strict(self, played):
        played.change("test_app.py", "mark.playhead", "mark.playhead(strict=True)")
        played.passes()
        played.change("app.py", 'look_up(ask(question)) + " " + send(question)', "'HELLO, WORLD ' + send(question)")
        assert "not used: support/ask, support/look_up" in played.fails()

    def test_says_where_an_answer_is_older_than_the_code(self, played):
        played.change("app.py", "return word.upper()", "return word.lower()")
        assert "served, although its code has changed: support/look_up" in played.passes()
        played.change("test_app.py", "mark.playhead", "mark.playhead(strict=True)")
        assert "changed since, and served: support/look_up" in played.fails()

    def test_says_so_of_a_damaged_cassette(self, played):
        played.cassette().write_text(played.cassette().read_text().replace('"kind": "tool"', "<<<<<<< HEAD", 1))
        said = played.fails()
        assert re.search(r"test_support.json, line \d+: .* this is no JSON; if a merge left its marks", said)
        played.passes("--replay-mode", "all")
        played.passes("--replay-mode", "none")


class TestTheNetwork:
    @pytest.mark.parametrize(
        "call",
        [
            "import urllib.request; urllib.request.urlopen('http://model.invalid/', timeout=1)",
            "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)",
            "import httpx; httpx.get('http://model.invalid/')",
        ],
        ids=["urllib", "socket", "httpx"],
    )
    def test_is_refused_to_a_test_that_is_played(self, played, call):
        played.change("test_app.py", "    assert", f"    {call}\n    assert")
        said = played.fails("--replay-mode", "none")
        assert "A connection to " in said
        assert "was refused (from test_app.py:" in said
        assert "in replay mode none this test has only its cassette cassettes/test_app/test_support.json" in said

    def test_of_this_machine_is_not(self, played):
        played.change(
            "test_app.py", "    assert", "    import httpx, os\n    httpx.get(os.environ['MODEL'])\n    assert"
        )
        played.passes("--replay-mode", "none")

    def test_is_free_where_the_mark_says_so(self, played):
        call = "import socket\n    with pytest.raises(OSError):\n        socket.getaddrinfo('model.invalid', 80)"
        played.change("test_app.py", "    assert", f"    {call}\n    assert")
        played.fails("--replay-mode", "none")
        played.change("test_app.py", "mark.playhead", "mark.playhead(network=True)")
        played.passes("--replay-mode", "none")

    def test_is_free_again_afterwards(self, played):
        played.write(
            "test_later.py",
            """
            import socket
            import pytest

            def test_it():
                with pytest.raises(OSError):
                    socket.getaddrinfo("a.invalid", 80)
            """,
        )
        played.passes("--replay-mode", "none")


class TestModeNew:
    def test_serves_what_is_recorded_and_records_what_is_new(self, played):
        played.change("app.py", "    return look_up(ask", "    look_up('more')\n    return look_up(ask")
        played.passes("--replay-mode", "new")
        assert played.notes == ["look_up more", "ask"]
        played.passes("--replay-mode", "none")
        assert played.notes == ["ask"]

    def test_writes_nothing_where_nothing_is_new(self, played):
        before = played.cassette().stat().st_mtime_ns
        played.change("app.py", "return word.upper()", "return word.lower()")
        played.passes("--replay-mode", "new")
        assert played.cassette().stat().st_mtime_ns == before


class TestModeAll:
    def test_records_everything_anew(self, played):
        played.passes("--replay-mode", "all")
        assert played.notes == ["ask", "look_up Hello, world", "send my card"]

    def test_leaves_the_file_as_it_is_where_the_answers_are_the_same(self, played):
        before = played.cassette().read_bytes()
        assert "wrote" not in played.passes("--replay-mode", "all")
        assert played.cassette().read_bytes() == before


class TestUpdate:
    def test_asks_only_what_changed_and_changes_only_those_lines(self, played):
        before = played.cassette().read_text().splitlines()
        played.change("app.py", "Be brief.", "Be very brief.")
        played.server.next(Reply(words=("Hello, world",)))
        seen = len(played.server.seen)
        played.passes("--update")
        assert len(played.server.seen) == seen + 1
        assert played.notes == ["ask"]
        after = played.cassette().read_text().splitlines()
        changed = [line for line in after if line not in before]
        assert all("Be very brief." in line or "fingerprint" in line for line in changed), changed
        played.passes("--replay-mode", "none")

    def test_asks_again_what_was_answered_by_other_code(self, played):
        played.change("app.py", "return word.upper()", "return word.lower()")
        played.change("test_app.py", "HELLO, WORLD sent", "hello, world sent")
        played.passes("--update", CI="true")
        assert played.notes == ["ask", "look_up Hello, world"]
        assert '"output": "hello, world"' in played.cassette().read_text()

    def test_takes_out_what_is_not_asked_for_any_more(self, played):
        played.change("app.py", 'look_up(ask(question)) + " " + send(question)', "'HELLO, WORLD ' + send(question)")
        played.passes("--update")
        assert "look_up" not in played.cassette().read_text()
        assert "not used" not in played.passes("--replay-mode", "none")

    def test_changes_nothing_where_nothing_changed(self, played):
        before = played.cassette().read_bytes()
        assert "wrote" not in played.passes("--update")
        assert played.cassette().read_bytes() == before

    def test_records_a_test_that_has_no_cassette(self, project):
        project.passes("--update", CI="true")
        assert project.cassette().exists()


class TestThePlugin:
    def test_loads_nothing_of_ours_where_no_test_is_marked(self, project):
        project.write(
            "test_app.py",
            """
            import sys

            def test_it():
                heavy = {"tracer", "replay", "sqlalchemy", "httpx"}
                assert heavy.isdisjoint(name.split(".")[0] for name in sys.modules)
            """,
        )
        project.passes()

    @pytest.mark.parametrize("place", ["conftest", "other"])
    def test_gives_way_to_another_that_has_its_short_option(self, project, place):
        project.write(f"{place}.py", "def pytest_addoption(parser):\n    parser.addoption('--update', type=int)\n")
        words = ["-p", "other"] if place == "other" else []
        both = f"{REPOSITORY}:{project.folder}"
        project.passes(*words, "--update", "3", PYTHONPATH=both)
        project.change("app.py", "return word.upper()", "return word.lower()")
        project.change("test_app.py", "HELLO, WORLD sent", "hello, world sent")
        project.passes(*words, "--replay-update", PYTHONPATH=both)

    def test_knows_its_mark(self, project):
        said = project.run("--markers").stdout
        assert "@pytest.mark.playhead(cassette=None, strict=False, network=False)" in said
