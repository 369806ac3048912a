"""How much faster N processes take the same training step, the batch of all of them together staying as it is.

Every run is `metafacs train` by torchrun on drawn data, one thread a process; a step's time is the median of what
metrics.jsonl says, by the clock, so the machine must be idle and have a core (or a GPU) for each process.
`synchronised` is the default, the same update as one process makes; without it every process normalises by its own
share of the batch.

    python benchmarks/scaling.py                                                        # 1 and 2 processes, CPU, gloo
    python benchmarks/scaling.py --device cuda --backbone resnet34 --side 224 --batches 64 --processes 1 2 4
"""

import argparse
import os
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import pandas as pd

from feeding import logged
from large_data import write_dataset

ALONE = 1


def train(
    folder: Path, method: str, batch: int, processes: int, synchronise: bool, given: argparse.Namespace
) -> dict[str, float]:
    """Seconds a step, the wait's share of it, and images a second of one run."""
    out = folder / f"{method}-{batch}-{processes}-{synchronise}"
    flags: dict[str, object] = {"method": method, "out": out, "data.primary": folder / "au", "data.cache_gib": 8}
    flags |= {"data.auxiliary": folder / "fe", "data.workers": 0, "data.resize": given.side + 16}
    flags |= {"data.side": given.side, "data.batch_primary": batch, "data.batch_auxiliary": batch}
    flags |= {"data.batch_meta": 4 * batch, "network.backbone": given.backbone, "network.weights": "scratch"}
    flags |= {"loop.steps": given.steps, "loop.log_every": max(1, given.steps // 5), "loop.threads": 1}
    flags |= {"loop.device": given.device, "loop.validate_every": given.steps, "loop.save_every": given.steps}
    flags |= {"loop.synchronise": str(synchronise).lower()}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command += ["-m", "metafacs.cli", "train", *(str(x) for k, v in flags.items() for x in (f"--{k}", v))]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return logged(out)


def measured(folder: Path, given: argparse.Namespace) -> pd.DataFrame:
    rows = []
    for method, batch in product(given.methods, given.batches):
        alone = float("nan")
        for processes in sorted({ALONE, *given.processes}):
            for synchronise in (True,) if processes == ALONE else (True, False):
                found = train(folder, method, batch, processes, synchronise, given)
                alone = found["seconds_per_step"] if processes == ALONE else alone
                chosen = {"method": method, "processes": processes, "synchronised": synchronise}
                size = {"device": given.device, "backbone": given.backbone, "side": given.side, "batch": batch}
                faster = alone / found["seconds_per_step"]
                rows.append({**chosen, **size, **found, "faster": faster, "efficiency": faster / processes})
                print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--methods", nargs="+", default=["mtl", "mal"])
    asked.add_argument("--processes", nargs="+", type=int, default=[1, 2], help="1 is always measured, as the unit.")
    asked.add_argument("--rows", type=int, default=2000, help="of each dataset.")
    asked.add_argument("--side", type=int, default=112)
    asked.add_argument("--batches", nargs="+", type=int, default=[8, 32], help="AU images a step, of all processes.")
    asked.add_argument("--backbone", default="resnet18")
    asked.add_argument("--steps", type=int, default=30)
    asked.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    asked.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("au", "fe"):
            write_dataset(Path(folder) / kind, given.rows, 128, kind)
        measured(Path(folder), given).round(4).to_csv(given.out / f"scaling_{given.device}.csv", index=False)


if __name__ == "__main__":
    main()
