"""How `metafacs serve` lasts: photos, videos, bad files, broken-off uploads, wrong passwords and visits to the page at
the same time, for as long as you say; whether any answer is lost, and whether memory, files and threads stay level.

Starts a server of its own with a password, an untrained detector and a folder of its own for temporary files. After a
warm-up of the same load its memory, open files and threads are looked at every few seconds; a line is fitted to the
memory of the second half. Nothing is lost where every request gets the answer that it should: numbers, a refusal with
its reason, or, for uploads that are broken off, a server that lives on. The exit status is 1 where a promise is broken.

    python benchmarks/soak.py --minutes 60 --out benchmarks/results/serve_soak.csv
"""

import argparse
import csv
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx
import numpy as np

from serve_load import make_run, start
from soak_clients import PASSWORD, ROLES, Server, Tally, contents

EACH_SECONDS = 2.0
"""Between two looks at the server."""
SETTLE_SECONDS = 25.0
"""After the load: idle connections are closed after 15."""
GROWTH_MB, KEPT_MB = 50.0, 100.0
"""So much may the line that is fitted to the second half of the load rise, however long that is, and so much more than
after the warm-up may be in memory when all is quiet again. In the first minutes buffers grow to what the load wants."""
LOOK = ("second", "megabytes", "open_files", "threads")
MORE_FILES, MORE_THREADS = 4, 4
"""So many more open files and threads than after the warm-up are no leak."""


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
        folder: for the log, the password, the server's temporary files, and `looks.csv`: what was seen each time.
    """
    secret, temporary = folder / "password", folder / "temporary"
    secret.write_text(PASSWORD)
    temporary.mkdir()
    process, address = start(run, 32, folder / "log", ["--password_file", str(secret)], temporary)
    server, good = Server(address, process.pid, temporary), contents()
    try:
        load(server, warm_up, good)
        time.sleep(SETTLE_SECONDS)
        before = server.look()
        begin = time.monotonic()
        tally, looks = load(server, 60 * minutes, good)
        seconds = time.monotonic() - begin
        _write(folder / "looks.csv", [dict(zip(LOOK, look, strict=True)) for look in looks])
        time.sleep(SETTLE_SECONDS)
        after, left = server.look(), server.left_over()
        health = httpx.get(f"{address}/health", auth=("", PASSWORD), trust_env=False).json()
    finally:
        process.terminate()
        status = process.wait(120)
    broken = [f"{len(tally.lost)} answers lost: {'; '.join(tally.lost[:5])}"] if tally.lost else []
    broken += [f"{name}: no answer at all" for name in ("photos", "videos", "page answers") if not tally.counts[name]]
    rise, kept = growth(looks[len(looks) // 2 :]), after[0] - before[0]
    broken += [f"memory grew by {rise:.0f} MB under load"] if rise > GROWTH_MB else []
    broken += [f"{kept:.0f} MB stay in memory after the load"] if kept > KEPT_MB else []
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
    taken, half = tally.seconds or [float("nan")], looks[len(looks) // 2 :]
    return {
        "minutes": round(seconds / 60, 1),
        **counts,
        "lost": len(tally.lost),
        "photo_p50_seconds": round(float(np.percentile(taken, 50)), 3),
        "photo_p99_seconds": round(float(np.percentile(taken, 99)), 3),
        "memory_mb_before": round(before[0]),
        "memory_mb_after": round(after[0]),
        "memory_mb_most": round(max(look[1] for look in looks)),
        "memory_growth_mb": round(growth(half), 1),
        "memory_slope_mb_an_hour": round(growth(half) / (half[-1][0] - half[0][0]) * 3600, 1),
        "open_files_before": before[1],
        "open_files_most": int(max(look[2] for look in looks)),
        "open_files_after": after[1],
        "threads_before": before[2],
        "threads_after": after[2],
    }


def _write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a run folder; left out: an untrained detector")
    parser.add_argument("--backbone", default="resnet18", help="of the untrained detector")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--warm_up", type=float, default=120.0, help="seconds")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/serve_soak.csv"))
    parser.add_argument("--looks", type=Path, help="a CSV file for memory, open files and threads every two seconds")
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        run = settings.model or make_run(Path(text) / "run", settings.backbone)
        row, broken = soak(run, settings.minutes, settings.warm_up, Path(text))
        if settings.looks:
            shutil.copy(Path(text) / "looks.csv", settings.looks)
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    _write(settings.out, [row])
    for name, value in row.items():
        print(f"{name:26} {value}")
    for one in broken:
        print(f"BROKEN: {one}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
