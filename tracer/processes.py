"""The running step, carried into worker processes: of ``ProcessPoolExecutor`` (and so of ``loop.run_in_executor``), of
``multiprocessing.Pool`` and of ``multiprocessing.Process``, however they are started.

What is sent along with a call is plain data (tracer.carrier); the user's function gets what it got before. Where the
other side could not import us nothing is sent. Outside a workflow all of it does exactly what it did.

**A replay hands nothing to another process.** Steps there could not be asked about: an effect would simply happen
again. It ends before anything is started, and says what to do.
"""

from __future__ import annotations

import os
import sys
import threading
from functools import cache, partial, wraps
from typing import Any, Callable, Iterator

from tracer.carrier import Call, Carried, EachCall, Numbers, below, carried, deal, name_of, nobody
from tracer.context import CURRENT, ActiveStep
from tracer.guard import guard
from tracer.imports import when_imported
from tracer.player import ReplayStopped
from tracer.threads import within

Method = Callable[..., Any]

#: Workers of these packages' own pools serve whoever comes, not the step that happened to start them.
_POOLS_OF_OTHERS = frozenset({"loky", "joblib"})

# Guards the two names below.
_lock = threading.Lock()
_installed = False
_listening = False
#: (class, name of a method) -> our method, and the one that was there before it.
_hooked: dict[tuple[type, str], tuple[Method, Method]] = {}


def install() -> None:
    """Carry the running step from now on. Imports neither multiprocessing nor the pools: it waits for them."""
    global _installed, _listening  # noqa: PLW0603 - the state of this process
    if _installed:
        return
    with _lock:
        _installed = True
        listen, _listening = not _listening, True
    for name, hook in _HOOKS.items():
        if listen:
            when_imported(name, hook)
        elif name in sys.modules:
            hook(sys.modules[name])


def uninstall() -> None:
    """Give all of them their own methods back. One that somebody else has wrapped since stays as it is."""
    global _installed  # noqa: PLW0603
    with _lock:
        _installed = False
        for (owner, name), (ours, method) in list(_hooked.items()):
            if getattr(owner, name) is ours:
                setattr(owner, name, method)
                del _hooked[owner, name]


def _hook(owner: type, **wrappers: Callable[[Method], Method]) -> None:
    with guard("carry the running step into processes"):
        for name, wrapper in wrappers.items():
            if _installed and (owner, name) not in _hooked:
                method = getattr(owner, name)
                ours = wraps(method)(wrapper(method))
                _hooked[owner, name] = (ours, method)
                setattr(owner, name, ours)


def _hook_processes(module: Any) -> None:
    _hook(module.BaseProcess, start=_starting)


def _hook_executor(module: Any) -> None:
    _hook(module.ProcessPoolExecutor, submit=partial(_submitting, module._process_chunk))  # noqa: SLF001 - by identity


def _hook_pool(module: Any) -> None:
    thread_pool, star = module.ThreadPool, module.starmapstar
    _hook(
        module.Pool,
        __init__=partial(_making, thread_pool),
        apply_async=partial(_applying, thread_pool),
        _map_async=partial(_mapping, thread_pool, star, module.mapstar),
        imap=partial(_imapping, thread_pool),
        imap_unordered=partial(_imapping, thread_pool),
    )


_HOOKS = {
    "multiprocessing.process": _hook_processes,
    "concurrent.futures.process": _hook_executor,
    "multiprocessing.pool": _hook_pool,
}


def _refuse(step: ActiveStep, to: Any) -> None:
    """End a replay that is about to hand work to another process."""
    if step.trace.player is not None:
        raise ReplayStopped(
            f"{step.path} hands work to another process ({type(to).__name__}), where a replay can't ask about its "
            "steps, so nothing was started: do that inside a @step of its own, which a replay serves whole, or use "
            "threads"
        )


def _sent(step: ActiveStep, start_method: str | None) -> Carried | None:
    """The step as it is sent along; None where the other side could not take it up."""
    with guard("carry the running step into a process"):
        if start_method == "fork" or _is_importable_there():
            return carried(step)
    return None


def _is_importable_there() -> bool:
    """Whether a fresh process would find us, and no other version of us: it gets this one's path, and is the same
    Python unless told otherwise."""
    from multiprocessing import spawn  # noqa: PLC0415 - somebody uses it already

    return os.fsdecode(spawn.get_executable()) == sys.executable and _is_on_path(tuple(sys.path))


@cache
def _is_on_path(_: tuple[str, ...]) -> bool:
    # Not importlib.util.find_spec, which only says that we are loaded here.
    package = __name__.partition(".")[0]
    found = (finder.find_spec(package, None) for finder in sys.meta_path)
    spec = next((spec for spec in found if spec is not None), None)
    return spec is not None and spec.origin == sys.modules[package].__file__


# -- multiprocessing.Process -----------------------------------------------------------------------------------------


class _Run:
    """What a process runs in place of its own ``run``, there."""

    __slots__ = ("carried", "numbers", "process")

    def __init__(self, carried: Carried, numbers: Numbers, process: Any) -> None:
        self.carried = carried
        self.numbers = numbers
        self.process = process

    def __call__(self) -> None:
        process = self.process
        process.__dict__.pop("run", None)
        below(self.carried, self.numbers, process.run)


