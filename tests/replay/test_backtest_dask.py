"""A backtest on a real Dask cluster: a scheduler and a worker process of their own, on this machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest

from replay import backtest, edit
from replay.backtest.cli import backtest_command
from tracer.store import Filter

SOURCE = """
    from tracer import step, workflow

    @step(kind="tool")
    def look_up(number):
        return number * 10

    @workflow
    def shop(number):
        return look_up(number)
"""
#: A cluster of worker processes; it says its address, and ends when its standard input does.
CLUSTER = """
import sys, dask
dask.config.set({"distributed.dashboard.link": "", "distributed.worker.daemon": False})
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=2, host="127.0.0.1", dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER)
    process = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert re.fullmatch(r"tcp://127\.0\.0\.1:\d+", address)
    yield address
    process.communicate(timeout=60)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
class TestACluster:
    def test_comes_to_the_same_as_this_process(self, recorded, module, cluster):
        from distributed import Client

        flows = module(SOURCE)
        for number in range(6):
            flows.shop(number)

        def told(report: Any) -> list[Any]:
            return [(row.trace_id, row.status_after, row.score, row.before, row.after) for row in report.outcomes]

        here = backtest(Filter(), edit("look_up", 20), workers=1)
        with Client(cluster) as client:
            there = backtest(Filter(), edit("look_up", 20), executor=client.get_executor(), workers=3)
        assert told(there) == told(here)
        assert there.agreement.count == 1

    def test_is_what_the_command_line_asks(self, recorded, module, cluster):
        import json

        from click.testing import CliRunner

        module(SOURCE).shop(1)
        recorded.trace()
        result = CliRunner().invoke(backtest_command, ["--dask", cluster, "--edit", "look_up=20", "--json"])
        assert result.exit_code == 0, result.exception
        assert json.loads(result.stdout)["outcomes"][0]["after"] == "20"
