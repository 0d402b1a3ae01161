from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests import recording
from tests.recording import ROOT
from tracer.journal import START, Journal, JournalClosed, Position, read_folder
from tracer.owners import abandoned, adopt, discard, is_alive
from tracer.segments import MAGIC, ForeignJournal, Segment, path_of

#: Every test here records into a project of its own.
project = recording.project

SEGMENT = 4096


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path, "feedbeef", segment_bytes=SEGMENT)


def dead_copy(journal: Journal) -> Path:
    """The journal as its owner's death would leave it."""
    copy = journal.folder.with_name(f"{journal.folder.name}-copy")
    copy.mkdir()
    for path in journal.folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def frames_in(folder: Path, position: Position = START) -> list[bytes]:
    return [frame for frame, _ in read_folder(folder, position) if frame is not None]


class TestAppendAndRead:
    def test_many_threads_lose_and_mix_nothing(self, journal: Journal) -> None:
        def write(number: int) -> None:
            for count in range(200):
                journal.append(f"{number}:{count}:".encode() + bytes([number]) * (count % 97))

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        frames, position = journal.read(START, limit=10_000)
        assert position == journal.end
        assert sorted(frames) == sorted(
            f"{number}:{count}:".encode() + bytes([number]) * (count % 97)
            for number in range(8)
            for count in range(200)
        )
        for number in range(8):
            mine = [frame for frame in frames if frame.startswith(f"{number}:".encode())]
            assert [int(frame.split(b":")[1]) for frame in mine] == list(range(200))
        assert frames_in(journal.folder) == frames

    def test_it_goes_on_in_the_next_segment_and_in_a_larger_one_for_a_large_frame(self, journal: Journal) -> None:
        sent = [bytes([n]) * size for n, size in enumerate([1, SEGMENT - 100, 100, 3 * SEGMENT, 1, 0x3FF, SEGMENT])]
        for frame in sent:
            journal.append(frame)
        assert journal.read(START, limit=100)[0] == sent
        assert frames_in(journal.folder) == sent

    @pytest.mark.parametrize("short_of_full", range(14, 34))
    def test_every_way_to_fill_a_segment_ends_it_well(self, journal: Journal, short_of_full: int) -> None:
        sent = [b"a" * (SEGMENT - short_of_full), b"next", b"last"]
        for frame in sent:
            journal.append(frame)
        assert journal.read(START, limit=100)[0] == sent == frames_in(journal.folder)

    def test_positions_cut_it_anywhere(self, journal: Journal) -> None:
        sent = [f"{n}".encode() * 50 for n in range(200)]
        for frame in sent:
            journal.append(frame)
        got: list[bytes] = []
        position = START
        while position < journal.end:
            frames, position = journal.read(position, limit=7)
            assert frames_in(journal.folder, position) == sent[len(got) + len(frames) :]
            got += frames
        assert got == sent
        assert journal.read(position, limit=7) == ([], position)

    def test_what_the_store_has_is_dropped_and_no_longer_waits(self, journal: Journal) -> None:
        for n in range(300):
            journal.append(bytes([n % 256]) * 100)
        waiting = journal.waiting_bytes
        frames, position = journal.read(START, limit=250)
        assert journal.read(START, limit=250) == (frames, position)
        assert journal.waiting_bytes == waiting
        journal.drop_before(position)
        assert 0 < journal.waiting_bytes < waiting
        assert min(path.name for path in journal.folder.glob("*.seg")) == f"{position.segment:08d}.seg"
        rest, end = journal.read(position, limit=250)
        assert len(rest) == 50
        journal.drop_before(end)
        assert journal.waiting_bytes == 0

    def test_dropping_while_others_append_disturbs_nobody(self, journal: Journal) -> None:
        wanted = 3_000

        def write() -> None:
            for n in range(wanted):
                journal.append(f"{n:06}".encode() * 20)

        thread = threading.Thread(target=write)
        thread.start()
        got: list[bytes] = []
        position = START
        while len(got) < wanted:
            frames, position = journal.read(position, limit=50)
            journal.drop_before(position)
            got += frames
        thread.join()
        assert [int(frame[:6]) for frame in got] == list(range(wanted))


