"""What the scripts of the claims share: sizes, rendered data, grids of runs, result files.

Data are rendered and networks trained by the commands `metafacs synth` and `metafacs benchmark`.
"""

import argparse
import datetime
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from rich.console import Console

from metafacs import cli
from metafacs.analysis.records import find_runs
from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter
from metafacs.data.splits import Rows
from metafacs.errors import InputError
from metafacs.evaluation.comparison import AVERAGE, Comparison
from metafacs.files import write_text
from metafacs.pool import cores
from metafacs.runs import DETECTOR, environment

RESULTS = Path(__file__).parent / "results"
OTHERS = 977
"""Seed of the people that only pretraining sees."""
STL = "stl=stl:au_reduction=mean;optimiser.learning_rate=2e-3"
MTL = "mtl=mtl:au_reduction=sum"
MAL = "mal=mal:au_reduction=sum"
MAL_LOSS = "mal_loss=mal:au_reduction=sum;inputs=loss;beta=1e-2"
"""The settings that a search found best on people who are in no fold."""
CAUSES = {
    **{"weak": "weak", "blend": "blend", "gaze": "gaze", "head pose": "pose"},
    **{"unreadable": "unreadable", "wrong label": "mislabelled"},
}
"""Cause of ambiguity -> the flag of `metafacs synth` with its share of the images."""
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
        folds: test folds, comma-separated.
        seeds: of training, comma-separated.
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
        name: of the script, its runs and its results.
        scale: how large.
        out: folder of data and runs.
        results: folder of the result files.
        methods: methods or named variants, as for `metafacs benchmark --methods`.
        start: what every network starts from: "pretrain", "scratch", or a safetensors file.
        arguments: the command line.
        finished: folders of runs to read instead of training any.
    """

    name: str
    scale: Scale
    out: Path
    results: Path
    methods: str
    start: str
    arguments: Sequence[str]
    finished: Sequence[Path] = ()

    @property
    def folds(self) -> list[str]:
        return self.scale.folds.split(",")

    def au_data(self, name: str = "au", **changes: int) -> Path:
        """AU recordings: people in three folds. `changes` are flags of `metafacs synth au`."""
        s = self.scale
        flags = {"subjects": s.subjects, "frames": s.frames} | changes
        return self._rendered("au", f"{name}_{flags['subjects']}x{flags['frames']}_{s.size}px", flags)

    def fe_data(self, name: str = "usual", causes: Mapping[str, float] | None = None, **changes: int) -> Path:
        """Expression images: the usual mix of causes of ambiguity, or one of one's own, in which all else is clear."""
        s = self.scale
        shares = {} if causes is None else {flag: causes.get(cause, 0.0) for cause, flag in CAUSES.items()}
        return self._rendered("fe", f"fe_{s.images}_{s.size}px_{name}", {"images": s.images} | shares | changes)

    def _rendered(self, kind: str, name: str, flags: Mapping[str, float]) -> Path:
        out = self.out / "data" / name
        drawing = {"out": str(out), "size": self.scale.size, "rays": self.scale.rays}
        metafacs("synth", kind, *as_flags({**drawing, **flags}))
        return out

    @cached_property
    def weights(self) -> str:
        """What all networks, whatever their method, start from; pretrains that where it is not there.

        Pretraining learns the expressions of other people's clear faces; no AU label has a part in it. (It is MTL with
        all weight on the expressions, so that a few AU images of yet other people pass through without effect.)
        """
        s = self.scale
        if self.start == "scratch" or (self.start == "pretrain" and not s.pretraining):
            return "scratch"
        if self.start != "pretrain":
            return str(Path(self.start).resolve())
        fe = self.fe_data("others", {}, seed=OTHERS)
        au = self.au_data("others_au", subjects=6, frames=20, seed=OTHERS)
        settings = {**s.settings, "data.reserve_minimum": 8}
        scale = replace(s, folds="P1", seeds="0", steps=s.pretraining, settings=settings)
        pretraining = replace(self, name="pretraining", scale=scale, start="scratch")
        runs = pretraining.train(f"{s.images}_{s.size}px", au, fe, methods="all_expressions=mtl:auxiliary_weight=1")
        return str((runs[0] / DETECTOR).resolve())

    def train(
        self,
        grid: str,
        primary: Path,
        auxiliary: Path | Sequence[Path],
        methods: str | None = None,
        fold: str | None = None,
    ) -> list[Path]:
        """Trains and scores a grid of runs where that is not done yet; the run folders.

        Args:
            grid: its name within the study.
            primary: AU data.
            auxiliary: expression data, one dataset or several.
            methods: instead of the study's.
            fold: instead of the study's folds.
        """
        out, s = self.out / self.name / grid, self.scale
        cells = {"methods": methods or self.methods, "folds": fold or s.folds, "seeds": s.seeds, "jobs": s.at_once}
        several = [auxiliary] if isinstance(auxiliary, Path) else auxiliary
        data = {"data.primary": str(primary.resolve()), "data.auxiliary": [str(folder.resolve()) for folder in several]}
        settings = {**s.settings, "loop.steps": s.steps, "network.weights": self.weights, **data}
        metafacs("benchmark", *as_flags({"out": str(out), **cells, **settings}))
        return find_runs([out])[0]

    def runs(self) -> list[Path]:
        """The runs named by --runs, or those of the study's own grid on the usual data, which are trained first."""
        if self.finished:
            return find_runs(self.finished)[0]
        return self.train("grid", self.au_data(), self.fe_data())

    def write(self, table: pd.DataFrame, name: str = "") -> None:
        """Prints a table and writes it as CSV, with what it came from in lines that begin with `#`."""
        console.print(table.round(3).to_string(index=False), markup=False)
        here = environment()
        gpu = f", {here['gpu']}" if here["gpu"] and self.scale.settings.get("loop.device") == "cuda" else ""
        settings = {**asdict(self.scale), "methods": self.methods, "start": _without_folders(self.start)}
        head = {
            "command": shlex.join(["python", f"studies/claims/{self.name}.py", *map(_without_folders, self.arguments)]),
            "commit": _commit(),
            "date": str(datetime.datetime.now(tz=datetime.UTC).date()),
            "machine": f"{here['platform']}, {cores()} cores{gpu}, torch {here['torch']}",
            "settings": json.dumps(settings),
        }
        path = self.results / f"{self.name}{f'_{name}' if name else ''}.csv"
        lines = "".join(f"# {key}: {value}\n" for key, value in head.items())
        write_text(path, lines + table.to_csv(index=False, float_format="%.5g"))
        console.print(f"written to {path}", markup=False)


