"""A step that runs in another process stands below the step that handed the work over, in the same trace."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.pool import Pool, ThreadPool
from pathlib import Path
from typing import Any

import pytest

from tests import recording
from tests.recording import Project
from tests.tracer.http_support import Playing, under
from tracer import carrier, current, processes, step, workflow
from tracer.context import CURRENT
from tracer.model import Trace
from tracer.player import ReplayStopped

project = recording.project

#: How worker processes are started. What forks here does so in a process of its own, which has no test's threads.
METHODS = ["fork", "spawn", "forkserver"]

HEAD = """
import asyncio, functools, json, multiprocessing as mp, os, sys, time, warnings
from concurrent.futures import ProcessPoolExecutor
warnings.simplefilter("ignore", DeprecationWarning)
from tracer import configure, current, flush, span, step, workflow
from tracer.context import CURRENT

METHOD = sys.argv[1]
ctx = mp.get_context(METHOD)

@step
def work(item):
    return item * 2

@step
def add(a, b):
    return a + b

def plain(item):
    return work(item) + work(item + 1)

def seen(*_):
    return None if CURRENT.get() is None else CURRENT.get().path
"""

MAIN = """
if __name__ == "__main__":
    print(json.dumps(job()))
"""


def run(project: Project, method: str, source: str, **environment: str) -> Any:
    """Run a script to its end; what its ``job`` gave."""
    done = project.python(HEAD + source + MAIN, method, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def below(trace: Trace) -> dict[str, list[str]]:
    """Path of each step that has children -> the paths of these."""
    found: dict[str, list[str]] = {}
    for one in trace.steps:
        parent = trace.step(one.parent_id or "")
        if parent is not None:
            found.setdefault(parent.path, []).append(one.path)
    return {path: sorted(paths) for path, paths in found.items()}


def numbered(path: str, numbers: range) -> list[str]:
    return sorted(path if number == 0 else f"{path}[{number}]" for number in numbers)


@pytest.mark.parametrize("method", METHODS)
class TestAProcessPoolExecutor:
    def test_runs_what_it_maps_below_the_step_that_submitted_it(self, project: Project, method: str) -> None:
        source = """
@step
def spread():
    with ProcessPoolExecutor(3, mp_context=ctx) as pool:
        return list(pool.map(work, range(20)))

@workflow
def job():
    return spread()
"""
        assert run(project, method, source) == [item * 2 for item in range(20)]
        (trace,) = project.traces()
        assert below(trace) == {"job": ["job/spread"], "job/spread": numbered("job/spread/work", range(20))}
        assert {one.status for one in trace.steps} == {"completed"}
        works = [one for one in trace.steps if one.name == "work"]
        assert {one.occurrence: project.value(one) for one in works} == {item: item * 2 for item in range(20)}
        assert all(project.value(one, "input") == {"item": one.occurrence} for one in works), "numbered as submitted"

    def test_numbers_steps_in_chunks_and_in_plain_functions_apart(self, project: Project, method: str) -> None:
        source = """
@workflow
def job():
    with ProcessPoolExecutor(2, mp_context=ctx) as pool:
        later = pool.submit(work, item=1)
        chunked = list(pool.map(add, range(5), range(5), chunksize=2))
        plainly = list(pool.map(plain, range(3)))
    return [later.result(), chunked, plainly, work(0)]
"""
        assert run(project, method, source) == [2, [0, 2, 4, 6, 8], [2, 6, 10], 0]
        (trace,) = project.traces()
        paths = below(trace)["job"]
        assert len(paths) == len(set(paths)) == 1 + 5 + 6 + 1
        assert {path for path in paths if path.startswith("job/add")} == set(numbered("job/add", range(5)))
        numbers = sorted(one.occurrence for one in trace.steps if one.name == "work")
        assert numbers[:2] == [0, 1]
        assert [number % carrier.BLOCK for number in numbers[2:]] == [0, 1] * 3

    def test_of_an_event_loop_is_no_exception(self, project: Project, method: str) -> None:
        source = """
@workflow
async def flow(pool):
    loop = asyncio.get_running_loop()
    return await asyncio.gather(*(loop.run_in_executor(pool, work, item) for item in range(4)))

