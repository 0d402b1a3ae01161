"""The strict form of the suite: what a skipped test does there, and what it does elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.sources import REPOSITORY

SKIPS = 'import pytest\ndef test_a(): pass\ndef test_b(): pytest.skip("no browser here")\n'
SKIPS_ALL = 'import pytest\npytest.importorskip("no_such_library")\ndef test_a(): pass\n'
EXPECTED_FAILURE = "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_a(): assert False\n"


@pytest.fixture
def suite(tmp_path):
    """Runs a small suite of its own as .ci/run (strict) or a developer (not strict) would."""

    def run(text, *options, strict):
        (tmp_path / "test_it.py").write_text(text)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PLAYHEAD_"))
        }
        environment |= {"PYTHONPATH": str(REPOSITORY)} | ({"PLAYHEAD_STRICT_TESTS": "1"} if strict else {})
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "tests.strict",
            "--rootdir",
            ".",
            "-c",
            os.devnull,
            *options,
            ".",
        ]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)

    return run


class TestWhereAChangeIsJudged:
    @pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["alone", "with workers"])
    def test_a_skipped_test_fails_the_run_and_is_named(self, suite, options):
        done = suite(SKIPS, *options, strict=True)
        assert done.returncode == 1
        assert "test_it.py::test_b: Skipped: no browser here" in done.stdout

    def test_a_module_that_skips_itself_fails_the_run(self, suite):
        done = suite(SKIPS_ALL, strict=True)
        assert done.returncode != 0
        assert "no_such_library" in done.stdout

    def test_an_expected_failure_is_no_skip(self, suite):
        assert suite(EXPECTED_FAILURE, strict=True).returncode == 0


class TestElsewhere:
    def test_a_skipped_test_is_only_skipped(self, suite):
        assert suite(SKIPS, strict=False).returncode == 0
