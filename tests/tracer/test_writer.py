from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import tracer
from tests import recording
from tests.builders import Story
from tests.recording import Project
from tracer import recorder, step, workflow
from tracer.adoption import adopt_abandoned
from tracer.batches import write
from tracer.errors import StoreUnreachable
from tracer.events import Finished, pack
from tracer.guard import REFUSED, PlayheadWarning, degraded
from tracer.journal import START, Journal, JournalClosed
from tracer.store import Store, open_store
from tracer.writer import Writer

#: Every test here records into a project of its own.
project = recording.project


@step
def double(x: int) -> int:
    return 2 * x


@workflow
def flow(x: int) -> int:
    return double(x)


class TestAStoreThatIsAway:
    @pytest.fixture(autouse=True)
    def degraded_by_design(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        project.degraded = {"reach its store"}

    def test_nothing_is_lost_and_the_order_kept_when_it_comes_back(self, project: Project) -> None:
        blocked = project.folder / "disk"
        blocked.touch()
        tracer.configure(database_url=str(blocked / "playhead.db"), home=project.home)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for n in range(20):
                flow(n)
            assert tracer.flush(0.4) is False
        assert [each.category for each in warned] == [PlayheadWarning]
        assert "could not reach its store" in str(warned[0].message)
        blocked.unlink()
        assert tracer.flush(15.0) is True
        assert [project.value(trace.root) for trace in project.traces()] == [2 * n for n in range(20)]

    def test_a_process_that_ends_meanwhile_does_not_wait_and_leaves_its_journal(self, project: Project) -> None:
        blocked = project.folder / "disk"
        blocked.touch()
        url = str(blocked / "playhead.db")
        ran = project.python(
            "from tracer import workflow\nfor n in range(5): workflow(name='flow')(lambda x: x)(n)\n",
            PLAYHEAD_DATABASE_URL=url,
        )
        assert (ran.returncode, ran.stderr.count("PlayheadWarning: ")) == (0, 1)
        blocked.unlink()
        tracer.configure(database_url=url)
        assert [project.value(trace.root) for trace in project.traces()] == [0, 1, 2, 3, 4]
        project.degraded = set()

    def test_past_the_cap_new_traces_are_refused_and_running_ones_finish(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blocked = project.folder / "disk"
        blocked.touch()
        monkeypatch.setattr(recorder, "_overrides", {"journal_cap_bytes": 20_000})
        tracer.configure(database_url=str(blocked / "playhead.db"), home=project.home)
        project.degraded = {"reach its store", REFUSED}

        active = recorder.recorder()
        assert active is not None

        @workflow
        def long() -> None:
            while active.journal.waiting_bytes <= 20_000:
                double(1)
            # Many failed rounds read the same events; that must not make the journal look empty.
            assert tracer.flush(0.5) is False

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            long()
            assert flow(1) == 2
        assert degraded[REFUSED] == 1
        blocked.unlink()
        assert tracer.flush(15.0)
        (trace,) = project.traces()
        assert (trace.summary.workflow, trace.summary.status) == ("long", "completed")


class TestOneStoreForAll:
    def test_two_processes_write_at_once(self, project: Project) -> None:
        source = (
            "import sys\nfrom tracer import step, workflow\n"
            "double = step(lambda x: 2 * x)\n"
            "flow = workflow(name='flow')(lambda x: [double(x) for _ in range(5)])\n"
            "for n in range(40): flow(int(sys.argv[1]) + n)\n"
        )
        path = project.script(source)
        running = [
            subprocess.Popen([sys.executable, path, str(first)], env=project.environment(), cwd=project.folder)
            for first in (0, 1000)
        ]
        assert [each.wait(60) for each in running] == [0, 0]
        with open_store(project.home / "playhead.db") as store:
            rows = store.traces(limit=1000)
            assert (len(rows), {row.steps for row in rows}, {row.status for row in rows}) == (80, {6}, {"completed"})
            assert store.verify_totals() == []
        assert list((project.home / "journal").iterdir()) == []

    def test_a_locked_one_is_waited_for(self, project: Project) -> None:
        flow(1)
        assert tracer.flush()
        with closing(sqlite3.connect(project.home / "playhead.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            flow(2)
            assert tracer.flush(0.2) is False
            other.execute("ROLLBACK")
        assert tracer.flush(15.0)
        assert len(project.traces()) == 2


class Refusing:
    """A real store that fails on an event that it is told to fear; counts the batches."""

    def __init__(self, store: Store, feared: bytes) -> None:
        self.store = store
        self.feared = feared

    def apply(self, events: Any, **told: Any) -> None:
        if any(event.step_id == self.feared for event in events):
            raise OverflowError("can't be stored")
        self.store.apply(events, **told)


class TestAnEventThatCanNotBeStored:
    def test_it_is_passed_over_and_the_others_are_stored(self, project: Project) -> None:
        project.degraded = {"store one of its own events"}
        told = Story("support")
        steps = [told.step(f"s{n}") for n in range(50)]
        told.finish()
        with open_store(project.home / "playhead.db") as store, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write(Refusing(store, steps[17].id), told.events, owner="me", position=(3, 99))  # type: ignore[arg-type]
            kept = {each.name for each in store.trace(told.trace_id).steps}
            assert kept == {"support", *(f"s{n}" for n in range(50) if n != 17)}
            assert store.position("me") == (3, 99)
            assert store.verify_totals() == []

    def test_a_frame_that_is_none_of_ours_is_passed_over(self, project: Project) -> None:
        project.degraded = {"read one of its own events"}
        flow(1)
        active = recorder.recorder()
        assert active is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            active.journal.append(b"\xc1 no message")
            active.journal.append(pack(Finished(b"t" * 16, b"s" * 8, 1, "ok", b"\xc1", [], b"\xc1", {})))
            flow(2)
            assert tracer.flush()
        with open_store(project.home / "playhead.db") as store:
            assert sum(row.workflow == "flow" for row in store.traces()) == 2


def leave_behind(home: Path, tag: str, story: Story) -> Path:
    """A journal with the story's events, as a process would leave it that was killed."""
    journal = Journal(home, tag)
    for event in story.events:
        journal.append(pack(event))
    journal.forget_lock()
    return journal.folder


class TestAdoption:
    @pytest.fixture
    def tag(self) -> str:
        return recorder.current_config().store_tag

    def test_a_dead_ones_events_come_in_once_and_its_journal_goes(self, project: Project, tag: str) -> None:
        told = Story().finish()
        folder = leave_behind(project.home, tag, told)
        with open_store(project.home / "playhead.db") as store:
            assert adopt_abandoned(store, project.home, tag) == len(told.events)
            assert adopt_abandoned(store, project.home, tag) == 0
            assert len(store.trace(told.trace_id).steps) == 1
        assert not folder.exists()

    def test_it_goes_on_where_a_killed_adopter_stopped(self, project: Project, tag: str) -> None:
        told = Story()
        for n in range(10):
            told.step(f"s{n}")
        folder = leave_behind(project.home, tag, told)
        reader = Journal(project.home / "other", tag)
        for event in told.events:
            reader.append(pack(event))
        _, position = reader.read(START, limit=7)
        with open_store(project.home / "playhead.db") as store:
            store.apply(told.events[:7], owner=folder.name, position=position)
            assert adopt_abandoned(store, project.home, tag) == len(told.events) - 7
            assert len(store.trace(told.trace_id).steps) == 11
            assert store.verify_totals() == []

    def test_one_that_can_not_be_read_stays_and_is_no_obstacle(self, project: Project, tag: str) -> None:
        project.degraded = {"adopt the journal of a dead process"}
        foreign = leave_behind(project.home, tag, Story())
        (foreign / "00000000.seg").write_bytes(b"playhd99" + bytes(100))
        told = Story().finish()
        leave_behind(project.home, tag, told)
        with open_store(project.home / "playhead.db") as store, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert adopt_abandoned(store, project.home, tag) == len(told.events)
        assert foreign.exists()

    def test_one_whose_adopter_was_killed_while_it_deleted_is_cleared_away(self, project: Project, tag: str) -> None:
        told = Story().finish()
        folder = leave_behind(project.home, tag, told)
        with open_store(project.home / "playhead.db") as store:
            adopt_abandoned(store, project.home, tag)
            folder.mkdir()
            (folder / "owner").touch()
            assert adopt_abandoned(store, project.home, tag) == 0
        assert not folder.exists()

    def test_the_writer_brings_it_in_when_it_first_reaches_the_store(self, project: Project, tag: str) -> None:
        told = Story("earlier").finish()
        leave_behind(project.home, tag, told)
        flow(1)
        assert tracer.flush()
        with open_store(project.home / "playhead.db") as store:
            assert {row.workflow for row in store.traces()} == {"earlier", "flow"}

    def test_an_adoption_that_failed_is_tried_again(self, project: Project, tag: str) -> None:
        told = Story("earlier").finish()
        leave_behind(project.home, tag, told)
        project.degraded = {"reach its store"}
        failures = [1]

        def open_failing() -> Any:
            store = open_store(project.home / "playhead.db")
            if failures:
                failures.pop()
                store.announce = _unreachable  # type: ignore[method-assign]
            return store

        journal = Journal(project.home, tag)
        writer = Writer(journal, project.home, tag, open_failing)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            journal.append(pack(Story("mine").finish().events[0]))
            assert writer.flush(10.0)
        assert writer.close(5.0)
        with open_store(project.home / "playhead.db") as store:
            assert {row.workflow for row in store.traces()} == {"earlier", "mine"}


class TestAWriterThatIsNotWaitedFor:
    def test_keeps_its_journal_from_being_adopted_until_it_is_done(self, project: Project) -> None:
        place = project.home / "playhead.db"
        tag = recorder.current_config().store_tag
        reached = threading.Event()

        def open_late() -> Store:
            assert reached.wait(30.0)
            return open_store(place)

        journal = Journal(project.home, tag)
        writer = Writer(journal, project.home, tag, open_late)
        journal.append(pack(Story("mine").finish().events[0]))
        writer.wake()
        assert not writer.close(0.0)
        with open_store(place) as store:
            assert adopt_abandoned(store, project.home, tag) == 0
            with pytest.raises(JournalClosed):
                journal.append(pack(Story("late").finish().events[0]))
            (thread,) = [each for each in threading.enumerate() if each.name == "playhead-writer"]
            reached.set()
            thread.join(30.0)
            assert [row.workflow for row in store.traces()] == ["mine"]
        assert not journal.folder.exists()


def _unreachable(*_: Any, **__: Any) -> None:
    raise StoreUnreachable("gone for a moment")
