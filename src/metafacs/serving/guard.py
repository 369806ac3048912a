"""Stands before everything the server has: which hosts, which pages, which paths, and the password."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metafacs.serving.limits import RefusedError
from metafacs.serving.login import login_page
from metafacs.serving.password import COOKIE, SESSION_SECONDS, Password, given_password, session_token

OURS = re.compile(r"/(?:docs|openapi\.json|health|api/v1/(?:detect|model)|page/[a-z.]+|login|logout)/?")
PAGE = re.compile(
    r"/(?:|config/?|theme\.css|favicon\.ico|manifest\.json|(?:assets|static)/[\w./@~+-]+"
    r"|gradio_api/(?:info/?|app_id/?|startup-events|theme\.css|heartbeat/\w+))"
)
"""What the page needs of gradio: to read its own scripts and styles. Its uploads, files, queue and proxy stay shut."""
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self' blob:; form-action 'self'; base-uri 'self'; frame-ancestors 'none'"
)
"""The browser itself refuses whatever comes from, or goes, elsewhere. gradio's parts need inline scripts and eval."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
LOGIN_BYTES = 10_000


class Guard:
    """An ASGI application around another one that lets only proper requests through.

    - A request must name this server: an IP address, localhost, or one of `hosts`. A page elsewhere can make its own
      name point here (DNS rebinding), but not an address.
    - A browser must send it from this server's own page (`Origin`, `Sec-Fetch-Site`).
    - Paths that are not needed are not there.
    - With a password: it, or a session, for everything but the login form.

    Args:
        app: what is guarded.
        hosts: names by which the server may be called, beside localhost and addresses.
        password: None lets everybody in.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = (), password: Password | None = None) -> None:
        self._app, self._password = app, password
        self._hosts = {"localhost", *(name.lower() for name in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request through, or refuses it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks by websocket
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        shut = _adding(send)
        try:
            self._check_source(scope, headers)
            answer = await self._check_password(scope, headers, receive)
            if answer is None and not _wanted(scope):
                raise RefusedError(404, "not_found", "there is nothing at this address; see /docs")
        except RefusedError as refused:
            answer = _refusal(refused)
        await (answer or self._app)(scope, receive, shut)

    def _check_source(self, scope: Scope, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            raise RefusedError(
                403, "wrong_host", "this server does not go by that name; start it with --allow_host NAME to allow it"
            )
        elsewhere = RefusedError(403, "wrong_origin", "this request comes from a page of another site")
        origin = headers.get("origin")
        if origin is not None and not _same(origin, hosts[0]):
            raise elsewhere
        site = headers.get("sec-fetch-site", "none")
        moved = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("none", "same-origin") and not moved:
            raise elsewhere

    def _is_ours(self, host: str) -> bool:
        name = _host_name(host)
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    async def _check_password(self, scope: Scope, headers: Headers, receive: Receive) -> Response | None:
        """None: let through to the application."""
        path = scope["path"].rstrip("/")
        if self._password is None:
            return RedirectResponse("/", 303) if path in ("/login", "/logout") else None
        address = (scope.get("client") or ("",))[0]
        if path == "/login" and scope["method"] == "POST":
            return await self._log_in(scope, headers, receive, address)
        if path == "/page/page.css" and scope["method"] == "GET":
            return None  # the login form's own looks
        token = session_token(headers)
        if path == "/logout" and scope["method"] == "POST":
            self._password.close_session(token)
            answer: Response = RedirectResponse("/", 303)
            answer.delete_cookie(COOKIE)
            return answer
        if token and self._password.knows(token):
            return RedirectResponse("/", 303) if path == "/login" else None
        given = given_password(headers)
        if given is not None and self._try(given, address):
            return None
        wanted = scope["method"] in ("GET", "HEAD") and "text/html" in headers.get("accept", "")
        if wanted and given is None:
            return HTMLResponse(login_page(), 401)
        said = "the password is missing" if given is None else "the password is wrong"
        refused = RefusedError(401, "password", f"{said}; send it by basic authentication (curl -u :PASSWORD)")
        # a `WWW-Authenticate: Basic` would make browsers show a window of their own over the login form
        return JSONResponse(refused.body(), 401, {"WWW-Authenticate": 'Bearer realm="metafacs"'})

    def _try(self, given: str, address: str) -> bool:
        assert self._password is not None
        if not self._password.may_try(address):
            raise RefusedError(429, "too_many_tries", "too many wrong passwords; try again in a minute", 60)
        if self._password.right(given):
            return True
        self._password.wrong(address)
        return False

    async def _log_in(self, scope: Scope, headers: Headers, receive: Receive, address: str) -> Response:
        assert self._password is not None
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > LOGIN_BYTES or message["type"] == "http.disconnect":
                raise RefusedError(413, "too_large", "that is no password")
            if not message.get("more_body", False):
                break
        given = parse_qs(body.decode("utf-8", "replace")).get("password", [""])[0]
        if not self._try(given, address):
            return HTMLResponse(login_page("That is not the password."), 401)
        answer = RedirectResponse("/", 303)
        token, secure = self._password.open_session(), _is_https(headers, scope)
        answer.set_cookie(COOKIE, token, SESSION_SECONDS, httponly=True, samesite="strict", secure=secure)
        return answer


def _wanted(scope: Scope) -> bool:
    path = scope["path"]
    if ".." in path or "\\" in path or "//" in path:
        return False
    return bool(OURS.fullmatch(path)) or (scope["method"] in ("GET", "HEAD") and bool(PAGE.fullmatch(path)))


def _host_name(host: str) -> str:
    """The name without the port, in small letters.

    Example:
        >>> _host_name("[::1]:7860"), _host_name("LocalHost:1")
        ('::1', 'localhost')
    """
    found = re.fullmatch(r"\[([0-9a-fA-F:.]+)\](?::\d+)?|([^:\[\]/@]+)(?::\d+)?", host)
    return (found[1] or found[2]).lower().rstrip(".") if found else ""


def _same(origin: str, host: str) -> bool:
    """Whether a page of this origin is this server's own; behind a proxy the scheme may differ."""
    try:
        parts = urlsplit(origin)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        there = urlsplit(f"//{host}")
        other = there.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.hostname == there.hostname and port == other


def _is_https(headers: Mapping[str, str], scope: Scope) -> bool:
    return bool(scope.get("scheme") == "https" or headers.get("x-forwarded-proto") == "https")


def _refusal(refused: RefusedError) -> Response:
    return JSONResponse(refused.body(), refused.status, refused.headers())


def _adding(send: Send) -> Send:
    """Sends with the headers that keep browsers from doing more than they should."""

    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name in [name for name in headers if name.lower().startswith("access-control-")]:
                del headers[name]
            for name, value in HEADERS.items():
                headers[name] = value
            if headers.get("content-type", "").split(";")[0] in ("application/json", "text/html", "text/csv"):
                headers["Cache-Control"] = "no-store"
        await send(message)

    return adding
