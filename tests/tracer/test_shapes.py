"""Every shape of code, once as it is and once recorded: its caller sees the same, and its record says what happened.

A shape takes ``mark``, which is nothing at first and ``step`` then, and is called as a workflow's body. It says what
tree it leaves: the path of each step below the workflow, and how it ended. What test_decorators and test_generators
hold is not repeated here.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import functools
import importlib.util
import inspect
import threading
import traceback
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, AsyncIterator, Callable, Iterator

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

import tracer
from tests import recording
from tests.recording import Project
from tracer import current, step, workflow
from tracer.context import CURRENT

project = recording.project

Mark = Callable[[Any], Any]
Shape = Callable[[Mark], Any]
OURS = str(Path(tracer.__file__).parent)
OK, FAILED, CANCELLED = "completed", "failed", "cancelled"

SHAPES: dict[str, tuple[Shape, dict[str, str], str]] = {}
#: What runs a shape that is a coroutine function.
LOOPS = ["asyncio", *(["trio"] if importlib.util.find_spec("trio") else [])]


def shape(tree: dict[str, str] | None = None, *, loops: tuple[str, ...] = ("asyncio",)) -> Callable[[Shape], Shape]:
    """Enter a function into the table; ``tree`` maps the path of each step below the workflow to its status."""

    def enter(function: Shape) -> Shape:
        for loop in loops:
            name = function.__name__ if len(loops) == 1 else f"{function.__name__}-{loop}"
            SHAPES[name] = (function, tree or {}, loop)
        return function

    return enter


def where() -> str | None:
    """The path of the running step: what tells it apart is for the record, so it is no part of a result."""
    running = CURRENT.get()
    return None if running is None else running.path


# -- what can be called ------------------------------------------------------------------------------------------------


def add(a: int, b: int = 10) -> int:
    return a + b


@shape({"flow/add": OK, "flow/add[1]": OK})
def a_partial_of_a_step(mark: Mark) -> Any:
    added = functools.partial(mark(add), 1)
    return added(), added(b=2)


@shape({"flow/scale": OK, "flow/scale[1]": OK})
def a_partial_method(mark: Mark) -> Any:
    class Thing:
        def __init__(self, by: int) -> None:
            self.by = by

        @mark
        def scale(self, value: int, factor: int = 1) -> int:
            return value * factor * self.by

        double = functools.partialmethod(scale, factor=2)

    return Thing(3).double(5), Thing.scale(Thing(1), 7)


@shape({"flow/__call__": OK, "flow/__init__": OK, "flow/area": OK, "flow/side": OK, "flow/lazy": OK})
def special_methods_and_properties(mark: Mark) -> Any:
    class Square:
        @mark
        def __init__(self, side: int) -> None:
            self._side = side

        @mark
        def __call__(self, factor: int) -> int:
            return self._side * factor

        @property
        @mark
        def side(self) -> int:
            return self._side

        @functools.cached_property
        @mark
        def lazy(self) -> int:
            return -self._side

        @classmethod
        @mark
        def area(cls, side: int) -> tuple[str, int]:
            return cls.__name__, side * side

    square = Square(4)
    return square(2), square.side, square.lazy, square.lazy, Square.area(3)


@shape({"flow/run": OK, "flow/run/run": OK})
def a_method_that_calls_the_one_it_overrides(mark: Mark) -> Any:
    class Base:
        @mark
        def run(self) -> list[str]:
            return ["base"]

    class Derived(Base):
        @mark
        def run(self) -> list[str]:
            return [*super().run(), "derived"]

    return Derived().run()


@shape({"flow/total": OK})
def a_method_of_a_dataclass(mark: Mark) -> Any:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Order:
        items: tuple[int, ...]

        @mark
        def total(self) -> int:
            return sum(self.items)

    return Order((1, 2)).total()


@shape({"flow/show": OK, "flow/show_number": OK, "flow/show_number[1]": OK, "flow/all": OK})
def single_dispatch_over_and_under_it(mark: Mark) -> Any:
    @functools.singledispatch
    @mark
    def show(value: Any) -> str:
        return f"any {value}"

    @show.register
    @mark
    def show_number(value: int) -> str:
        return f"number {value}"

    @functools.singledispatch
    def chosen(value: Any) -> str:
        return f"chosen {value}"

    chosen.register(int, show_number)
    chosen.__name__ = "all"
    everything = mark(chosen)
    return show("a"), show(1), everything("b"), show_number(2), everything.dispatch(str)("c")


@shape({"flow/slow": OK, "flow/slow[1]": OK, "flow/cached": OK, "flow/cached[1]": OK})
def caches_over_and_under_it(mark: Mark) -> Any:
    calls = []

    @functools.lru_cache
    @mark
    def slow(value: int) -> int:
        calls.append(value)
        return value * 2

    @mark
    @functools.cache
    def cached(value: int) -> int:
        calls.append(-value)
        return value * 3

    return slow(1), slow(1), slow(2), cached(1), cached(1), calls


@shape({"flow/flaky": FAILED, "flow/flaky[1]": FAILED, "flow/flaky[2]": OK})
def a_decorator_that_tries_again(mark: Mark) -> Any:
    def retrying(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any) -> Any:
            while True:
                with contextlib.suppress(ConnectionError):
                    return function(*args)

        return call

    tries = iter(range(3))

    @retrying
    @mark
    def flaky() -> str:
        if next(tries) < 2:
            raise ConnectionError("again")
        return "there"

    return flaky()


@shape({"flow/down" + "/down" * depth: OK for depth in range(200)})
def recursion_two_hundred_deep(mark: Mark) -> Any:
    @mark
    def down(depth: int) -> int:
        return depth if depth == 0 else down(depth - 1) + 1

    return down(199)


@shape({"flow/even": OK, "flow/even/odd": OK, "flow/even/odd/even": OK})
def two_that_call_each_other(mark: Mark) -> Any:
    @mark
    def even(number: int) -> bool:
        return number == 0 or odd(number - 1)

    @mark
    def odd(number: int) -> bool:
        return number != 0 and even(number - 1)

    return even(2)


@shape({"flow/<lambda>": OK, "flow/len": OK, "flow/upper": OK})
def what_has_no_def_of_its_own(mark: Mark) -> Any:
    return mark(lambda a, *rest, **more: (a, rest, more))(1, 2, b=3), mark(len)("abc"), mark("abc".upper)()


# -- what is given back ------------------------------------------------------------------------------------------------


@shape({"flow/giving": OK})
def a_step_that_gives_a_generator(mark: Mark) -> Any:
    def inner() -> Iterator[str | None]:
        yield "made"

    @mark
    def giving() -> Iterator[str | None]:
        return inner()

    generator = giving()
    assert isinstance(generator, types.GeneratorType)
    return list(generator)


@shape({"flow/giving": OK, "flow/giving/inner": OK})
async def a_step_that_gives_a_coroutine(mark: Mark) -> Any:
    @mark
    async def inner() -> int:
        await asyncio.sleep(0)
        return 1

    @mark
    def giving() -> Any:
        return inner()

    return await giving()


@shape({"flow/later": OK, "flow/soon": OK})
async def a_step_that_gives_something_to_wait_for(mark: Mark) -> Any:
    class Soon:
        def __await__(self) -> Any:
            return asyncio.sleep(0, "soon").__await__()

    @mark
    def later() -> asyncio.Future[str]:
        return asyncio.ensure_future(asyncio.sleep(0, "later"))

    @mark
    def soon() -> Soon:
        return Soon()

    return await later(), await soon()


@shape({"flow/itself": OK})
def a_step_that_gives_the_very_object_it_got(mark: Mark) -> Any:
    value = {"a": [1]}

    @mark
    def itself(value: Any) -> Any:
        return value

    return itself(value) is value


def _named(name: str, function: Any) -> Any:
    function.__name__ = name
    return function


# -- generators --------------------------------------------------------------------------------------------------------


@shape({"flow/outer": OK, "flow/outer/inner": OK, "flow/outer/inner[1]": OK})
def generators_that_delegate(mark: Mark) -> Any:
    @mark
    def inner(name: str) -> Iterator[str]:
        got = yield f"{name} began"
        return f"{name} got {got}"

    @mark
    def outer() -> Any:
        first = yield from inner("a")
        second = yield from inner("b")
        return first, second

    running = outer()
    given = [next(running), running.send(1)]
    try:
        running.send(2)
    except StopIteration as stop:
        given.append(stop.value)
    return given


@shape({"flow/giving": FAILED})
def a_generator_that_lets_a_stop_iteration_out(mark: Mark) -> Any:
    @mark
    def giving() -> Iterator[int]:
        yield next(iter(()))

    return list(giving())


@shape({"flow/giving": OK})
def a_generator_that_takes_an_error_for_an_answer(mark: Mark) -> Any:
    @mark
    def giving() -> Any:
        try:
            yield 1
        except LookupError as error:
            yield repr(error)
        return "done"

    running = giving()
    return next(running), running.throw(KeyError("k")), list(running)


@shape({"flow/giving": FAILED})
def a_generator_that_an_error_is_thrown_into(mark: Mark) -> Any:
    @mark
    def giving() -> Iterator[int]:
        yield 1

    running = giving()
    next(running)
    running.throw(LookupError("thrown"))


@shape({"flow/giving": CANCELLED})
def a_generator_that_is_dropped(mark: Mark) -> Any:
    @mark
    def giving() -> Iterator[int]:
        yield 1
        yield 2

    for item in giving():
        return item
    return None


@shape({"flow/giving": OK, "flow/between": OK, "flow/between[1]": OK, "flow/giving/own": OK, "flow/giving/own[1]": OK})
def a_generator_whose_consumer_works_in_between(mark: Mark) -> Any:
    own, between = mark(_named("own", lambda item: item)), mark(_named("between", lambda item: item))

    @mark
    def giving() -> Iterator[int]:
        for item in range(2):
            yield own(item)

    return [between(item) for item in giving()]


@shape({"flow/giving": CANCELLED, "flow/giving/cleaning": OK})
async def an_async_generator_in_aclosing(mark: Mark) -> Any:
    @mark
    async def cleaning() -> None:
        await asyncio.sleep(0)

    @mark
    async def giving() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await cleaning()

    async with contextlib.aclosing(giving()) as running:
        async for item in running:
            return item
    return None


@shape({"flow/giving": OK, "flow/giving/own": OK, "flow/between": OK})
async def an_async_generator_whose_step_is_set_only_while_it_runs(mark: Mark) -> Any:
    own, between = mark(_named("own", lambda: None)), mark(_named("between", lambda: None))
    seen = []

    @mark
    async def giving() -> AsyncIterator[int]:
        await asyncio.sleep(0)
        own()
        seen.append(where())
        yield 1

    outside = where()
    async for _ in giving():
        between()
        assert where() == outside
    return seen == ["flow/giving"] or mark is not step


@shape({"flow/giving": FAILED})
async def an_async_generator_that_is_cancelled_inside(mark: Mark) -> Any:
    @mark
    async def giving() -> AsyncIterator[int]:
        yield 1
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
        yield 2

    return [item async for item in giving()]


@shape({"flow/__anext__": OK, "flow/__anext__[1]": OK, "flow/__anext__[2]": FAILED})
async def an_async_iterator_of_ones_own(mark: Mark) -> Any:
    class Counting:
        def __init__(self) -> None:
            self.at = 0

        def __aiter__(self) -> Any:
            return self

        @mark
        async def __anext__(self) -> int:
            if self.at == 2:
                raise StopAsyncIteration
            self.at += 1
            return self.at

    return [item async for item in Counting()]


@shape({"flow/giving": FAILED})
def a_generator_that_ignores_being_closed(mark: Mark) -> Any:
    @mark
    def giving() -> Iterator[int]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    running = giving()
    next(running)
    running.close()


@shape({"flow/giving": FAILED})
async def an_async_generator_that_ignores_being_closed(mark: Mark) -> Any:
    @mark
    async def giving() -> AsyncIterator[int]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    running = giving()
    await anext(running)
    await running.aclose()


@shape({"flow/giving": FAILED})
def a_generator_whose_cleaning_up_fails(mark: Mark) -> Any:
    @mark
    def giving() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise LookupError("in cleaning up")

    running = giving()
    next(running)
    running.close()


@shape({"flow/giving": FAILED})
async def an_async_generator_whose_cleaning_up_fails(mark: Mark) -> Any:
    @mark
    async def giving() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise LookupError("in cleaning up")

    running = giving()
    await anext(running)
    await running.aclose()


# -- context managers --------------------------------------------------------------------------------------------------


@shape({"flow/held": OK, "flow/held/opened": OK, "flow/held/closed": OK, "flow/body": OK})
def a_context_manager_over_a_step(mark: Mark) -> Any:
    opened, closed, body = (mark(_named(name, lambda: None)) for name in ("opened", "closed", "body"))

    @contextlib.contextmanager
    @mark
    def held() -> Iterator[str]:
        opened()
        yield "held"
        closed()

    with held() as value:
        body()
        return value


@shape({"flow/held": FAILED})
def a_context_manager_that_an_error_goes_through(mark: Mark) -> Any:
    @contextlib.contextmanager
    @mark
    def held() -> Iterator[None]:
        try:
            yield
        finally:
            pass

    with held():
        raise LookupError("in the body")


@shape({"flow/held": OK})
def a_context_manager_that_swallows_an_error(mark: Mark) -> Any:
    @contextlib.contextmanager
    @mark
    def held() -> Iterator[None]:
        with contextlib.suppress(LookupError):
            yield

    with held():
        raise LookupError("in the body")
    return "went on"


@shape({"flow/held": OK, "flow/body": OK})
def a_step_over_a_context_manager(mark: Mark) -> Any:
    @mark
    @contextlib.contextmanager
    def held() -> Iterator[str]:
        yield "held"

    with held() as value:
        return value, mark(_named("body", lambda: 1))()


@shape({"flow/held": FAILED, "flow/held/opened": OK, "flow/body": FAILED})
async def an_async_context_manager_over_a_step(mark: Mark) -> Any:
    @mark
    async def opened() -> None:
        await asyncio.sleep(0)

    @mark
    async def body() -> None:
        raise ValueError("in the body")

    @contextlib.asynccontextmanager
    @mark
    async def held() -> AsyncIterator[None]:
        await opened()
        yield

    async with held():
        await body()


@shape({"flow/__aenter__": OK, "flow/__aexit__": OK, "flow/__enter__": OK, "flow/__exit__": OK})
async def context_managers_of_ones_own(mark: Mark) -> Any:
    class Held:
        @mark
        async def __aenter__(self) -> str:
            return "async"

        @mark
        async def __aexit__(self, *_: object) -> bool:
            return True

        @mark
        def __enter__(self) -> str:
            return "sync"

        @mark
        def __exit__(self, *_: object) -> None: ...

    async with Held() as one:
        with Held() as other:
            raise LookupError
    return one, other


# -- errors ------------------------------------------------------------------------------------------------------------


@shape({"flow/broken": FAILED})
def an_error_with_notes_and_a_cause(mark: Mark) -> Any:
    @mark
    def broken() -> None:
        try:
            int("one")
        except ValueError as error:
            wrapped = RuntimeError("wrapped", 2)
            wrapped.add_note("said of it")
            raise wrapped from error

    try:
        broken()
    except RuntimeError as error:
        error.add_note("said later")
        raise


@shape({"flow/broken": FAILED, "flow/broken/one": FAILED, "flow/broken/two": FAILED})
def a_group_of_errors_of_which_one_is_handled(mark: Mark) -> Any:
    @mark
    def one() -> None:
        raise ValueError("one")

    @mark
    def two() -> None:
        raise TypeError("two")

    @mark
    def broken() -> None:
        errors = []
        for function in (one, two):
            try:
                function()
            except (ValueError, TypeError) as error:
                errors.append(error)
        raise ExceptionGroup("both", errors)

    handled: list[str] = []
    try:
        broken()
    except* ValueError as group:
        handled.extend(str(error) for error in group.exceptions)
    finally:
        assert handled == ["one"]


@shape({"flow/broken": FAILED})
def an_error_raised_while_another_is_handled(mark: Mark) -> Any:
    @mark
    def broken() -> None:
        try:
            raise KeyError("first")
        finally:
            raise LookupError("second")

    broken()


@shape({"flow/leaving": FAILED})
def the_end_of_the_program(mark: Mark) -> Any:
    @mark
    def leaving() -> None:
        raise SystemExit(3)

    leaving()


@shape({"flow/interrupted": CANCELLED})
def an_interrupt(mark: Mark) -> Any:
    @mark
    def interrupted() -> None:
        raise KeyboardInterrupt

    interrupted()


@shape({"flow/broken": FAILED})
def an_error_that_can_not_be_shown_or_copied(mark: Mark) -> Any:
    class Odd(Exception):
        def __init__(self, *, needed: int) -> None:
            super().__init__(needed)

        def __str__(self) -> str:
            raise RuntimeError("no words")

        __repr__ = __str__

    @mark
    def broken() -> None:
        raise Odd(needed=1)

    broken()


@shape({"flow/broken": FAILED, "flow/fine": OK})
def an_error_that_is_handled(mark: Mark) -> Any:
    @mark
    def broken() -> None:
        raise LookupError

    try:
        broken()
    except LookupError as error:
        return repr(error.__context__), mark(_named("fine", lambda: "went on"))()


# -- tasks -------------------------------------------------------------------------------------------------------------


@shape({"flow/patient": CANCELLED, "flow/patient/inner": CANCELLED})
async def a_task_that_is_cancelled_with_a_word(mark: Mark) -> Any:
    begun = asyncio.Event()

    @mark
    async def inner() -> None:
        begun.set()
        await asyncio.Event().wait()

    @mark
    async def patient() -> None:
        await inner()

    task = asyncio.create_task(patient())
    await begun.wait()
    task.cancel("enough")
    await task


@shape({"flow/patient": FAILED, "flow/patient/inner": CANCELLED})
async def a_timeout_inside_a_step(mark: Mark) -> Any:
    @mark
    async def inner() -> None:
        await asyncio.Event().wait()

    @mark
    async def patient() -> None:
        async with asyncio.timeout(0):
            await inner()

    await patient()


@shape({"flow/stubborn": OK})
async def a_cancellation_that_is_refused(mark: Mark) -> Any:
    begun = asyncio.Event()

    @mark
    async def stubborn() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "stayed"

    task = asyncio.create_task(stubborn())
    await begun.wait()
    task.cancel()
    return await task


@shape({"flow/shielded": OK})
async def a_step_behind_a_shield(mark: Mark) -> Any:
    go = asyncio.Event()

    @mark
    async def shielded() -> str:
        await go.wait()
        return "done"

    task = asyncio.create_task(shielded())
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(task), 0)
    go.set()
    return await task


@shape({"flow/sibling": CANCELLED, "flow/broken": FAILED})
async def a_task_group_with_a_failing_sibling(mark: Mark) -> Any:
    begun = asyncio.Event()

    @mark
    async def sibling() -> None:
        begun.set()
        await asyncio.Event().wait()

    @mark
    async def broken() -> None:
        await begun.wait()
        raise ValueError("broke")

    async with asyncio.TaskGroup() as group:
        group.create_task(sibling())
        group.create_task(broken())


@shape({"flow/one": OK, "flow/one[1]": FAILED, "flow/one[2]": OK})
async def gathered_calls_of_which_one_fails(mark: Mark) -> Any:
    @mark
    async def one(number: int) -> int:
        await asyncio.sleep(0)
        return 1 // (1 - number) if number == 1 else number

    given = await asyncio.gather(*(one(number) for number in range(3)), return_exceptions=True)
    return [repr(value) for value in given]


@shape({"flow/outer": OK, "flow/outer/late": OK})
async def a_task_that_outlives_the_step_that_began_it(mark: Mark) -> Any:
    go = asyncio.Event()

    @mark
    async def late() -> str:
        await go.wait()
        return "late"

    @mark
    async def outer() -> Any:
        task = asyncio.create_task(late())
        await asyncio.sleep(0)
        return [task]

    (task,) = await outer()
    go.set()
    return await task


# -- threads and contexts ----------------------------------------------------------------------------------------------


@shape({f"flow/work{number}": OK for number in ("", "[1]", "[2]", "[3]")})
async def threads_of_every_kind(mark: Mark) -> Any:
    work = mark(_named("work", lambda item: item * 2))
    given: list[int] = []
    thread = threading.Thread(target=lambda: given.append(work(1)))
    thread.start()
    thread.join()
    given.append(await asyncio.to_thread(work, 2))
    given.append(await asyncio.get_running_loop().run_in_executor(None, work, 3))
    with ThreadPoolExecutor(1) as pool:
        given.append(pool.submit(work, 4).result())
    return given


@shape({"flow/work": OK, "flow/work[1]": OK})
def contexts_that_were_copied(mark: Mark) -> Any:
    work = mark(_named("work", lambda item: item * 2))
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        return context.run(work, 1), pool.submit(context.run, work, 2).result(), contextvars.Context().run(work, 3)


@shape({"flow/slow": CANCELLED, "flow/quick": OK, "flow/quick/inner": OK}, loops=tuple(LOOPS))
async def a_task_group_of_anyio(mark: Mark) -> Any:
    given = []

    @mark
    def inner() -> str:
        return "inner"

    @mark
    async def quick() -> None:
        given.append(await anyio.to_thread.run_sync(inner))

    @mark
    async def slow() -> None:
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(slow)
        await anyio.lowlevel.checkpoint()
        await quick()
        group.cancel_scope.cancel()
    return given


@shape({"flow/broken": FAILED, "flow/slow": CANCELLED}, loops=tuple(LOOPS))
async def a_failure_in_a_task_group_of_anyio(mark: Mark) -> Any:
    begun = anyio.Event()

    @mark
    async def slow() -> None:
        begun.set()
        await anyio.sleep_forever()

    @mark
    async def broken() -> None:
        await begun.wait()
        raise ValueError("broke")

    async with anyio.create_task_group() as group:
        group.start_soon(slow)
        group.start_soon(broken)


@shape({"flow/giving": OK, "flow/giving/own": OK, "flow/giving/own[1]": OK}, loops=tuple(LOOPS))
async def an_async_generator_under_anyio(mark: Mark) -> Any:
    @mark
    async def own(item: int) -> int:
        await anyio.lowlevel.checkpoint()
        return item

    @mark
    async def giving() -> AsyncIterator[int]:
        for item in range(2):
            yield await own(item)

    return [item async for item in giving()]


# -- the table, held ---------------------------------------------------------------------------------------------------


def seen(name: str, call: Callable[[], Any]) -> Any:
    """What a caller sees of a shape of that name: its value, or all that an exception says."""
    try:
        return "value", call()
    except BaseException as error:  # noqa: BLE001 - whatever the shape raises
        return "error", told(name, error)


def told(name: str, error: BaseException | None) -> Any:
    """An exception, and all that hangs on it, as plain values. Of its traceback: the user's functions, from the shape
    itself on, for what calls that differs."""
    if error is None:
        return None
    frames = [frame.name for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(OURS)]
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return (
        type(error).__qualname__,
        [str(argument) for argument in error.args if not isinstance(argument, list)],
        getattr(error, "__notes__", []),
        frames[frames.index(name) :] if name in frames else frames,
        told(name, error.__cause__),
        told(name, error.__context__),
        error.__suppress_context__,
        [told(name, part) for part in parts],
    )


def run_shape(function: Shape, mark: Mark, loop: str) -> Any:
    if inspect.iscoroutinefunction(function):
        return anyio.run(function, mark, backend=loop)
    return function(mark)


def recorded(function: Shape) -> Shape:
    """The shape as a workflow named "flow", whose input is nothing worth keeping."""
    if inspect.iscoroutinefunction(function):

        async def run_flow(mark: Mark) -> Any:
            return await function(mark)
    else:

        def run_flow(mark: Mark) -> Any:
            return function(mark)

    return workflow(name="flow")(run_flow)


@pytest.mark.parametrize("name", SHAPES)
class TestAShape:
    def test_looks_the_same_to_its_caller_and_is_recorded_as_it_happened(self, project: Project, name: str) -> None:
        function, tree, loop = SHAPES[name]
        plain = seen(function.__name__, lambda: run_shape(function, lambda function, **_: function, loop))
        again = seen(function.__name__, lambda: run_shape(recorded(function), step, loop))
        assert again == plain
        assert CURRENT.get() is None
        assert current().step_id is None
        (trace,) = project.traces()
        found = {one.path: one.status for one in trace.steps}
        assert found.pop("flow") == expected_of(plain)
        assert found == tree
        for one in trace.steps:
            parent = None if one.parent_id is None else trace.step(one.parent_id).path
            assert parent == (one.path.rpartition("/")[0] or None), "the path says who the parent is"


def expected_of(plain: Any) -> str:
    kind, value = plain
    if kind == "value":
        return OK
    return CANCELLED if value[0] in {"CancelledError", "Cancelled", "KeyboardInterrupt", "GeneratorExit"} else FAILED
