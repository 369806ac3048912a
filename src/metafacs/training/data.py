"""Prepared datasets in, what one training run sees of them out: split, streams, labels."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from metafacs import distributed
from metafacs.config import DataConfig, TrainConfig
from metafacs.data.copies import copied, signatures
from metafacs.data.joined import JoinedDataset, identities, open_datasets
from metafacs.data.prepared import PreparedDataset
from metafacs.data.splits import Split, auxiliary_rows, split_by_fold
from metafacs.data.streams import EvenOrder, Faces, Order, PairOrder, Stream
from metafacs.data.transforms import centre_crops, crop_points
from metafacs.errors import InputError
from metafacs.facs import au_title, parse_aus
from metafacs.methods.base import Facts
from metafacs.methods.losses import class_balance
from metafacs.progress import Update, progress_bar

Place = Literal["device", "memory", "disk"]
CPU = torch.device("cpu")
DEVICE_SHARE = 0.25
"""Of a GPU's free memory, for decoded images where the user names no number; the rest is the training's."""
logger = logging.getLogger(__name__)


@dataclass
class TrainingData:
    """Everything a run sees, apart from the test fold, of which it only knows who is in it.

    Test pictures are looked at once, to leave copies of them out of the expression pictures.
    """

    primary: PreparedDataset
    split: Split
    aus: list[str]
    expressions: list[str]
    streams: dict[str, Stream]
    reserve: Faces
    reserve_labels: np.ndarray
    rows: dict[str, tuple[PreparedDataset, Faces]]
    size: int
    cautions: list[str]

    def class_weights(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Weights of present and absent AUs in the reserved set."""
        present, absent = class_balance(torch.from_numpy(self.reserve_labels))
        return present.to(device), absent.to(device)

    def facts(self, side: int, landmarks: bool) -> Facts:
        """What a method may know of the training rows; their landmarks in crops of `side` pixels if asked for."""
        primary, points = self.streams["primary"], None
        if landmarks:
            places = centre_crops(len(primary.faces), primary.faces.size - side)
            points = crop_points(primary.faces.landmarks, places, side) / side
        subjects = [str(subject) for subject in self.primary.column("subject")[self.split.train]]
        return Facts(self.aus, self.expressions, primary.labels, subjects, points)


def open_data(
    settings: DataConfig, names: Collection[str], seed: int, console: Console, device: torch.device = CPU
) -> TrainingData:
    """Opens, splits and, where they fit into memory, decodes the data of a run.

    Args:
        settings: which data.
        names: streams that the method asks for; "primary" and "meta" are there in any case.
        seed: of the orders and of the choice of reserved images.
        console: for bars and notes.
        device: that trains.

    Raises:
        InputError: a dataset that cannot be used for this run.
    """
    _check_sizes(settings)
    primary = open_datasets(settings.primary)
    aus, labels, split, left_out = split_primary(primary, settings, seed)
    if left_out:
        reasons = ", ".join(f"{au_title(au)} ({reason})" for au, reason in left_out.items())
        logger.warning("left out of the detector and its tables, as the training images do not teach them: %s", reasons)
    if split.whole_people and not settings.reserve_people:
        logger.warning(
            "at most two images a person: whole people are reserved, %d images; %d train (see --data.reserve_people)",
            len(split.reserve),
            len(split.train),
        )
    _warn_of_rare(aus, labels[split.reserve])
    cautions = [] if primary.card.people_known else [f"nobody knows who is who in {primary.card.name}"]
    faces = {"primary": Faces(primary, split.train, settings.resize)}
    reserve = Faces(primary, split.reserve, settings.resize)
    targets = {
        "primary": torch.from_numpy(labels[split.train]),
        "meta": torch.from_numpy(labels[split.reserve]),
    }
    rows = {"primary": (primary, faces["primary"])}
    expressions = list(primary.card.expressions)
    if "auxiliary" in names:
        if settings.auxiliary is None:
            raise InputError("this method learns from an expression dataset too; give one with --data.auxiliary DIR")
        second = open_datasets(settings.auxiliary)
        chosen = _auxiliary_rows(second, primary, split)
        chosen, caution = _without_copies(second, chosen, primary, split, console)
        cautions += [caution] if caution else []
        expressions = list(second.card.expressions)
        faces["auxiliary"] = Faces(second, chosen, settings.resize)
        targets["auxiliary"] = torch.from_numpy(second.expression_labels()[chosen])
        rows["auxiliary"] = (second, faces["auxiliary"])
    batches = {"primary": settings.batch_primary, "auxiliary": settings.batch_auxiliary, "meta": settings.batch_meta}
    streams = {
        name: Stream(pictures, targets[name], _order(pictures, batches[name], seed, name, settings.mixing))
        for name, pictures in {**faces, "meta": reserve}.items()
    }
    if "pairs" in names:
        columns = [primary.column(name)[split.train].tolist() for name in ("dataset", "subject", "sequence")]
        pairs = PairOrder(list(zip(*columns, strict=True)), settings.batch_primary, seed, "pairs")
        streams["pairs"] = Stream(faces["primary"], torch.empty(len(split.train), 0), pairs)
    _check_shares(streams)
    for caution in cautions:
        logger.warning("scores will not be subject-exclusive: %s", caution)
    _cache({**faces, "meta": reserve}, settings, device, console)
    return TrainingData(
        primary, split, aus, expressions, streams, reserve, labels[split.reserve], rows, settings.resize, cautions
    )


