"""A backtest that is cut short goes on: by kill -9, by Ctrl-C, in the middle of a line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Iterable

import pytest

from replay import PlanError, backtest, edit, substitute
from replay.backtest.ledger import Ledger
from replay.backtest.outcome import Outcome
from replay.backtest.work import TAG
from tests.replay.support import Recorded
from tracer import Target
from tracer.model import TraceSummary
from tracer.store import Filter, open_store

SOURCE = """
    import os, time
    from pathlib import Path
    from tracer import step, workflow

    @step(kind="tool")
    def look_up(number):
        # A replay that was told to wait does so from the third trace on, until the file is there.
        gate = os.environ.get("GATE")
        while gate and number > 2 and not Path(gate).exists():
            time.sleep(0.01)
        return number * 10

    @workflow
    def shop(number):
        return look_up(number)
"""
ROWS = 12


@pytest.fixture
def home(recorded, module) -> Recorded:
    flows = module(SOURCE)
    for number in reversed(range(ROWS)):  # the newest come first
        flows.shop(number)
    recorded.trace()
    return recorded


class Child:
    """``playhead backtest`` in a process of its own; its replays wait for a gate at the third trace."""

    def __init__(self, home: Recorded, *words: str) -> None:
        self.home = home
        self.gate = home.folder / "gate"
        environ = {
            **os.environ,
            "PLAYHEAD_DATABASE_URL": home.url,
            "PLAYHEAD_HOME": str(home.folder),
            "GATE": str(self.gate),
        }
        command = [sys.executable, "-m", "tracer.cli", "backtest", *words]
        self.process = subprocess.Popen(
            command, env=environ, cwd=home.folder, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def until_done(self, number: int) -> Ledger:
        """Wait until so many outcomes are on disk."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            paths = list((self.home.folder / "backtests").glob("*.jsonl"))
            found = Ledger.resume(self.home.folder, paths[0].stem) if paths else None
            if found is not None and len(found.outcomes) >= number:
                return found
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.02)
        raise AssertionError("it did not come so far")


def replays(home: Recorded, backtest_id: str) -> list[TraceSummary]:
    with open_store(home.url) as store:
        return [row for row in store.traces(Filter(replays=True), limit=500) if row.tags.get(TAG) == backtest_id]


def told(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    return {row.trace_id: row.as_json() for row in outcomes}


class TestABacktestThatIsKilled:
    def test_goes_on_and_does_nothing_twice(self, home):
        child = Child(home, "--workflow", "shop", "--live", "look_up", "--workers", "2")
        before = child.until_done(3)
        os.killpg(child.process.pid, signal.SIGKILL)
        child.process.communicate()
        report = backtest(None, workers=2, backtest_id=before.asked.backtest_id)
        assert (len(report.outcomes), report.agreement.count, report.left) == (ROWS, ROWS, ())
        # what had ended when it was killed is what it was; it is in no order, for two processes ended it
        assert told(before.outcomes.values()).items() <= told(report.outcomes).items()
        ended = [row for row in replays(home, report.backtest_id) if row.status == "completed"]
        assert Counter(row.replay_of for row in ended) == Counter(report.traces)


class TestABacktestThatIsInterrupted:
    def test_by_ctrl_c_ends_what_runs_and_says_how_to_go_on(self, home):
        child = Child(home, "--workflow", "shop", "--live", "look_up", "--workers", "2")
        asked = child.until_done(3).asked
        os.killpg(child.process.pid, signal.SIGINT)
        child.gate.touch()
        _, said = child.process.communicate(timeout=60)
        assert child.process.returncode == 130
        assert f"playhead backtest --resume {asked.backtest_id}" in said
        done = Ledger.resume(home.folder, asked.backtest_id)
        assert done is not None
        assert 3 <= len(done.outcomes) < ROWS
        assert all(row.status_after == "completed" for row in done.outcomes.values())
        again = Child(home, "--resume", asked.backtest_id)
        again.process.communicate(timeout=60)
        found = Ledger.resume(home.folder, asked.backtest_id)
        assert found is not None
        assert len(found.outcomes) == ROWS

    def test_in_the_middle_of_a_trace_does_that_one_again(self, home):
        child = Child(home, "--workflow", "shop", "--live", "look_up", "--workers", "1")
        asked = child.until_done(3).asked
        os.killpg(child.process.pid, signal.SIGINT)
        child.process.communicate(timeout=60)
        assert child.process.returncode == 130
        report = backtest(None, workers=1, backtest_id=asked.backtest_id)
        assert (len(report.outcomes), report.agreement.count) == (ROWS, ROWS)
        assert {row.status_after for row in report.outcomes} == {"completed"}


class TestTheSameId:
    def test_that_is_done_gives_its_report_again_and_runs_nothing(self, home):
        first = backtest(Filter(), edit("look_up", 10), workers=1, backtest_id="mine")
        number = len(replays(home, "mine"))
        again = backtest(None, workers=1, backtest_id="mine")
        assert again.as_json() == first.as_json()
        assert len(replays(home, "mine")) == number == ROWS

    def test_with_other_rules_is_refused(self, home):
        backtest(Filter(), edit("look_up", 10), workers=1, backtest_id="mine", limit=1)
        with pytest.raises(PlanError, match="was begun with --edit look_up=10"):
            backtest(None, edit("look_up", 11), workers=1, backtest_id="mine")

    def test_needs_rules_again_that_a_file_can_not_hold(self, home):
        rule = substitute("look_up", model=Target("x", call=lambda _: "x"))
        backtest(Filter(), rule, workers=1, backtest_id="mine", limit=1)
        with pytest.raises(PlanError, match="give the same rules again"):
            backtest(None, workers=1, backtest_id="mine")
        assert len(backtest(None, rule, workers=1, backtest_id="mine").outcomes) == 1

    def test_that_never_was_is_refused(self, home):
        with pytest.raises(PlanError, match="no backtest mine"):
            backtest(None, workers=1, backtest_id="mine")


class TestALedger:
    def ledger(self, home: Recorded) -> Path:
        backtest(Filter(), edit("look_up", 10), workers=1, backtest_id="mine", limit=3)
        return home.folder / "backtests" / "mine.jsonl"

    def test_whose_last_line_was_cut_off_loses_only_that(self, home):
        path = self.ledger(home)
        whole = path.read_bytes()
        for cut in (1, 20, len(whole.splitlines()[-1])):
            path.write_bytes(whole[:-cut])
            report = backtest(None, workers=1, backtest_id="mine")
            assert len(report.outcomes) == 3
            lines = [json.loads(line) for line in path.read_bytes().splitlines()[1:] if line.endswith(b"}")]
            assert Counter(line["trace_id"] for line in lines) == Counter(report.traces)
        assert len(replays(home, "mine")) == 3

    def test_is_for_nobody_elses_eyes(self, home):
        assert self.ledger(home).parent.stat().st_mode & 0o077 == 0

    def test_that_is_none_is_refused_by_name(self, home):
        path = self.ledger(home)
        path.write_text("notes\n")
        with pytest.raises(PlanError, match="is no ledger of a backtest"):
            backtest(None, workers=1, backtest_id="mine")
