"""Who may come in: one password, sent with each request or exchanged for a cookie."""

import base64
import binascii
import hmac
import secrets
import threading
import time
from collections.abc import Mapping
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie

COOKIE = "metafacs_session"
SESSION_SECONDS = 12 * 3600
MOST_SESSIONS = 1000
TRIES, WINDOW = 20, 60.0
"""So many wrong passwords within so many seconds from one address close the door for it."""


class Password:
    """Checks one password; sessions live in memory only.

    Args:
        password: that opens the door.
    """

    def __init__(self, password: str) -> None:
        self._digest = _digest(password)
        self._lock = threading.Lock()
        self._sessions: dict[bytes, float] = {}
        self._wrong: dict[str, list[float]] = {}

    def right(self, given: str) -> bool:
        """Whether this is the password; takes the same time whatever is wrong with it."""
        return hmac.compare_digest(_digest(given), self._digest)

    def may_try(self, address: str) -> bool:
        """Whether this address has not guessed wrong too often."""
        with self._lock:
            recent = [at for at in self._wrong.get(address, []) if at > time.monotonic() - WINDOW]
            if recent:
                self._wrong[address] = recent
            else:
                self._wrong.pop(address, None)
            return len(recent) < TRIES

    def wrong(self, address: str) -> None:
        """Notes a wrong guess."""
        with self._lock:
            if len(self._wrong) >= MOST_SESSIONS:
                self._wrong.clear()
            self._wrong.setdefault(address, []).append(time.monotonic())

    def open_session(self) -> str:
        """A new token for a cookie; the oldest is forgotten where there are too many."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            while len(self._sessions) >= MOST_SESSIONS:
                self._sessions.pop(next(iter(self._sessions)))
            self._sessions[_digest(token)] = time.monotonic() + SESSION_SECONDS
        return token

    def close_session(self, token: str) -> None:
        """The token is worth nothing from now on."""
        with self._lock:
            self._sessions.pop(_digest(token), None)

    def knows(self, token: str) -> bool:
        """Whether the token is of an open session."""
        with self._lock:
            until = self._sessions.get(_digest(token))
            return until is not None and until > time.monotonic()


def given_password(headers: Mapping[str, str]) -> str | None:
    """The password of a request: of basic authentication (any user name) or a bearer token.

    Example:
        >>> given_password({"authorization": "Bearer open sesame"})
        'open sesame'
    """
    kind, _, rest = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(rest, validate=True).decode("utf-8").partition(":")[2]
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def session_token(headers: Mapping[str, str]) -> str:
    """The token in the request's cookie; empty where there is none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _digest(text: str) -> bytes:
    """Hashed, so that neither lengths nor dictionary look-ups tell anything."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