def steps_of(config: TrainConfig) -> int:
    """How many steps a run takes.

    Raises:
        InputError: it has no data that it can be trained and tested on.
    """
    primary = open_datasets(config.data.primary)
    if config.data.auxiliary:
        open_datasets(config.data.auxiliary)  # one that is not there, too, is an error now
    images = len(split_primary(primary, config.data, config.seed)[2].train)
    return config.loop.steps or max(1, round(config.loop.epochs * images / config.data.batch_primary))


def split_primary(
    primary: PreparedDataset, settings: DataConfig, seed: int
) -> tuple[list[str], np.ndarray, Split, dict[str, str]]:
    """The AUs that can be learned, their labels (N, A), the rows of training, reserve and test, and the other AUs.

    An AU of which the training images do not show both, present and absent, is left out; the last of the four says why.

    Raises:
        InputError: the dataset has no such fold, too few people for it, or no AU that can be learned.
    """
    aus = common_aus(primary, settings.aus)
    left_out: dict[str, str] = {}
    while True:
        labels = primary.au_labels(aus)
        split = split_by_fold(
            primary.column("fold").tolist(),
            primary.column("subject").tolist(),
            ~np.isnan(labels).all(axis=1),
            settings.test_fold,
            settings.reserve_fraction,
            settings.reserve_minimum,
            seed,
            settings.reserve_people,
            settings.reserve_fold,
        )
        present, absent = (labels[split.train] == 1).any(axis=0), (labels[split.train] == 0).any(axis=0)
        idle = {
            au: "never present" if no else "never absent" if yes else "no label"
            for au, yes, no in zip(aus, present, absent, strict=True)
            if not (yes and no)
        }
        if not idle:
            return aus, labels, split, left_out
        left_out |= idle
        aus = [au for au in aus if au not in idle]  # images labelled for the others alone go, too: split again
        if not aus:
            reasons = ", ".join(f"{au_title(au)} ({reason})" for au, reason in left_out.items())
            raise InputError(
                f"{primary.folder} has no AU to learn outside test fold '{settings.test_fold}': {reasons}; label more "
                "images, or choose another --data.test_fold"
            )


def _check_sizes(settings: DataConfig) -> None:
    if not 16 <= settings.side <= settings.resize:
        raise InputError(
            f"the crop (--data.side {settings.side}) must be at least 16 and at most --data.resize {settings.resize}"
        )
    for name in ("batch_primary", "batch_auxiliary", "batch_meta"):
        size = getattr(settings, name)
        if size < 2 or size % distributed.count():
            raise InputError(f"--data.{name} is {size}; it must be at least 2 and divisible by the number of processes")


def _check_shares(streams: Mapping[str, Stream]) -> None:
    """A stream with fewer images than its batch gives them all in every step, and those may not divide evenly."""
    for name, stream in streams.items():
        size = stream.order.batch
        if size % distributed.count():
            whole = size // distributed.count() * distributed.count()
            raise InputError(
                f"there are only {size} images for the {name} batch, which {distributed.count()} processes cannot "
                f"share evenly; give --data.batch_{name} {whole}, or train with fewer processes"
            )


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
    subjects = primary.column("subject").tolist()
    tested = zip(identities(primary), subjects, strict=True)
    test = {identity for identity, subject in tested if str(subject) in split.test_subjects}
    expressions = second.column("expression").tolist()
    return auxiliary_rows(second.column("fold").tolist(), expressions, identities(second), test)


