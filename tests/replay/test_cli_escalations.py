"""``playhead escalations`` as people use it: asked in one process that ends, answered in others, some killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.sources import REPOSITORY

ASKING = """
    import os, time
    import tracer
    from router import Waiting, escalate
    from tracer import effect, step, workflow

    OUTBOX = {outbox!r}

    def note(what):
        with open(OUTBOX, "a") as file:
            file.write(what + "\\n")

    @step(kind="tool")
    def look_up(ticket):
        note("look up")
        return f"the {{ticket}}"

    @effect
    def book(what):
        note(f"book {{what}}")
        return "booked"

    @step(kind="tool")
    def print_label(what):
        if os.environ.get("DIES") == "after booking":
            os.kill(os.getpid(), 9)
        note("print")
        return f"label of {{what}}"

    @effect
    def send(text):
        if os.environ.get("WAITS"):
            open(os.environ["WAITS"], "w").close()
            while os.path.exists(os.environ["WAITS"]):
                time.sleep(0.01)
        note(f"send {{text}}")
        return "sent"

    @workflow
    def support(ticket):
        found = look_up(ticket)
        what = escalate(f"What about {{found}}?", options=["refund", "replace"], context={{"ticket": ticket}})
        if os.environ.get("DIES") == "at the answer":
            os.kill(os.getpid(), 9)
        book(what)
        return send(print_label(found))

    @workflow
    def hurried(ticket):
        what = escalate("Refund?", options=["yes", "no"], timeout_s=1e-6, default="no")
        return send(what)

    if __name__ == "__main__":
        import sys
        try:
            {{"support": support, "hurried": hurried}}[sys.argv[1]]("book")
        except Waiting as asked:
            print(asked.trace_id)
"""


class World:
    """A project on disk: a workflow that asks, what it does in the world, and the commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outbox = folder / "outbox"
        self.script = folder / "asking.py"
        self.script.write_text(textwrap.dedent(ASKING.format(outbox=str(self.outbox))))
        self.env = {**os.environ, "PLAYHEAD_HOME": str(folder / "home"), "COLUMNS": "160"}
        self.env.pop("PLAYHEAD_DATABASE_URL", None)

    def ask(self, workflow: str = "support") -> str:
        """Run a workflow in a process that ends; gives the id of its waiting trace."""
        done = subprocess.run(
            [sys.executable, str(self.script), workflow], env=self.env, check=True, capture_output=True, text=True
        )
        self.done()
        return done.stdout.strip()

    def begin(self, *words: str, **env: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from tracer.cli import main; main()", "escalations", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env={**self.env, **env}, text=True, cwd=self.folder, **pipes)  # type: ignore[call-overload,no-any-return]

    def playhead(self, *words: str, **env: str) -> tuple[int, str]:
        """``playhead escalations ...``: its exit code, and all that it said."""
        running = self.begin(*words, **env)
        said, wrong = running.communicate(timeout=60)
        return running.returncode, said + wrong

    def done(self) -> list[str]:
        """What was done in the world since the last time this was asked."""
        found = self.outbox.read_text().splitlines() if self.outbox.exists() else []
        self.outbox.unlink(missing_ok=True)
        return found

    def listed(self, *words: str) -> list[dict[str, Any]]:
        code, said = self.playhead(*words, "--json")
        assert code == 0, said
        found: list[dict[str, Any]] = json.loads(said)
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestTheCommand:
    def test_lists_shows_and_answers_what_another_process_asked(self, world):
        asked = world.ask()
        code, said = world.playhead()
        assert (code, asked[:16] in said, "What about the book?  [refund | replace]" in said) == (0, True, True)
        code, said = world.playhead("show", asked[:16])
        assert (code, '"ticket": "book"' in said, "answers: refund | replace" in said) == (0, True, True)
        code, said = world.playhead("answer", asked[:16], "refund", "--by", "ann")
        assert (code, "completed" in said) == (0, True), said
        assert world.done() == ["book refund", "print", "send label of the book"]
        assert world.listed() == []
        shown = subprocess.run(
            [sys.executable, "-m", "tracer.cli", "show", asked],
            env=world.env,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert "asks: What about the book?" in shown
        (one,) = world.listed("--all")
        assert (one["state"], one["answer"], one["closed_by"]) == ("answered", "refund", "ann")

    def test_refuses_a_wrong_answer_and_names_the_options(self, world):
        asked = world.ask()
        code, said = world.playhead("answer", asked, "maybe")
        assert (code, "none of the options: refund, replace" in said) == (2, True)
        assert (world.listed()[0]["state"], world.done()) == ("open", [])

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            (("answer", "latest", "a", "b", "c"), "needs quotes"),
            (("answer", "latest", "no-such-step", "refund"), "asks 1 question"),
            (("answer", "ffff", "refund"), "no trace begins with ffff"),
            (("resume", "latest"), "still waits"),
        ],
        ids=["words", "step", "trace", "resume"],
    )
    def test_says_what_is_wrong_in_one_line(self, world, words, why):
        world.ask()
        code, said = world.playhead(*words)
        assert (code, why in said) == (2, True), said

    def test_knows_nothing_of_a_run_that_waits_elsewhere_and_was_imported(self, world, tmp_path):
        asked = world.ask()
        playhead = [sys.executable, "-m", "tracer.cli"]
        file = str(tmp_path / "waiting.json")
        subprocess.run([*playhead, "export", asked, "-o", file], env=world.env, check=True, capture_output=True)
        world.env["PLAYHEAD_HOME"] = str(tmp_path / "another")
        subprocess.run([*playhead, "import", file], env=world.env, check=True, capture_output=True)
        assert world.listed("--all") == []
        code, said = world.playhead("answer", "latest", "refund")
        assert (code, "waits for no answer" in said, world.done()) == (2, True, [])

    def test_assigns_and_withdraws(self, world):
        asked = world.ask()
        assert world.playhead("assign", asked, "bob")[0] == 0
        assert [one["assignee"] for one in world.listed()] == ["bob"]
        assert world.playhead("withdraw", asked, "--by", "ann")[0] == 0
        assert world.listed() == []
        code, said = world.playhead("answer", asked, "refund")
        assert (code, "was withdrawn by ann" in said, world.done()) == (2, True, [])

    def test_takes_the_default_when_the_time_is_over_and_goes_on(self, world):
        asked = world.ask("hurried")
        assert "overdue by" in world.playhead()[1]
        code, said = world.playhead("due")
        assert (code, f"{asked[:16]} hurried/escalate: took the default 'no'" in said) == (0, True), said
        assert world.done() == ["send no"]
        assert world.playhead("due") == (0, "")


