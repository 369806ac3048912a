"""What runs cost: time and memory of a training step, relative to a reference method."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from metafacs.errors import InputError
from metafacs.evaluation.predictions import PREDICTIONS_FILE, read_predictions
from metafacs.runs import DONE, METRICS

COLUMNS = ("seconds_per_step", "processor_seconds_per_step")


def costs(runs: Sequence[Path], reference: str) -> pd.DataFrame:
    """Median cost of each method over its runs' log lines.

    Args:
        runs: finished run folders with predictions.
        reference: method whose cost the ratios are relative to.

    Returns:
        One row per method in the order of first appearance: `seconds_per_step` (wall clock),
        `processor_seconds_per_step` (all threads of the process), `training_memory_mib` (what training added to the
        process's peak; NaN where that was higher before), and `time_ratio` and `memory_ratio`, the processor time and
        memory relative to the reference's (NaN where it has none).

    Raises:
        InputError: a run's files are missing or damaged.
    """
    rows = []
    for run in runs:
        name = _name(run)
        (done,) = _records(run / DONE, 1)
        memory = _number(done, "memory_peak_mib", run / DONE) - _number(done, "memory_before_mib", run / DONE)
        memory = memory if memory > 0 else float("nan")  # the process had needed more before: nothing is known
        rows += [{"method": name, **taken, "training_memory_mib": memory} for taken in logged_costs(run)]
    table = pd.DataFrame(rows, columns=["method", *COLUMNS, "training_memory_mib"])
    table = table.groupby("method", sort=False).median()
    base = table.loc[reference] if reference in table.index else pd.Series(float("nan"), table.columns)
    table["time_ratio"] = table["processor_seconds_per_step"] / base["processor_seconds_per_step"]
    table["memory_ratio"] = table["training_memory_mib"] / base["training_memory_mib"]
    return table


def logged_costs(run: Path) -> list[dict[str, float]]:
    """What a step took, seconds by the clock and of all processors (`COLUMNS`), in each line of a run's log.

    Raises:
        InputError: the log is missing or damaged.
    """
    lines = [values for values in _records(run / METRICS) if values.get("event") == "train"]
    lines = [values for values in lines if all(column in values for column in COLUMNS)]
    return [{column: _number(values, column, run / METRICS) for column in COLUMNS} for values in lines]


def _records(path: Path, count: int | None = None) -> list[dict[str, Any]]:
    """The lines of a file of JSON objects; as many as `count` says."""
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}); leave its run out, or train it again") from error
    if not all(isinstance(record, dict) for record in records) or count not in (None, len(records)):
        raise InputError(f"{path} is damaged: it does not hold one JSON object a line; train its run again")
    return records


def _number(values: Mapping[str, Any], name: str, path: Path) -> float:
    """A number of a record; NaN where it has none."""
    value = values.get(name)
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{path}: {name} is {str(value)[:40]!r}, no number; leave its run out, or train it again")
    return float(value)


def _name(run: Path) -> str:
    info = read_predictions(run / PREDICTIONS_FILE).info
    return str(info.get("label") or info["method"])
