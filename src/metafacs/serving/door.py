"""Stands before everything the server has: which hosts, which pages, and the password."""

import base64
import ipaddress
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metafacs.serving.refusals import RefusedError, error_response

HEADERS = {
    "Cache-Control": "no-store",
    # the browser itself refuses whatever comes from, or goes, elsewhere; bars have their lengths in style attributes
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; media-src 'self' blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every response."""


class Door:
    """ASGI middleware that lets only proper requests through.

    - A request must name this server: an IP address, localhost, or one of `hosts`. A page elsewhere can make its own
      name point here (DNS rebinding), but not an address. (Starlette's TrustedHostMiddleware knows names only.)
    - A browser must send it from this server's own page (`Origin`).
    - With a password: basic authentication with it and any user name.

    Args:
        app: what is behind the door.
        hosts: names by which the server may be called, beside localhost and addresses.
        password: None lets everybody in.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = (), password: str | None = None) -> None:
        self._app, self._password = app, password
        self._hosts = {"localhost", *(name.lower() for name in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request through, or refuses it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self.refusal(Headers(scope=scope))
        await (error_response(refusal) if refusal else self._app)(scope, receive, send_with_headers)

    def refusal(self, headers: Headers) -> RefusedError | None:
        """Why a request may not come in; None where it may."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._goes_by(host):
            return RefusedError(
                403, "wrong_host", "this server does not go by that name; start it with --allow_host NAME to allow it"
            )
        if origin is not None and origin.partition("://")[2] != host:
            return RefusedError(403, "wrong_origin", "this request comes from a page of another site")
        if self._password is not None and not secrets.compare_digest(_password(headers), self._password.encode()):
            return RefusedError(
                401,
                "password",
                "the password is missing or wrong; send it by basic authentication (curl -u :PASSWORD)",
                {"WWW-Authenticate": 'Basic realm="metafacs", charset="UTF-8"'},
            )
        return None

    def _goes_by(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self._hosts or bool(ipaddress.ip_address(name))
        except ValueError:
            return False


def _password(headers: Headers) -> bytes:
    """What basic authentication sends; nothing where it does not."""
    kind, _, credentials = headers.get("authorization", "").partition(" ")
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2] if kind.lower() == "basic" else b""
    except ValueError:
        return b""