def _starting(start: Method) -> Method:
    def start_below(self: Any) -> Any:
        step = CURRENT.get()
        if step is None:
            return start(self)
        _refuse(step, self)
        with guard("carry the running step into a process"):
            _prepare(step, self)
        try:
            with nobody():
                return start(self)
        finally:
            if isinstance(self.__dict__.get("run"), _Run):
                del self.run

    return start_below


def _prepare(step: ActiveStep, process: Any) -> None:
    if "run" in process.__dict__ or type(process).__module__.partition(".")[0] in _POOLS_OF_OTHERS:
        return
    import multiprocessing  # noqa: PLC0415 - somebody uses it already

    # An attribute of this one process, found before its class's.
    method = process._start_method or multiprocessing.get_start_method()  # noqa: SLF001 - how it will be started
    if (sent := _sent(step, method)) is not None:
        process.run = _Run(sent, deal(step, name_of(process._target)), process)  # noqa: SLF001 - what it will call


# -- concurrent.futures.ProcessPoolExecutor --------------------------------------------------------------------------


def _submitting(chunked: Method, submit: Method) -> Method:
    """``chunked`` is what ``map`` submits a function as, together with several items."""

    def submit_below(self: Any, fn: Method, /, *args: Any, **kwargs: Any) -> Any:
        step = CURRENT.get()
        if step is None:
            return submit(self, fn, *args, **kwargs)
        _refuse(step, self)
        sent = _sent(step, self._mp_context.get_start_method())
        if sent is not None:
            if isinstance(fn, partial) and fn.func is chunked:
                (called,), (items,) = fn.args, args
                args = ([(deal(step, name_of(called)), *item) for item in items],)
                fn = partial(chunked, Call(sent, called))
            else:
                args = (deal(step, name_of(fn)), *args)
                fn = Call(sent, fn)
        with nobody():
            return submit(self, fn, *args, **kwargs)

    return submit_below


# -- multiprocessing.Pool, and the ThreadPool that is one of them ----------------------------------------------------


def _making(thread_pool: type, make: Method) -> Method:
    def make_pool(self: Any, *args: Any, **kwargs: Any) -> Any:
        step = CURRENT.get()
        if step is None:
            return make(self, *args, **kwargs)
        if not isinstance(self, thread_pool):
            self._state = "INIT"  # what its finalizer looks at
            _refuse(step, self)
        with nobody():
            return make(self, *args, **kwargs)

    return make_pool


def _applying(thread_pool: type, apply: Method) -> Method:
    def apply_below(self: Any, func: Method, args: Any = (), *rest: Any, **more: Any) -> Any:
        step = CURRENT.get()
        if step is None:
            return apply(self, func, args, *rest, **more)
        if isinstance(self, thread_pool):
            return apply(self, within, (step, func, *args), *rest, **more)
        _refuse(step, self)
        if (sent := _sent_to(self, step)) is not None:
            func, args = Call(sent, func), (deal(step, name_of(func)), *args)
        return apply(self, func, args, *rest, **more)

    return apply_below


def _mapping(thread_pool: type, star: Method, plain: Method, map_async: Method) -> Method:
    def map_below(self: Any, func: Method, iterable: Any, mapper: Method, *rest: Any, **more: Any) -> Any:
        step = CURRENT.get()
        if step is None:
            return map_async(self, func, iterable, mapper, *rest, **more)
        if isinstance(self, thread_pool):
            return map_async(self, partial(within, step, func), iterable, mapper, *rest, **more)
        _refuse(step, self)
        if mapper in {star, plain} and (sent := _sent_to(self, step)) is not None:
            iterable = _Numbered(step, func, iterable if hasattr(iterable, "__len__") else list(iterable))
            func, mapper = EachCall(sent, func, starred=mapper is star), plain
        return map_async(self, func, iterable, mapper, *rest, **more)

    return map_below


def _imapping(thread_pool: type, imap: Method) -> Method:
    def imap_below(self: Any, func: Method, iterable: Any, *rest: Any, **more: Any) -> Any:
        step = CURRENT.get()
        if step is None:
            return imap(self, func, iterable, *rest, **more)
        if isinstance(self, thread_pool):
            return imap(self, partial(within, step, func), iterable, *rest, **more)
        _refuse(step, self)
        if (sent := _sent_to(self, step)) is not None:
            iterable = iter(_Numbered(step, func, iterable))
            func = EachCall(sent, func, starred=False)
        return imap(self, func, iterable, *rest, **more)

    return imap_below


def _sent_to(pool: Any, step: ActiveStep) -> Carried | None:
    return _sent(step, pool._ctx.get_start_method())  # noqa: SLF001 - how its workers are started


class _Numbered:
    """The items of a map, each with its numbers: dealt when the pool takes it, in order."""

    def __init__(self, step: ActiveStep, function: Method, values: Any) -> None:
        self._step = step
        self._name = name_of(function)
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[tuple[Numbers, Any]]:
        return ((deal(self._step, self._name), value) for value in self._values)


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
