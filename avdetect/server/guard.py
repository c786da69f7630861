"""Requests in; those that may pass go on, the others are answered here.

On this machine alone, whoever can connect may ask; but a web site that is open in the same browser
must not, so Host and Origin have to be this server's (DNS rebinding, cross-site requests). Beyond
it a token is needed as well: `Authorization: Bearer TOKEN`, or once `/?token=TOKEN` in a browser,
which gets a cookie for it.
"""

from __future__ import annotations

import ipaddress
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "avdetect_token"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Guard:
    """An ASGI application that lets through to another what may pass."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request, with headers that keep browsers from guessing."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._refusal(Request(scope)) or self.app
        await answer(scope, receive, send_safe)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if self.token is None and not is_loopback(_hostname(f"//{host}")):
            return _no(403, "this server answers to localhost only")
        origin = request.headers.get("origin")
        if origin is not None and _netloc(origin) != host:
            return _no(403, "requests from other web sites are not answered")
        if self.token is None:
            return None
        given = request.query_params.get("token")
        if request.url.path == "/" and given is not None and self._fits(given):
            answer = RedirectResponse("/", 303)  # so that the token leaves the address bar
            answer.set_cookie(COOKIE, given, httponly=True, samesite="strict")
            return answer
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._fits(bearer.strip()):
            return None
        if self._fits(request.cookies.get(COOKIE, "")):
            return None
        return _no(401, "a token is needed: Authorization: Bearer TOKEN, or /?token=TOKEN")

    def _fits(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), (self.token or "").encode())


def is_loopback(host: str) -> bool:
    """Return whether a host name means this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _hostname(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _netloc(address: str) -> str:
    try:
        return urlsplit(address).netloc
    except ValueError:
        return ""


def _no(status: int, words: str) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"detail": words}, status, headers)
