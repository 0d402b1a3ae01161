"""Watching a store: each alert is told once, to webhooks and commands that are real, also after a restart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Iterator

import pytest
from click.testing import CliRunner

import tracer
from tests import recording
from tests.builders import NEW_YEAR_NS, Story
from tests.recording import Project
from tracer import workflow
from tracer.alerts.cli import watch_command
from tracer.alerts.rules import read_rules
from tracer.alerts.watch import PREFIX, Watch
from tracer.cli import Commands
from tracer.store import Store, open_store

project = recording.project

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
NOON_NS = NEW_YEAR_NS + 12 * 3600 * SECOND_NS
FAILS = '[[rule]]\nname = "it fails"\nmeasure = "failure_rate"\nabove = 0.5\nat_least = 1\nwindow = "5m"\n'
#: The command as its process starts it, whether or not it is installed already.
MAIN = (
    "from tracer.cli import main; from tracer.alerts.cli import watch_command; main.add_command(watch_command); main()"
)


@dataclass
class Hook:
    """A webhook's server: what it was told, and how it answers."""

    told: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    url: str = ""

    @property
    def states(self) -> list[str]:
        return [each["state"] for each in self.told]


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = found.answers.pop(0) if found.answers else 204
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if status < 300:
                found.told.append(body)
                found.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def run_at(at_ns: int, *, error: Exception | None = None) -> Story:
    told = Story(at_ns=at_ns)
    return told.finish(error=error) if error else told.finish()


@dataclass
class Watched:
    """A store that is watched by rules, minute after minute."""

    store: Store
    path: Path
    said: list[str] = field(default_factory=list)

    def watch(self) -> Watch:
        """A watch that was just started."""
        return Watch(self.store, read_rules(self.path, os.environ), self.said.append)

    def fails(self, at_ns: int = NOON_NS) -> None:
        self.store.apply(run_at(at_ns - SECOND_NS, error=ValueError("no")).events, owner="me")

    def works(self, at_ns: int = NOON_NS) -> None:
        for _ in range(5):
            self.store.apply(run_at(at_ns - SECOND_NS).events, owner="me")

    def minute(self, number: int, watch: Watch | None = None) -> int:
        """Look and tell at this minute after noon. How much is left to be told."""
        watch = watch or self.watch()
        watch.look(NOON_NS + number * MINUTE_NS)
        return watch.tell(NOON_NS + number * MINUTE_NS)


@pytest.fixture
def watched(store: Store, tmp_path: Path, hook: Hook) -> Watched:
    path = tmp_path / "alerts.toml"
    path.write_text(f'webhook = "{hook.url}"\nheaders = {{ X-Key = "secret" }}\n{FAILS}')
    return Watched(store, path)


class TestAWebhook:
    def test_is_told_of_an_alert_and_of_its_end(self, watched: Watched, hook: Hook) -> None:
        watched.fails()
        for number in range(3):
            watched.minute(number)
        watched.works(NOON_NS + 3 * MINUTE_NS)
        for number in range(3, 6):
            watched.minute(number)
        assert hook.states == ["firing", "resolved"]
        fired, resolved = hook.told
        assert fired == {
            "id": fired["id"],
            "state": "firing",
            "rule": "it fails",
            "of": "",
            "measure": "failure_rate",
            "value": 1.0,
            "above": 0.5,
            "count": 1,
            "unpriced": 0,
            "since": "2026-01-01T12:00:00Z",
            "at": "2026-01-01T12:00:00Z",
            "text": "Firing: it fails: failure rate 100.0 % of 1 run; fires above 50.0 %",
        }
        assert (resolved["since"], resolved["at"]) == (fired["since"], "2026-01-01T12:03:00Z")
        assert resolved["id"] != fired["id"]
        assert hook.headers[0]["x-key"] == "secret"
        assert hook.headers[0]["content-type"] == "application/json"

    def test_is_not_told_again_by_a_watch_that_is_started_anew(self, watched: Watched, hook: Hook) -> None:
        watched.fails()
        watched.minute(0, watched.watch())
        watched.minute(1, watched.watch())
        assert hook.states == ["firing"]

    def test_is_told_once_by_watches_that_look_at_once(self, watched: Watched, hook: Hook) -> None:
        watched.fails()
        gate = threading.Barrier(4)

        def look() -> None:
            gate.wait()
            watched.minute(0)

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert hook.states == ["firing"]

    def test_that_does_not_take_it_is_told_again_later_each_time(self, watched: Watched, hook: Hook) -> None:
        hook.answers = [500, 404, 302]
        watched.fails()
        watch = watched.watch()
        watch.look(NOON_NS)
        left = [watch.tell(NOON_NS + seconds * SECOND_NS) for seconds in (0, 4, 5, 14, 15, 34, 35)]
        assert left == [1, 1, 1, 1, 1, 1, 0]
        assert hook.states == ["firing"]
        assert [line.split(";")[0] for line in watched.said] == [
            f"the webhook at 127.0.0.1 answered {status}" for status in (500, 404, 302)
        ]

    def test_that_was_away_is_told_in_order_by_whoever_watches_then(self, watched: Watched, hook: Hook) -> None:
        hook.answers = [503]
        watched.fails()
        assert watched.minute(0) == 1
        watched.works(NOON_NS + 2 * SECOND_NS)
        watch = watched.watch()
        watch.look(NOON_NS + 2 * SECOND_NS)
        assert watch.tell(NOON_NS + 2 * SECOND_NS) == 2
        assert hook.states == []
        assert watched.minute(2) == 0
        assert hook.states == ["firing", "resolved"]

    def test_that_nobody_listens_at_is_named_without_its_path(self, watched: Watched) -> None:
        watched.path.write_text(f'webhook = "http://127.0.0.1:1/very/secret"\n{FAILS}')
        watched.fails()
        assert watched.minute(0) == 1
        assert "the webhook at 127.0.0.1 can't be reached" in watched.said[0]
        assert "secret" not in watched.said[0]

    def test_that_takes_nothing_for_a_day_is_given_up(self, watched: Watched, hook: Hook) -> None:
        hook.answers = [500] * 9
        watched.fails()
        watched.minute(0)
        assert watched.watch().tell(NOON_NS + 24 * 60 * MINUTE_NS) == 0
        assert watched.said[-1].startswith("given up")

    def test_gets_what_a_killed_watch_held_in_its_hands(self, watched: Watched, hook: Hook) -> None:
        watched.fails()
        killed = watched.watch()
        killed.look(NOON_NS)
        (rule,) = killed.rules.rules
        places = {to.kind: to for to in rule.to}
        held = next(killed._claimed(rule, places, NOON_NS))
        assert watched.minute(1) == 1
        assert hook.states == []
        assert watched.minute(2) == 0
        assert [each["id"] for each in hook.told] == [held.notice.id]

    def test_is_forgotten_with_what_it_was_not_told_when_no_rule_names_it(self, watched: Watched, hook: Hook) -> None:
        hook.answers = [500]
        watched.fails()
        watched.minute(0)
        watched.path.write_text(FAILS)
        assert watched.minute(1) == 0
        assert hook.states == []


