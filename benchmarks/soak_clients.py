"""The clients of `soak.py`: what each kind of visitor of `metafacs serve` sends, and what it expects."""

import base64
import io
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
from PIL import Image

from serve_load import LONGEST_WAIT, memory, photo_bytes

PASSWORD = "open sesame"
DETECT, PAGE_DETECT = "/api/v1/detect", "/page/detect"


@dataclass
class Tally:
    """What all clients together saw.

    Attributes:
        counts: what came back, by kind.
        lost: requests that did not get what they should.
        seconds: that each answer to a photo took.
    """

    counts: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Server:
    """The server under load."""

    address: str
    pid: int
    temporary: Path

    def look(self) -> tuple[float, int, int]:
        """Megabytes in memory, open files, threads."""
        place = Path(f"/proc/{self.pid}")
        return memory(self.pid), len(list((place / "fd").iterdir())), len(list((place / "task").iterdir()))

    def left_over(self) -> list[str]:
        """Temporary files; the server's own empty folder is none."""
        return [str(one) for one in self.temporary.rglob("*") if one.is_file()]


def contents() -> dict[str, bytes]:
    """A photo of a face, one without, and a short video."""
    face = io.BytesIO()
    with files("metafacs.export").joinpath("faces.jpg").open("rb") as file:
        Image.open(file).crop((256, 256, 512, 512)).save(face, "JPEG", quality=95)
    return {"face.jpg": face.getvalue(), "noise.jpg": photo_bytes(None), "short.mp4": video_bytes()}


def video_bytes(frames: int = 12) -> bytes:
    """A video of a grey picture that gets brighter."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for k in range(frames):
            picture = np.full((240, 320, 3), 80 + 5 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def bad_contents(good: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files to be refused with a reason."""
    wide = io.BytesIO()
    Image.new("1", (12_000, 9_000)).save(wide, "PNG")
    return {
        "empty.jpg": b"",
        "text.jpg": b"this is no picture",
        "cut.jpg": good["noise.jpg"][:900],
        "cut.mp4": good["short.mp4"][: len(good["short.mp4"]) // 3],
        "noise.mp4": np.random.default_rng(0).bytes(30_000),
        "wide.png": wide.getvalue(),
        "list.mp4": b"ffconcat version 1.0\nfile '/etc/hostname'\n",
    }


def signed_in(server: Server) -> httpx.Client:
    """A client with the password."""
    return httpx.Client(base_url=server.address, timeout=300, trust_env=False, auth=("", PASSWORD))


def photos(server: Server, tally: Tally, stop: threading.Event, good: Mapping[str, bytes]) -> None:
    with signed_in(server) as client:
        for k in _until(stop):
            name, form = ("face.jpg", "noise.jpg")[k % 4 == 3], ("json", "csv")[k % 2]
            begin = time.monotonic()
            answer = client.post(DETECT, files={"file": (name, good[name])}, params={"format": form})
            if _answered(answer, tally, stop, "photos"):
                tally.seconds.append(time.monotonic() - begin)
                if "AU01" not in answer.text and name == "face.jpg":
                    tally.lost.append(f"an answer without numbers: {answer.text[:200]}")


def videos(server: Server, tally: Tally, stop: threading.Event, good: Mapping[str, bytes]) -> None:
    with signed_in(server) as client:
        for _ in _until(stop, 0.5):
            answer = client.post(DETECT, files={"file": ("short.mp4", good["short.mp4"])})
            if _answered(answer, tally, stop, "videos") and len(answer.json()["rows"]) < 12:
                tally.lost.append(f"a video without its frames: {answer.text[:200]}")


def bad(server: Server, tally: Tally, stop: threading.Event, good: Mapping[str, bytes]) -> None:
    offered = list(bad_contents(good).items())
    with signed_in(server) as client:
        for k in _until(stop, 0.3):
            name, content = offered[k % len(offered)]
            answer = client.post(DETECT, files={"file": (name, content)})
            if answer.status_code != 503:
                _expect(answer.status_code in (413, 422), "bad files refused", f"{name}: {answer.status_code}", tally)


def broken_off(server: Server, tally: Tally, stop: threading.Event, good: Mapping[str, bytes]) -> None:
    """Uploads that end in the middle, in the file and in the headers, and clients that leave before the answer."""
    parts = urlsplit(server.address)
    assert parts.hostname and parts.port
    credentials = base64.b64encode(f":{PASSWORD}".encode()).decode()
    head = (
        f"POST {DETECT} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Basic {credentials}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 3000000\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    ).encode()
    whole = head.replace(b"3000000", str(len(good["noise.jpg"]) + 77).encode()) + good["noise.jpg"] + b"\r\n--x--\r\n"
    for k in _until(stop, 0.3):
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            connection.sendall((head + bytes(500_000), head[:60], whole)[k % 3])
            time.sleep(0.1)
        tally.counts["uploads broken off"] += 1


def wrong_passwords(server: Server, tally: Tally, stop: threading.Event, good: Mapping[str, bytes]) -> None:
    with httpx.Client(base_url=server.address, timeout=60, trust_env=False) as client:
        for k in _until(stop, 0.5):
            answer = client.post(DETECT, files={"file": ("a.jpg", good["noise.jpg"])}, auth=("", f"guess {k}"))
            told = f"a wrong password: {answer.status_code}"
            _expect(answer.status_code == 401, "wrong passwords refused", told, tally)


def visits(server: Server, tally: Tally, stop: threading.Event, good: Mapping[str, bytes]) -> None:
    """A browser's way through the page: load, send a photo."""
    for _ in _until(stop, 1.0):
        with signed_in(server) as client:
            loaded = [client.get(path) for path in ("/", "/static/page.js", "/static/page.css")]
            _expect(all(one.status_code == 200 for one in loaded), "pages loaded", f"{loaded}", tally)
            answer = client.post(PAGE_DETECT, files={"file": ("face.jpg", good["face.jpg"])})
            last = json.loads(answer.text.splitlines()[-1])
            kind = "page answers" if "html" in last else "page refusals"
            fine = "html" in last or last["error"]["code"] == "queue_full"
            _expect(fine, kind, f"the page: {answer.text[-200:]}", tally)


ROLES: Mapping[str, tuple[Callable[..., None], int]] = {
    "photos": (photos, 6),
    "videos": (videos, 2),
    "bad files": (bad, 2),
    "broken off": (broken_off, 2),
    "wrong passwords": (wrong_passwords, 1),
    "page": (visits, 2),
}
"""Who asks, and how many of them at the same time."""


def _until(stop: threading.Event, pause: float = 0.0) -> Iterator[int]:
    k = 0
    while not stop.wait(pause):
        yield k
        k += 1


def _expect(fine: bool, kind: str, told: str, tally: Tally) -> None:
    if fine:
        tally.counts[kind] += 1
    else:
        tally.lost.append(told)


def _answered(answer: httpx.Response, tally: Tally, stop: threading.Event, kind: str) -> bool:
    """Whether there is an answer; a full queue is waited for as long as it says."""
    if answer.status_code == 503 and answer.json()["error"]["code"] == "queue_full":
        tally.counts["told to come again"] += 1
        stop.wait(min(float(answer.headers["retry-after"]), LONGEST_WAIT))
        return False
    _expect(answer.status_code == 200, kind, f"{kind}: {answer.status_code} {answer.text[:200]}", tally)
    return answer.status_code == 200