def job():
    with ProcessPoolExecutor(2, mp_context=ctx) as pool:
        return asyncio.run(flow(pool))
"""
        # the pool is no input worth keeping: it is read for its name only
        assert run(project, method, source) == [0, 2, 4, 6]
        (trace,) = project.traces()
        assert below(trace) == {"flow": numbered("flow/work", range(4))}

    def test_that_outlives_the_workflow_serves_others_as_before(self, project: Project, method: str) -> None:
        source = """
@workflow
def flow(pool):
    return pool.submit(seen).result()

def job():
    with ProcessPoolExecutor(1, mp_context=ctx) as pool:
        return [flow(pool), pool.submit(seen).result(), flow(pool)]
"""
        assert run(project, method, source) == ["flow", None, "flow"]

    def test_gives_errors_as_they_are_and_records_them(self, project: Project, method: str) -> None:
        source = """
@step
def broken(item):
    raise KeyError(item)

@workflow
def job():
    with ProcessPoolExecutor(1, mp_context=ctx) as pool:
        try:
            pool.submit(broken, 3).result()
        except KeyError as error:
            return [error.args, type(error.__cause__).__name__]
"""
        assert run(project, method, source) == [[3], "_RemoteTraceback"]
        (trace,) = project.traces()
        failed = recording.step_named(trace, "broken")
        assert (failed.status, failed.path, failed.failure.type) == ("failed", "job/broken", "KeyError")

    def test_may_be_killed_in_the_middle_of_a_step(self, project: Project, method: str) -> None:
        source = """
@step
def stuck(marker):
    work(1)
    open(marker, "w").close()
    time.sleep(60)

@workflow
def job():
    with ProcessPoolExecutor(1, mp_context=ctx) as pool:
        done = pool.submit(work, 0).result()
        lost = pool.submit(stuck, "marker")
        while not os.path.exists("marker"):
            time.sleep(0.01)
        for process in pool._processes.values():
            os.kill(process.pid, 9)
        return [done, type(lost.exception()).__name__]
"""
        assert run(project, method, source) == [0, "BrokenProcessPool"]
        (trace,) = project.traces()
        assert {one.path: one.status for one in trace.steps} == {
            "job": "completed",
            "job/work": "completed",
            "job/stuck": "interrupted",
            "job/stuck/work": "completed",
        }


@pytest.mark.parametrize("method", METHODS)
class TestAPool:
    def test_runs_its_tasks_below_the_step_that_gave_them(self, project: Project, method: str) -> None:
        source = """
@step
def spread():
    with ctx.Pool(2) as pool:
        given = [
            pool.apply(work, (1,)),
            pool.apply_async(work, kwds={"item": 2}).get(),
            pool.map(work, iter(range(5))),
            pool.map_async(work, range(3), chunksize=2).get(),
            pool.starmap(add, [(1, 2), (3, 4)]),
            pool.starmap_async(add, [(5, 6)]).get(),
            list(pool.imap(work, iter(range(3)))),
            sorted(pool.imap_unordered(work, range(4), chunksize=3)),
            pool.map(work, []),
        ]
        pool.close()
        pool.join()
    return given

@workflow
def job():
    return spread()
"""
        expected = [2, 4, [0, 2, 4, 6, 8], [0, 2, 4], [3, 7], [11], [0, 2, 4], [0, 2, 4, 6], []]
        assert run(project, method, source) == expected
        (trace,) = project.traces()
        works = numbered("job/spread/work", range(17)) + numbered("job/spread/add", range(3))
        assert below(trace)["job/spread"] == sorted(works)
        assert {one.status for one in trace.steps} == {"completed"}

    def test_that_is_terminated_keeps_what_was_recorded(self, project: Project, method: str) -> None:
        source = """
@workflow
def job():
    with ctx.Pool(2) as pool:  # leaving it ends its workers with a signal
        return pool.map(work, range(6))
"""
        assert run(project, method, source) == [0, 2, 4, 6, 8, 10]
        (trace,) = project.traces()
        assert below(trace) == {"job": numbered("job/work", range(6))}

    def test_made_in_a_workflow_does_not_keep_it_for_its_own(self, project: Project, method: str) -> None:
        source = """
