"""Going on with a run that failed or was killed: what finished is served, the rest happens, nothing happens twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner

import tracer
from replay import PlanError, live, replay, resume, stand_in
from tests.loopback import Reply
from tests.replay.support import did, done
from tracer import effect, step, workflow
from tracer.cli import main

_broken: set[str] = set()


@step(kind="tool")
def fetch(name: str) -> str:
    did(f"fetch {name}")
    if name in _broken:
        raise ConnectionError(f"no {name}")
    return f"the {name}"


@step
def fetch_or_cache(name: str) -> str:
    try:
        return fetch(name)
    except ConnectionError:
        return f"a cached {name}"


@effect
def charge(amount: int) -> str:
    did(f"charge {amount}")
    if "charge" in _broken:
        raise TimeoutError("no answer from the bank")
    return "charged"


@effect
def send(text: str) -> str:
    did(f"send {text}")
    return "sent"


@workflow
def order(name: str) -> str:
    charge(3)
    first = fetch_or_cache(name)
    second = fetch("label")
    return send(f"{first} with {second}")


@pytest.fixture(autouse=True)
def nothing_broken():
    _broken.clear()


def fails(*broken: str) -> None:
    _broken.update(broken)
    with pytest.raises((ConnectionError, TimeoutError)):
        order("book")
    _broken.clear()
    done()


class TestAFailedRun:
    def test_goes_on_at_what_failed_and_does_nothing_twice(self, recorded):
        fails("label")
        again = resume("latest")
        assert (again.output, again.error, again.stopped) == ("sent", None, None)
        assert done() == ["fetch label", "send the book with the label"]

    def test_keeps_the_failures_that_it_dealt_with(self, recorded):
        fails("book", "label")
        assert resume("latest").output == "sent"
        assert done() == ["fetch label", "send a cached book with the label"]

    def test_is_told_by_both_readers_as_one_story(self, recorded):
        fails("label")
        first = recorded.trace().trace_id
        second = resume(first).trace_id
        trace = recorded.trace(second)
        assert (trace.summary.resume_of, trace.summary.replay_of) == (first, None)
        assert recorded.origins(second)["order/charge"] == "recorded"
        shown = CliRunner().invoke(main, ["show", second]).stdout
        assert f"goes on where {first[:8]}" in shown

    def test_may_fail_again_and_be_resumed_from_there(self, recorded):
        fails("label")
        _broken.add("label")
        assert isinstance(resume("latest").error, ConnectionError)
        _broken.clear()
        done()
        assert resume("latest").output == "sent"
        assert done() == ["fetch label", "send the book with the label"]

    def test_whose_effect_failed_needs_a_decision(self, recorded):
        fails("charge")
        stopped = resume("latest").stopped
        assert stopped is not None
        assert "may have happened in part" in str(stopped)
        assert stopped.divergence.accept == ("--stand-in charge=JSON", "--live charge")
        assert done() == []
        assert resume(recorded.trace().summary.resume_of, live("charge")).output == "sent"
        assert done() == ["charge 3", "fetch book", "fetch label", "send the book with the label"]

    def test_takes_a_result_for_an_effect_that_did_happen(self, recorded):
        fails("charge")
        assert resume("latest", stand_in("charge", "charged")).output == "sent"
        assert done() == ["fetch book", "fetch label", "send the book with the label"]

    def test_makes_a_refused_model_call_again_with_all_its_attempts(self, recorded, server):
        server.next(Reply(status=429), Reply(status=429))
        with pytest.raises(Exception, match="429"):
            asks(server.url)
        asked = len(server.seen)
        server.next(Reply(status=429), Reply(words=("fine",)))
        again = resume("latest")
        assert (again.output, len(server.seen) - asked) == ("fine", 2)

    def test_runs_the_mended_code_of_what_failed_and_keeps_what_finished(self, recorded, module):
        source = """
            from tests.replay.support import did
            from tracer import step, workflow

            @step(kind="tool")
            def first():
                did("first")
                return 1

            @step
            def second(n):
                return n / 0

            @workflow
            def flow():
                return second(first())
        """
        with pytest.raises(ZeroDivisionError):
            module(source).flow()
        module(source.replace("n / 0", "n / 2").replace("return 1", "return 7"))
        done()
        assert (resume("latest").output, done()) == (0.5, [])


@workflow
def asks(url: str) -> str:
    import openai

    with openai.OpenAI(base_url=url, api_key="k", max_retries=1) as client:
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        return answer.choices[0].message.content or ""


class TestWhatCannotBeResumed:
    def test_is_a_run_that_completed(self, recorded):
        order("book")
        with pytest.raises(PlanError, match="completed: there is nothing to resume"):
            resume("latest")

    def test_is_one_that_was_resumed_already_unless_it_is_said_again(self, recorded):
        fails("label")
        first = recorded.trace().trace_id
        resume(first)
        done()
        with pytest.raises(PlanError, match=r"was resumed already.*--again"):
            resume(first)
        assert resume(first, again=True).output == "sent"

    def test_is_one_that_still_runs(self, recorded):
        @workflow
        def inner() -> None:
            with pytest.raises(PlanError, match="still runs"):
                resume("latest")

        inner()


KILLED = """
    import os, sys
    import tracer
    from tracer import effect, step, workflow

    tracer.configure(home={home!r})

    def note(what):
        with open({notes!r}, "a") as file:
            file.write(what + "\\n")

    @effect
    def pay():
        note("pay")
        return "paid"

    @effect
    def ship():
        note("ship")
        if os.environ.get("DIES") == "inside":
            os.kill(os.getpid(), 9)
        return "shipped"

    @step(kind="tool")
    def look_up():
        note("look up")
        if os.environ.get("DIES") == "before":
            os.kill(os.getpid(), 9)
        return "found"

    @workflow
    def buy():
        return [pay(), look_up(), ship()]

    if __name__ == "__main__":
        buy()
