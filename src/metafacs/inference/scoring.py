"""What a detector says of the people it is scored on: those of its test fold, or those of another dataset."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metafacs import __version__
from metafacs.data.joined import PLUS, open_datasets
from metafacs.data.prepared import DatasetCard, PreparedDataset
from metafacs.data.streams import Faces
from metafacs.errors import InputError
from metafacs.evaluation.predictions import PREDICTIONS_FILE, prediction_rows, write_predictions
from metafacs.facs import au_title
from metafacs.models.network import Network
from metafacs.runs import CONFIG, DETECTOR, data_folders, read_config
from metafacs.training.checkpoint import DetectorCard, load_detector
from metafacs.training.data import common_aus
from metafacs.training.predicting import Progress, face_probabilities

logger = logging.getLogger(__name__)

CROSS_FOLD = "cross-dataset"
"""The fold that the predictions name: all of the other dataset."""
_COMPARED = ("kind", "template", "margin", "size")
"""What two crop recipes have to agree in for faces to lie alike."""


@dataclass(frozen=True)
class Crossed:
    """What was done.

    Attributes:
        path: the predictions file.
        notes: what a reader of the scores has to know; one sentence each.
    """

    path: Path
    notes: list[str]


def predict_run(run: Path, batch: int = 256, progress: Progress | None = None) -> Path:
    """Writes the predictions of a run on its test fold, unless they are there: the fold is touched once.

    Args:
        run: folder of a finished run.
        batch: images at a time.
        progress: is told (done, total).

    Returns:
        The predictions file.

    Raises:
        InputError: the run is not finished, its dataset is gone or another one, or the fold has people who may have
            trained.
    """
    path = run / PREDICTIONS_FILE
    if path.exists():
        return path
    config = read_config(run)
    network, card = load_detector(run / DETECTOR)
    dataset = open_datasets(data_folders(run, config["data"]["primary"]))
    if dataset.card.name != card.dataset:
        raise InputError(f"{run} was trained on '{card.dataset}', but {dataset.folder} is '{dataset.card.name}'")
    rows = _labelled_rows(dataset, card.aus)
    rows = rows[dataset.column("fold")[rows] == card.test_fold]
    strangers = sorted(set(dataset.column("subject")[rows]) - set(card.test_subjects))
    if strangers or not len(rows):
        what = f"it has subjects who may have trained ({', '.join(strangers[:3])})" if strangers else "it is empty"
        raise InputError(f"fold '{card.test_fold}' of {dataset.folder} is not the one this run kept out: {what}")
    info = {"label": config.get("label"), "fold": card.test_fold, "run": run.name, "cautions": card.cautions}
    info["left_out"] = [au for au in common_aus(dataset, config["data"].get("aus", "all")) if au not in card.aus]
    return _predict(_Task(network, card, dataset, rows, card.aus, batch, progress), path, info)


def predict_across(
    model: Path,
    data: Path,
    out: Path | None = None,
    *,
    unseen_only: bool = False,
    batch: int = 256,
    progress: Progress | None = None,
) -> Crossed:
    """Writes a detector's predictions on another prepared dataset, for the AUs that both have.

    Args:
        model: run folder, or its `detector.safetensors`.
        data: folder of the prepared dataset.
        out: the file to write; `cross_<dataset>.parquet` beside the detector where None.
        unseen_only: leave rows of people who may have trained out, instead of refusing the dataset.
        batch: images at a time.
        progress: is told (done, total).

    Raises:
        InputError: the detector or the dataset cannot be used, they share no AU, no row is labelled, or people of the
            dataset may have trained the detector.
    """
    file = model / DETECTOR if model.is_dir() else model
    network, card = load_detector(file)
    dataset = PreparedDataset.open(data)
    aus = [au for au in card.aus if au in dataset.aus]
    if not aus:
        raise InputError(f"{data} has none of the AUs that {model} detects ({', '.join(card.aus)})")
    rows = _labelled_rows(dataset, aus)
    if not len(rows):
        raise InputError(f"{data} has no row with a label of {', '.join(aus)}")
    rows, notes = _unseen(rows, dataset, card, _auxiliary_names(file.parent), unseen_only)
    missing = [au_title(au) for au in card.aus if au not in aus]
    notes += [f"not labelled there, and so not scored: {', '.join(missing)}"] if missing else []
    notes += recipe_differences(card.crop, dataset.card.crop)
    name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in dataset.card.name)
    path = out or file.parent / f"cross_{name}.parquet"
    label = f"{card.method} (trained on {card.dataset})"
    info = {"label": label, "trained_on": card.dataset, "fold": CROSS_FOLD, "run": file.parent.name or "detector"}
    return Crossed(_predict(_Task(network, card, dataset, rows, aus, batch, progress), path, info), notes)


@dataclass(frozen=True)
class _Task:
    """A detector, and the rows and AUs of a dataset that it predicts."""

    network: Network
    card: DetectorCard
    dataset: PreparedDataset
    rows: NDArray[np.int64]
    aus: Sequence[str]
    batch: int
    progress: Progress | None


def _labelled_rows(dataset: PreparedDataset, aus: Sequence[str]) -> NDArray[np.int64]:
    """Rows with a label of one of the AUs."""
    return np.flatnonzero(~np.isnan(dataset.au_labels(aus)).all(axis=1))


def _predict(task: _Task, path: Path, info: Mapping[str, Any]) -> Path:
    """Carries a task out and writes the predictions to `path`; `info` is what the card does not say of them."""
    card, dataset, rows, aus = task.card, task.dataset, task.rows, list(task.aus)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = task.network.to(device).to(memory_format=torch.channels_last)
    places = [card.aus.index(au) for au in aus]
    faces = Faces(dataset, rows, card.resize)
    probabilities = face_probabilities(network, faces, card.side, device, task.batch, task.progress)[:, places]
    thresholds = [card.thresholds[place] for place in places]
    about = {
        "method": card.method,
        "backbone": card.backbone,
        "dataset": dataset.card.name,
        "seed": card.seed,
        "threshold": thresholds[0] if len(set(thresholds)) == 1 else thresholds,
        "aus": aus,
        "tool_version": __version__,
    }
    table = prediction_rows(dataset.to_pandas().iloc[rows], dataset.au_labels(aus)[rows], probabilities, aus)
    write_predictions(path, table, {**about, **info})
    return path


def recipe_differences(trained: Mapping[str, Any], tested: Mapping[str, Any]) -> list[str]:
    """One sentence for each way in which the faces of a dataset were cut out unlike those that trained a detector.

    Example:
        >>> recipe_differences({"kind": "similarity", "size": 128}, {"kind": "whole", "size": 128})
        ["faces were cut out differently: kind is 'whole' here, 'similarity' in training; scores may suffer"]
    """
    notes = []
    for name in _COMPARED:
        one, other = trained.get(name), tested.get(name)
        default = {"margin": 0.0}.get(name)
        if (default if one is None else one) != (default if other is None else other):
            notes.append(
                f"faces were cut out differently: {name} is {other!r} here, {one!r} in training; scores may suffer"
            )
    ways = [crop.get("finder", {}).get("name", "known exactly (rendered)") for crop in (trained, tested)]
    if ways[0] != ways[1]:
        notes.append(f"eyes were found in another way: {ways[1]} here, {ways[0]} in training; crops differ a little")
    return notes


def _unseen(
    rows: NDArray[np.int64], dataset: PreparedDataset, card: DetectorCard, auxiliary: list[str], unseen_only: bool
) -> tuple[NDArray[np.int64], list[str]]:
    """The rows of people who cannot have trained the detector; raises InputError where others are not wanted out."""
    names, subjects = dataset.column("dataset")[rows], dataset.column("subject")[rows]
    own = card.dataset.split(PLUS)
    people = np.array([f"{name}/{subject}" for name, subject in zip(names, subjects, strict=True)])
    tested = np.isin(people if len(own) > 1 else subjects, card.test_subjects)
    trained = np.isin(names, own) & ~tested
    trained |= np.isin(names, [name for name in auxiliary if name not in own])
    if not trained.any():
        return rows, []
    who = sorted(set(subjects[trained].tolist()))
    finding = f"{int(trained.sum())} of {len(rows)} rows are of {len(who)} people who may have trained this detector"
    if not unseen_only or trained.all():
        how = "nobody is left" if trained.all() else "leave them out with --unseen_only"
        raise InputError(f"{finding} ({', '.join(map(str, who[:3]))}...): scores on them would mean nothing; {how}")
    return rows[~trained], [f"{finding}: left out"]


def _auxiliary_names(run: Path) -> list[str]:
    """Names of the expression datasets that helped to train, as far as their folders are still there."""
    if not (run / CONFIG).is_file():
        return []
    names = []
    for folder in data_folders(run, (read_config(run).get("data") or {}).get("auxiliary") or []):
        try:
            names.append(DatasetCard.read(folder).name)
        except InputError:
            logger.warning("%s is gone: whether its people are in this dataset too cannot be checked", folder)
    return names
