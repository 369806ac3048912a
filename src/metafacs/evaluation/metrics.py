"""F1, accuracy and AUC per Action Unit, from labels and probabilities; all of them between 0 and 1."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_auroc,
    binary_f1_score,
    binary_precision_recall_curve,
    binary_stat_scores,
)

from metafacs.errors import InputError
from metafacs.facs import au_title

METRICS = ("f1", "accuracy", "auc", "f1_all_positive")


def au_scores(
    labels: np.ndarray, probabilities: np.ndarray, aus: Sequence[str], threshold: float | Sequence[float] = 0.5
) -> pd.DataFrame:
    """Scores every AU over the images on which it is labelled.

    An AU counts as predicted where its probability is at least the threshold. What cannot be measured is NaN and is
    left out of `average_scores`, never replaced by a guess: every score of an AU that is labelled on no image, and
    the AUC of an AU whose labels are all alike. F1 of an AU without a positive label is 0, as in torchmetrics,
    scikit-learn and the scripts behind published tables; `undefined_scores` tells of it.

    Args:
        labels: (N, A), 0, 1, or NaN where not labelled.
        probabilities: (N, A), in [0, 1].
        aus: the A AU columns.
        threshold: in [0, 1]; one for all AUs, or one per AU.

    Returns:
        One row per AU (index `au`): `f1`, `accuracy`, `auc`, `f1_all_positive` (F1 of saying "present" of every
        image: the floor under any F1 worth having), `n` labelled images, `positives` among them, `true_positives`
        and `false_positives` of the predictions. Scores in [0, 1].

    Raises:
        InputError: the shapes do not fit, or a label, probability or threshold is outside its range.

    Example:
        >>> scores = au_scores(np.array([[1], [0], [1]]), np.array([[0.9], [0.8], [0.4]]), ["AU12"])
        >>> scores.loc["AU12", ["f1", "accuracy", "auc", "positives"]].round(3).tolist()
        [0.5, 0.333, 0.5, 2.0]
    """
    _check(labels, probabilities, aus)
    thresholds = np.broadcast_to(np.asarray(threshold, dtype=np.float64), (len(aus),))
    if not ((thresholds >= 0) & (thresholds <= 1)).all():
        raise InputError(f"the threshold is {threshold}; it has to be in [0, 1]")
    rows = [
        _scores_of_one(*_labelled(labels[:, k], probabilities[:, k]), float(thresholds[k])) for k in range(len(aus))
    ]
    counts = dict.fromkeys(("n", "positives", "true_positives", "false_positives"), np.int64)
    return pd.DataFrame(rows, index=pd.Index(list(aus), name="au")).astype(counts)


def average_scores(scores: pd.DataFrame) -> pd.Series:
    """The mean over the AUs of each metric in a table of `au_scores`, over the AUs on which it is defined.

    Returns:
        `f1`, `accuracy`, `auc`, `f1_all_positive`, and how many AUs are in the averages: `aus_f1`, `aus_auc`.
    """
    average = scores[list(METRICS)].mean()
    average["aus_f1"], average["aus_auc"] = scores["f1"].count(), scores["auc"].count()
    return average.rename("average")


def undefined_scores(scores: pd.DataFrame) -> list[str]:
    """One sentence for each AU in a table of `au_scores` that some metric cannot measure."""
    sentences = []
    for au, n, positives in zip(scores.index, scores["n"], scores["positives"], strict=True):
        if n == 0:
            sentences.append(f"{au_title(au)} is labelled on no image: left out of every average")
        elif positives == 0:
            sentences.append(
                f"{au_title(au)} has no positive among {n} labelled images: F1 is 0, AUC is left out of the average"
            )
        elif positives == n:
            sentences.append(f"{au_title(au)} is present on all {n} labelled images: AUC is left out of the average")
    return sentences


def f1_from_counts(
    true_positives: float | np.ndarray, false_positives: float | np.ndarray, positives: float | np.ndarray
) -> np.ndarray:
    """F1 = 2 TP / (positives + TP + FP), 0 where nothing is positive and nothing predicted.

    Example:
        >>> float(f1_from_counts(2, 1, 3))
        0.6666666666666666
    """
    predicted = np.asarray(true_positives) + np.asarray(false_positives)
    total = np.asarray(positives) + predicted
    return 2 * np.asarray(true_positives) / np.maximum(total, 1)


def best_threshold_scores(labels: np.ndarray, probabilities: np.ndarray, aus: Sequence[str]) -> pd.DataFrame:
    """The highest F1 that any one threshold gives each AU, found on these very labels.

    It tells how much a badly placed threshold costs. It is an upper bound, not a result: the threshold has seen
    the labels it is scored on, so it is not to be compared with the F1 of `au_scores`.

    Args:
        labels: (N, A), 0, 1, or NaN where not labelled.
        probabilities: (N, A), in [0, 1].
        aus: the A AU columns.

    Returns:
        One row per AU: `best_threshold` (one of the probabilities, the lowest of equals) and `f1_at_best_threshold`;
        NaN and 0 where an AU has no positive label, both NaN where it has no label.
    """
    _check(labels, probabilities, aus)
    rows = [_best_of_one(*_labelled(labels[:, k], probabilities[:, k])) for k in range(len(aus))]
    return pd.DataFrame(rows, columns=["best_threshold", "f1_at_best_threshold"], index=pd.Index(list(aus), name="au"))


def _check(labels: np.ndarray, probabilities: np.ndarray, aus: Sequence[str]) -> None:
    if labels.ndim != 2 or labels.shape != probabilities.shape or labels.shape[1] != len(aus):
        raise InputError(
            f"labels {labels.shape}, probabilities {probabilities.shape} and {len(aus)} AUs do not fit: "
            "both arrays have to be (images, AUs)"
        )
    known = labels[~np.isnan(np.asarray(labels, dtype=np.float64))]
    if not np.isin(known, (0, 1)).all():
        raise InputError("a label is neither 0, 1 nor NaN (= not labelled)")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise InputError("a probability is outside [0, 1]")


def _labelled(label: np.ndarray, probability: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    label = np.asarray(label, dtype=np.float64)
    known = ~np.isnan(label)
    return torch.from_numpy(label[known].astype(np.int64)), torch.from_numpy(
        np.asarray(probability, dtype=np.float64)[known]
    )


def _scores_of_one(label: torch.Tensor, probability: torch.Tensor, threshold: float) -> dict[str, float]:
    n, positives = len(label), int(label.sum())
    if n == 0:
        return dict.fromkeys(METRICS, np.nan) | dict.fromkeys(
            ("n", "positives", "true_positives", "false_positives"), 0
        )
    # torchmetrics itself would count a probability equal to the threshold as absent.
    predicted = (probability >= threshold).long()
    true_positives, false_positives = binary_stat_scores(predicted, label)[:2].tolist()
    return {
        "f1": float(binary_f1_score(predicted, label)),
        "accuracy": float(binary_accuracy(predicted, label)),
        "auc": float(binary_auroc(probability, label)) if 0 < positives < n else np.nan,
        "f1_all_positive": float(binary_f1_score(torch.ones_like(label), label)),
        "n": n,
        "positives": positives,
        "true_positives": true_positives,
        "false_positives": false_positives,
    }


def _best_of_one(label: torch.Tensor, probability: torch.Tensor) -> tuple[float, float]:
    if len(label) == 0:
        return np.nan, np.nan
    if label.sum() == 0:
        return np.nan, 0.0
    precision, recall, thresholds = binary_precision_recall_curve(probability, label)
    f1 = (2 * precision * recall / (precision + recall).clamp(min=1e-12))[:-1]
    best = int(f1.argmax())
    return float(thresholds[best]), float(f1[best])
