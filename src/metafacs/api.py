"""The Python door: what the commands do, as calls with typed configuration in and objects out.

Everything here is exported by `metafacs` itself: `metafacs.train(metafacs.TrainConfig(...))`.
"""

import html
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from metafacs.analysis.records import read_metrics
from metafacs.config import TrainConfig
from metafacs.evaluation.comparison import AVERAGE, compare
from metafacs.evaluation.predictions import PREDICTIONS_FILE
from metafacs.inference.detector import AUDetector
from metafacs.inference.scoring import predict_run
from metafacs.progress import progress_bar
from metafacs.runs import DONE, read_config
from metafacs.training import session


class Run(os.PathLike[str]):
    """A training run, opened from its folder.

    Args:
        path: the run folder.

    Attributes:
        path: the same.

    Raises:
        InputError: the folder holds no run.

    Example:
        ``Run("runs/mal_P1").evaluate()["f1"]["average"]``
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._values = read_config(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @cached_property
    def config(self) -> TrainConfig:
        """What it was told to do."""
        return TrainConfig.read(self._values, self.path)

    @property
    def done(self) -> bool:
        """Whether the training has come to its end."""
        return (self.path / DONE).exists()

    def metrics(self) -> pd.DataFrame:
        """What was logged: one row per line, ordered by `step`, with its `event` ("train" or "validation")."""
        return read_metrics(self.path)

    def evaluate(self, batch: int = 256) -> pd.DataFrame:
        """Scores on the test fold; the first call makes the predictions, `predictions.parquet`, and no later one does.

        Args:
            batch: images at a time.

        Returns:
            One row per AU and one for their `average`: `f1`, `auc` and `accuracy`, in [0, 1], and `f1_all_positive`,
            the F1 of saying "present" of every image.

        Raises:
            InputError: the run is not finished, or its dataset is not there any more.
        """
        if not (self.path / PREDICTIONS_FILE).exists():
            with progress_bar(f"predicting {self.path.name}") as (update, _):
                predict_run(self.path, batch, update)
        comparison = compare([self.path])
        names = ("f1", "auc", "accuracy", "f1_all_positive")
        return pd.DataFrame({name: comparison.means(name).iloc[0] for name in names})

    def detector(self, **options: Any) -> AUDetector:
        """What it has learned, for pictures and videos; `options` are those of `AUDetector`."""
        return AUDetector.from_run(self.path, **options)

    def _repr_html_(self) -> str:
        state = "done" if self.done else "unfinished"
        if (self.path / PREDICTIONS_FILE).exists():
            state += f", average F1 {100 * self.evaluate()['f1'][AVERAGE]:.1f} on its test fold"
        config = self.config
        rows = {"method": config.label or config.method, "data": config.values()["data"]["primary"], "state": state}
        cells = "".join(f"<tr><th>{k}</th><td>{html.escape(str(v))}</td></tr>" for k, v in rows.items())
        return f"<table><caption>{html.escape(str(self.path))}</caption>{cells}</table>"


def train(config: TrainConfig, resume: bool = False) -> Run:
    """Trains a detector of AUs; what `metafacs train` does.

    Args:
        config: what to train, on what, and how.
        resume: go on with the unfinished run in `config.out`, if there is one.

    Raises:
        InputError: a dataset or a setting cannot be used, the folder holds another run, or training diverged.
    """
    return Run(session.train(config, resume))
