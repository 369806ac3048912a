"""Reads what a run writes down while it trains: its metrics, its sample weights, and which run it is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from metafacs.errors import InputError
from metafacs.evaluation.predictions import PREDICTIONS_FILE, read_predictions
from metafacs.runs import CONFIG, DONE, METRICS, SAMPLE_WEIGHTS, read_config

SAMPLE_WEIGHT_COLUMNS = ("stream", "row", "consistency", "cause", "weight", "step")


@dataclass(frozen=True)
class RunName:
    """Which run a folder holds: `method` (or the label of its variant), and `fold` and `seed` where they are known."""

    method: str
    fold: str | None
    seed: int | None


RUNS = "runs"
"""The folder of a grid in which its runs are."""


def find_runs(folders: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Run folders, from run folders, from folders of runs, and from those of `metafacs benchmark` and `metafacs demo`.

    Of a folder of runs, only those that are done and have predictions are taken: those of STL first, MTL's next, MAL's
    last. Files are passed over, such as the logs beside runs that a pattern matches.

    Returns:
        The runs, and a sentence on each folder in which some are not done.

    Raises:
        InputError: a folder is none of these, or has no finished run, or there are only files.
    """
    runs, notes = [], []
    for folder in map(Path, folders):
        if not folder.exists():
            raise InputError(f"there is no folder {folder}; give run folders, or the folder of a benchmark")
        if folder.is_file():
            continue
        if _is_run(folder):
            runs.append(folder)
            continue
        around = folder / RUNS if (folder / RUNS).is_dir() else folder
        inside = sorted(path for path in around.iterdir() if path.is_dir() and _is_run(path))
        if not inside and around == folder:
            raise InputError(
                f"{folder} is neither a run folder nor that of a benchmark: it has no {CONFIG}, and no run below; "
                "give the --out of `metafacs train`, `benchmark` or `demo`"
            )
        done = [run for run in inside if (run / DONE).exists() and (run / PREDICTIONS_FILE).exists()]
        if not done:
            raise InputError(f"{folder} holds no finished run; go on with the benchmark, or name run folders")
        if missing := [run.name for run in inside if run not in done]:
            notes.append(f"{len(missing)} of {len(inside)} runs in {folder.name} are not done: {', '.join(missing)}")
        runs += sorted(done, key=_place)
    if not runs:
        raise InputError(f"{folders[0]} is a file; give run folders, or the folder of a benchmark")
    return list(dict.fromkeys(runs)), notes


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in (CONFIG, METRICS, PREDICTIONS_FILE, SAMPLE_WEIGHTS))


def _place(run: Path) -> tuple[int, str]:
    method = str(read_config(run).get("method"))
    return ("stl", "mtl", method, "mal").index(method), run.name


def read_run_name(run: Path) -> RunName:
    """Says which method, fold and seed a run folder holds, from its predictions or, before those, its config.

    Raises:
        InputError: the folder is not a run folder, or neither file says the method.
    """
    if (run / PREDICTIONS_FILE).exists():
        info = read_predictions(run).info
        return RunName(str(info.get("label") or info["method"]), str(info["fold"]), int(info["seed"]))
    config = read_config(run)
    method, data = config.get("method"), config.get("data")
    if not isinstance(method, str):
        raise InputError(f"{run / CONFIG} does not name the method of the run")
    fold = data.get("test_fold") if isinstance(data, dict) else None
    seed = config.get("seed")
    return RunName(method, None if fold is None else str(fold), seed if isinstance(seed, int) else None)


def read_metrics(run: Path) -> pd.DataFrame:
    """Reads the training record of a run.

    A run that was killed may leave half a line at the end, which is passed over; a broken line anywhere else is an
    error. A run that was resumed from a checkpoint repeats some steps: the last line of a step counts.

    Args:
        run: the run folder, or its `metrics.jsonl`.

    Returns:
        One row per line, ordered by step: `event` ("train" or "validation"), `step` (int) and the values of the line,
        NaN where a line has none.

    Raises:
        InputError: there is no such file, it holds no line, or a line is broken.
    """
    path = run / METRICS if run.is_dir() else run
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: the run has written no metrics") from error
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record = metrics_record(line)
        if record is not None:
            records.append(record)
        elif number < len(lines):
            raise InputError(f"{path}, line {number} is not a record of a step: {line[:80]!r}; delete that line")
    if not records:
        raise InputError(f"{path} holds no complete line: the run has not logged yet")
    table = pd.DataFrame(records).drop_duplicates(["event", "step"], keep="last")
    return table.sort_values(["step", "event"], kind="stable").reset_index(drop=True)


def read_sample_weights(run: Path) -> pd.DataFrame:
    """Reads the weight that a run's meta network gave to each training image, the latest one of each.

    Args:
        run: the run folder, or its `sample_weights.parquet`.

    Returns:
        One row per image of a stream, with at least `SAMPLE_WEIGHT_COLUMNS`.

    Raises:
        InputError: the file is missing (the method learns no weights), is not whole, or lacks a column.
    """
    path = run / SAMPLE_WEIGHTS if run.is_dir() else run
    try:
        # without metadata: pandas would read what a stranger wrote there
        table: pd.DataFrame = pq.read_table(path).replace_schema_metadata(None).to_pandas()
    except FileNotFoundError as error:
        raise InputError(
            f"{path} does not exist: the run's method learns no weights, or it has not finished"
        ) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path} is not a whole Parquet file ({error})") from error
    missing = [name for name in SAMPLE_WEIGHT_COLUMNS if name not in table.columns]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}")
    latest = table.sort_values("step", kind="stable").drop_duplicates(["stream", "row"], keep="last")
    return latest.sort_values(["stream", "row"]).reset_index(drop=True)


def metrics_record(line: bytes) -> dict[str, Any] | None:
    """What a line of a run's metrics.jsonl says; None where it is damaged or cut off."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("event"), str):
        return None
    return record if isinstance(record.get("step"), int) else None
