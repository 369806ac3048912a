"""Small prediction files for the tests of evaluation and analysis."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metafacs.evaluation.predictions import PREDICTIONS_FILE, prediction_rows, write_predictions

AUS = ["AU01", "AU04", "AU12"]


def info(**changes: Any) -> dict[str, Any]:
    return {
        "method": "stl",
        "backbone": "resnet18",
        "dataset": "rendered-au",
        "fold": "P1",
        "seed": 0,
        "threshold": 0.5,
        "aus": AUS,
        "run": "runs/one",
        "tool_version": "0.1.0",
    } | changes


def ids(n: int, fold: str = "P1") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "dataset": "rendered-au",
            "subject": [f"{fold}-{k % 3}" for k in range(n)],
            "sequence": "T1",
            "frame": range(n),
            "fold": fold,
        }
    )


def labels_of_fold(fold: str, n: int = 60) -> np.ndarray:
    random = np.random.default_rng(sum(map(ord, fold)))
    labels = (random.random((n, len(AUS))) < (0.2, 0.5, 0.7)).astype(float)
    labels[random.random(labels.shape) < 0.05] = np.nan
    return labels


def write_run(
    folder: Path,
    method: str = "stl",
    fold: str = "P1",
    seed: int = 0,
    *,
    skill: float = 1.0,
    labels: np.ndarray | None = None,
    probabilities: np.ndarray | None = None,
    rows: pd.DataFrame | None = None,
    **changes: Any,
) -> Path:
    """A run folder with predictions that are right more often the higher `skill` is."""
    labels = labels_of_fold(fold) if labels is None else labels
    if probabilities is None:
        noise = np.random.default_rng([seed, len(method), int(100 * skill)]).normal(size=labels.shape)
        probabilities = 1 / (1 + np.exp(-(skill * (np.nan_to_num(labels) * 2 - 1) + noise)))
    run = folder / f"{changes.get('label', method)}-{changes.get('backbone', '')}-{fold}-{seed}"
    settings = info(method=method, fold=fold, seed=seed, run=str(run), **changes)
    table = prediction_rows(ids(len(labels), fold) if rows is None else rows, labels, probabilities, settings["aus"])
    write_predictions(run / PREDICTIONS_FILE, table, settings)
    return run