def read_study(name: str, text: str, methods: str, arguments: Sequence[str] | None = None, **changes: Any) -> Study:
    """Reads the command line of a claim's script.

    Args:
        name: of the claim.
        text: that `--help` shows.
        methods: that it compares unless told otherwise.
        arguments: the command line; that of the process where None.
        **changes: what this claim has otherwise than `SCALES`; with --small only `at_once` counts.
    """
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a toy that shows in minutes that the script works")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="also decides how large the study is")
    parser.add_argument("--out", type=Path, default=Path("work/claims"), help="data and runs (reused, gone on with)")
    parser.add_argument("--results", type=Path, help="folder of the CSV; that of the repository unless --small")
    parser.add_argument("--methods", default=methods, help="as for `metafacs benchmark`")
    parser.add_argument("--start", default="pretrain", help='"pretrain", "scratch" or a safetensors file')
    for entry in ("subjects", "frames", "images", "size", "pretraining", "steps", "at_once"):
        parser.add_argument(f"--{entry}", type=int, help=f"instead of the scale's {entry}")
    parser.add_argument("--folds", help="test folds")
    parser.add_argument("--seeds", help="seeds of training")
    parser.add_argument("--runs", nargs="+", type=Path, default=(), help="read these finished runs; train nothing")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of `metafacs train`"
    )
    used = list(sys.argv[1:] if arguments is None else arguments)
    given = parser.parse_args(used)
    kind = "small" if given.small else given.device
    scale = SCALES[kind]
    settings = {**scale.settings, **({"loop.device": given.device} if given.small else {})}
    for setting in given.set:
        key, equals, value = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting}: write NAME=VALUE, such as --set mal.beta=0.01")
        settings[key.strip()] = yaml.safe_load(value)
    changes = {key: value for key, value in changes.items() if not given.small or key == "at_once"}
    changes |= {key: value for key, value in vars(given).items() if key in asdict(scale) and value is not None}
    out = given.out / kind
    results = given.results or (out if given.small else RESULTS)
    scale = replace(scale, **changes, settings=settings)
    return Study(name, scale, out, results, given.methods, given.start, used, given.runs)


def metafacs(*arguments: str) -> None:
    """Runs a command of metafacs; ends the script, with its message printed, where that fails."""
    if status := cli.main(arguments):
        sys.exit(status)


def as_flags(settings: Mapping[str, Any]) -> list[str]:
    """Settings as flags of a command."""
    return [f"--{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items()]


def part_of(
    whole: PreparedDataset,
    rows: Rows,
    folder: Path,
    settings: Mapping[str, Any],
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda row: row,
) -> Path:
    """Some rows of a prepared dataset as one of their own, written once.

    Args:
        whole: the dataset.
        rows: which of its rows.
        folder: of the new one.
        settings: what decides the rows; a folder made with others is an error.
        change: what becomes of a row.
    """
    entries = asdict(whole.card)
    kept = ("name", "source", "licence", "aus", "expressions", "crop", "truths")
    writer = PreparedWriter(folder, DatasetCard(**{name: entries[name] for name in kept}), dict(settings))
    parts = np.array_split(rows, -(-len(rows) // 1000))
    for number, part in enumerate(parts):
        if not writer.has_part(number):
            entries_of_part = whole.table.take(part).to_pylist()
            writer.write_part(number, [{**change(row), "image": row["image"]["bytes"]} for row in entries_of_part])
    return writer.finish(len(parts)).folder


def average_rows(comparison: Comparison) -> pd.DataFrame:
    """One row per method: average F1 x 100, its sd over seeds, AUC x 100, and how many runs."""
    return pd.DataFrame(
        {
            "f1": 100 * comparison.means()[AVERAGE],
            "f1_sd": 100 * comparison.deviations()[AVERAGE],
            "auc": 100 * comparison.means("auc")[AVERAGE],
            "runs": comparison.counts()["cells"],
        }
    )


def gain(comparison: Comparison, method: str) -> dict[str, float]:
    """What a method gains over the comparison's reference: average F1 x 100, paired, with its 95 % interval."""
    row = comparison.differences().loc[[(method, AVERAGE)]].iloc[0]
    return {name: float(row[name]) * (1 if name == "pairs" else 100) for name in ("mean", "low", "high", "pairs")}


def verdict(gained: Mapping[str, float]) -> str:
    """What an interval says of a gain."""
    if not (gained["low"] > 0 or gained["high"] < 0):
        return "not told from zero"
    return "more" if gained["mean"] > 0 else "less"


def _commit() -> str:
    """The commit that ran, with "+" where files differ from it."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return asked.stdout.strip() or "unknown"


def _without_folders(text: str) -> str:
    """A path without what it tells of the machine."""
    return Path(text).name if Path(text).is_absolute() else text
