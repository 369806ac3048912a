"""Do MAL's weights mean something? An expression set of which half is unreadable, five seeds.

    python benchmarks/unreadable_weights.py --out work/unreadable

Renders an AU set and an expression set of which half shows a clear expression and half hardly any, labelled at random.
Like the paper, which starts from pretrained weights, MAL starts from a backbone that has seen faces: one that MTL
trained on the same AU images and on other, readable expressions. Trains MAL once a seed, prints the mean weight of both
halves at the end of training, and writes them to `benchmarks/results/unreadable_weights.csv`. With --scratch MAL starts
from random weights (`unreadable_weights_scratch.csv`).
"""

import argparse
import datetime
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from rich.console import Console

from facsynth.emotion import DEFAULT_CAUSES
from metafacs import distributed
from metafacs.analysis.figures import draw_all
from metafacs.commands import synth
from metafacs.commands.demo import SETTINGS
from metafacs.experiments.jobs import Job, run_jobs
from metafacs.files import write_text
from metafacs.runs import DETECTOR, SAMPLE_WEIGHTS

RESULTS = Path(__file__).parent / "results"
SEEDS = range(5)
PRETRAINING = 1500
"""Steps of MTL."""
SIZE = 80
"""Side of the faces, in pixels."""
NO_DOUBT = dict.fromkeys(DEFAULT_CAUSES, 0.0)
"""Every expression is clear."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, default=Path("work/unreadable"), help="data and runs (reused)")
    arguments.add_argument("--steps", type=int, default=500, help="training steps a seed")
    arguments.add_argument("--scratch", action="store_true", help="start from random weights")
    given = arguments.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    au, fe = given.out / "au", given.out / "fe"
    synth.render_own("au", au, size=SIZE)
    synth.render_own("fe", fe, images=1500, causes={**NO_DOUBT, "unreadable": 0.5}, size=SIZE, seed=5)
    start = "scratch" if given.scratch else pretrained(given.out, au, console)
    runs = given.out / ("runs_scratch" if given.scratch else "runs")
    shared = {"data.primary": au, "data.auxiliary": fe, "method": "mal", "network.weights": start}
    jobs = [Job(f"seed {s}", runs / f"seed{s}", flags(given.steps, shared, s), given.steps) for s in SEEDS]
    run_jobs(jobs, distributed.cores(), console)
    table = pd.DataFrame([halves(job.run, seed) for seed, job in zip(SEEDS, jobs, strict=True)])
    console.print(table.round(4).to_string(index=False), markup=False)
    below = int((table["unreadable"] < table["clear"]).sum())
    console.print(f"the unreadable half weighs less than the clear half on {below} of {len(table)} seeds")
    table["steps"], table["commit"] = given.steps, commit()
    table["date"] = datetime.datetime.now(tz=datetime.UTC).date()
    name = f"unreadable_weights{'_scratch' if given.scratch else ''}.csv"
    write_text(RESULTS / name, table.to_csv(index=False, float_format="%.5f"))
    draw_all([job.run for job in jobs], None, runs / "figures")


def pretrained(out: Path, au: Path, console: Console) -> Path:
    """The detector that MTL trained on the same AU images and on readable expressions of other people."""
    readable = out / "fe_readable"
    synth.render_own("fe", readable, causes=NO_DOUBT, size=SIZE)
    shared = {"data.primary": au, "data.auxiliary": readable, "method": "mtl"}
    job = Job("MTL", out / "mtl", flags(PRETRAINING, shared), PRETRAINING)
    run_jobs([job], 1, console)
    return job.run / DETECTOR


def flags(steps: int, settings: Mapping[str, object], seed: int = 0) -> list[str]:
    pairs = {**SETTINGS, **settings, "seed": seed, "loop.steps": steps}
    return [text for key, value in pairs.items() for text in (f"--{key}", str(value))]


def halves(run: Path, seed: int) -> dict[str, float]:
    """Mean weight of the clear and of the unreadable half, and of the AU images, at the end of training."""
    weights = pd.read_parquet(run / SAMPLE_WEIGHTS)
    faces = weights[weights["stream"] == "auxiliary"]
    unreadable = faces["cause"] == "unreadable"
    means = faces.groupby(unreadable)["weight"].mean()
    return {
        "seed": seed,
        "clear": means[False],
        "unreadable": means[True],
        "difference": means[False] - means[True],
        "sd_of_weights": faces["weight"].std(),
        "au_images": weights.loc[weights["stream"] == "primary", "weight"].mean(),
        "spearman_consistency": faces["weight"].rank().corr(faces["consistency"].rank()),
    }


def commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
