"""How `metafacs serve` bears many clients: throughput, waiting times, refusals, lost answers and memory.

Starts a server of its own with an untrained detector (or the one given), lets clients send one photo after the other
for some minutes, and counts what comes back. A client that is told that the queue is full waits as long as it is told
to. A lost answer is a request without any response, or with one that is neither a result nor a refusal.

    python benchmarks/serve_load.py --clients 50 --minutes 5 --out benchmarks/results/serve_load.csv
"""

import argparse
import csv
import io
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np
import torch
from PIL import Image

from metafacs.faces.recipe import Recipe
from metafacs.facs import AU_SETS, EXPRESSIONS, au_column
from metafacs.models.network import build_network
from metafacs.runs import DETECTOR
from metafacs.training.checkpoint import DetectorCard, save_detector

LONGEST_WAIT = 5.0
"""Seconds that a client waits at most when it is refused, so that the queue stays full."""
WARM_UP = 15.0
"""Seconds of the same load before anything is counted: threads and buffers are there afterwards."""
SETTLE = 5.0
"""Seconds between the last request and a look at the memory."""


def make_run(folder: Path, backbone: str) -> Path:
    """An untrained detector: as fast as a trained one."""
    aus = [au_column(code) for code in AU_SETS["bp4d"]]
    folder.mkdir()
    crop = Recipe(size=256).to_card()
    card = DetectorCard(
        *(aus, [0.5] * len(aus), list(EXPRESSIONS), backbone, {}, 224, 248, crop),
        *("rendered", "P1", [], "mal", 0),
    )
    torch.manual_seed(0)
    save_detector(folder / DETECTOR, build_network(backbone, len(aus), len(EXPRESSIONS), "scratch"), card)
    return folder


def photo_bytes(path: Path | None) -> bytes:
    """The photo that is sent: the one given, or noise of 640 x 480 pixels, in which no face is found."""
    if path is not None:
        return path.read_bytes()
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((640, 480)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def memory(pid: int) -> float:
    """Megabytes of a process in memory."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    return int(found[1]) / 1000 if found else float("nan")


def ask_until(end: float, address: str, photo: bytes, counts: Counter[str], taken: list[float]) -> None:
    """One client."""
    with httpx.Client(base_url=address, timeout=300, trust_env=False) as client:
        while time.monotonic() < end:
            begin = time.monotonic()
            try:
                answer = client.post("/api/v1/detect", files={"file": ("photo.jpg", photo)})
                wait = _note(answer, counts)
            except (httpx.HTTPError, ValueError) as error:
                counts["lost"] += 1
                print(f"lost: {error!r}", file=sys.stderr)
                continue
            if wait is None:
                taken.append(time.monotonic() - begin)
            else:
                time.sleep(min(wait, LONGEST_WAIT))


def crowd(count: int, seconds: float, address: str, photo: bytes, pid: int) -> tuple[Counter[str], list[float], float]:
    """What all clients together counted and waited for, and the most memory meanwhile."""
    counts, taken, peak = Counter[str](), list[float](), memory(pid)
    asking = (time.monotonic() + seconds, address, photo, counts, taken)
    clients = [threading.Thread(target=ask_until, args=asking) for _ in range(count)]
    for one in clients:
        one.start()
    while any(one.is_alive() for one in clients):
        peak = max(peak, memory(pid))
        time.sleep(0.5)
    return counts, taken, peak


def _note(answer: httpx.Response, counts: Counter[str]) -> float | None:
    """Counts one response; the seconds to wait where it was a refusal."""
    body = answer.json()
    if answer.status_code == 200 and body["rows"]:
        counts["answered"] += 1
        return None
    if answer.status_code == 503 and body["error"]["code"] == "queue_full":
        counts["refused"] += 1
        return float(answer.headers["retry-after"])
    counts["lost"] += 1
    print(f"lost: {answer.status_code} {answer.text[:200]}", file=sys.stderr)
    return None


def start(
    run: Path, queue: int, log: Path, more: Sequence[str] = (), temporary: Path | None = None
) -> tuple[subprocess.Popen[bytes], str]:
    """A server, and its address.

    Args:
        run: the detector.
        queue: requests under way.
        log: where its messages go.
        more: flags.
        temporary: where it keeps its temporary files; the system's place if None.
    """
    command = [sys.executable, "-m", "metafacs.cli", "serve", "--model", str(run), "--port", "0", "--queue", str(queue)]
    with log.open("wb") as file:
        own = {} if temporary is None else {"TMPDIR": str(temporary)}
        process = subprocess.Popen([*command, *more], stderr=file, env={**os.environ, **own})
    for _ in range(1200):
        found = re.search(r"http://[\d.]+:\d+", log.read_text())
        if found:
            return process, found[0]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"the server did not start: {log.read_text()}")


def measure(run: Path, settings: argparse.Namespace, log: Path) -> dict[str, object]:
    process, address = start(run, settings.queue, log)
    try:
        photo = photo_bytes(settings.photo)
        crowd(settings.clients, WARM_UP, address, photo, process.pid)
        time.sleep(SETTLE)
        before = memory(process.pid)
        begin = time.monotonic()
        counts, taken, peak = crowd(settings.clients, 60 * settings.minutes, address, photo, process.pid)
        seconds = time.monotonic() - begin
        time.sleep(SETTLE)
        after, health = memory(process.pid), httpx.get(f"{address}/health", trust_env=False).json()
    finally:
        process.terminate()
        process.wait(120)
    return {
        "clients": settings.clients,
        "queue": settings.queue,
        "seconds": round(seconds, 1),
        "answered": counts["answered"],
        "refused_full_queue": counts["refused"],
        "lost": counts["lost"],
        "left_under_way": health["under_way"],
        "answers_per_second": round(counts["answered"] / seconds, 2),
        "p50_seconds": round(float(np.percentile(taken, 50)), 3),
        "p99_seconds": round(float(np.percentile(taken, 99)), 3),
        "memory_mb_before": round(before),
        "memory_mb_peak": round(peak),
        "memory_mb_after": round(after),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "cores": os.cpu_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a run folder; left out: an untrained detector")
    parser.add_argument("--backbone", default="resnet18", help="of the untrained detector")
    parser.add_argument("--photo", type=Path, help="a photo with a face; left out: noise without one")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--queue", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/serve_load.csv"))
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        run = settings.model or make_run(Path(text) / "run", settings.backbone)
        row = measure(run, settings, Path(text) / "log")
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    with settings.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        writer.writeheader()
        writer.writerow(row)
    for name, value in row.items():
        print(f"{name:20} {value}")


if __name__ == "__main__":
    main()
