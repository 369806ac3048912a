"""What runs cost: time and memory of a training step, relative to a reference method."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from metafacs.evaluation.predictions import PREDICTIONS_FILE, read_predictions
from metafacs.training.run import DONE, METRICS

COLUMNS = ("seconds_per_step", "processor_seconds_per_step")


def costs(runs: Sequence[Path], reference: str) -> pd.DataFrame:
    """Median cost of each method over its runs' log lines.

    Args:
        runs: finished run folders with predictions.
        reference: method whose cost the ratios are relative to.

    Returns:
        One row per method in the order of first appearance: `seconds_per_step` (wall clock),
        `processor_seconds_per_step` (all threads of the process), `training_memory_mib` (what training added to the
        process's peak), and `time_ratio` and `memory_ratio`, the processor time and memory relative to the reference's
        (NaN where it has none).
    """
    rows = []
    for run in runs:
        name = _name(run)
        done = json.loads((run / DONE).read_text(encoding="utf-8"))
        memory = done.get("memory_peak_mib", float("nan")) - done.get("memory_before_mib", float("nan"))
        for line in (run / METRICS).read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            if values["event"] == "train" and all(column in values for column in COLUMNS):
                rows.append({"method": name, **{c: values[c] for c in COLUMNS}, "training_memory_mib": memory})
    table = pd.DataFrame(rows, columns=["method", *COLUMNS, "training_memory_mib"])
    table = table.groupby("method", sort=False).median()
    base = table.loc[reference] if reference in table.index else pd.Series(float("nan"), table.columns)
    table["time_ratio"] = table["processor_seconds_per_step"] / base["processor_seconds_per_step"]
    table["memory_ratio"] = table["training_memory_mib"] / base["training_memory_mib"]
    return table


def _name(run: Path) -> str:
    info = read_predictions(run / PREDICTIONS_FILE).info
    return str(info.get("label") or info["method"])
