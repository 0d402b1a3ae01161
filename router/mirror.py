"""Values that processes share, as this process last saw them: read without a query, kept fresh by a thread of its own.

All that touches the database happens on that thread, so that a call never waits for it longer than it said it would.
Where the store is away, what was seen last stays, changes wait, and it is said once.
"""

from __future__ import annotations

import contextvars
import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Literal, Self
from weakref import WeakValueDictionary

from router.forks import tell_of_forks
from tracer.errors import StoreError
from tracer.guard import report, swallow

if TYPE_CHECKING:
    from tracer.store import Store
    from tracer.store.shared import Shared

#: The new value for the one that is there now (None: there is none); None leaves it as it is.
Change = Callable[[Any], Any]
#: ``late``: the store has not answered in time; ``away``: it can't be asked. In both cases the change waits.
Outcome = Literal["changed", "left", "late", "away"]

INTERVAL_S = 0.5
#: How often a change is tried anew when another process was first.
_TRIES = 50


class _Wish:
    """A change that somebody wants made, and what came of it."""

    def __init__(self, name: str, change: Change, done: Callable[[], None]) -> None:
        self.name = name
        self.change = change
        self.done = done
        self.outcome: Outcome = "late"
        self.ended = threading.Event()


class Mirror:
    """The shared values of one store below a prefix. Any thread may use it; a forked child begins anew.

    ``place`` is a path, a URL, or None for the configured store. An open store will do too, which is not closed here;
    a program that forks gives a place.
    """

    def __init__(self, place: Store | str | Path | None, prefix: str, *, interval_s: float = INTERVAL_S) -> None:
        self._place = place
        self._prefix = prefix
        self._interval_s = interval_s
        self._seen: dict[str, Shared] = {}
        #: How many have it: the last one to close it ends its thread.
        self.users = 1
        self.forked()
        tell_of_forks(self)

    def forked(self) -> None:
        """Begin, or in a forked child begin anew: the parent's thread is not here."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wishes: list[_Wish] = []
        self._wake = threading.Event()
        self._read = threading.Event()
        self._closed = False

    def close(self) -> None:
        """Let go of the store, as the last one who has it. What was seen last can still be asked for."""
        with _lock:
            self.users -= 1
            if self.users > 0:
                return
            self._closed = True
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    @property
    def is_closed(self) -> bool:
        return self._closed

    def seen(self) -> dict[str, Shared]:
        """The values as they were seen last, by name without the prefix; not to be changed. No query."""
        if self._thread is None:
            self._start()
        return self._seen

    def ready(self, timeout_s: float) -> bool:
        """Wait until the values were read for the first time; False if they were not within the time."""
        self.seen()
        return self._read.is_set() or self._read.wait(timeout_s)

    def change(
        self, name: str, change: Change, *, wait_s: float = 0.0, done: Callable[[], None] = lambda: None
    ) -> Outcome:
        """Change one value by what ``change`` makes of it, at once and on the thread; wait for that at most so long.

        While the store is away the change waits, until a newer one of the same value takes its place. ``done`` is
        called when it waits no longer.
        """
        self.seen()
        wish = _Wish(name, change, done)
        with self._lock:
            older = [each for each in self._wishes if each.name == name]
            self._wishes = [each for each in self._wishes if each.name != name] + [wish]
        for each in older:
            each.done()
            each.ended.set()
        self._wake.set()
        if wait_s:
            wish.ended.wait(wait_s)
        return wish.outcome

    # -- the thread ------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=_follow, args=(weakref.ref(self), self._wake), name="playhead-shared", daemon=True
                )
                # in a context of its own: it belongs to no step, whichever one asked first
                contextvars.Context().run(self._thread.start)

    def _turn(self, store: Store) -> None:
        """Make the changes that wait, and read what is there now. Raises StoreError where the store is away."""
        while (wish := self._next()) is not None:
            try:
                wish.outcome = self._fulfil(store, wish)
            except StoreError:
                self._put_back(wish)
                raise
            wish.done()
            wish.ended.set()
        self._take(store.shared(self._prefix))
        self._read.set()

    def _next(self) -> _Wish | None:
        with self._lock:
            return self._wishes.pop(0) if self._wishes else None

    def _fulfil(self, store: Store, wish: _Wish) -> Outcome:
        name = self._prefix + wish.name
        for _ in range(_TRIES):
            self._take(found := store.shared(name))
            there = found.get(name)
            value = wish.change(None if there is None else there.value)
            if value is None:
                return "left"
            if store.share(name, value, version=0 if there is None else there.version):
                self._take(store.shared(name))
                return "changed"
        raise StoreError(f"{name} is changed by others too often to be changed by this process")

    def _put_back(self, wish: _Wish) -> None:
        """The store is away: the change waits, and nobody waits for it."""
        with self._lock:
            is_newest = all(each.name != wish.name for each in self._wishes)
            if is_newest:
                self._wishes.insert(0, wish)
            waiting = [wish, *self._wishes]
        if not is_newest:
            wish.done()
        for each in waiting:
            each.outcome = "away"
            each.ended.set()

    def _take(self, found: dict[str, Shared]) -> None:
        """Take what is newer than what was seen; a new dictionary, as readers hold no lock."""
        newer = {
            name.removeprefix(self._prefix): one
            for name, one in found.items()
            if (known := self._seen.get(name.removeprefix(self._prefix))) is None or known.version < one.version
        }
        if newer:
            self._seen = {**self._seen, **newer}


_mirrors: WeakValueDictionary[tuple[str, str], Mirror] = WeakValueDictionary()
# Guards the table above, and who has what of it.
_lock = threading.Lock()


def mirror_of(place: Store | str | Path | None, prefix: str) -> Mirror:
    """The mirror that all have who ask for the same store: one thread, however many breakers there are."""
    from tracer import recorder  # noqa: PLC0415 - for those who share

    where = recorder.current_config().database_url if place is None else place
    key = str(where) if isinstance(where, str | Path) else f"open:{id(where)}"
    with _lock:
        found = _mirrors.get((key, prefix))
        if found is None or found.is_closed:
            found = _mirrors[key, prefix] = Mirror(where, prefix)
        else:
            found.users += 1
        return found


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _follow(mirror_ref: weakref.ref[Mirror], wake: threading.Event) -> None:
    """The thread: ends with its mirror."""
    with _Opened() as opened:
        while (mirror := mirror_ref()) is not None:
            is_last = mirror._closed  # noqa: SLF001 - the mirror's own thread
            wake.clear()
            try:
                mirror._turn(opened.store(mirror._place))  # noqa: SLF001
            except StoreError as error:
                report("reach the store that breakers and roles are shared through", error)
            except Exception as error:  # noqa: BLE001 - a bug of ours is counted, and raised where tests run
                swallow("share breakers and roles", error)
            interval_s = mirror._interval_s  # noqa: SLF001
            del mirror
            if is_last:
                return
            wake.wait(interval_s)


class _Opened:
    """The store of a mirror, opened when it can be, and closed if it was opened here."""

    def __init__(self) -> None:
        self._store: Store | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._store is not None:
            self._store.close()

    def store(self, place: Store | str | Path | None) -> Store:
        if place is not None and not isinstance(place, str | Path):
            return place
        if self._store is None:
            self._store = opened(place)
        return self._store


def opened(place: str | Path | None) -> Store:
    """The store at that place; None is the configured one. Raises StoreUnreachable."""
    from tracer import recorder  # noqa: PLC0415 - the database library is for those who share
    from tracer.store import open_store  # noqa: PLC0415

    return open_store(recorder.current_config().database_url if place is None else place)
