"""Whether the training step waits for its images: decoders side by side, and the wait as a share of the step.

Decoding: milliseconds of processor time a JPEG, by Pillow (which metafacs uses) and by torchvision, and whether both
give the same pixels. The wait: `metafacs train` on drawn data, images kept in memory or decoded anew by 0, 1, 2
processes; `wait_share` of metrics.jsonl, images a second. Run it on an otherwise idle machine: workers need cores.

    python benchmarks/feeding.py
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

from large_data import pictures, write_dataset

SIDES = (128, 224, 256)
DECODED = 100
ROUNDS = 5
FEEDS = {"in memory": ("8", "0"), "0 workers": ("0", "0"), "1 worker": ("0", "1"), "2 workers": ("0", "2")}
"""Name -> --data.cache_gib, --data.workers."""


def by_pillow(encoded: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(encoded)) as picture:
        return np.asarray(picture.convert("RGB"))


def by_torchvision(encoded: bytes) -> NDArray[np.uint8]:
    raw = torch.frombuffer(bytearray(encoded), dtype=torch.uint8)
    return decode_jpeg(raw, ImageReadMode.RGB).permute(1, 2, 0).numpy()


def milliseconds(decode: Callable[[bytes], object], encoded: list[bytes]) -> float:
    taken = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for one in encoded:
            decode(one)
        taken.append(time.process_time() - start)
    return 1000 * median(taken) / len(encoded)


def decoders() -> pd.DataFrame:
    rows = []
    for side in SIDES:
        encoded = pictures(side, DECODED)
        furthest = max(np.abs(by_pillow(one).astype(int) - by_torchvision(one)).max() for one in encoded)
        for name, decode in (("pillow", by_pillow), ("torchvision", by_torchvision)):
            rows.append({"decoder": name, "side": side, "ms": milliseconds(decode, encoded), "differs_by": furthest})
    return pd.DataFrame(rows)


def logged(run: Path) -> dict[str, float]:
    """What a run's log says of its speed: medians, without its first line, in which everything starts."""
    log = pd.DataFrame([json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()])
    train = log[log["event"] == "train"].iloc[1:]
    names = ["wait_share", "images_per_second", "seconds_per_step", "processor_seconds_per_step"]
    return {name: float(train[name].median()) for name in names}


def wait(folder: Path, given: argparse.Namespace) -> pd.DataFrame:
    """Trains MAL in every way of feeding."""
    rows = []
    for name, (gib, workers) in FEEDS.items():
        out = folder / name.replace(" ", "-")
        flags = {"data.primary": folder / "au", "data.auxiliary": folder / "fe", "out": out, "data.cache_gib": gib}
        flags |= {"data.workers": workers, "data.resize": given.side + 16, "data.side": given.side}
        flags |= {"data.batch_primary": given.batch, "data.batch_auxiliary": given.batch}
        flags |= {"data.batch_meta": 4 * given.batch, "network.backbone": given.backbone, "network.weights": "scratch"}
        flags |= {"loop.steps": given.steps, "loop.log_every": max(1, given.steps // 5), "loop.threads": 1}
        flags |= {"loop.device": given.device, "loop.validate_every": given.steps, "loop.save_every": given.steps}
        command = [
            sys.executable,
            "-m",
            "metafacs.cli",
            "train",
            *(str(x) for k, v in flags.items() for x in (f"--{k}", v)),
        ]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        chosen = {"feed": name, "device": given.device, "backbone": given.backbone, "side": given.side}
        rows.append({**chosen, **logged(out)})
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rows", type=int, default=4000, help="of each dataset.")
    asked.add_argument("--picture", type=int, default=128, help="side of the stored pictures, pixels.")
    asked.add_argument("--side", type=int, default=112)
    asked.add_argument("--batch", type=int, default=8, help="AU images a step.")
    asked.add_argument("--backbone", default="resnet18")
    asked.add_argument("--steps", type=int, default=30)
    asked.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    asked.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = asked.parse_args()
    torch.set_num_threads(1)
    found = decoders()
    print(found.round(3).to_string(index=False), flush=True)
    found.round(3).to_csv(given.out / "feeding_decoders.csv", index=False)
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("au", "fe"):
            write_dataset(Path(folder) / kind, given.rows, given.picture, kind)
        wait(Path(folder), given).round(4).to_csv(given.out / f"feeding_{given.device}.csv", index=False)


if __name__ == "__main__":
    main()
