"""Servers in this process, with tiny detectors and drawn faces."""

import io
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import uvicorn
from fastapi.routing import APIWebSocketRoute
from PIL import Image
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient

from metafacs.inference import AUDetector, detector
from metafacs.serving import app as serving
from metafacs.serving.limits import Limits
from tests.inference.toys import DotFinder

LOCAL = "http://127.0.0.1:7860"
NOTE = "a toy"


class Slow(DotFinder):
    """Takes its time for each picture, so that others have to wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def find(self, image: np.ndarray, around: Any = None) -> Any:
        time.sleep(self.seconds)
        return super().find(image, around)


def toy_detector(run: Path, seconds: float = 0.0) -> AUDetector:
    """The detector of `toys.save_toy`, finding drawn faces."""
    finder = Slow(seconds) if seconds else DotFinder()
    with patch.object(detector, "make_finder", lambda settings: finder):
        return AUDetector.from_run(run, device="cpu")


def _detector(given: Path | AUDetector, seconds: float) -> AUDetector:
    return given if isinstance(given, AUDetector) else toy_detector(given, seconds)


@contextmanager
def client(
    run: Path | AUDetector, limits: Limits | None = None, *, seconds: float = 0.0, page: bool = False, **options: Any
) -> Iterator[TestClient]:
    """A client of a server that runs in this process."""
    made = serving.served(_detector(run, seconds), "toy", NOTE, limits or Limits(), page=page, **options)
    with made as app, TestClient(app, base_url=LOCAL, raise_server_exceptions=False, follow_redirects=False) as asking:
        yield asking


@contextmanager
def listening(
    run: Path | AUDetector,
    limits: Limits | None = None,
    *,
    seconds: float = 0.0,
    page: bool = False,
    guarded: bool = True,
    **options: Any,
) -> Iterator[str]:
    """The address of a server that listens, for clients that need a real connection; without its guard if so wished."""
    made = serving.served(_detector(run, seconds), "toy", NOTE, limits or Limits(), page=page, **options)
    with made as app, serving.open_port("127.0.0.1", 0) as port:
        seen: Any = app if guarded else app._app  # type: ignore[attr-defined]
        server = uvicorn.Server(uvicorn.Config(seen, log_level="error", ws="none", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [port]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)


def routes_of(application: Any, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Every address that an application answers at, with its methods; {"websocket"} for a websocket.

    Raises:
        AssertionError: a route of a kind that this does not know, so that none is passed over.
    """
    for route in application.routes:
        path = prefix + getattr(route, "path", "")
        if isinstance(route, WebSocketRoute | APIWebSocketRoute):
            yield path, {"websocket"}
        elif isinstance(route, Mount):
            assert isinstance(route.app, StaticFiles) or route.routes, f"what is at {path}?"
            yield from routes_of(route, path) if route.routes else [(f"{path}/x", {"GET", "HEAD"})]
        elif isinstance(route, Route):
            yield path, set(route.methods or ())
        else:  # a router that FastAPI included
            yield from routes_of(route.original_router, prefix + route.include_context.prefix)  # type: ignore[attr-defined]


def png(picture: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, form, **options)
    return buffer.getvalue()


def private_files(since: set[Path]) -> list[Path]:
    """Files in servers' private folders, but for the folders of servers that were there before."""
    return [one for folder in private_folders() - since for one in folder.rglob("*")]


def private_folders() -> set[Path]:
    """The private folders of all servers of this machine's user."""
    import tempfile

    return {one for one in Path(tempfile.gettempdir()).glob("metafacs-serve-*") if one.stat().st_uid == os.getuid()}
