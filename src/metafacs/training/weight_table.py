"""The table of the weights that a method has learned, one row per training image."""

from pathlib import Path

import pandas as pd
import torch

from metafacs.data.card import CAUSE, true_column
from metafacs.files import atomic_file
from metafacs.methods import Method
from metafacs.training.data import TrainingData
from metafacs.training.predicting import over_faces


def write_sample_weights(
    path: Path, method: Method, data: TrainingData, side: int, device: torch.device, step: int
) -> None:
    """The weight of every training image at the end of training, with what analysis asks about images.

    That includes the truth about rendered faces, which nothing before this point reads.

    Args:
        path: the Parquet file to write, atomically.
        method: learns sample weights.
        data: of the run.
        side: of the square image the network sees, pixels.
        device: that the method is on.
        step: steps taken.
    """
    names = ["dataset", "subject", "sequence", "frame", "expression", CAUSE, *map(true_column, data.aus)]
    tables = []
    for name, (dataset, faces) in data.rows.items():
        labels, landmarks = data.streams[name].labels, method.takes_landmarks
        raw = over_faces(method.raw_sample_weights, faces, side, device, labels=labels, landmarks=landmarks)
        table = dataset.to_pandas().iloc[faces.rows]
        kept = [*names, *data.aus] if name == "primary" else names
        table = table[[column for column in kept if column in table]].assign(
            stream=name, row=faces.rows, raw_weight=raw, step=step
        )
        table["consistency"] = dataset.consistency()[faces.rows]
        tables.append(table)
    weights = pd.concat(tables, ignore_index=True)
    means = weights.groupby("stream")["raw_weight"].mean()
    weights["weight"] = weights["raw_weight"] / means.sum()
    with atomic_file(path) as partial:
        weights.to_parquet(partial)


def by_dataset(weights: pd.DataFrame) -> pd.DataFrame:
    """Mean weight of the expression images of each dataset: of all (column "all") and by expression.

    Args:
        weights: such a table.
    """
    images = weights[weights["stream"] == "auxiliary"]
    means = images.pivot_table("weight", "dataset", "expression", "mean")
    means.insert(0, "all", images.groupby("dataset")["weight"].mean())
    return means