POOLS = []

@workflow
def flow():
    POOLS.append(ctx.Pool(1, maxtasksperchild=1))  # each worker serves once: others are started later, by a thread
    return POOLS[0].map(seen, [1, 2])

def job():
    inside = flow()
    (pool,) = POOLS
    outside = pool.map(seen, [1, 2], chunksize=1)
    pool.close()
    pool.join()
    return [inside, outside]
"""
        assert run(project, method, source) == [["flow", "flow"], [None, None]]


@pytest.mark.parametrize("method", METHODS)
class TestAProcess:
    def test_runs_below_the_step_that_started_it(self, project: Project, method: str) -> None:
        source = """
class Own(ctx.Process):
    def run(self):
        work(5)
        with span("block"):
            add(1, 1)

@step
def starts():
    processes = [Own(), *(ctx.Process(target=work, args=(item,)) for item in range(2))]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes] + ["run" in vars(process) for process in processes]

@workflow
def job():
    return starts()
"""
        assert run(project, method, source) == [0, 0, 0, False, False, False]
        (trace,) = project.traces()
        first = carrier.BLOCK
        assert below(trace) == {
            "job": ["job/starts"],
            "job/starts": sorted(
                [f"job/starts/work[{first}]", f"job/starts/block[{first}]", *numbered("job/starts/work", range(2))]
            ),
            f"job/starts/block[{first}]": [f"job/starts/block[{first}]/add"],
        }

    def test_of_a_process_stands_below_it_too(self, project: Project, method: str) -> None:
        source = """
def inner():
    work(1)

