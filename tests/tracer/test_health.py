from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.recording import ROOT
from tracer.health import Status, forget, keep, kept, read_status, write_status

ADDING = """
import pathlib, sys
from tracer.health import keep
for n in range(30):
    keep(pathlib.Path(sys.argv[1]), f"{sys.argv[2]}-{n}", {"count": 1})
"""


class TestStatus:
    @given(
        status=st.builds(
            Status,
            pid=st.integers(0, 2**22),
            queued_events=st.integers(0, 2**40),
            behind_since_ns=st.integers(0, 2**62),
            degraded=st.dictionaries(st.text(max_size=40), st.integers(1, 2**40), max_size=20),
            problem=st.text(max_size=300),
        )
    )
    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_is_read_as_it_was_written_whatever_was_there_before(self, tmp_path: Path, status: Status) -> None:
        write_status(tmp_path, status)
        assert read_status(tmp_path) == status

    @given(junk=st.binary(max_size=5000))
    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_that_is_torn_is_none(self, tmp_path: Path, junk: bytes) -> None:
        (tmp_path / "status").write_bytes(junk)
        assert read_status(tmp_path) is None

    def test_of_too_many_kinds_keeps_their_sum(self, tmp_path: Path) -> None:
        write_status(tmp_path, Status(pid=7, degraded={f"do {'this ' * 20} {n}": n for n in range(100)}))
        told = read_status(tmp_path)
        assert told is not None
        assert (told.pid, sum(told.degraded.values())) == (7, sum(range(100)))
        assert (tmp_path / "status").stat().st_size <= 4096


class TestKept:
    def test_of_one_owner_counts_once_however_often_it_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "journal" / "owner").mkdir(parents=True)
        for times in (1, 3, 3):
            keep(tmp_path, "owner", {"count": times})
            assert kept(tmp_path).degraded == {"count": times}

    def test_of_owners_that_are_gone_are_added_up(self, tmp_path: Path) -> None:
        for n in range(5):
            keep(tmp_path, f"gone-{n}", {"count": n, f"only {n}": 1})
        assert kept(tmp_path).degraded == {"count": 10, **{f"only {n}": 1 for n in range(5)}}
        assert kept(tmp_path).last_ns > 0
        forget(tmp_path)
        assert (kept(tmp_path).degraded, kept(tmp_path).last_ns) == ({}, 0)

    def test_nothing_is_written_where_nothing_went_wrong(self, tmp_path: Path) -> None:
        keep(tmp_path, "owner", {})
        assert list(tmp_path.iterdir()) == []

    def test_several_processes_at_once_lose_no_count(self, tmp_path: Path) -> None:
        adding = [subprocess.Popen([sys.executable, "-c", ADDING, str(tmp_path), str(n)], cwd=ROOT) for n in range(3)]
        assert [each.wait(60) for each in adding] == [0, 0, 0]
        assert kept(tmp_path).degraded == {"count": 90}

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", '{"counts": 3}', "\x00"], ids=["empty", "torn", "list", "odd", "nul"]
    )
    def test_in_a_damaged_file_begin_anew(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "kept.json").write_text(text)
        keep(tmp_path, "owner", {"count": 2})
        assert kept(tmp_path).degraded == {"count": 2}
