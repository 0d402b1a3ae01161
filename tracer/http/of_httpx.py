"""httpx and httpx2: two packages of one shape, told apart by the module that they are."""

from __future__ import annotations

from functools import cache
from typing import Any

from tracer.http.client import Names, Request
from tracer.http.streams import streams_of
from tracer.wire import HttpResponse


class Httpx:
    """One of the two packages."""

    names = Names(timeout="ReadTimeout", refused="ConnectError", broken="ReadError")

    def __init__(self, module: Any) -> None:
        self.module = module

    def is_own(self, error: BaseException) -> bool:
        return isinstance(error, self.module.TransportError)

    def words(self, error: BaseException) -> str:
        return str(error)

    def made(self, name: str, words: str) -> BaseException | None:
        kind = getattr(self.module, name, None)
        if not isinstance(kind, type) or not issubclass(kind, self.module.TransportError):
            return None
        error: BaseException = kind(words)
        return error

    def told(self, request: Any) -> Request:
        """The request in the form that all clients share."""
        try:
            content: bytes | None = request.content
        except self.module.RequestNotRead:
            content = None
        return Request(request.method, str(request.url), tuple(request.headers.multi_items()), content)

    def changed(self, original: Any, request: Request, *, own: bool) -> Any:
        """The request of the client's own class that goes where ``request`` says, in place of ``original``; ``own``: by
        the client's own transport."""
        extensions = dict(original.extensions)
        if request.timeout_s is not None:
            extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), request.timeout_s)
        if not own:
            # Names the host by its address, and so belongs to the original one.
            extensions.pop("sni_hostname", None)
        return self.module.Request(
            request.method, request.url, headers=list(request.headers), content=request.content, extensions=extensions
        )

    def with_headers(self, request: Any, more: dict[str, str]) -> Any:
        """The request with headers that it lacks; the user's own object stays as it is."""
        if not more:
            return request
        # Not copy.copy: a request leaves its stream behind when it is copied or pickled.
        copied = object.__new__(type(request))
        copied.__dict__.update(request.__dict__)
        copied.headers = self.module.Headers(request.headers)
        for name, value in more.items():
            copied.headers.setdefault(name, value)
        return copied

    def response(self, served: HttpResponse) -> Any:
        """The client's own Response, which reads from the record."""
        stream = streams_of(self).served(self, served)
        return self.module.Response(served.status, headers=list(served.headers), stream=stream)


@cache
def httpx_of(module: Any) -> Httpx:
    return Httpx(module)
