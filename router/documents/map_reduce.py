"""A document that is longer than a model's window, worked on chunk by chunk and brought together: the recorded shell.

Every chunk and every reduction is a step, known by its place in the document: a replay in which one chunk is another
runs that chunk again, and what is reduced from it. Outside a workflow it does the same and records nothing.
"""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Awaitable, Callable, Generator, Sequence, TypeVar

from router.documents.reducing import Batch, NeverRan, OnFailure, Outcome, Part, Reduced, reducing
from router.documents.split import Chunk, split
from tracer import span, step

T = TypeVar("T")
#: map and reduce by name, as recorded steps.
_Steps = dict[str, Callable[[Any], Any]]


def map_reduce(  # noqa: PLR0913 - each is one thing to say about the work
    document: str | Sequence[Chunk],
    *,
    map: Callable[[Chunk], T],  # noqa: A002 - what it is called everywhere
    reduce: Callable[[Sequence[Part]], T],
    window: int,
    overlap: int = 0,
    parallel: int = 4,
    on_failure: OnFailure = "raise",
    model: str | None = None,
    name: str = "map_reduce",
) -> Reduced:
    """Call ``map`` with each chunk, at most ``parallel`` at once, and ``reduce`` with what comes of them until one
    remains.

    ``document`` is a text, which is split into chunks of at most ``window`` tokens as ``model`` counts them, or chunks.
    ``reduce`` gets neighbouring parts whose texts fit into ``window`` together: all of them if that is so, else group
    by group, and then what comes of the groups. The prompt around them is not counted: leave room for it.

    ``on_failure="raise"`` raises ChunkFailed for the first chunk that failed; what has not begun then never runs.
    ``"skip"`` goes on without such chunks and names them in the result; where all fail it raises too. An error of
    ``reduce`` is raised as it is. Raises TooLongToReduce where parts are so long that no two fit together, and
    ValueError for a document without a word. Chunks without one are left out.
    """
    flow, steps = _recorded(document, map, reduce, window, overlap, parallel, on_failure, model, name)
    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix=name) as pool:
        try:
            batch = next(flow)
            while True:
                try:
                    outcomes = _run(batch, steps, pool)
                except BaseException as error:  # noqa: BLE001 - the open step is to end with it
                    batch = flow.throw(error)
                else:
                    batch = flow.send(outcomes)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # a StopIteration's value is Any


async def map_reduce_async(  # noqa: PLR0913 - likewise
    document: str | Sequence[Chunk],
    *,
    map: Callable[[Chunk], Awaitable[T]],  # noqa: A002 - likewise
    reduce: Callable[[Sequence[Part]], Awaitable[T]],
    window: int,
    overlap: int = 0,
    parallel: int = 4,
    on_failure: OnFailure = "raise",
    model: str | None = None,
    name: str = "map_reduce",
) -> Reduced:
    """``map_reduce`` for coroutines, under asyncio or trio."""
    flow, steps = _recorded(document, map, reduce, window, overlap, parallel, on_failure, model, name)
    try:
        batch = next(flow)
        while True:
            try:
                outcomes = await _run_async(batch, steps, parallel)
            except BaseException as error:  # noqa: BLE001 - likewise
                batch = flow.throw(error)
            else:
                batch = flow.send(outcomes)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # likewise


def _recorded(  # noqa: PLR0913, PLR0917 - what map_reduce was told
    document: str | Sequence[Chunk],
    mapping: Callable[..., Any],
    reduction: Callable[..., Any],
    window: int,
    overlap: int,
    parallel: int,
    on_failure: OnFailure,
    model: str | None,
    name: str,
) -> tuple[Generator[Batch, list[Outcome], Reduced], _Steps]:
    if parallel < 1:
        raise ValueError(f"parallel is how many chunks are worked on at once, not {parallel}")
    if on_failure not in {"raise", "skip"}:
        raise ValueError(f"on_failure is 'raise' or 'skip', not {on_failure!r}")
    given = split(document, max_tokens=window, overlap=overlap, model=model) if isinstance(document, str) else document
    chunks = [chunk for chunk in given if chunk.text.strip()]
    if not chunks:
        raise ValueError("there is not a word in this document")
    steps: _Steps = {
        "map": step(name="map", key=lambda chunk: chunk.number)(mapping),
        "reduce": step(name="reduce", key=_reach)(reduction),
    }

    def within() -> Generator[Batch, list[Outcome], Reduced]:
        with span(name, input={"chunks": len(chunks), "window": window, "overlap": overlap}) as recorded:
            done = yield from reducing(chunks, window=window, model=model, on_failure=on_failure)
            recorded.output = done
            return done

    return within(), steps


def _reach(parts: Sequence[Part]) -> str:
    """The chunks that a reduction reaches over, first and last: no two of one document are the same."""
    return f"{parts[0].cites[0].number}-{parts[-1].cites[-1].number}"


def _run(batch: Batch, steps: _Steps, pool: ThreadPoolExecutor) -> list[Outcome]:
    """Each thread has the caller's context: the running step, and deadlines and budgets that are in force."""
    call = steps[batch.what]
    failed = threading.Event()

    def one(item: Any) -> Any:
        if failed.is_set():
            raise NeverRan
        try:
            return call(item)
        except BaseException as error:
            if not batch.goes_on or not isinstance(error, Exception):
                failed.set()
            raise

    futures = [pool.submit(contextvars.copy_context().run, one, item) for item in batch.items]
    try:
        return [_outcome(future) for future in futures]
    except BaseException:  # Ctrl-C, a replay that stops: what has not begun never does, what has is waited for
        failed.set()
        raise


def _outcome(future: Future[Any]) -> Outcome:
    error = future.exception()
    if error is not None and not isinstance(error, Exception):
        raise error  # a replay that stops, an interrupt: no failure of a chunk
    return (None, error) if error is not None else (future.result(), None)


async def _run_async(batch: Batch, steps: _Steps, parallel: int) -> list[Outcome]:
    import anyio  # noqa: PLC0415 - only who calls it from a loop needs it

    outcomes: list[Outcome] = [(None, NeverRan())] * len(batch.items)
    free = anyio.Semaphore(parallel)
    stopped: list[BaseException] = []

    async with anyio.create_task_group() as group:

        async def one(number: int) -> None:
            async with free:
                try:
                    outcomes[number] = (await steps[batch.what](batch.items[number]), None)
                except anyio.get_cancelled_exc_class():
                    raise
                except Exception as error:  # noqa: BLE001 - whether it may pass is decided by what the caller said
                    outcomes[number] = (None, error)
                    if not batch.goes_on:
                        group.cancel_scope.cancel()
                except BaseException as error:  # noqa: BLE001 - a replay that stops: out of the group, not in one
                    stopped.append(error)
                    group.cancel_scope.cancel()

        for number in range(len(batch.items)):
            group.start_soon(one, number)
    if stopped:
        raise stopped[0]
    return outcomes
