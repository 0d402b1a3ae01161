"""The demo as a user runs it: a process of its own, on real tickets, with real models."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys

import pytest

from tests.examples.conftest import ROOT
from tracer.store import Filter, open_store

_DEMO = ROOT / "examples" / "support" / "demo.py"
_WITHOUT_LLAMA = f"""
import runpy, sys
sys.modules["xllamacpp"] = None
sys.argv = ["demo.py", "--tickets", "6"]
runpy.run_path({str(_DEMO)!r}, run_name="__main__")
"""


def run(tmp_path, *command):
    env = os.environ | {"PLAYHEAD_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    env.pop("PLAYHEAD_DATABASE_URL", None)
    done = subprocess.run(
        [sys.executable, *command], check=False, cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def store_of(tmp_path):
    return open_store(f"sqlite:///{tmp_path / 'playhead.db'}")


class TestDemo:
    def test_an_option_that_does_not_exist_is_wrong_use(self, tmp_path):
        env = os.environ | {"PLAYHEAD_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(_DEMO), "--ticket-count", "3"]
        done = subprocess.run(command, check=False, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 2
        assert "unrecognized arguments" in done.stderr

    def test_without_the_language_model_it_says_so_and_runs_on_the_classifier_alone(self, tmp_path):
        told = run(tmp_path, "-c", _WITHOUT_LLAMA)
        assert "The language model can't run here" in told
        assert "Going on with intent-lr alone" in told
        assert "Nothing failed this time" in told
        assert "The outbox did not change" in told
        with store_of(tmp_path) as store:
            assert len(store.traces(Filter(replays=False))) == 6
            assert "smollm2-135m" not in store.models()

    @pytest.mark.timeout(400)
    def test_two_tickets_go_through_the_language_model_and_a_replay_sends_nothing(self, tmp_path):
        told = run(tmp_path, str(_DEMO), "--tickets", "2")
        with store_of(tmp_path) as store:
            rows = [row for row in store.traces(Filter(replays=False)) if row.resume_of is None]
            assert len(rows) == 2
            for row in rows:
                trace = store.trace(row.trace_id)
                calls = [step.call for step in trace.steps if step.path == "support/classify/chat"]
                assert [call.model for call in calls] == ["smollm2-135m"]
                assert calls[0].usage.input_tokens > 500
                assert (row.cost_nusd, row.unpriced) == (0, 0)
            replays = store.traces(Filter(replays=True))
            assert replays
            steps = store.trace(replays[-1].trace_id).steps
            assert "intent-lr" in {step.call.model for step in steps if step.call is not None}
        outbox = tmp_path / "outbox.jsonl"
        sent = outbox.read_bytes().splitlines(keepends=True) if outbox.exists() else []
        answered = told.count("The outbox has 1 line more")  # by the human, at the end
        digest = hashlib.sha256(b"".join(sent[: len(sent) - answered])).hexdigest()[:16]
        assert len(re.findall(rf"The outbox did not change: \d+ lines?, sha256 {digest}", told)) == len(replays)
        assert "playhead ui" in told
