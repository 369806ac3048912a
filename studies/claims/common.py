"""What the scripts of the claims have in common: sizes, rendered data, grids of runs, and result files."""

import argparse
import datetime
import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from rich.console import Console

from facsynth.emotion import DEFAULT_CAUSES
from metafacs import distributed
from metafacs.analysis.records import find_runs
from metafacs.commands import synth
from metafacs.commands.parsing import parse
from metafacs.commands.train import train_parser
from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter
from metafacs.data.splits import Rows
from metafacs.errors import InputError
from metafacs.evaluation.comparison import AVERAGE, Comparison
from metafacs.experiments.grid import cells, keep_settings, read_list, read_seeds, read_variants
from metafacs.experiments.jobs import Job, run_jobs
from metafacs.files import write_text
from metafacs.runs import DETECTOR, environment

RESULTS = Path(__file__).parent / "results"
OTHERS = 977
"""Seed of the people that only pretraining sees."""
STL = "stl=stl:optimiser.learning_rate=2e-3"
MTL = "mtl=mtl:au_reduction=sum"
MAL = "mal=mal:au_reduction=sum"
MAL_LOSS = "mal_loss=mal:au_reduction=sum;inputs=loss;beta=1e-2"
"""The settings that `search.py` found best on people who are in no fold."""
console = Console(soft_wrap=True, highlight=False)


@dataclass(frozen=True)
class Scale:
    """How large a study is.

    Attributes:
        subjects: people of the AU data, a third of them in each fold.
        frames: images of each.
        images: of the expression data.
        size: side of the rendered faces, pixels.
        rays: rays x rays samples in each pixel.
        pretraining: steps in which the backbone learns expressions of other people; 0 starts from random weights.
        steps: of every run.
        folds: test folds.
        seeds: of training.
        at_once: runs side by side; 0 is one a core.
        settings: of `metafacs train`, for every run.
    """

    subjects: int
    frames: int
    images: int
    size: int
    rays: int
    pretraining: int
    steps: int
    folds: str
    seeds: str
    at_once: int
    settings: Mapping[str, Any] = field(default_factory=dict)


_ON_CPU = {
    "data.resize": 54,
    "data.side": 48,
    "data.batch_primary": 32,
    "data.batch_auxiliary": 32,
    "data.batch_meta": 64,
    "network.backbone": "test_resnet",
    "network.options": {"layers": [2, 2, 2, 2]},  # MTAN, Cross-stitch and L2T-WW need two blocks in a stage
    "optimiser.learning_rate": 3e-3,
    "optimiser.schedule": "one-cycle",
    "loop.device": "cpu",
    "loop.threads": 1,
}
_ON_GPU = {
    "data.resize": 124,
    "data.side": 112,
    "network.backbone": "resnet34",
    "optimiser.learning_rate": 1e-3,
    "optimiser.schedule": "one-cycle",
    "loop.device": "cuda",
}
_TOY = {"data.resize": 36, "data.side": 32, "data.batch_primary": 8, "data.batch_auxiliary": 8, "data.batch_meta": 8}
_TOY |= {"data.reserve_minimum": 16, "loop.log_every": 2}
SCALES = {
    "small": Scale(9, 12, 140, 40, 1, 6, 10, "P1", "0", 0, {**_ON_CPU, **_TOY}),
    "cpu": Scale(48, 100, 3000, 64, 2, 1500, 400, "P1,P2,P3", "0", 0, _ON_CPU),
    "cuda": Scale(48, 200, 12000, 128, 2, 6000, 6000, "P1,P2,P3", "0,1,2,3,4", 3, _ON_GPU),
}


@dataclass(frozen=True)
class Study:
    """One claim put to the test: how large, where, and with what.

    Attributes:
        name: of the script, its data and its results.
        scale: how large.
        out: folder of data and runs.
        results: folder of the result files.
        methods: methods or named variants, as for `metafacs benchmark --methods`.
        start: what every network starts from: "pretrain" (see `Scale.pretraining`), "scratch", or a safetensors file.
        arguments: the command line.
    """

    name: str
    scale: Scale
    out: Path
    results: Path
    methods: str
    start: str
    arguments: Sequence[str]
    weights: str = "scratch"
    """What `started` made of `start`."""
    done: Sequence[Path] = ()
    """Folders of finished runs to read instead of training any."""

    @property
    def folds(self) -> list[str]:
        return read_list(self.scale.folds, "--folds")

    @property
    def seeds(self) -> list[int]:
        return read_seeds(self.scale.seeds)


