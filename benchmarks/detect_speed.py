"""How fast `metafacs detect` is on this machine, and where the time goes.

Renders somebody in frames of 640 x 480 pixels, makes a video of them and untrained detectors, then measures each stage
apart (decode, detect, track, align, network, write; wall-clock and processor time) and the whole command, with
detection on every frame and with tracking between. Every figure is a median; all takes less than five minutes on two
idle cores.

    python benchmarks/detect_speed.py --out benchmarks/results/detect_speed.csv
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pandas as pd
import torch

from metafacs.faces.video import video_frames
from metafacs.facs import AU_SETS, EXPRESSIONS, au_column
from metafacs.files import write_text
from metafacs.inference import AUDetector
from metafacs.inference.outputs import to_csv
from metafacs.inference.rows import face_row, raw_table, tidy
from metafacs.models.network import build_network
from metafacs.runs import DETECTOR
from metafacs.synth.activity import draw_course, draw_temper, sides, strength
from metafacs.synth.head import load_head
from metafacs.synth.identity import draw_person
from metafacs.synth.photo import Shot, take
from metafacs.synth.scene import Framing, crop_recipe, draw_habits, draw_scene
from metafacs.training.checkpoint import DetectorCard, save_detector

SIZE, RATE = (480, 640), 25
SHOWN = 100
"""Different frames; videos repeat them forwards and backwards."""
MEASURED = 100
"""Frames of which each stage is timed."""
FRAMES = 500
"""Frames of the video that the whole command works through."""


def film(size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Somebody who moves the face and, a little, the head; pictures of `size` (height, width)."""
    head, rng = load_head(), np.random.default_rng(7)
    person, scene = draw_person(head, rng), draw_scene(draw_habits(rng), rng)
    course = draw_course(rng, draw_temper(rng), SHOWN)
    acting = sides(strength(course), person.asymmetry, rng.normal(0, 0.05, course.shape))
    shots = []
    for k in range(SHOWN):
        place = Framing((0.5 + 0.1 * np.sin(k / 20), 0.36 + 0.03 * np.sin(k / 13)), 0.1, 0.05 * np.sin(k / 9))
        shots.append(Shot(person, acting[k], (0.0, 0.0), replace(scene, framing=place)))
    return list(take(head, shots, size, 1)[0])


def make_video(path: Path, pictures: Sequence[np.ndarray], frames: int) -> None:
    course = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"preset": "veryfast"}
        for k in range(frames):
            frame = av.VideoFrame.from_ndarray(pictures[course[k % len(course)]], format="rgb24")
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def make_run(folder: Path, backbone: str, side: int) -> None:
    """A run folder with an untrained detector that sees faces of `side` pixels."""
    aus = [au_column(code) for code in AU_SETS["bp4d"]]
    folder.mkdir()
    resize = round(side * 1.11)
    card = DetectorCard(
        *(aus, [0.5] * len(aus), list(EXPRESSIONS), backbone, {}, side, resize, crop_recipe(resize)),
        *("rendered", "P1", [], "mal", 0),
    )
    torch.manual_seed(0)
    save_detector(folder / DETECTOR, build_network(backbone, len(aus), len(EXPRESSIONS), "scratch"), card)


def timed(action: Callable[[int], object], count: int, per: int = 1) -> tuple[float, float]:
    """Median milliseconds, wall-clock and of all processors, of an action on item k; `per` frames are done in it."""
    wall, processor = [], []
    action(0)
    for k in range(count):
        start, used = time.perf_counter(), time.process_time()
        action(k)
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    return 1000 * float(np.median(wall)) / per, 1000 * float(np.median(processor)) / per


