"""Loaded by pytest's ``-p``: with ``PLAYHEAD_STRICT_TESTS=1`` a test that is skipped fails the run.

A test may skip itself on a machine that lacks what it needs, a browser for instance. On the machine that decides
whether a change is good, nothing may be lacking.
"""

from __future__ import annotations

import os
from typing import Iterator

import pytest

_VARIABLE = "PLAYHEAD_STRICT_TESTS"


class Strict:
    """Gathers what was skipped, fails the run for it, and says which tests they were."""

    def __init__(self) -> None:
        self._skipped: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        # before the terminal reporter, which prints its closing line with the status that it finds here
        if self._skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return (yield)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._skipped:
            return
        terminalreporter.section(f"{_VARIABLE}: nothing may be skipped", red=True)
        for test, reason in self._skipped.items():
            terminalreporter.write_line(f"SKIPPED {test}: {reason}")

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        # an expected failure is reported as skipped too, and is none
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skipped[report.nodeid] = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""


def pytest_configure(config: pytest.Config) -> None:
    # under xdist the workers report to the controller, which is where the count is taken
    if os.environ.get(_VARIABLE) == "1" and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Strict(), "playhead-strict")