def study(name: str, description: str, methods: str, arguments: Sequence[str] | None = None, **own: Any) -> Study:
    """Reads the command line of a claim's script.

    Args:
        name: of the claim.
        description: of the script.
        methods: that it compares unless told otherwise.
        arguments: the command line; that of the process where None.
        **own: what this claim has otherwise than `SCALES`.
    """
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--small", action="store_true", help="a toy that shows in minutes that the script works")
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="also decides how large the study is")
    made.add_argument("--out", type=Path, default=Path("work/claims"), help="data and runs (reused, gone on with)")
    made.add_argument("--results", type=Path, help="folder of the CSV; that of the repository unless --small")
    made.add_argument("--methods", default=methods, help="as for `metafacs benchmark`")
    made.add_argument("--start", default="pretrain", help='"pretrain", "scratch" or a safetensors file')
    for entry in ("subjects", "frames", "images", "size", "pretraining", "steps", "at_once"):
        made.add_argument(f"--{entry}", type=int, help=f"instead of the scale's {entry}")
    made.add_argument("--folds", help="test folds")
    made.add_argument("--seeds", help="seeds of training")
    made.add_argument("--runs", nargs="+", type=Path, default=(), help="read these finished runs; train nothing")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of `metafacs train`")
    used = list(sys.argv[1:] if arguments is None else arguments)
    given = made.parse_args(used)
    kind = "small" if given.small else given.device
    scale = SCALES[kind]
    changes = {name: value for name, value in own.items() if not given.small or name == "at_once"}
    changes |= {name: value for name, value in vars(given).items() if name in asdict(scale) and value is not None}
    settings = {**scale.settings, **({"loop.device": given.device} if given.small else {}), **_settings(given.set)}
    scale = replace(scale, **changes, settings=settings)
    out = given.out / kind
    results = given.results or (out if given.small else RESULTS)
    return Study(name, scale, out, results, given.methods, given.start, used, done=given.runs)


def finished(made: Study) -> list[Path]:
    """The runs named by --runs, or those of the study's own grid on the usual data, which are trained first."""
    if made.done:
        return find_runs(made.done)[0]
    primary, auxiliary = au_data(made), fe_data(made)
    made = started(made)
    return train(made, grid(made, "grid", primary, auxiliary))


def au_data(made: Study) -> Path:
    """AU recordings: people in three folds."""
    s = made.scale
    folder = made.out / "data" / f"au_{s.subjects}x{s.frames}_{s.size}px"
    synth.render_own("au", folder, subjects=s.subjects, frames=s.frames, size=s.size, rays=s.rays)
    return folder


def fe_data(made: Study, name: str = "usual", causes: Mapping[str, float] | None = None) -> Path:
    """Expression images: the usual mix of causes of ambiguity, or one of one's own, in which all else is clear."""
    s = made.scale
    folder = made.out / "data" / f"fe_{s.images}_{s.size}px_{name}"
    mix = None if causes is None else {**dict.fromkeys(DEFAULT_CAUSES, 0.0), **causes}
    synth.render_own("fe", folder, images=s.images, causes=mix, size=s.size, rays=s.rays)
    return folder