class TestSegments:
    def test_the_next_one_is_made_ready_when_half_of_one_is_full(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path, "feedbeef", segment_bytes=1 << 20)
        for _ in range(11):
            journal.append(bytes(50_000))
        deadline = time.monotonic() + 30
        while journal._spares.empty():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert len(list(journal.folder.glob("*.seg"))) == 2
        for _ in range(12):
            journal.append(bytes(50_000))
        assert journal.end.segment == 1
        assert len(journal.read(START, limit=100)[0]) == 23
        assert journal.close(written=journal.end)

    def test_of_two_that_are_put_by_at_once_each_is_made_again_as_itself(self, tmp_path: Path) -> None:
        first, second = (Segment(tmp_path, number, 4096) for number in (0, 1))
        assert first.put_by()
        assert second.put_by()
        first.reuse(5)
        first.memory[8:12] = b"mine"
        assert path_of(tmp_path, 5).read_bytes()[8:12] == b"mine"

    def test_one_that_the_store_has_is_written_again_and_nothing_of_it_is_left(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path, "feedbeef", segment_bytes=1 << 16)
        position = START
        inodes: list[int] = []
        for n in range(200):
            journal.append(f"{n:06}".encode() * (500 - n))
            frames, position = journal.read(position, limit=10)
            assert frames == [f"{n:06}".encode() * (500 - n)]
            journal.drop_before(position)
            current = journal.folder / f"{position.segment:08d}.seg"
            inodes.append(current.stat().st_ino)
        assert len(set(inodes)) < journal.end.segment
        read = [frame for frame, _ in read_folder(journal.folder, START)]
        assert read == [f"{n:06}".encode() * (500 - n) for n in range(200 - len(read), 200)]

    @pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not say what is mapped")
    def test_a_backlog_is_not_mapped(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path, "feedbeef", segment_bytes=1 << 20)
        for _ in range(300):
            journal.append(bytes([1]) * 100_000)
        # The one that is written to, the one made ready, the two read first, and one that the maker is to let go of.
        assert Path("/proc/self/maps").read_text().count(str(journal.folder)) <= 5
        got, position = 0, START
        while position < journal.end:
            frames, position = journal.read(position, limit=1000)
            assert sum(map(len, frames)) <= 5 << 20
            got += len(frames)
        assert got == 300
        assert journal.close(written=position)

    def test_a_finalizer_that_appends_at_any_moment_mixes_nothing(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path, "feedbeef", segment_bytes=SEGMENT)
        made: list[bytes] = []

        class Cycle:
            def __init__(self) -> None:
                self.itself = self

            def __del__(self) -> None:
                made.append(b"late %d" % len(made) * 40)
                journal.append(made[-1])

        before = gc.get_threshold()
        gc.set_threshold(1)
        try:
            sent = [b"%d " % n * 60 for n in range(3_000)]
            for frame in sent:
                Cycle()
                journal.append(frame)
        finally:
            gc.set_threshold(*before)
        # Another thread may be in the middle of collecting: then this call returns at once, having done nothing.
        deadline = time.monotonic() + 30
        while len(made) < 3_000 and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.001)
        assert len(made) == 3_000
        frames: list[bytes] = []
        position = START
        while position < journal.end:
            more, position = journal.read(position, limit=1000)
            frames += more
        assert sorted(frames) == sorted(sent + made)
        assert frames_in(journal.folder) == frames
        assert journal.close(written=position)


class TestClosing:
    def test_all_written_it_is_gone_and_otherwise_it_stays(self, tmp_path: Path) -> None:
        first, second = (Journal(tmp_path, "feedbeef") for _ in range(2))
        first.append(b"1")
        second.append(b"2")
        assert first.close(written=first.end) is True
        assert second.close(written=START) is False
        assert abandoned(tmp_path, "feedbeef") == [second.folder]
        assert frames_in(second.folder) == [b"2"]

    def test_it_takes_nothing_more(self, journal: Journal) -> None:
        journal.close(written=journal.end)
        with pytest.raises(JournalClosed):
            journal.append(b"late")


