"""The example of a cascade tuned on real answers: its curve runs through the points that the data is known for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

from tests.sources import REPOSITORY

SCRIPT = REPOSITORY / "examples" / "cascade" / "run.py"


class TestTheExample:
    def test_runs_through_the_known_points_and_says_what_it_does_not_know(self, tmp_path):
        plot = tmp_path / "curve.svg"
        command = [sys.executable, str(SCRIPT), "--questions", "100", "--plot", str(plot)]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])}
        done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        # counted in the data itself, of the first 100 questions, and written down in test_backtest.py as well
        assert "known from the data: 62 and 78 of 100 right" in done.stdout
        assert "the curve runs through both points" in done.stdout
        assert re.search(r"^ +0 +0\.0% +62\.0% .* cheap alone", done.stdout, re.MULTILINE)
        assert re.search(r"always, alone +78\.0% .* dear alone", done.stdout)
        _, nothing, filled = re.findall(r"runs: (\d+) of \d+ thresholds identified", done.stdout)
        assert int(nothing) < int(filled)
        assert "was never seen, and had no chance to be" in done.stdout
        assert ET.parse(plot).getroot().tag.endswith("svg")
