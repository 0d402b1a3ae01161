"""One request of OTLP over HTTP, and what the receiver makes of it."""

from __future__ import annotations

import gzip
import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Sequence

from tracer.otlp import documents, protobuf, protobuf_out
from tracer.otlp.destination import Destination
from tracer.otlp.span import NotOtlp, Span
from tracer.providers.headers import lowered, retry_after_s

#: What the specification has a sender try again at; at any other refusal the same request would be refused again.
_AGAIN = frozenset({429, 502, 503, 504})
#: Of an answer this much is read.
_MOST_ANSWER = 64 << 10


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that was taken; ``rejected`` of its spans were not, for this reason."""

    rejected: int = 0
    why: str = ""


class Unsent(Exception):
    """A request was not taken. ``again``: it may be if it is sent again, and ``after_s`` is how long to wait first."""

    def __init__(self, why: str, *, again: bool, after_s: float | None = None) -> None:
        super().__init__(why)
        self.again = again
        self.after_s = after_s


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would come to its end as a GET, without what it had to say."""

    def redirect_request(self, *_: Any) -> None:
        return None


# Proxies are the environment's.
_opener = urllib.request.build_opener(_NoRedirect)


def send(spans: Sequence[Span], to: Destination, *, timeout_s: float) -> Taken:
    """Send one request. Raises Unsent."""
    request = urllib.request.Request(to.url, _body(spans, to), _headers(to), method="POST")  # noqa: S310 - http only
    try:
        with _opener.open(request, timeout=timeout_s) as response:
            return _taken(response.read(_MOST_ANSWER), to)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(error, to) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise Unsent(f"{to}: {type(reason).__name__}: {reason}", again=True) from None


def _body(spans: Sequence[Span], to: Destination) -> bytes:
    # In JSON as ASCII: half characters, which recorded text may hold, have no other form.
    body = json.dumps(documents.write(spans)).encode() if to.is_json else protobuf_out.write(spans)
    return gzip.compress(body, 6, mtime=0) if to.is_gzip else body


def _headers(to: Destination) -> dict[str, str]:
    own = {"content-type": "application/json" if to.is_json else "application/x-protobuf", "user-agent": "playhead"}
    if to.is_gzip:
        own["content-encoding"] = "gzip"
    return {**to.headers, **own}


def _taken(body: bytes, to: Destination) -> Taken:
    """It was taken, whatever is made of the answer."""
    try:
        return Taken(*(documents if to.is_json else protobuf).read_answer(body))
    except NotOtlp:
        return Taken()


def _refused(error: urllib.error.HTTPError, to: Destination) -> Unsent:
    told = lowered(tuple(error.headers.items()))
    said = error.read(200).decode("utf-8", "replace")
    why = f"{to} answered {error.code}: {' '.join(said.split()) or error.reason}"
    return Unsent(why, again=error.code in _AGAIN, after_s=retry_after_s(error.code, told, {}))
