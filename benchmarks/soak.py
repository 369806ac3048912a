"""How `metafacs serve` lasts: photos, videos, bad files, broken-off uploads, wrong passwords and visits to the page at
the same time, for as long as you say; whether any answer is lost, and whether memory, files and threads stay level.

Starts a server of its own with a password, an untrained detector and a folder of its own for temporary files. After a
warm-up of the same load its memory, open files and threads are looked at every few seconds; a line is fitted to the
memory. Nothing is lost where every request gets the answer that it should: numbers, a refusal with its reason, or, for
uploads that are broken off, a server that lives on. The exit status is 1 where a promise is broken.

    python benchmarks/soak.py --minutes 60 --out benchmarks/results/serve_soak.csv
"""

import argparse
import csv
import io
import json
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
from PIL import Image

from serve_load import LONGEST_WAIT, make_run, memory, photo_bytes, start

PASSWORD = "open sesame"
EACH_SECONDS = 2.0
"""Between two looks at the server."""
SETTLE_SECONDS = 25.0
"""After the load: idle connections are closed after 15."""
GROWTH_MB = 50.0
"""The fitted line may rise by so much from the end of the warm-up to the end of the load, however long that is."""
MORE_FILES, MORE_THREADS = 4, 4
"""So many more open files and threads than after the warm-up are no leak."""
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


@contextmanager
def signed_in(server: Server) -> Iterator[httpx.Client]:
    """A client with a session."""
    with httpx.Client(base_url=server.address, timeout=300, trust_env=False) as client:
        answer = client.post("/login", data={"password": PASSWORD})
        if answer.status_code != 303:
            raise ValueError(f"the right password was refused: {answer.status_code}")
        yield client


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
    with signed_in(server) as client:
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    head = (
        f"POST {DETECT} HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {cookie}\r\n"
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
    """From an address of its own: too many tries close the door for the address that made them."""
    own = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=server.address, timeout=60, transport=own) as client:
        for k in _until(stop, 0.5):
            headers = {"authorization": f"Bearer guess {k}"}
            answer = client.post(DETECT, files={"file": ("a.jpg", good["noise.jpg"])}, headers=headers)
            told = f"a wrong password: {answer.status_code}"
            _expect(answer.status_code in (401, 429), "wrong passwords refused", told, tally)


def visits(server: Server, tally: Tally, stop: threading.Event, good: Mapping[str, bytes]) -> None:
    """A browser's way through the page: log in, load, hold its line open, send a photo, leave."""
    for k in _until(stop, 1.0):
        with signed_in(server) as client:
            loaded = [client.get(path) for path in ("/", "/config", "/page/page.js", "/page/page.css", "/theme.css")]
            _expect(all(one.status_code == 200 for one in loaded), "pages loaded", f"{loaded}", tally)
            with client.stream("GET", f"/gradio_api/heartbeat/s{threading.get_ident()}{k}"):
                answer = client.post(PAGE_DETECT, files={"file": ("face.jpg", good["face.jpg"])})
                last = json.loads(answer.text.splitlines()[-1])
                kind = "page answers" if last["state"] == "done" else "page refusals"
                fine = last["state"] == "done" or last.get("code") == "queue_full"
                _expect(fine, kind, f"the page: {answer.text[-200:]}", tally)
            client.post("/logout")


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


def load(server: Server, seconds: float, good: Mapping[str, bytes]) -> tuple[Tally, list[tuple[float, ...]]]:
    """All clients for some seconds; (second, megabytes, open files, threads) of each look at the server."""
    tally, stop, looks = Tally(), threading.Event(), []

    def client(ask: Callable[..., None]) -> None:
        while not stop.is_set():
            try:
                ask(server, tally, stop, good)
            except (httpx.HTTPError, OSError, ValueError, LookupError) as error:
                tally.lost.append(f"{ask.__name__}: {error!r}")
                stop.wait(1)

    asking = [threading.Thread(target=client, args=(ask,)) for ask, count in ROLES.values() for _ in range(count)]
    for one in asking:
        one.start()
    begin = time.monotonic()
    while (now := time.monotonic() - begin) < seconds:
        looks.append((now, *map(float, server.look())))
        time.sleep(min(EACH_SECONDS, max(0.1, seconds - now)))
    stop.set()
    for one in asking:
        one.join(300)
    return tally, looks


