"""Puts the recording transports before the clients' own, whenever a client's package is imported."""

from __future__ import annotations

import threading
from functools import wraps
from typing import Any, Callable

from tracer.context import CURRENT, SETTLERS
from tracer.guard import guard
from tracer.http.exchange import settle
from tracer.http.transports import AsyncRecordingTransport, RecordingTransport
from tracer.imports import when_imported

_PACKAGES = ("httpx2", "httpx")
_HOOK = "_transport_for_url"

# Guards the three names below.
_lock = threading.Lock()
_listening = False
_installed = False
#: Client class -> our method, and the one that was there before it.
_hooked: dict[type, tuple[Callable[..., Any], Callable[..., Any]]] = {}


def install() -> None:
    """Catch requests from now on, in packages already imported and in those imported later. Imports none itself."""
    global _listening, _installed  # noqa: PLW0603 - the state of this process
    if _installed:
        return
    with _lock:
        _installed = True
        if settle not in SETTLERS:
            SETTLERS.append(settle)
        listen, _listening = not _listening, True
    for package in _PACKAGES:
        if listen:
            when_imported(package, _hook_package)
        elif (module := _imported(package)) is not None:
            _hook_package(module)


def uninstall() -> None:
    """Give every client its own method back. One that somebody else has wrapped since stays, and does nothing more."""
    global _installed  # noqa: PLW0603
    with _lock:
        _installed = False
        for client, (ours, method) in list(_hooked.items()):
            if getattr(client, _HOOK) is ours:
                setattr(client, _HOOK, method)
                del _hooked[client]


def _imported(package: str) -> Any:
    import sys  # noqa: PLC0415

    return sys.modules.get(package)


def _hook_package(module: Any) -> None:
    """``httpx2.alias_httpx()`` makes both packages one: a class that is hooked stays hooked once."""
    with guard(f"catch the requests of {module.__name__}"), _lock:
        if _installed:
            _hook(module, module.Client, RecordingTransport)
            _hook(module, module.AsyncClient, AsyncRecordingTransport)


def _hook(module: Any, client: type, recording: Callable[[Any, Any], Any]) -> None:
    if client in _hooked:
        return
    method = getattr(client, _HOOK)

    @wraps(method)
    def transport_for_url(self: Any, url: Any) -> Any:
        transport = method(self, url)
        return recording(module, transport) if _installed and CURRENT.get() is not None else transport

    setattr(client, _HOOK, transport_for_url)
    _hooked[client] = (transport_for_url, method)