def outer():
    work(2)
    processes = [ctx.Process(target=inner) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

@workflow
def job():
    process = ctx.Process(target=outer)
    process.start()
    process.join()
    return process.exitcode
"""
        assert run(project, method, source) == 0
        (trace,) = project.traces()
        paths = below(trace)["job"]
        assert len(paths) == len(set(paths)) == 3

    def test_times_never_run_backwards_between_processes(self, project: Project, method: str) -> None:
        source = """
@workflow
def job():
    process = ctx.Process(target=work, args=(1,))
    process.start()
    process.join()
"""
        run(project, method, source)
        (trace,) = project.traces()
        outer, inner = trace.root, recording.step_named(trace, "work")
        assert outer.started_ns < inner.started_ns < inner.ended_ns < outer.ended_ns


class TestWhatIsCarried:
    def test_is_how_the_trace_is_recorded(self, project: Project, tmp_path: Path) -> None:
        source = """
SECRET = "tulip"

def rule(text):
    return text.replace(SECRET, "[flower]")

@step
def tell(text):
    return text

@workflow
def job():
    with ProcessPoolExecutor(1, mp_context=ctx) as pool:
        return pool.submit(tell, "a tulip").result()

if __name__ == "__main__":  # not in the workers
    configure(database_url="elsewhere.db", home="elsewhere", redact=rule)
"""
        assert run(project, "spawn", source) == "a tulip"
        from tracer import configure

        configure(database_url=str(project.folder / "elsewhere.db"), home=project.folder / "elsewhere")
        told = recording.step_named(project.trace(), "tell")
        assert project.value(told) == "a [flower]"
        assert not project.home.exists(), "nothing was recorded where the environment says"

    def test_without_its_rules_no_content_is_recorded(self, project: Project) -> None:
        source = """
os.environ.pop("PLAYHEAD_STRICT", None)
warnings.simplefilter("ignore")

@workflow
def job():
    with ProcessPoolExecutor(1, mp_context=ctx) as pool:
        return pool.submit(work, "tulip").result()

if __name__ == "__main__":
    configure(redact=lambda text: text.replace("tulip", "[flower]"))
"""
        assert run(project, "spawn", source) == "tuliptulip"
        work = recording.step_named(project.trace(), "work")
        assert (work.status, work.input, work.output) == ("completed", None, None)
        assert b"tulip" not in b"".join(path.read_bytes() for path in project.home.rglob("*") if path.is_file())

    def test_follows_what_is_configured_meanwhile(self, project: Project) -> None:
        source = """
@workflow
def job():
    with ProcessPoolExecutor(1, mp_context=ctx) as pool:
        given = [pool.submit(work, "first").result()]
        for rule in (("flower", "tulip"), ("flower", "rose")):
            configure(redact=[rule])
            given.append(pool.submit(work, "a tulip, a rose").result())
    return given
"""
        assert run(project, "spawn", source)[0] == "firstfirst"
        trace = project.trace()
        given = [project.value(one, "input")["item"] for one in trace.steps if one.name == "work"]
        assert given == ["first", "a [redacted: flower], a rose", "a tulip, a [redacted: flower]"]

    def test_a_trace_that_is_sampled_out_is_absent_there_too(self, project: Project) -> None:
        source = """
@workflow
def inner(item):
    return work(item)

@workflow
def job():
    with ProcessPoolExecutor(1, mp_context=ctx) as pool:
        return pool.submit(inner, 1).result()
"""
        assert run(project, "spawn", source, PLAYHEAD_SAMPLE_RATE="0") == 2
        assert project.traces() == []

    def test_nothing_is_made_where_nothing_is_recorded(self, project: Project) -> None:
        source = """
def count():
    return len(os.listdir(os.path.join(os.environ["PLAYHEAD_HOME"], "journal")))

@workflow
def job():
    with ProcessPoolExecutor(1, mp_context=ctx) as pool:
        return pool.submit(count).result()
"""
        assert run(project, "spawn", source) == 1, "the parent's own journal only"

    def test_a_workflow_there_is_a_step_of_the_trace(self, project: Project) -> None:
        source = """
@workflow
def inner(item):
    return work(item)

@workflow
def job():
    with ProcessPoolExecutor(1, mp_context=ctx) as pool:
        return pool.submit(inner, 1).result()
"""
        run(project, "spawn", source)
        (trace,) = project.traces()
        assert recording.path_of(trace) == ["job", "job/inner", "job/inner/work"]
        assert trace.summary.workflow == "job"

    def test_is_left_out_where_the_other_side_could_not_import_it(self, project: Project) -> None:
        (project.folder / "apart.py").write_text("def double(item):\n    return item * 2\n")
        source = """
import os, sys
import multiprocessing as mp
from concurrent.futures import ProcessPoolExecutor

if __name__ == "__main__":
    from apart import double
    from tracer import workflow
    import tracer.reading

    @workflow
    def job():
        with ProcessPoolExecutor(1, mp_context=mp.get_context("spawn")) as pool, mp.get_context("spawn").Pool(1) as old:
            return pool.submit(double, 1).result() + old.apply(double, (1,))

    ours = tracer.__path__[0].rpartition("/")[0]
    sys.path[:] = [folder for folder in sys.path if folder != ours]
    os.environ.pop("PYTHONPATH")
    print(job())
"""
        done = project.python(source)
        assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr
        assert len(project.trace().steps) == 1

    def test_costs_the_user_nothing_when_it_fails(self, project: Project) -> None:
        source = """
from tracer import processes
os.environ.pop("PLAYHEAD_STRICT", None)
warnings.simplefilter("ignore")

def broken(*_):
    raise RuntimeError("ours")

@workflow
def job():
    processes.carried = broken
    with ProcessPoolExecutor(1, mp_context=ctx) as pool:
        return pool.submit(work, 1).result()
"""
        assert run(project, "spawn", source) == 2


class TestNames:
    def test_of_steps_are_found_through_what_is_around_them(self) -> None:
        from functools import partial

        class Thing:
            @step
            def method(self) -> None: ...

            @step
            def __call__(self) -> None: ...

        @step
        def work() -> None: ...

        assert carrier.name_of(work) == "work"
        assert carrier.name_of(step(name="other")(len)) == "other"
        assert carrier.name_of(partial(partial(work))) == "work"
        assert carrier.name_of(Thing().method) == "method"
        assert carrier.name_of(Thing()) == "__call__"
        assert [carrier.name_of(other) for other in (len, str, partial(len), lambda: 0, 3, None)] == [None] * 6


def touch(path: str) -> None:
    Path(path).touch()


class TestAReplay:
    """Steps in another process can't be asked about: an effect would simply happen again."""

    @pytest.mark.parametrize("how", ["executor", "executor made before", "pool", "pool made before", "process"])
    def test_starts_no_process(self, project: Project, how: str, tmp_path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        marker = tmp_path / "it ran"
        executor = ProcessPoolExecutor(1, mp_context=context)
        pool = context.Pool(1) if how == "pool made before" else None

        @workflow
        def job() -> None:
            if how == "executor":
                with ProcessPoolExecutor(1, mp_context=context) as own:
                    own.submit(touch, str(marker)).result()
            elif how == "executor made before":
                executor.submit(touch, str(marker)).result()
            elif how == "pool":
                context.Pool(1, initializer=touch, initargs=(str(marker),))
            elif pool is not None:
                pool.imap(touch, [str(marker)])
            else:
                context.Process(target=touch, args=(str(marker),)).start()

        children = set(multiprocessing.active_children())
        with (
            executor,
            under(Playing()),
            pytest.raises(ReplayStopped, match=r"job hands work to another process \(\w+\)"),
        ):
            job()
        assert set(multiprocessing.active_children()) <= children
        if pool is not None:
            pool.terminate()
            pool.join()
        assert not marker.exists()
        assert project.trace().summary.status == "stopped"

    @pytest.mark.parametrize("name", ["apply", "map", "starmap", "imap", "imap_unordered"])
    def test_is_not_asked_by_a_pool_of_threads_either_way(self, project: Project, name: str) -> None:
        player = Playing()

        @workflow
        def job() -> Any:
            with ThreadPool(1) as pool:
                given = (1,) if name == "apply" else [(1,)] if name == "starmap" else [1]
                result = getattr(pool, name)(asked, given)
                return result if isinstance(result, int) else list(result)

        with under(player):
            assert job() in (2, [2])
        assert [call.path for call in player.asked] == ["job", "job/asked"]


@step
def asked(item: int) -> int:
    return item * 2


class TestAPoolOfThreads:
    def test_runs_each_task_below_the_step_that_gave_it(self, project: Project) -> None:
        @workflow
        def job(pool: Any) -> Any:
            return (
                pool.map(asked, range(3)),
                pool.starmap(asked, [(1,)]),
                pool.apply(asked, (1,)),
                list(pool.imap(asked, [1])),
            )

        with ThreadPool(2) as pool:
            assert job(pool) == ([0, 2, 4], [2], 2, [2])
            assert pool.apply(CURRENT.get) is None
        assert below(project.trace()) == {"job": numbered("job/asked", range(6))}

    def test_made_in_a_workflow_does_not_keep_it_for_its_own(self, project: Project) -> None:
        pools = []

        @workflow
        def job() -> Any:
            pools.append(ThreadPool(1))
            return pools[0].apply(lambda: current().trace_id)

        assert job() == project.trace().trace_id
        assert pools[0].apply(CURRENT.get) is None
        pools[0].terminate()


class TestUninstalling:
    def test_gives_python_its_own_methods_back_and_installing_takes_them_again(self, project: Project) -> None:
        @workflow
        def job() -> None: ...

        job()
        methods = [
            (multiprocessing.process.BaseProcess, "start"),
            (ProcessPoolExecutor, "submit"),
            *((Pool, name) for name in ("__init__", "apply_async", "_map_async", "imap", "imap_unordered")),
        ]
        assert all(hasattr(getattr(owner, name), "__wrapped__") for owner, name in methods)
        processes.uninstall()
        assert not any(hasattr(getattr(owner, name), "__wrapped__") for owner, name in methods)
        job()
        assert all(hasattr(getattr(owner, name), "__wrapped__") for owner, name in methods)

    def test_nothing_is_imported_by_it(self, project: Project) -> None:
        source = """
import sys
from tracer import workflow
workflow(len)("abc")
print([name for name in ("multiprocessing.pool", "concurrent.futures.process") if name in sys.modules])
"""
        done = project.python(source)
        assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
