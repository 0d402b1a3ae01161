from __future__ import annotations

import json
import os
import shutil
import signal
import warnings
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import recording
from tests.builders import Story
from tests.recording import Project
from tracer import adoption, recorder
from tracer.cli import main
from tracer.doctor import examine
from tracer.events import pack
from tracer.journal import START, Journal, read_folder
from tracer.owners import elsewhere, host_of
from tracer.reading import open_reading
from tracer.segments import HEADER, MAGIC, ForeignJournal

#: Every test here records into a project of its own.
project = recording.project

KILLED = """
import os, signal
from tracer import step, workflow
double = step(lambda x: 2 * x, name="double")
@step
def last(x):
    os.kill(os.getpid(), signal.SIGKILL)
@workflow
def flow(n):
    for x in range(n): double(x)
    last(n)
workflow(name="whole")(lambda: double(1))()
flow(10)
"""


def run(*words: str, code: int = 0) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = CliRunner().invoke(main, ["recover", *words])
    assert result.exit_code == code, result.output
    return result


def killed(project: Project) -> str:
    """The owner of a journal that a killed process left."""
    before = {path.name for path in (project.home / "journal").glob("*")}
    ran = project.python(KILLED, PLAYHEAD_STRICT="0")
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    (owner,) = {path.name for path in (project.home / "journal").iterdir()} - before
    return owner


def leave_behind(home: Path, frames: list[bytes], *, segment_bytes: int = 4096) -> Path:
    """A journal as a killed process would leave it."""
    journal = Journal(home, recorder.current_config().store_tag, segment_bytes=segment_bytes)
    for frame in frames:
        journal.append(frame)
    journal.forget_lock()
    return journal.folder


def on_another_host(folder: Path) -> Path:
    """The same journal as a machine named otherwise, with another kernel, would have left it."""
    moved = folder.with_name(folder.name.replace(host_of(folder.name), "far-away"))
    folder.rename(moved)
    (moved / "owner").write_text("11111111-2222-3333-4444-555555555555")
    return moved


class TestRecover:
    def test_says_what_it_brought_in_and_the_second_time_that_there_is_nothing(self, project: Project) -> None:
        owners = {killed(project), killed(project)}
        told = json.loads(run("--json").stdout)
        assert {each["owner"] for each in told} == owners
        assert [each["interrupted"] for each in told] == [1, 1]
        assert all(each["problem"] == "" and each["damaged"] == [] for each in told)
        assert [trace.summary.status for trace in project.traces()] == ["completed", "interrupted"] * 2
        assert run().output == "Nothing to bring in.\n"
        assert list((project.home / "journal").iterdir()) == []

    def test_is_one_line_each_for_people(self, project: Project) -> None:
        owner = killed(project)
        first, last = run().output.splitlines()
        assert first.startswith(f"{owner}: ")
        assert first.endswith(" events, 1 traces interrupted")
        assert last.startswith("Brought in ")

    def test_leaves_the_living_alone(self, project: Project) -> None:
        journal = Journal(project.home, recorder.current_config().store_tag)
        assert run().output == "Nothing to bring in.\n"
        assert journal.close(written=journal.end)

    def test_a_journal_of_another_version_stays_and_it_says_so(self, project: Project) -> None:
        project.degraded = {"adopt the journal of a dead process"}
        folder = leave_behind(project.home, [b"frame"])
        (folder / "00000000.seg").write_bytes(b"playhd99" + bytes(100))
        assert "was not written by this version of playhead" in run().stderr
        assert folder.exists()

    def test_a_journal_without_its_lock_is_a_dead_ones(self, project: Project) -> None:
        story = Story().finish()
        folder = leave_behind(project.home, [pack(event) for event in story.events])
        (folder / "owner").unlink()
        assert "Brought in 2 events of 1 processes." in run().output
        assert not folder.exists()

    def test_what_a_process_left_that_was_killed_while_it_made_its_journal_goes(self, project: Project) -> None:
        making = project.home / "journal" / ".0123-host-1-a"
        making.mkdir(parents=True)
        os.utime(making, (0, 0))
        recent = making.with_name(".0123-host-2-b")
        recent.mkdir()
        run()
        assert (making.exists(), recent.exists()) == (False, True)


class TestAnotherHost:
    def test_has_its_journals_told_of_and_taken_when_asked(self, project: Project) -> None:
        story = Story()
        story.begin("draft")
        folder = on_another_host(leave_behind(project.home, [pack(event) for event in story.events]))
        (told,) = json.loads(run("--json").stdout)
        assert (told["owner"], told["events"]) == (folder.name, 0)
        assert "add --all-hosts if nothing on far-away records here any more" in told["problem"]
        assert any("journals of far-away lie here" in problem for problem in examine().problems)
        assert "Brought in 2 events of 1 processes." in run("--all-hosts").output
        assert not folder.exists()
        # No lock of that machine is seen here, and still the trace does not seem to run for ever.
        (trace,) = project.traces()
        assert [each.status for each in trace.steps] == ["interrupted"] * 2

    def test_that_still_holds_its_lock_keeps_its_journal(self, project: Project) -> None:
        journal = Journal(project.home, recorder.current_config().store_tag)
        journal.append(b"mine")
        on_another_host(journal.folder)
        assert run("--all-hosts").output == "Nothing to bring in.\n"
        journal.forget_lock()

    @pytest.mark.skipif(not Path("/proc/sys/kernel/random/boot_id").exists(), reason="the system names no boot")
    def test_of_this_kernel_is_a_container_and_its_journals_are_ours(self, project: Project) -> None:
        story = Story().finish()
        folder = leave_behind(project.home, [pack(event) for event in story.events])
        folder.rename(folder.with_name(folder.name.replace(host_of(folder.name), "c0ffee123456")))
        assert elsewhere(project.home, recorder.current_config().store_tag) == []
        (trace,) = project.traces()
        assert trace.summary.status == "completed"


