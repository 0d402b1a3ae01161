from __future__ import annotations

import os
import threading
import warnings
from pathlib import Path

import pytest

import tracer
from tests import recording
from tests.recording import Project, path_of
from tracer import span, step, workflow
from tracer.guard import PlayheadWarning, degraded, guard, report

#: Every test here records into a project of its own.
project = recording.project


@step
def double(x: int) -> int:
    with span("s", input=x):
        return 2 * x


@workflow
def flow(x: int) -> int:
    return double(x)


class TestGuard:
    def test_an_error_of_ours_is_counted_and_warned_about_once(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PLAYHEAD_STRICT", "0")
        project.degraded = {"count to three"}
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for _ in range(3):
                with guard("count to three"):
                    raise LookupError("two")
        (warning,) = warned
        assert str(warning.message) == (
            "playhead could not count to three (LookupError: two). Your code is not affected; "
            "`playhead doctor` says more."
        )
        assert degraded["count to three"] == 3

    def test_strictly_it_is_raised(self) -> None:
        with pytest.raises(LookupError), guard("count to three"):
            raise LookupError

    def test_an_interrupt_is_the_users(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLAYHEAD_STRICT", "0")
        with pytest.raises(KeyboardInterrupt), guard("count"):
            raise KeyboardInterrupt

    def test_no_filter_and_no_hook_turns_a_warning_into_an_error(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project.degraded = {"a", "b", "c"}

        class Unprintable(Exception):
            def __str__(self) -> str:
                raise ZeroDivisionError

        def failing_hook(*_: object, **__: object) -> None:
            raise OSError("stderr is gone")

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            report("a", "text")
            warnings.simplefilter("always")
            monkeypatch.setattr(warnings, "showwarning", failing_hook)
            report("b", "text")
            report("c", Unprintable())


class TestTheUsersCall:
    @pytest.fixture(autouse=True)
    def not_strict(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLAYHEAD_STRICT", "0")

    def test_a_home_that_can_not_be_made_costs_one_warning(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blocked = project.folder / "file"
        blocked.touch()
        monkeypatch.setenv("PLAYHEAD_HOME", str(blocked / "home"))
        project.degraded = {"start recording"}
        with pytest.warns(PlayheadWarning, match="could not start recording") as warned:
            assert [flow(n) for n in range(5)] == [0, 2, 4, 6, 8]
        assert len(warned) == 1

    def test_a_home_on_a_read_only_system_costs_one_warning(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PLAYHEAD_HOME", "/proc/playhead")
        project.degraded = {"start recording"}
        with pytest.warns(PlayheadWarning):
            assert flow(1) == 2

    def test_a_wrong_setting_costs_one_warning(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLAYHEAD_SAMPLE_RATE", "lots")
        project.degraded = {"start recording"}
        with pytest.warns(PlayheadWarning, match="PLAYHEAD_SAMPLE_RATE is 'lots'"):
            assert flow(1) == 2

    def test_values_that_fight_back_are_recorded_or_given_up_one_by_one(self, project: Project) -> None:
        class Hostile:
            def __repr__(self) -> str:
                raise RuntimeError("no repr")

            def __reduce_ex__(self, protocol: object) -> str:
                raise RuntimeError("no reduce")

            def __getattr__(self, name: str) -> object:
                raise RuntimeError(f"no {name}")

            def __eq__(self, other: object) -> bool:
                raise RuntimeError("no eq")

            __hash__ = None  # type: ignore[assignment]

        hostile = Hostile()
        trace = project.record(workflow(name="odd")(lambda x: [x]), hostile)
        assert trace.summary.status == "completed"
        assert trace.steps[0].output is not None
        assert trace.steps[0].output.lossy

    def test_an_error_whose_text_fails_is_recorded(self, project: Project) -> None:
        class Mute(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        def broken() -> None:
            raise Mute

        trace = project.record(workflow(broken))
        assert isinstance(project.raised, Mute)
        assert trace.summary.status == "failed"

    def test_the_end_of_the_stack_is_the_users_error(self, project: Project) -> None:
        @step
        def down(n: int) -> int:
            return down(n + 1)

        deep = workflow(name="deep")(down)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(RecursionError):
                deep(0)
        assert project.trace().summary.error_type == "RecursionError"
        # Where there was no room left, the last steps are missing; how many depends on what was called.
        project.degraded = set(degraded)
        assert project.degraded <= {"record a step", "record a step's result", "record a step's failure"}

    def test_a_recorder_that_was_closed_below_a_running_step_loses_nothing(self, project: Project) -> None:
        ran = project.python(
            "import tracer\n"
            "from tracer import step, workflow\n"
            "double = step(lambda x: 2 * x)\n"
            "@workflow\n"
            "def closing():\n"
            "    double(1)\n"
            "    assert tracer.shutdown()\n"
            "    return double(2)\n"
            "closing()\n"
        )
        assert ran.returncode == 0, ran.stderr
        (trace,) = project.traces()
        assert [project.value(each) for each in trace.steps] == [4, 2, 4]
        assert trace.summary.status == "completed"

    def test_after_a_shutdown_a_new_workflow_records_again(self, project: Project) -> None:
        flow(1)
        assert tracer.shutdown()
        flow(2)
        assert [path_of(trace) for trace in project.traces()] == [["flow", "flow/double", "flow/double/s"]] * 2


class TestFork:
    def test_a_child_records_into_a_journal_of_its_own_below_the_right_parent(self, project: Project) -> None:
        @workflow
        def forking() -> int:
            double(1)
            child = os.fork()
            if child == 0:
                double(2)
                os._exit(0)
            os.waitpid(child, 0)
            return double(3)

        trace = project.record(forking)
        outer = [each for each in trace.steps if each.name == "double"]
        assert sorted(project.value(each) for each in outer) == [2, 4, 6]
        assert {each.parent_id for each in outer} == {trace.steps[0].step_id}
        assert trace.summary.status == "completed"

    def test_a_child_that_flushes_and_leaves_in_good_order_writes_by_itself(self, project: Project) -> None:
        ran = project.python(
            "import os, tracer\n"
            "from tracer import workflow\n"
            "flow = workflow(name='flow')(lambda x: x)\n"
            "flow(1)\n"
            "assert tracer.flush()\n"
            "child = os.fork()\n"
            "flow(2 if child else 3)\n"
            "assert tracer.flush()\n"
            "if child: os.waitpid(child, 0)\n"
        )
        assert ran.returncode == 0, ran.stderr
        assert sorted(project.value(trace.root) for trace in project.traces()) == [1, 2, 3]
        assert list((project.home / "journal").iterdir()) == []

    def test_a_child_of_a_parent_that_just_began_leaves_its_journal_behind(self, project: Project) -> None:
        ran = project.python(
            "import os\n"
            "from tracer import workflow\n"
            "flow = workflow(name='flow')(lambda x: x)\n"
            "flow(1)\n"
            "child = os.fork()\n"
            "flow(2 if child else 3)\n"
            "if child: os.waitpid(child, 0)\n"
        )
        assert ran.returncode == 0, ran.stderr
        assert sorted(project.value(trace.root) for trace in project.traces()) == [1, 2, 3]

    def test_forks_while_all_threads_record_end(self, project: Project) -> None:
        stop = threading.Event()

        def busy() -> None:
            while not stop.is_set():
                flow(1)

        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads:
            thread.start()
        children = []
        try:
            for _ in range(5):
                child = os.fork()
                if child == 0:
                    os._exit(flow(4))
                children.append(child)
            ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert ended == [8] * 5
        assert Path(project.home / "journal").is_dir()

    def test_children_forked_while_a_thread_begins_to_record_are_recorded_too(self, project: Project) -> None:
        ran = project.python(
            "import os, threading\n"
            "from tracer import workflow\n"
            "flow = workflow(name='flow')(lambda x: x)\n"
            "threading.Thread(target=flow, args=(0,)).start()\n"
            "children = []\n"
            "for number in range(1, 6):\n"
            "    child = os.fork()\n"
            "    if not child:\n"
            "        os._exit(flow(number))\n"
            "    children.append(child)\n"
            "print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])\n"
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[1, 2, 3, 4, 5]\n", "")
        assert sorted(project.value(trace.root) for trace in project.traces()) == list(range(6))
