"""Servers in this process, with tiny detectors and drawn faces."""

import base64
import io
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import uvicorn
from PIL import Image
from starlette.testclient import TestClient

from metafacs.inference import AUDetector, detector
from metafacs.serving.answers import About
from metafacs.serving.app import make_app, open_port
from metafacs.serving.limits import Limits
from tests.inference.toys import DotFinder

LOCAL = "http://127.0.0.1:7860"
NOTE = "a toy"
ABOUT = About("toy", NOTE)


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


def toy_app(
    run: Path | AUDetector, limits: Limits | None = None, seconds: float = 0.0, about: About = ABOUT, **options: Any
) -> Any:
    """A server's application."""
    served = run if isinstance(run, AUDetector) else toy_detector(run, seconds)
    return make_app(served, about, limits or Limits(), **options)


@contextmanager
def client(run: Path, limits: Limits | None = None, **options: Any) -> Iterator[TestClient]:
    """A client of a server that runs in this process."""
    with TestClient(toy_app(run, limits, **options), base_url=LOCAL, raise_server_exceptions=False) as asking:
        yield asking


@contextmanager
def listening(run: Path | AUDetector, limits: Limits | None = None, **options: Any) -> Iterator[str]:
    """The address of a server that listens, for clients that need a real connection."""
    with open_port("127.0.0.1", 0) as port:
        config = uvicorn.Config(
            toy_app(run, limits, **options), log_level="error", ws="none", timeout_graceful_shutdown=2
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [port]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)


def basic(password: str, user: str = "") -> dict[str, str]:
    """The header that sends a password."""
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def png(picture: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, form, **options)
    return buffer.getvalue()


def private_folders() -> set[Path]:
    """The private folders of all servers of this machine."""
    return set(Path(tempfile.gettempdir()).glob("metafacs-serve-*"))


def private_files(since: set[Path]) -> list[Path]:
    """Files in servers' private folders, but for the folders of servers that were there before."""
    return [one for folder in private_folders() - since for one in folder.rglob("*")]
