"""How fast `metafacs detect` is, where the time goes, and how much memory long videos take.

Renders somebody in frames of 640 x 480 pixels, makes videos of them and an untrained detector, then measures: each
stage apart (decode, detect, track, align, network, write), the whole of `detect` with detection on every frame and with
tracking between, and the memory of the process while it works through longer and longer videos.

    python benchmarks/detect_speed.py --minutes 1 10 --out benchmarks/results
"""

import argparse
import json
import os
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
import torch

from metafacs.facs import AU_SETS, EXPRESSIONS, au_column
from metafacs.inference import AUDetector
from metafacs.inference.frames import video_frames
from metafacs.inference.outputs import to_csv
from metafacs.inference.rows import face_row, raw_table, tidy
from metafacs.models.network import build_network
from metafacs.synth.activity import draw_course, draw_temper, sides, strength
from metafacs.synth.head import load_head
from metafacs.synth.identity import draw_person
from metafacs.synth.photo import Shot, take
from metafacs.synth.scene import Framing, crop_recipe, draw_habits, draw_scene
from metafacs.training.checkpoint import DetectorCard, save_detector
from metafacs.training.run import DETECTOR

HEIGHT, WIDTH, RATE = 480, 640, 25
SHOWN = 100
"""Different frames; videos repeat them forwards and backwards."""
MEASURED = 100
"""Frames of which each stage is timed."""


def film() -> list[np.ndarray]:
    """Somebody who moves the face and, a little, the head."""
    head, rng = load_head(), np.random.default_rng(7)
    person, scene = draw_person(head, rng), draw_scene(draw_habits(rng), rng)
    course = draw_course(rng, draw_temper(rng), SHOWN)
    acting = sides(strength(course), person.asymmetry, rng.normal(0, 0.05, course.shape))
    shots = []
    for k in range(SHOWN):
        place = Framing((0.5 + 0.1 * np.sin(k / 20), 0.36 + 0.03 * np.sin(k / 13)), 0.1, 0.05 * np.sin(k / 9))
        shots.append(Shot(person, acting[k], (0.0, 0.0), replace(scene, framing=place)))
    return list(take(head, shots, (HEIGHT, WIDTH), 1)[0])


def make_video(path: Path, pictures: Sequence[np.ndarray], frames: int) -> None:
    course = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "veryfast"}
        for k in range(frames):
            frame = av.VideoFrame.from_ndarray(pictures[course[k % len(course)]], format="rgb24")
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def make_run(folder: Path, backbone: str) -> None:
    aus = [au_column(code) for code in AU_SETS["bp4d"]]
    folder.mkdir()
    card = DetectorCard(
        *(aus, [0.5] * len(aus), list(EXPRESSIONS), backbone, {}, 224, 248, crop_recipe(256)),
        *("rendered", "P1", [], "mal", 0),
    )
    torch.manual_seed(0)
    save_detector(folder / DETECTOR, build_network(backbone, len(aus), len(EXPRESSIONS), "scratch"), card)


def milliseconds(action: Callable[[int], object], count: int) -> float:
    """Median wall-clock time of an action on item k."""
    taken = []
    for k in range(count):
        start = time.perf_counter()
        action(k)
        taken.append(time.perf_counter() - start)
    return 1000 * float(np.median(taken))


def stages(run: Path, video: Path) -> dict[str, float]:
    """Milliseconds a frame of each stage, one after the other in one thread but for the network."""
    detector = AUDetector.from_run(run, device="cpu")
    begin = time.perf_counter()
    frames = list(islice(video_frames(video), MEASURED))
    decode = 1000 * (time.perf_counter() - begin) / len(frames)
    pictures = [frame.picture for frame in frames if frame.picture is not None]
    faces = [detector.find(picture)[0] for picture in pictures]
    crops = [detector.crop(picture, face) for picture, face in zip(pictures, faces, strict=True)]
    rows = [face_row(0, "video", frame, 0, face) for frame, face in zip(frames, faces, strict=True)]
    logits = np.zeros((len(rows), len(detector.aus)), np.float32)

    def write(_: int) -> str:
        return to_csv(tidy(raw_table(rows, logits, detector.aus), detector.aus, detector.thresholds), header=True)

    batch = detector.batch
    return {
        "decode": decode,
        "detect": milliseconds(lambda k: detector.find(pictures[k]), len(pictures)),
        "track": milliseconds(lambda k: detector.find(pictures[k], faces[max(k - 1, 0)].box), len(pictures)),
        "align": milliseconds(lambda k: detector.crop(pictures[k], faces[k]), len(pictures)),
        "network": milliseconds(lambda k: detector.logits(crops[:batch]), 5) / batch,
        "write": milliseconds(write, 5) / len(rows),
    }


def whole(run: Path, video: Path, frames: int, every: int, folder: Path) -> dict[str, object]:
    """Frames a second of the command, its start included and apart, and its memory over time in MiB."""
    command = [sys.executable, "-m", "metafacs.cli", "detect", str(video), "--model", str(run), "--device", "cpu"]
    command += ["--every", str(every), "--out", str(folder / "out.csv"), "--overwrite"]
    begin, memory = time.perf_counter(), []
    parts, first = folder / "out.csv.parts", 0.0
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        while process.poll() is None:
            if not first and parts.exists():
                first = time.perf_counter()
            memory.append(resident(process.pid))
            time.sleep(0.5 if len(memory) > 60 else 0.1)
    end = time.perf_counter()
    if process.returncode:
        raise SystemExit((folder / "log").read_text())
    used = [value for value in memory if value]
    quarter = max(1, len(used) // 4)
    return {
        "every": every,
        "frames": frames,
        "frames_per_second": round(frames / (end - first), 2),
        "start_seconds": round(first - begin, 2),
        "peak_MiB": round(max(used)),
        "second_quarter_MiB": round(float(np.mean(used[quarter : 2 * quarter] or used))),
        "last_quarter_MiB": round(float(np.mean(used[-quarter:]))),
    }


def resident(pid: int) -> float:
    """MiB that a process holds; 0 where it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 10.0], help="lengths of the videos")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    pictures = film()
    found: dict[str, object] = {
        "cores": len(os.sched_getaffinity(0)),
        "backbone": given.backbone,
        "torch": torch.__version__,
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run, results = folder / "run", []
        make_run(run, given.backbone)
        for minutes in given.minutes:
            frames, video = round(60 * RATE * minutes), folder / f"{minutes}.mp4"
            make_video(video, pictures, frames)
            if "stages_ms" not in found:
                found["stages_ms"] = {name: round(value, 2) for name, value in stages(run, video).items()}
                print(json.dumps(found, indent=2), flush=True)
            for every in (1, 5) if minutes == given.minutes[0] else (5,):
                results.append({"minutes": minutes, **whole(run, video, frames, every, folder)})
                print(json.dumps(results[-1]), flush=True)
        found["whole"] = results
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "detect_speed.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