def growth(looks: list[tuple[float, ...]]) -> float:
    """Megabytes by which a line fitted to the memory rises over the looks."""
    times, megabytes = np.array(looks)[:, 0], np.array(looks)[:, 1]
    return float(np.polyfit(times, megabytes, 1)[0] * (times[-1] - times[0]))


def soak(run: Path, minutes: float, warm_up: float, folder: Path) -> tuple[dict[str, object], list[str]]:
    """One soak: its figures, and the promises that were broken.

    Args:
        run: the detector.
        minutes: of load that is measured.
        warm_up: seconds of the same load before.
        folder: for the log, the password and the server's temporary files.
    """
    secret, temporary = folder / "password", folder / "temporary"
    secret.write_text(PASSWORD)
    temporary.mkdir()
    process, address = start(run, 32, True, folder / "log", ["--password_file", str(secret)], temporary)
    server, good = Server(address, process.pid, temporary), contents()
    try:
        load(server, warm_up, good)
        time.sleep(SETTLE_SECONDS)
        before = server.look()
        begin = time.monotonic()
        tally, looks = load(server, 60 * minutes, good)
        seconds = time.monotonic() - begin
        time.sleep(SETTLE_SECONDS)
        after, left = server.look(), server.left_over()
        headers = {"authorization": f"Bearer {PASSWORD}"}
        health = httpx.get(f"{address}/health", headers=headers, trust_env=False).json()
    finally:
        process.terminate()
        status = process.wait(120)
    broken = [f"{len(tally.lost)} answers lost: {'; '.join(tally.lost[:5])}"] if tally.lost else []
    broken += [f"{name}: no answer at all" for name in ("photos", "videos", "page answers") if not tally.counts[name]]
    broken += [f"memory grew by {growth(looks):.0f} MB"] if growth(looks) > GROWTH_MB else []
    broken += [f"open files: {before[1]} before, {after[1]} after"] if after[1] > before[1] + MORE_FILES else []
    broken += [f"threads: {before[2]} before, {after[2]} after"] if after[2] > before[2] + MORE_THREADS else []
    broken += [f"{health['under_way']} requests still have a place"] if health["under_way"] else []
    broken += [f"temporary files: {', '.join(left[:5])}"] if left else []
    broken += [f"the server ended with status {status}"] if status else []
    remains = [str(one) for one in temporary.glob("metafacs-serve-*")]
    broken += [f"left after the end: {', '.join(remains)}"] if remains else []
    if "Traceback" in (folder / "log").read_text():
        broken.append(f"the server's log has an error: {(folder / 'log').read_text()[-2000:]}")
    return _row(tally, looks, seconds, before, after), broken


def _row(
    tally: Tally, looks: list[tuple[float, ...]], seconds: float, before: tuple[float, ...], after: tuple[float, ...]
) -> dict[str, object]:
    counts = {name.replace(" ", "_"): count for name, count in sorted(tally.counts.items())}
    taken = tally.seconds or [float("nan")]
    return {
        "minutes": round(seconds / 60, 1),
        **counts,
        "lost": len(tally.lost),
        "photo_p50_seconds": round(float(np.percentile(taken, 50)), 3),
        "photo_p99_seconds": round(float(np.percentile(taken, 99)), 3),
        "memory_mb_before": round(before[0]),
        "memory_mb_after": round(after[0]),
        "memory_mb_most": round(max(look[1] for look in looks)),
        "memory_growth_mb": round(growth(looks), 1),
        "memory_slope_mb_an_hour": round(growth(looks) / (looks[-1][0] - looks[0][0]) * 3600, 1),
        "open_files_before": before[1],
        "open_files_most": int(max(look[2] for look in looks)),
        "open_files_after": after[1],
        "threads_before": before[2],
        "threads_after": after[2],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a run folder; left out: an untrained detector")
    parser.add_argument("--backbone", default="resnet18", help="of the untrained detector")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--warm_up", type=float, default=60.0, help="seconds")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/serve_soak.csv"))
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        run = settings.model or make_run(Path(text) / "run", settings.backbone)
        row, broken = soak(run, settings.minutes, settings.warm_up, Path(text))
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    with settings.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        writer.writeheader()
        writer.writerow(row)
    for name, value in row.items():
        print(f"{name:26} {value}")
    for one in broken:
        print(f"BROKEN: {one}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
