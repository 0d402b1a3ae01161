"""Who may ask what: loopback names only (or a token), same-origin forms with a token, and headers that forbid the rest.

A viewer on loopback is reachable by every page the same browser opens. Two things keep those out: the Host header must
name this machine (against DNS rebinding), and a form must come from our own page and carry our token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse
from starlette.middleware.base import RequestResponseEndpoint

LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: What a page of ours may load and do: its own style, script and images; forms to itself; nothing else.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_COOKIE = "playhead"


@dataclass(frozen=True, slots=True)
class Gate:
    """The checks of one server. With ``token`` every request must know it, and any host name may be used."""

    token: str | None = None
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    async def __call__(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = self._refuse(request) or await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if "cache-control" not in response.headers:
            response.headers["cache-control"] = "no-store"
        return response

    def _refuse(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if self.token is None and name_of(host) not in LOOPBACK:
            return PlainTextResponse(
                f"This viewer answers only to {', '.join(LOOPBACK)}, not to {host[:100]!r}.\n"
                "To reach it by another name, start it with PLAYHEAD_TOKEN set.\n",
                421,
            )
        if request.method not in ("GET", "HEAD") and not _same_origin(request, host):
            return PlainTextResponse(
                "A form must come from a page of this viewer. Open the page and send it again.\n", 403
            )
        return self._authenticate(request) if self.token is not None else None

    def _authenticate(self, request: Request) -> Response | None:
        assert self.token is not None
        given = request.query_params.get("token")
        if given is not None and _equal(given, self.token):
            # The token leaves the address bar at once: it must not stay in the history or be copied with a link.
            query = urlencode([(k, v) for k, v in request.query_params.multi_items() if k != "token"])
            response = RedirectResponse(request.url.path + (f"?{query}" if query else ""), 303)
            response.set_cookie(_COOKIE, self._cookie(), httponly=True, samesite="strict")
            return response
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if _equal(bearer, self.token) or _equal(request.cookies.get(_COOKIE, ""), self._cookie()):
            return None
        return PlainTextResponse(
            "This viewer wants its token: open it as /?token=..., or send Authorization: Bearer.\n", 401
        )

    def _cookie(self) -> str:
        return hmac.new(self.secret, (self.token or "").encode(), hashlib.sha256).hexdigest()

    def form_token(self, purpose: str) -> str:
        """The token for a form; it holds for this purpose until the server restarts."""
        return hmac.new(self.secret, b"form:" + purpose.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def form_token_holds(self, purpose: str, given: str) -> bool:
        return _equal(given, self.form_token(purpose))


def name_of(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _same_origin(request: Request, host: str) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = request.headers.get("origin")
    # Under Referrer-Policy no-referrer a browser sends "null" even for our own forms; sec-fetch-site then decides.
    if origin == "null":
        return site == "same-origin"
    return origin is None or urlsplit(origin).netloc == host


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
