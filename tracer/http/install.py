"""Puts the recording before the clients' own sending, whenever a client's package is imported."""

from __future__ import annotations

import os
import sys
import threading
from functools import wraps
from types import FunctionType
from typing import Any, Callable

from tracer.context import CURRENT, SETTLERS
from tracer.guard import guard
from tracer.http.client import is_below
from tracer.http.exchange import settle_whole
from tracer.importing import IMPORTING
from tracer.imports import when_imported

#: A client's class and its method.
Place = tuple[type, str]

# Guards the names below.
_lock = threading.Lock()
_listening = False
_installed = False
#: Whether the hooks of all clients that are imported are in place.
_ready = False
# Held while they are put there, which imports our adapters. Never asked for while _lock is held.
_installing = threading.RLock()
#: Where we stand -> our method, and the one that was there before it.
_hooked: dict[Place, tuple[Callable[..., Any], Callable[..., Any]]] = {}


def install() -> None:
    """Catch requests from now on, in packages already imported and in those imported later. Imports none itself.

    Every workflow asks for it: who patched a client before us, for the length of a test say, takes our hook away when
    he puts back what he had found.
    """
    if _is_in_place():
        return
    with _installing:  # a second workflow that begins at the same moment waits until its calls are caught
        if not _is_in_place():
            _install()


def _is_in_place() -> bool:
    return _ready and not any(map(_was_taken, tuple(_hooked)))


def _install() -> None:
    global _listening, _installed, _ready  # noqa: PLW0603 - the state of this process
    with _lock:
        _installed = True
        if settle_whole not in SETTLERS:
            SETTLERS.append(settle_whole)
        listen, _listening = not _listening, True
    for package in _HOOKS:
        if listen:
            when_imported(package, _hook_package)
        elif (module := sys.modules.get(package)) is not None:
            _hook_package(module)
    _ready = True


def uninstall() -> None:
    """Give every client its own method back. One that somebody else has wrapped since stays, and does nothing more."""
    global _installed, _ready  # noqa: PLW0603
    with _lock:
        _installed = _ready = False
        for (client, name), (ours, method) in list(_hooked.items()):
            if getattr(client, name) is ours:
                setattr(client, name, method)
                del _hooked[client, name]


def _is_on() -> bool:
    return _installed


def _hook_package(module: Any) -> None:
    """``httpx2.alias_httpx()`` makes both packages one: a class that is hooked stays hooked once."""
    package = module.__name__.partition(".")[0]
    with guard(f"catch the requests of {package}"), IMPORTING, _lock:
        if _installed:
            _HOOKS[module.__name__](module)


def _was_taken(place: Place) -> bool:
    """Whether a client has its own method again. (A wrapper that somebody put on top of ours is not its own.)"""
    client, name = place
    method = getattr(client, name)
    if method is _hooked[place][0] or not isinstance(method, FunctionType):
        return False
    package = sys.modules[client.__module__.partition(".")[0]]
    return method.__code__.co_filename.startswith(tuple(package.__path__))


def _hook(client: type, name: str, ours: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    if (client, name) in _hooked and not _was_taken((client, name)):
        return
    method = getattr(client, name)
    made = ours(method)
    setattr(client, name, made)
    _hooked[client, name] = (made, method)


def _hook_httpx(module: Any) -> None:
    from tracer.http.transports import AsyncRecordingTransport, RecordingTransport  # noqa: PLC0415 - for its users

    def before(recording: Callable[[Any, Any], Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def ours(method: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(method)
            def transport_for_url(self: Any, url: Any) -> Any:
                transport = method(self, url)
                is_ours = _installed and CURRENT.get() is not None and not is_below()
                return recording(module, transport) if is_ours else transport

            return transport_for_url

        return ours

    _hook(module.Client, "_transport_for_url", before(RecordingTransport))
    _hook(module.AsyncClient, "_transport_for_url", before(AsyncRecordingTransport))


def _hook_urllib3(module: Any) -> None:
    from tracer.http.of_urllib3 import recording  # noqa: PLC0415 - for its users

    _hook(module.HTTPConnectionPool, "_make_request", lambda method: recording(method, _is_on))


def _hook_aiohttp(module: Any) -> None:
    from tracer.http.of_aiohttp import recording  # noqa: PLC0415 - for its users

    _hook(module.ClientSession, "_request", lambda method: recording(method, _is_on))


_HOOKS: dict[str, Callable[[Any], None]] = {
    "httpx2": _hook_httpx,
    "httpx": _hook_httpx,
    "urllib3.connectionpool": _hook_urllib3,
    "aiohttp.client": _hook_aiohttp,
}


def _after_fork_in_child() -> None:
    """Another thread of the parent may have been at it; it is not here to let go."""
    global _installing, _lock
    _installing, _lock = threading.RLock(), threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
