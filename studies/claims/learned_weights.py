"""Claim 4: the learned weights mean something.

    python studies/claims/learned_weights.py [--small] [--device cuda]

Do they fall with ambiguity (Spearman's correlation with the annotators' consistency), are they higher for images on
which AUs of interest are active, and does the average weight of expression images rise while their loss falls (the
paper's Fig. 3)? Prints and writes `learned_weights.csv`, a row per run, and `learned_weights_causes.csv`, the mean
weight by cause of ambiguity. The aim is a correlation with consistency of 0.4.
"""

from collections.abc import Sequence
from pathlib import Path

import common
import numpy as np
import pandas as pd

from metafacs.analysis.figures import draw_all
from metafacs.analysis.records import read_metrics, read_run_name
from metafacs.analysis.sample_weights import ACTIVE, MethodWeights, read_method_weights
from metafacs.analysis.statistics import spearman
from metafacs.evaluation.comparison import compare
from metafacs.evaluation.intervals import mean_interval

AIM = 0.4


def main(arguments: Sequence[str] | None = None) -> None:
    methods = ",".join([common.MTL, common.MAL, common.MAL_LOSS])
    study = common.read_study("learned_weights", __doc__ or "", methods, arguments)
    runs = study.runs()
    weights = read_method_weights(runs)
    table = pd.DataFrame([row for method in weights.values() for row in _rows(method)])
    study.write(table)
    study.write(pd.concat([causes(method) for method in weights.values()]), "causes")
    for method, rows in table.groupby("method"):
        values = rows["consistency_spearman"].to_numpy(dtype=np.float64)
        low, high = mean_interval(values)
        text = f"{method}: Spearman with consistency {values.mean():.2f} over {len(values)} runs"
        text += "" if np.isnan(low) else f" (95 % {low:.2f} to {high:.2f})"
        common.console.print(f"{text}; the aim is {AIM}", markup=False)
    draw_all(runs, compare(runs), study.out / study.name)


def _rows(weights: MethodWeights) -> list[dict[str, object]]:
    consistency = weights.each_run("consistency")
    active = {stream: weights.each_run(ACTIVE, stream) for stream in ("auxiliary", "primary")}
    return [
        {
            "method": weights.method,
            "fold": read_run_name(Path(run)).fold,
            "seed": read_run_name(Path(run)).seed,
            "consistency_spearman": estimate.value,
            "consistency_low": estimate.low,
            "consistency_high": estimate.high,
            "fe_active_spearman": active["auxiliary"][run].value,
            "au_active_spearman": active["primary"][run].value,
            **_activity(weights, run),
            **course(Path(run)),
        }
        for run, estimate in consistency.items()
    ]


def _activity(weights: MethodWeights, run: str) -> dict[str, float]:
    """Mean weight of the expression images on which a trained AU is active, and on which none is."""
    faces = weights.stream("auxiliary").set_index(["stream", "folder", "row"])
    of_run = weights.by_run[run].reindex(faces.index)
    active = faces[ACTIVE] > 0
    return {"fe_weight_some_active": of_run[active].mean(), "fe_weight_none_active": of_run[~active].mean()}


def course(run: Path) -> dict[str, float]:
    """How the average weight and the loss of the expression images go from the first to the last tenth of training."""
    table = read_metrics(run)
    table = table[table["event"] == "train"]
    tenth = max(1, len(table) // 10)
    changes: dict[str, float] = {}
    for name, column in (("fe_weight", "weight_auxiliary"), ("fe_loss", "loss_auxiliary")):
        values = table[column].to_numpy(dtype=np.float64)
        changes |= {f"{name}_first": float(values[:tenth].mean()), f"{name}_last": float(values[-tenth:].mean())}
        changes[f"{name}_trend"] = spearman(table["step"].to_numpy(dtype=np.float64), values)
    return changes


def causes(weights: MethodWeights) -> pd.DataFrame:
    """Mean weight of the expression images by cause of ambiguity."""
    groups = weights.stream("auxiliary").groupby("cause")
    means = groups.agg(weight=("weight", "mean"), consistency=("consistency", "mean"), images=("weight", "size"))
    return means.sort_values("weight", ascending=False).reset_index().assign(method=weights.method)


if __name__ == "__main__":
    main()