FRAMES = [bytes([65 + n % 26]) * (40 + 37 * n % 700) for n in range(60)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dead journal of several segments, with a frame that is larger than one."""
    journal = Journal(tmp_path_factory.mktemp("whole"), "feedbeef", segment_bytes=4096)
    for frame in FRAMES:
        journal.append(frame)
    journal.append(b"large" * 2000)
    journal.append(b"last")
    journal.forget_lock()
    return journal.folder


class TestDamage:
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_costs_what_it_hit_and_is_noticed(self, whole: Path, tmp_path: Path, data: st.DataObject) -> None:
        everything = [*FRAMES, b"large" * 2000, b"last"]
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole, copy)
        # Those that hold frames: a spare one may have been put by under load, or not.
        segments = sorted({position.segment for _, position in read_folder(whole, START)})
        path = copy / f"{data.draw(st.sampled_from(segments)):08}.seg"
        content = bytearray(path.read_bytes())
        begin = data.draw(st.integers(0, len(content) - 1))
        junk = data.draw(st.binary(min_size=1, max_size=30))[: len(content) - begin]
        hit = bytes(content[begin : begin + len(junk)]) != junk
        content[begin : begin + len(junk)] = junk
        path.write_bytes(content)
        try:
            read = [frame for frame, _ in read_folder(copy, START)]
        except ForeignJournal:
            assert begin < len(MAGIC)
            return
        kept = [frame for frame in read if frame is not None]
        # In order, nothing made up, and everything of the other segments and before the damage.
        rest = iter(everything)
        assert all(any(frame == each for each in rest) for frame in kept)
        before = [frame for frame, position in read_folder(whole, START) if position.segment != int(path.stem)]
        untouched = [
            frame
            for frame, position in read_folder(whole, START)
            if position.segment == int(path.stem) and position.offset <= begin
        ]
        assert len(kept) >= len(before) + len(untouched)
        lost = [frame for frame in everything if frame not in kept]
        assert not lost or hit
        # A last frame that is not whole is taken for one that was being written.
        assert None in read or not lost or lost == [b"last"]

    def test_in_the_bytes_of_one_frame_costs_that_one(self, whole: Path, tmp_path: Path) -> None:
        copy = shutil.copytree(whole, tmp_path / "copy")
        path = copy / "00000001.seg"
        content = bytearray(path.read_bytes())
        content[len(MAGIC) + HEADER.size + 3] ^= 1
        path.write_bytes(content)
        read = [frame for frame, _ in read_folder(copy, START)]
        assert read.count(None) == 1
        assert len(read) == len(FRAMES) + 2

    def test_is_counted_and_said_once_with_the_file_which_is_kept(self, project: Project) -> None:
        what = "read a part of a dead process's journal"
        project.degraded = {what}
        story = Story()
        for n in range(30):
            story.end(story.begin(f"s{n}"), n)
        folder = leave_behind(project.home, [pack(event) for event in story.finish().events])
        segment = folder / "00000000.seg"
        content = bytearray(segment.read_bytes())
        content[2000:2010] = b"0123456789"
        segment.write_bytes(content)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            open_reading().close()
        with open_reading() as store:
            assert len(store.trace(store.resolve("latest")).steps) > 25
        (warning,) = warned
        kept = project.home / adoption.DAMAGED / f"{folder.name}-00000000.seg"
        assert str(kept) in str(warning.message)
        assert kept.read_bytes() == bytes(content)
        assert not folder.exists()
        recorder.shutdown()
        assert examine().facts["degraded"] == {what: 1}

    def test_of_a_living_ones_file_costs_what_it_hit(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path, "feedbeef", segment_bytes=4096)
        for frame in FRAMES:
            journal.append(frame)
        (journal.folder / "00000002.seg").unlink()
        first = journal.folder / "00000000.seg"
        content = bytearray(first.read_bytes())
        content[len(MAGIC) + HEADER.size] ^= 1
        first.write_bytes(content)
        read, position = [], START
        while position < journal.end:
            frames, position = journal.read(position, limit=7)
            read += frames
        assert read[0] == b""
        assert read.count(b"") == 2
        assert read[-1] == FRAMES[-1]
        journal.drop_before(position)
        assert journal.close(written=position)
