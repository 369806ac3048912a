"""What int8 costs: F1 and AUC per AU beside float32; and which faces of a dataset it may be made and scored with."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from metafacs.evaluation.metrics import au_scores
from metafacs.export.parity import resized
from metafacs.export.session import Session
from metafacs.faces.face import Picture
from metafacs.training.checkpoint import DetectorCard

Rows = NDArray[np.int64]

CALIBRATED_ON = 256
"""Faces of a dataset that quantisation looks at, at most."""
AVERAGE = "average"


def calibration_rows(dataset: PreparedDataset, card: DetectorCard, count: int = CALIBRATED_ON) -> Rows:
    """Rows spread evenly over a dataset, without the people whom the detector is tested on."""
    rows = np.flatnonzero(~_of_test(dataset, card))
    if not len(rows):
        raise InputError(f"{dataset.folder} has only people whom this detector is tested on; give training data")
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64))]


def scored_rows(dataset: PreparedDataset, card: DetectorCard, aus: Sequence[str]) -> Rows:
    """Labelled rows; of the detector's own dataset only those of the people who never trained."""
    labelled = ~np.isnan(dataset.au_labels(aus)).all(axis=1)
    chosen = labelled & _of_test(dataset, card) if dataset.card.name == card.dataset else labelled
    if not chosen.any():
        raise InputError(
            f"{dataset.folder} has no labelled face of people who did not train this detector "
            f"(fold '{card.test_fold}'); give another dataset with --data"
        )
    return np.flatnonzero(chosen)


def common_aus(dataset: PreparedDataset, card: DetectorCard) -> list[str]:
    """AUs that both have, in the detector's order.

    Raises:
        InputError: there is none.
    """
    aus = [au for au in card.aus if au in dataset.aus]
    if not aus:
        raise InputError(f"{dataset.folder} has none of the AUs that this detector detects ({', '.join(card.aus)})")
    return aus


def dataset_faces(dataset: PreparedDataset, rows: Rows, size: int) -> Picture:
    """(N, size, size, 3) the faces of rows, as the exported file takes them."""
    return resized([Image.fromarray(dataset.image(int(row))) for row in rows], size)


def accuracy(one: Session, other: Session, dataset: PreparedDataset, card: DetectorCard, size: int) -> pd.DataFrame:
    """F1 and AUC of float32 and int8 on a dataset.

    Args:
        one: in float32.
        other: in int8.
        dataset: with labels of some of the AUs.
        card: of the detector.
        size: of the faces that the files take.

    Returns:
        One row per AU, and "average": `f1_float32`, `f1_int8`, `f1_lost`, `auc_float32`, `auc_int8`, `auc_lost`, all
        times 100, and `changed`, the share of faces whose presence changed, in percent.
    """
    aus = common_aus(dataset, card)
    rows, places = scored_rows(dataset, card, aus), [card.aus.index(au) for au in aus]
    labels, thresholds = dataset.au_labels(aus)[rows], [card.thresholds[place] for place in places]
    values: tuple[list[NDArray[np.float32]], ...] = ([], [])
    for k in range(0, len(rows), CALIBRATED_ON):
        faces = dataset_faces(dataset, rows[k : k + CALIBRATED_ON], size)
        for session, parts in zip((one, other), values, strict=True):
            parts.append(session.probabilities(faces)[:, places])
    first, second = map(np.concatenate, values)
    scores = [au_scores(labels, probabilities, aus, thresholds) for probabilities in (first, second)]
    table = pd.DataFrame(index=scores[0].index)
    for name in ("f1", "auc"):
        table[f"{name}_float32"], table[f"{name}_int8"] = (100 * score[name] for score in scores)
        table[f"{name}_lost"] = table[f"{name}_float32"] - table[f"{name}_int8"]
    table["changed"] = 100 * ((first >= thresholds) != (second >= thresholds)).mean(axis=0)
    table.loc[AVERAGE] = table.mean()
    return table


def _of_test(dataset: PreparedDataset, card: DetectorCard) -> NDArray[np.bool_]:
    if dataset.card.name != card.dataset:
        return np.zeros(len(dataset), bool)
    return np.isin(dataset.column("subject"), card.test_subjects)