def part_of(whole: PreparedDataset, rows: Rows, folder: Path, settings: Mapping[str, Any]) -> Path:
    """Some rows of a prepared dataset as one of their own, written once.

    Args:
        whole: the dataset.
        rows: which of its rows.
        folder: of the new one.
        settings: what decides the rows; a folder made with others is an error.
    """
    entries = asdict(whole.card)
    kept = ("name", "source", "licence", "aus", "expressions", "crop", "truths")
    writer = PreparedWriter(folder, DatasetCard(**{name: entries[name] for name in kept}), dict(settings))
    parts = np.array_split(rows, -(-len(rows) // 1000))
    for number, part in enumerate(parts):
        if not writer.has_part(number):
            found = whole.table.take(part).to_pylist()
            writer.write_part(number, [{**row, "image": row["image"]["bytes"]} for row in found])
    return writer.finish(len(parts)).folder


def started(made: Study) -> Study:
    """The study with what all its networks, whatever their method, start from; pretrains that first where need be.

    Pretraining learns the expressions of other people's clear faces; no AU label has a part in it. (It is MTL with all
    weight on the expressions, so that a few AU images of yet other people pass through the network without effect.)
    """
    s = made.scale
    if made.start != "pretrain":
        return replace(made, weights=made.start if made.start == "scratch" else str(Path(made.start).resolve()))
    if not s.pretraining:
        return replace(made, weights="scratch")
    fe, au = made.out / "data" / f"others_fe_{s.images}_{s.size}px", made.out / "data" / f"others_au_{s.size}px"
    clear = dict.fromkeys(DEFAULT_CAUSES, 0.0)
    synth.render_own("fe", fe, images=s.images, causes=clear, size=s.size, rays=s.rays, seed=OTHERS)
    synth.render_own("au", au, subjects=6, frames=20, size=s.size, rays=s.rays, seed=OTHERS)
    own = {name: value for name, value in s.settings.items() if name.startswith(("data.", "network.", "optimiser."))}
    digest = hashlib.sha256(json.dumps([own, s.images, s.size, s.pretraining], sort_keys=True).encode()).hexdigest()[:8]
    alone = replace(s, folds="P1", seeds="0", steps=s.pretraining, settings={**s.settings, "data.reserve_minimum": 8})
    before = replace(made, name="pretraining", scale=alone)
    jobs = grid(before, digest, au, fe, methods="all_expressions=mtl:auxiliary_weight=1")
    train(before, jobs)
    return replace(made, weights=str((jobs[0].run / DETECTOR).resolve()))


def grid(
    made: Study,
    name: str,
    primary: Path,
    auxiliary: Path,
    *,
    methods: str | None = None,
    folds: Sequence[str] | None = None,
) -> list[Job]:
    """The runs of one grid of a study; nothing is trained yet.

    Args:
        made: the study.
        name: of the grid within it.
        primary: AU data.
        auxiliary: expression data.
        methods: instead of the study's.
        folds: instead of the study's.
    """
    s, out = made.scale, made.out / made.name / name
    data = {"data.primary": str(primary.resolve()), "data.auxiliary": str(auxiliary.resolve())}
    settings = {**s.settings, "loop.steps": s.steps, "network.weights": made.weights, **data}
    variants = read_variants(methods or made.methods)
    for variant in variants:  # a wrong setting shows now, not in every run
        parse(train_parser("claim"), [*flags(settings), *variant.flags, "--out", str(out)])
    keep_settings(out, _nested(settings))
    folds = list(folds or made.folds)
    jobs = cells(out, variants, folds, made.seeds, dict.fromkeys(folds, s.steps))
    for job in jobs:
        job.name = f"{name}/{job.name}"  # grids are trained together
    return jobs


def flags(settings: Mapping[str, Any]) -> list[str]:
    """Settings of `metafacs train` as its flags."""
    texts = {
        k: v if isinstance(v, str) else str(v) if isinstance(v, Path) else json.dumps(v) for k, v in settings.items()
    }
    return [text for name, value in texts.items() for text in (f"--{name}", value)]


def train(made: Study, jobs: Sequence[Job]) -> list[Path]:
    """Trains and scores what is not done; the run folders.

    Raises:
        InputError: a run failed; the others are done, and the same command tries again.
    """
    failures = run_jobs(jobs, made.scale.at_once or distributed.cores(), console, keep_going=True)
    if failures:
        raise InputError(f"{len(failures)} of {len(jobs)} runs failed, see above; the same command tries them again")
    return [job.run for job in jobs]


def average_rows(comparison: Comparison) -> pd.DataFrame:
    """One row per method: average F1 x 100, its sd over seeds, AUC x 100, and how many runs."""
    counts = comparison.counts()
    return pd.DataFrame(
        {
            "f1": 100 * comparison.means()[AVERAGE],
            "f1_sd": 100 * comparison.deviations()[AVERAGE],
            "auc": 100 * comparison.means("auc")[AVERAGE],
            "runs": counts["cells"],
        }
    )


def gain(comparison: Comparison, method: str) -> dict[str, float]:
    """What a method gains over the comparison's reference: average F1 x 100, paired, with its 95 % interval."""
    row = comparison.differences().loc[[(method, AVERAGE)]].iloc[0]
    return {name: float(row[name]) * (1 if name == "pairs" else 100) for name in ("mean", "low", "high", "pairs")}


def told(entry: Mapping[str, float]) -> str:
    """What an interval says of a gain."""
    if not (entry["low"] > 0 or entry["high"] < 0):
        return "not told from zero"
    return "more" if entry["mean"] > 0 else "less"


def write(made: Study, table: pd.DataFrame, name: str = "") -> Path:
    """Prints a table and writes it as CSV, with what it came from in lines that begin with `#`."""
    console.print(table.round(3).to_string(index=False), markup=False)
    here = environment()
    settings = {**asdict(made.scale), "methods": made.methods, "start": _plain_start(made.start)}
    gpu = f", {here['gpu']}" if here["gpu"] and made.scale.settings.get("loop.device") == "cuda" else ""
    head = {
        "command": shlex.join(["python", f"studies/claims/{made.name}.py", *map(_plain_start, made.arguments)]),
        "commit": commit(),
        "date": str(datetime.datetime.now(tz=datetime.UTC).date()),
        "machine": f"{here['platform']}, {distributed.cores()} cores{gpu}, torch {here['torch']}",
        "settings": json.dumps(settings),
    }
    path = made.results / f"{made.name}{f'_{name}' if name else ''}.csv"
    lines = "".join(f"# {key}: {value}\n" for key, value in head.items())
    write_text(path, lines + table.to_csv(index=False, float_format="%.5g"))
    console.print(f"written to {path}", markup=False)
    return path


def commit() -> str:
    """The commit that ran, with "+" where files differ from it."""
    asked = [["git", "rev-parse", "--short", "HEAD"], ["git", "status", "--porcelain", "--untracked-files=no"]]
    here = Path(__file__).parent
    found = [subprocess.run(a, capture_output=True, text=True, check=False, cwd=here).stdout.strip() for a in asked]
    return (found[0] or "unknown") + ("+" if found[1] else "")


def _settings(given: Sequence[str]) -> dict[str, Any]:
    settings = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: write NAME=VALUE, such as --set mal.beta=0.01")
        settings[name.strip()] = yaml.safe_load(value)
    return settings


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in settings.items():
        *parts, last = name.split(".")
        place = nested
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = value
    return nested


def _plain_start(text: str) -> str:
    """A path without what it tells of the machine."""
    return Path(text).name if Path(text).is_absolute() else text
