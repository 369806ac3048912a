"""Puts the server together and runs it."""

import logging
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from starlette.types import ASGIApp

from metafacs.errors import InputError
from metafacs.inference import AUDetector
from metafacs.serving.answers import describe
from metafacs.serving.api import make_api
from metafacs.serving.guard import Guard
from metafacs.serving.limits import Limits
from metafacs.serving.password import Password
from metafacs.serving.service import Service

KEEP_ALIVE = 15
"""Seconds that an idle connection stays open."""
CONNECTIONS = 1000
"""More at a time are refused by the server itself."""


@contextmanager
def served(
    detector: AUDetector,
    name: str,
    note: str,
    limits: Limits,
    *,
    password: str | None = None,
    hosts: Sequence[str] = (),
    page: bool = True,
) -> Iterator[ASGIApp]:
    """The whole server as an ASGI application; when the block ends, no file of it is left.

    Args:
        detector: the model.
        name: of the model.
        note: what the model is fit for, for people.
        limits: what is accepted.
        password: None lets everybody in who can reach the server.
        hosts: names by which the server may be called, beside localhost and addresses.
        page: also the web page, not only the API.

    Raises:
        InputError: the page is wanted, and gradio is not installed.
    """
    with TemporaryDirectory(prefix="metafacs-serve-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        service = Service(detector, limits)
        try:
            model = describe(detector, name, note, limits)
            app = make_api(service, model, folder)
            if page:
                from metafacs.serving.page import mount_page, page_routes

                app.include_router(page_routes(service, folder))
                app = mount_page(app, model)
            yield Guard(app, hosts, Password(password) if password else None)
        finally:
            service.close()


def open_port(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        InputError: the port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen()  # whoever reads the address may connect at once, before the server takes over
    except (OSError, OverflowError) as error:
        found.close()
        raise InputError(f"cannot serve at {host}, port {port}: {error}; give another --port or --host") from error
    return found


def run(app: ASGIApp, listening: socket.socket) -> None:
    """Serves until Ctrl-C or a request to end; to be called by the main thread."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level=logging.WARNING,
        access_log=False,  # addresses and file names are nobody's business
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=5,
        limit_concurrency=CONNECTIONS,
        ws="none",
        proxy_headers=False,
    )
    # uvicorn stops on either signal and then raises it again: it must not kill what tidies up afterwards
    before = {one: signal.signal(one, _interrupt) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