class TestWhatIsKept:
    def test_names_no_address_and_no_secret(self, watched: Watched, hook: Hook) -> None:
        hook.answers = [500]
        watched.fails()
        watched.minute(0)
        kept = json.dumps(watched.store.shared(PREFIX)[f"{PREFIX}it fails"].value)
        assert "it fails" in kept
        assert hook.url not in kept
        assert "secret" not in kept

    def test_by_another_version_is_begun_anew(self, watched: Watched, hook: Hook) -> None:
        assert watched.store.share(f"{PREFIX}it fails", {"version": 0}, version=0)
        watched.fails()
        watched.minute(0)
        assert hook.states == ["firing"]


SCRIPT = """
import json, os, sys
told = json.load(sys.stdin)
names = ("ID", "STATE", "RULE", "OF", "VALUE", "TEXT")
told["environ"] = {name: os.environ["PLAYHEAD_ALERT_" + name] for name in names}
open("told.jsonl", "a").write(json.dumps(told) + "\\n")
sys.exit(int(open("code").read()) if os.path.exists("code") else 0)
"""


class TestACommand:
    @pytest.fixture
    def told(self, watched: Watched) -> Path:
        folder = watched.path.parent
        (folder / "notify.py").write_text(SCRIPT)
        command = json.dumps([sys.executable, "notify.py"])
        watched.path.write_text(f"command = {command}\n{FAILS}")
        return folder / "told.jsonl"

    def test_is_given_the_same_on_its_input_and_in_variables(self, watched: Watched, told: Path) -> None:
        watched.fails()
        assert watched.minute(0) == 0
        (found,) = map(json.loads, told.read_text().splitlines())
        assert (found["state"], found["rule"], found["value"]) == ("firing", "it fails", 1.0)
        assert found["environ"] == {
            "ID": found["id"],
            "STATE": "firing",
            "RULE": "it fails",
            "OF": "",
            "VALUE": "1.0",
            "TEXT": found["text"],
        }

    def test_that_fails_is_started_again_later(self, watched: Watched, told: Path) -> None:
        (told.parent / "code").write_text("3")
        watched.fails()
        assert watched.minute(0) == 1
        assert "ended with 3" in watched.said[0]
        (told.parent / "code").unlink()
        assert watched.minute(1) == 0
        first, second = map(json.loads, told.read_text().splitlines())
        assert first["id"] == second["id"]

    def test_that_is_not_there_is_named(self, watched: Watched) -> None:
        watched.path.write_text(f'command = ["./nobody", "--now"]\n{FAILS}')
        watched.fails()
        assert watched.minute(0) == 1
        assert "the command ./nobody can't be started: no such file" in watched.said[0]


@workflow
def desk(ticket: str) -> str:
    if not ticket:
        raise ValueError("an empty ticket")
    return ticket