def stages(run: Path, video: Path) -> dict[str, tuple[float, float]]:
    """Milliseconds a frame of each stage, wall-clock and of all processors, one after the other."""
    detector = AUDetector.from_run(run, device="cpu")
    frames = list(islice(video_frames(video), MEASURED))
    pictures = [frame.picture for frame in frames if frame.picture is not None]
    faces = [detector.find(picture)[0] for picture in pictures]
    crops = [detector.crop(picture, face) for picture, face in zip(pictures, faces, strict=True)]
    rows = [face_row(0, "video", frame, 0, face) for frame, face in zip(frames, faces, strict=True)]
    logits = np.zeros((len(rows), len(detector.aus)), np.float32)

    def write(_: int) -> str:
        return to_csv(tidy(raw_table(rows, logits, detector.aus), detector.aus, detector.thresholds), header=True)

    batch = detector.batch
    return {
        "decode": timed(lambda _: sum(1 for _ in islice(video_frames(video), MEASURED)), 3, MEASURED),
        "detect": timed(lambda k: detector.find(pictures[k]), len(pictures)),
        "track": timed(lambda k: detector.find(pictures[k], faces[max(k - 1, 0)].box), len(pictures)),
        "align": timed(lambda k: detector.crop(pictures[k], faces[k]), len(pictures)),
        "network": timed(lambda _: detector.logits(crops[:batch]), 5, batch),
        "write": timed(write, 5, len(rows)),
    }


def whole(run: Path, video: Path, frames: int, every: int, folder: Path) -> dict[str, float]:
    """The command itself: frames a second and processor milliseconds a frame without its start, which is apart."""
    command = [sys.executable, "-m", "metafacs.cli", "detect", str(video), "--model", str(run), "--device", "cpu"]
    command += ["--every", str(every), "--out", str(folder / "out.csv"), "--overwrite"]
    parts, begin, first = folder / "out.csv.parts", time.perf_counter(), 0.0
    started, used, held = 0.0, (0.0, 0.0, 0.0), [0.0]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        while process.poll() is None:
            used = using(process.pid) or used
            if not first and parts.exists():
                first, started, held = time.perf_counter(), used[0], []
            held.append(used[2])
            time.sleep(0.01)
    end = time.perf_counter()
    if process.returncode:
        raise SystemExit((folder / "log").read_text())
    return {
        "frames_per_second": frames / (end - first),
        "processor_ms_per_frame": 1000 * (used[0] - started) / frames,
        "start_seconds": first - begin,
        "peak_MiB": used[1],
        "second_quarter_MiB": float(np.median(held[len(held) // 4 : len(held) // 2 + 1])),
        "last_quarter_MiB": float(np.median(held[-max(1, len(held) // 4) :])),
    }


def using(pid: int) -> tuple[float, float, float] | None:
    """Processor seconds, the most MiB held so far, and MiB held now, of a process; None where it has just ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmHWM", "VmRSS"))}
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return (seconds, sizes["VmHWM"], sizes["VmRSS"]) if len(sizes) == 2 else None


def measure(backbone: str, side: int, video: Path, repeats: int, folder: Path) -> list[dict[str, object]]:
    """Rows of the table: medians of one size of network."""
    run = folder / f"run_{side}"
    make_run(run, backbone, side)
    what = {"backbone": backbone, "side": side}
    rows: list[dict[str, object]] = []
    for name, (wall, processor) in stages(run, video).items():
        rows.append(
            {**what, "measured": f"stage {name}", "unit": "ms per frame", "median": wall, "processor": processor}
        )
    for every in (1, 5):
        found = pd.DataFrame([whole(run, video, FRAMES, every, folder) for _ in range(repeats)])
        for column, values in found.items():
            name = str(column)
            spread = {"lowest": values.min(), "highest": values.max()}
            told: dict[str, object] = {"every": every, "measured": f"command {name}", "median": values.median()}
            rows.append({**what, **told, **spread, "unit": name.rsplit("_", 1)[-1]})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--sides", type=int, nargs="+", default=[112, 224], help="pixels that the network sees")
    parser.add_argument("--repeats", type=int, default=3, help="runs of the command, of which the median is taken")
    parser.add_argument("--out", type=Path, help="CSV file to write")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_video(folder / "video.mp4", film(), FRAMES)
        rows = []
        for side in given.sides:
            rows += measure(given.backbone, side, folder / "video.mp4", given.repeats, folder)
    table = pd.DataFrame(rows).assign(
        cores=len(os.sched_getaffinity(0)), load=round(os.getloadavg()[2], 1), machine=platform.machine()
    )
    print(table.round(2).to_string(index=False))
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        write_text(given.out, table.round(2).to_csv(index=False))


if __name__ == "__main__":
    main()
