"""Prepared datasets in, what one training run sees of them out: split, streams, labels."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jsonargparse import Namespace
from rich.console import Console
from torch import Tensor

from metafacs import processes
from metafacs.commands.progress import Update, progress_bar
from metafacs.data.prepared import PreparedDataset
from metafacs.data.splits import Split, auxiliary_rows, split_by_fold
from metafacs.data.streams import Faces, Order, Stream
from metafacs.errors import InputError
from metafacs.facs import parse_aus
from metafacs.methods.losses import class_balance

logger = logging.getLogger(__name__)


@dataclass
class TrainingData:
    """Everything a run sees, apart from the test fold, of which it only knows who is in it."""

    primary: PreparedDataset
    split: Split
    aus: list[str]
    expressions: list[str]
    streams: dict[str, Stream]
    reserve: Faces
    reserve_labels: np.ndarray
    rows: dict[str, tuple[PreparedDataset, Faces]]
    size: int

    def class_weights(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Weights of present and absent AUs in the reserved set."""
        present, absent = class_balance(torch.from_numpy(self.reserve_labels))
        return present.to(device), absent.to(device)


def open_data(settings: Namespace, auxiliary: bool, seed: int, console: Console) -> TrainingData:
    """Opens, splits and, where it fits, decodes the data of a run.

    Raises:
        InputError: a dataset that cannot be used for this run.
    """
    _check_sizes(settings)
    primary = PreparedDataset.open(settings.primary)
    aus = common_aus(primary, settings.aus)
    labels = primary.au_labels(aus)
    split = split_primary(primary, labels, settings, settings.test_fold, seed)
    _warn_of_rare(aus, labels[split.reserve])
    faces = {"primary": Faces(primary, split.train, settings.resize)}
    reserve = Faces(primary, split.reserve, settings.resize)
    targets = {
        "primary": torch.from_numpy(labels[split.train]),
        "meta": torch.from_numpy(labels[split.reserve]),
    }
    rows = {"primary": (primary, faces["primary"])}
    expressions = list(primary.card.expressions)
    if auxiliary:
        if settings.auxiliary is None:
            raise InputError("this method learns from an expression dataset too; give one with --data.auxiliary DIR")
        second = PreparedDataset.open(settings.auxiliary)
        chosen = _auxiliary_rows(second, primary, split)
        expressions = list(second.card.expressions)
        faces["auxiliary"] = Faces(second, chosen, settings.resize)
        targets["auxiliary"] = torch.from_numpy(second.expression_labels()[chosen])
        rows["auxiliary"] = (second, faces["auxiliary"])
    _cache([*faces.values(), reserve], settings.cache_gib, console)
    batches = {"primary": settings.batch_primary, "auxiliary": settings.batch_auxiliary, "meta": settings.batch_meta}
    streams = {
        name: Stream(pictures, targets[name], Order(len(pictures), batches[name], seed, name))
        for name, pictures in {**faces, "meta": reserve}.items()
    }
    return TrainingData(
        primary, split, aus, expressions, streams, reserve, labels[split.reserve], rows, settings.resize
    )


def split_primary(primary: PreparedDataset, labels: np.ndarray, settings: Namespace, fold: str, seed: int) -> Split:
    """The rows of training, reserve and test when `fold` is the test fold.

    Raises:
        InputError: the dataset has no such fold, or too few people for it.
    """
    return split_by_fold(
        primary.column("fold").tolist(),
        primary.column("subject").tolist(),
        ~np.isnan(labels).all(axis=1),
        fold,
        settings.reserve_fraction,
        settings.reserve_minimum,
        seed,
        settings.reserve_people,
    )


def _check_sizes(settings: Namespace) -> None:
    if not 16 <= settings.side <= settings.resize:
        raise InputError(
            f"the crop (--data.side {settings.side}) must be at least 16 and at most --data.resize {settings.resize}"
        )
    for name in ("batch_primary", "batch_auxiliary", "batch_meta"):
        size = settings[name]
        if size < 2 or size % processes.count():
            raise InputError(f"--data.{name} is {size}; it must be at least 2 and divisible by the number of processes")


def common_aus(primary: PreparedDataset, wanted: str) -> list[str]:
    """The AUs to train: those wanted that the dataset has."""
    if not primary.aus:
        raise InputError(f"{primary.folder} has no AU columns, so no AU detector can be trained on it")
    if wanted == "all":
        return primary.aus
    asked = parse_aus(wanted)
    common = [column for column in asked if column in primary.aus]
    if not common:
        raise InputError(
            f"{primary.folder} has none of the AUs asked for ({', '.join(asked)}); it has {', '.join(primary.aus)}"
        )
    missing = [column for column in asked if column not in common]
    if missing:
        logger.warning("%s has no labels for %s: trained without", primary.folder, ", ".join(missing))
    return common


def _auxiliary_rows(second: PreparedDataset, primary: PreparedDataset, split: Split) -> np.ndarray:
    def identities(dataset: PreparedDataset) -> list[tuple[str, str]]:
        return list(zip(dataset.column("dataset").tolist(), dataset.column("subject").tolist(), strict=True))

    test = {identity for identity in identities(primary) if str(identity[1]) in split.test_subjects}
    expressions = second.column("expression").tolist()
    return auxiliary_rows(second.column("fold").tolist(), expressions, identities(second), test)


def _warn_of_rare(aus: list[str], labels: np.ndarray) -> None:
    present = np.nansum(labels, axis=0)
    rare = [au for au, n in zip(aus, present, strict=True) if n == 0]
    if rare:
        logger.warning(
            "no reserved image shows %s: the meta loss cannot balance it; raise --data.reserve_minimum", ", ".join(rare)
        )


def _cache(faces: Sequence[Faces], gib: float, console: Console) -> None:
    if sum(f.bytes_decoded for f in faces) > gib * 2**30:
        return
    total, before = sum(len(f) for f in faces), 0
    with progress_bar("decoding images", console) as (update, _):
        for part in faces:
            part.decode_all(progress=partial(_shifted, update, before, total))
            before += len(part)


def _shifted(update: Update, before: int, total: int, done: int, part: int) -> None:
    update(before + done, total)