def record(ticket: str) -> None:
    if ticket:
        desk(ticket)
    else:
        with pytest.raises(ValueError, match="empty"):
            desk(ticket)
    assert tracer.flush()


def once(*words: str, code: int) -> Any:
    group = Commands(name="playhead")
    group.add_command(watch_command)
    done = CliRunner().invoke(group, ["watch", "--once", *words])
    assert done.exit_code == code, (done.output, done.exception)
    return done


class TestLookingOnce:
    def test_ends_with_1_while_something_fires_and_0_otherwise(self, project: Project, hook: Hook) -> None:
        Path("alerts.toml").write_text(f'webhook = "{hook.url}"\n{FAILS}')
        record("a")
        assert "ok      it fails: failure rate 0.0 % of 1 run" in once(code=0).output
        record("")
        record("")
        assert "FIRING  it fails: failure rate 66.7 % of 3 runs" in once(code=1).output
        once(code=1)
        for _ in range(3):
            record("a")
        once(code=0)
        assert hook.states == ["firing", "resolved"]

    def test_says_the_same_to_a_program(self, project: Project) -> None:
        Path("mine.toml").write_text(FAILS + 'by = "workflow"\n')
        record("")
        (told,) = json.loads(once("--rules", "mine.toml", "--json", code=1).stdout)
        assert told["readings"] == [{"of": "desk", "value": 1.0, "count": 1, "unpriced": 0, "firing": True}]
        assert [each["state"] for each in told["notices"]] == ["firing"]

    def test_ends_with_2_for_rules_that_are_wrong_or_not_there(self, project: Project) -> None:
        assert "alerts.toml: no such file" in once(code=2).output
        Path("alerts.toml").write_text(FAILS.replace("0.5", "50"))
        assert "rule 'it fails': above is 50" in once(code=2).output

    def test_ends_with_4_where_the_store_is_not_reached(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Path("alerts.toml").write_text(FAILS)
        monkeypatch.setenv("PLAYHEAD_DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
        once(code=4)

    def test_says_what_it_could_not_tell_and_tells_it_the_next_time(self, project: Project, hook: Hook) -> None:
        Path("alerts.toml").write_text(f'webhook = "{hook.url}"\n{FAILS}')
        hook.answers = [500]
        record("")
        assert "answered 500; it is tried again" in once(code=1).stderr
        path = project.home / "playhead.db"
        with open_store(path) as store:
            Watch(store, read_rules(Path("alerts.toml"), {}), print).tell(time.time_ns() + MINUTE_NS)
        assert hook.states == ["firing"]


class TestAWatchThatGoesOn:
    @pytest.fixture
    def start(self, project: Project) -> Iterator[Any]:
        started: list[subprocess.Popen[str]] = []

        def started_one() -> subprocess.Popen[str]:
            one = subprocess.Popen(
                [sys.executable, "-c", MAIN, "watch"],
                env=project.environment(),
                cwd=project.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            started.append(one)
            assert one.stdout is not None
            assert "watching" in one.stdout.readline()
            return one

        yield started_one
        for each in started:
            each.kill()
            each.communicate()

    def until(self, hook: Hook, *states: str) -> None:
        deadline = time.monotonic() + 40
        while hook.states != list(states):
            assert time.monotonic() < deadline, hook.told
            time.sleep(0.05)

    def until_let_go(self, project: Project) -> None:
        """What was told is written down as told: killed before, a watch would tell it again."""
        deadline = time.monotonic() + 40
        with open_store(project.home / "playhead.db") as store:
            while store.shared(PREFIX)[f"{PREFIX}it fails"].value["due"]:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def test_tells_once_though_it_is_killed_and_started_anew(self, project: Project, hook: Hook, start: Any) -> None:
        Path("alerts.toml").write_text(f'every = "1s"\nwebhook = "{hook.url}"\n{FAILS}')
        record("")
        one = start()
        self.until(hook, "firing")
        self.until_let_go(project)
        one.kill()
        one.wait()
        other = start()
        for _ in range(3):
            record("a")
        self.until(hook, "firing", "resolved")
        other.send_signal(signal.SIGTERM)
        out, _ = other.communicate(timeout=20)
        assert other.returncode == 0
        assert "Resolved: it fails" in out
        assert "Firing" not in out

    def test_sees_the_runs_of_a_process_that_was_killed(self, project: Project, hook: Hook, start: Any) -> None:
        """Their events lay in its journal, and nobody else opens the store."""
        Path("alerts.toml").write_text(f'every = "1s"\nwebhook = "{hook.url}"\n{FAILS}')
        record("a")
        start()
        done = project.python(
            "import os, signal, tracer\n"
            "from tracer import recorder, workflow\n"
            "@workflow\n"
            "def desk(): raise ValueError('no')\n"
            "for _ in range(9):\n"
            "    try: desk()\n"
            "    except ValueError: pass\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        assert done.returncode == -signal.SIGKILL
        self.until(hook, "firing")