def test_the_example_of_the_page_runs_as_it_says(tmp_path):
    page = (REPOSITORY / "docs" / "escalation.md").read_text(encoding="utf-8")
    (tmp_path / "refunds.py").write_text(page.split("```python\n")[1].split("```")[0], encoding="utf-8")
    env = {**os.environ, "PLAYHEAD_HOME": str(tmp_path / "home")}
    env.pop("PLAYHEAD_DATABASE_URL", None)

    def run(*words: str) -> str:
        command = [sys.executable, *words]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True, cwd=tmp_path).stdout

    assert "waits for an answer to: Pay back order-7?" in run("refunds.py")
    said = run("-m", "tracer.cli", "escalations", "answer", "latest", "half", "--by", "ann")
    assert "looking up" not in said
    assert "paying back 20" in said
    assert "completed 20 for order-7" in said


class TestAProcessThatGoesOn:
    @pytest.mark.parametrize("dies", ["at the answer", "after booking"])
    def test_and_is_killed_is_made_up_for_and_nothing_is_done_twice(self, world, dies):
        asked = world.ask()
        code, _ = world.playhead("answer", asked, "refund", DIES=dies)
        assert code == -signal.SIGKILL
        before = world.done()
        assert before == ([] if dies == "at the answer" else ["book refund"])
        assert [one["state"] for one in world.listed()] == ["answered"]
        code, said = world.playhead("resume", asked)
        assert (code, "completed" in said) == (0, True), said
        assert before + world.done() == ["book refund", "print", "send label of the book"]
        assert world.playhead("resume", asked)[1].endswith("It has gone on already.\n")
        assert (world.listed(), world.done()) == ([], [])

    def test_and_is_killed_twice_is_made_up_for_by_the_timer(self, world):
        asked = world.ask()
        world.playhead("answer", asked, "refund", DIES="at the answer")
        assert world.playhead("due", DIES="after booking")[0] == -signal.SIGKILL
        code, said = world.playhead("due")
        assert (code, "completed" in said) == (0, True), said
        assert world.done() == ["book refund", "print", "send label of the book"]

    def test_is_the_only_one_that_does(self, world, tmp_path):
        asked, flag = world.ask(), tmp_path / "waits"
        first = world.begin("answer", asked, "refund", WAITS=str(flag))
        until(flag.exists)
        code, said = world.playhead("answer", asked, "replace")
        assert (code, "was answered with 'refund'" in said) == (2, True), said
        code, said = world.playhead("resume", asked)
        assert (code, "goes on already" in said) == (2, True), said
        flag.unlink()
        assert first.wait(60) == 0
        first.communicate()
        assert world.done() == ["book refund", "print", "send label of the book"]

    def test_of_many_who_answer_at_once_is_one(self, world):
        asked = world.ask()
        people = [world.begin("answer", asked, "refund", "--by", f"person {number}") for number in range(3)]
        said = [each.communicate(timeout=60) for each in people]
        codes = sorted(each.returncode for each in people)
        assert codes == [0, 2, 2], said
        assert world.done() == ["book refund", "print", "send label of the book"]
