"""Which requests tell the other side what trace they belong to, and how that is put on them.

By default those that stay at home: this machine, private addresses, names that only a private network resolves. To
everybody else an id of ours would say something of us and do them no good; ``configure(propagate_to=[...])`` names who
else gets it. A model call goes out as it would without us, unless its host is named.

The headers are put on a copy of the request after it was read, so that neither what is recorded, nor what a replay
matches by, nor the user's own request object knows of them.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from tracer import providers, recorder
from tracer.context import CURRENT, ActiveStep
from tracer.http.client import Request
from tracer.propagation import headers_of
from tracer.providers.hosts import UNKNOWN, provider_of

#: The entry of ``propagate_to`` that stands for everything at home.
PRIVATE = "private"
_PRIVATE_NAMES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc", ".cluster.local")


def headers_for(request: Request | None, step: ActiveStep | None = None) -> dict[str, str]:
    """The trace's headers, for a request that is to have them and has none of its own; else nothing."""
    with recorder.guard("tell another service of this trace"):
        step = step or CURRENT.get()
        if step is None or request is None or request.header("traceparent"):
            return {}
        config = getattr(step.trace.recorder, "config", None) or recorder.current_config()
        parts = urlsplit(request.url)
        host = parts.hostname or ""
        asks_a_model = providers.find(request.method, host, unquote(parts.path), request.content) is not None
        if goes_to(host, config.propagate_to, to_model=asks_a_model):
            return headers_of(step)
    return {}


@lru_cache(maxsize=1024)
def goes_to(host: str, allowed: tuple[str, ...], *, to_model: bool = False) -> bool:
    """Whether a host is told. A model, wherever it runs, is told only where its host is named itself."""
    host = host.lower().rstrip(".").strip("[]")
    if host in allowed:
        return True
    if to_model:
        return False
    if PRIVATE in allowed and _is_private(host):
        return True
    if provider_of(host) not in {"local", UNKNOWN}:
        return False
    return any(entry == "*" or (entry.startswith("*.") and host.endswith(entry[1:])) for entry in allowed)


def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_NAMES)
    # Link-local is where a cloud's machines ask for their credentials.
    return (address.is_private or address.is_loopback) and not address.is_link_local
