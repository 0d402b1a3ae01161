"""The example of a backtest on real answers: the accuracies that the data is known for come back."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.sources import REPOSITORY

SCRIPT = REPOSITORY / "examples" / "backtest" / "run.py"
#: Counted in the data itself, of the first 100 questions, and written down here so that nothing can agree by itself.
RIGHT_BEFORE, RIGHT_AFTER = 62, 78


class TestTheExample:
    def test_gets_the_known_accuracies_back(self, tmp_path):
        page = tmp_path / "report.html"
        command = [sys.executable, str(SCRIPT), "--questions", "100", "--workers", "2", "--html", str(page)]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])}
        done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(rf"right before\s+{RIGHT_BEFORE} of 100", done.stdout)
        assert re.search(rf"right after\s+{RIGHT_AFTER} of 100", done.stdout)
        assert re.search(r"failures\s+0 before, 0 after", done.stdout)
        assert f"{RIGHT_AFTER} of 100" in page.read_text()