def _without_copies(
    second: PreparedDataset, rows: np.ndarray, primary: PreparedDataset, split: Split, console: Console
) -> tuple[np.ndarray, str]:
    """Those of the expression rows that do not show pictures of the test fold, and what to say of the others.

    Raises:
        InputError: all of them do.
    """
    copies = copied(signatures(second, console)[rows], signatures(primary, console)[split.test])
    if not copies.any():
        return rows, ""
    if copies.all():
        raise InputError(f"all pictures of {second.folder} are of the test fold: give another --data.auxiliary")
    examples = ", ".join(map(str, second.column("subject")[rows[copies]][:3]))
    return rows[~copies], (
        f"{int(copies.sum()):,} of {len(rows):,} pictures of {second.card.name} are pictures of the test fold under "
        f"other names (as {examples}); these were left out, but others of the same people may have trained"
    )


def _order(faces: Faces, batch: int, seed: int, name: str, mixing: str) -> Order:
    """Which images come when; those of several datasets as `mixing` says, the reserve's as they come."""
    dataset = faces.dataset
    if mixing == "size" or name == "meta" or not isinstance(dataset, JoinedDataset):
        return Order(len(faces), batch, seed, name)
    of = np.searchsorted(np.cumsum(dataset.sizes), faces.rows, side="right")
    return EvenOrder([np.flatnonzero(of == k) for k in np.unique(of)], batch, seed, name)


def _warn_of_rare(aus: list[str], labels: np.ndarray) -> None:
    present = np.nansum(labels, axis=0)
    rare = [au for au, n in zip(aus, present, strict=True) if n == 0]
    if rare:
        logger.warning(
            "no reserved image shows %s: the meta loss cannot balance it; raise --data.reserve_minimum", ", ".join(rare)
        )


def _cache(faces: Mapping[str, Faces], settings: DataConfig, device: torch.device, console: Console) -> None:
    """Decodes what fits into memory, the GPU's first; says what does not."""
    places = _places(
        {name: part.bytes_decoded for name, part in faces.items()},
        _device_bytes(settings.device_cache_gib, device),
        settings.cache_gib * 2**30 / distributed.on_this_machine(),
    )
    kept = {name: faces[name] for name, place in places.items() if place != "disk"}
    total, before = sum(map(len, kept.values())), 0
    if kept:
        with progress_bar("decoding images", console) as (update, _):
            for name, part in kept.items():
                where = device if places[name] == "device" else CPU
                part.decode_all(progress=partial(_shifted, update, before, total), device=where)
                before += len(part)
    left = [name for name in faces if name not in kept]
    if left:
        gib = sum(part.bytes_decoded for part in faces.values()) * distributed.on_this_machine() / 2**30
        console.print(
            f"decoding the {' and '.join(left)} images again in every epoch, by {settings.workers} workers "
            f"(--data.workers): decoded, all images would take {gib:.1f} GiB (--data.cache_gib {settings.cache_gib:g})"
        )


def _device_bytes(gib: float | None, device: torch.device) -> float:
    """What decoded images may take on the device, bytes; nothing where that is this machine's memory."""
    if device.type != "cuda":
        return 0.0
    return DEVICE_SHARE * torch.cuda.mem_get_info(device)[0] if gib is None else gib * 2**30


def _places(sizes: Mapping[str, int], on_device: float, in_memory: float) -> dict[str, Place]:
    """Where each stream's decoded images are kept, the smallest first: they are shown the most often.

    Args:
        sizes: bytes that each stream takes.
        on_device: bytes for them on the device.
        in_memory: bytes for them in this machine's memory.
    """
    places: dict[str, Place] = {}
    for name, size in sorted(sizes.items(), key=lambda item: item[1]):
        if size <= on_device:
            places[name], on_device = "device", on_device - size
        elif size <= in_memory:
            places[name], in_memory = "memory", in_memory - size
        else:
            places[name] = "disk"
    return places


def _shifted(update: Update, before: int, total: int, done: int, part: int) -> None:
    update(before + done, total)