class TestDamage:
    def test_a_torn_last_frame_is_left_out(self, journal: Journal) -> None:
        for frame in (b"first", b"second", b"third"):
            journal.append(frame)
        copy = dead_copy(journal)
        path = copy / "00000000.seg"
        data = path.read_bytes()
        for cut in range(len(MAGIC), data.index(b"third") + 5):
            path.write_bytes(data[:cut])
            whole = [b"first", b"second", b"third"][: len(frames_in(copy))]
            assert frames_in(copy) == whole
            assert len(whole) < 3

    def test_a_wrong_checksum_ends_its_segment_only(self, journal: Journal) -> None:
        for n in range(4):
            journal.append(bytes([65 + n]) * (SEGMENT // 2 - 100))
        copy = dead_copy(journal)
        path = copy / "00000000.seg"
        data = bytearray(path.read_bytes())
        data[data.index(b"BBBB")] = 0
        path.write_bytes(data)
        assert [frame[:1] for frame in frames_in(copy)] == [b"A", b"C", b"D"]

    def test_one_that_was_killed_before_it_had_a_beginning_is_empty(self, journal: Journal) -> None:
        journal.append(b"kept")
        copy = dead_copy(journal)
        (copy / "00000001.seg").write_bytes(bytes(SEGMENT))
        assert frames_in(copy) == [b"kept"]

    def test_one_of_another_version_is_not_guessed_at(self, journal: Journal) -> None:
        copy = dead_copy(journal)
        (copy / "00000000.seg").write_bytes(b"playhd99" + bytes(100))
        with pytest.raises(ForeignJournal, match="was not written by this version"):
            frames_in(copy)


class TestOwners:
    def test_a_living_one_can_not_be_adopted(self, tmp_path: Path, journal: Journal) -> None:
        assert is_alive(tmp_path, journal.owner)
        with adopt(journal.folder) as dead:
            assert not dead

    def test_a_killed_one_can_by_one_at_a_time(self, tmp_path: Path) -> None:
        source = (
            "import os, pathlib, sys; from tracer.journal import Journal\n"
            "journal = Journal(pathlib.Path(sys.argv[1]), 'feedbeef')\n"
            "for n in range(1000): journal.append(b'%d' % n)\n"
            "os.kill(os.getpid(), 9)\n"
        )
        killed = subprocess.run([sys.executable, "-c", source, str(tmp_path)], cwd=ROOT, check=False)
        assert killed.returncode == -signal.SIGKILL
        (folder,) = abandoned(tmp_path, "feedbeef")
        assert not is_alive(tmp_path, folder.name)
        with adopt(folder) as first, adopt(folder) as second:
            assert (first, second) == (True, False)
        assert frames_in(folder) == [b"%d" % n for n in range(1000)]
        discard(folder)
        assert abandoned(tmp_path, "feedbeef") == []
        with adopt(folder) as late:
            assert not late

    def test_those_of_other_stores_and_machines_are_not_ours(self, tmp_path: Path, journal: Journal) -> None:
        host = os.uname().nodename
        for name in (f"{'0' * 8}-{host}-1-a", "feedbeef-other-1-a", f"feedbeef-{host}-more-1-a"):
            (journal.folder.parent / name).mkdir()
        assert abandoned(tmp_path, "feedbeef") == [journal.folder]
        assert is_alive(tmp_path, "feedbeef-other-1-a")

    def test_a_lock_whose_number_is_another_files_by_now_is_not_closed(self, tmp_path: Path) -> None:
        source = (
            "import os, pathlib, sys; from tracer.journal import Journal\n"
            "journal = Journal(pathlib.Path(sys.argv[1]), 'feedbeef')\n"
            "os.closerange(3, 50)\n"
            "mine = [open(os.devnull, 'wb') for _ in range(20)]\n"
            "assert journal._lock_fd in {each.fileno() for each in mine}\n"
            "journal.append(b'frame')\n"
            "journal.close(written=journal.end)\n"
            "if os.fork() == 0: os._exit(0)\n"
            "print(len([os.fstat(each.fileno()) for each in mine]))\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", source, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert ran.stdout == "20\n", ran.stderr

    def test_a_disk_without_room_is_an_error_and_leaves_nothing(self, tmp_path: Path) -> None:
        source = (
            "import pathlib, resource, sys; from tracer.journal import Journal, START\n"
            "journal = Journal(pathlib.Path(sys.argv[1]), 'feedbeef', segment_bytes=4096)\n"
            "journal.append(b'kept')\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))\n"
            "try: journal.append(b'x' * 9000)\n"
            "except OSError: print('refused')\n"
            "journal.append(b'small'); print(journal.read(START, limit=9)[0])\n"
            "try: Journal(pathlib.Path(sys.argv[1]), 'feedbeef')\n"
            "except OSError: print(len(list((pathlib.Path(sys.argv[1]) / 'journal').iterdir())))\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", source, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert ran.stdout.splitlines() == ["refused", "[b'kept', b'small']", "1"]