"""


class TestAKilledRun:
    @pytest.fixture
    def killed(self, tmp_path: Path):
        """Kills a run, and gives what runs ``playhead`` there and the notes of what was done."""
        script, notes = tmp_path / "buying.py", tmp_path / "notes"
        script.write_text(textwrap.dedent(KILLED.format(home=str(tmp_path / "home"), notes=str(notes))))
        env = {**os.environ, "PLAYHEAD_HOME": str(tmp_path / "home")}

        def kill(dies: str):
            ended = subprocess.run([sys.executable, str(script)], env={**env, "DIES": dies}, check=False)
            assert ended.returncode == -signal.SIGKILL
            notes.write_text("")

            def playhead(*words: str) -> subprocess.CompletedProcess[str]:
                command = [sys.executable, "-c", "from tracer.cli import main; main()", *words]
                return subprocess.run(command, env=env, check=False, capture_output=True, text=True, cwd=tmp_path)

            return playhead, lambda: notes.read_text().split("\n")[:-1]

        return kill

    def test_goes_on_from_the_call_that_it_was_in(self, killed):
        playhead, notes = killed("before")
        ended = playhead("resume", "latest")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "['paid', 'found', 'shipped']" in ended.stdout
        assert notes() == ["look up", "ship"]

    def test_is_told_of_an_effect_that_may_have_happened_and_never_guesses(self, killed):
        playhead, notes = killed("inside")
        ended = playhead("resume", "latest")
        assert ended.returncode == 3
        assert "it may have happened" in ended.stdout
        assert notes() == []
        first = playhead("ls", "--json").stdout
        assert "interrupted" in first
        ended = playhead("resume", "latest", "--stand-in", 'ship="shipped"')
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert notes() == []


def test_a_replay_of_a_resumed_run_is_a_replay_like_any_other(recorded):
    fails("label")
    resumed = resume("latest").trace_id
    tracer.flush()
    done()
    again = replay(resumed)
    assert (again.output, again.live, done()) == ("sent", 0, [])
