"""From rows of prepared datasets to the batches of every step; all randomness is a function of seed and step.

Because the batch of step k depends on nothing but the seed and k, a resumed run sees what an undisturbed one would have
seen, however many workers decode.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import repeat
from typing import ClassVar
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from metafacs import distributed
from metafacs.ahead import ahead
from metafacs.data.photographic import photograph, photograph_points, random_changes
from metafacs.data.prepared import PreparedDataset
from metafacs.data.splits import Rows
from metafacs.data.transforms import crop, crop_points, random_crops
from metafacs.errors import InputError
from metafacs.sample import Batch, Sample

Progress = Callable[[int, int], None]
Decoded = dict[str, tuple[Tensor, Tensor | None, Tensor, Tensor | None, Tensor]]
"""By stream: images (n, 3, S, S), uint8, as they were decoded, landmarks if asked for, labels, truth if asked for,
and places."""

AHEAD = 2
"""Steps whose images are gathered for a GPU while it is busy with earlier ones."""
_DECODED_AT_ONCE = 256


class Faces:
    """Images of some rows of a prepared dataset, decoded and resized to one square size.

    Args:
        dataset: the prepared dataset.
        rows: which rows, in order.
        size: side of the decoded square, pixels.
    """

    def __init__(self, dataset: PreparedDataset, rows: Rows, size: int) -> None:
        self.dataset = dataset
        self.rows = rows
        self.size = size
        self._decoded: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def decoded(self) -> bool:
        """Whether every image is in memory, this machine's or a GPU's."""
        return self._decoded is not None

    @property
    def bytes_decoded(self) -> int:
        """Memory that `decode_all` would take."""
        return len(self) * 3 * self.size**2

    def decode_all(
        self, threads: int = 0, progress: Progress | None = None, device: torch.device | None = None
    ) -> None:
        """Decodes every image once and keeps them in the memory of `device`, this machine's where not given."""
        decoded = torch.empty((len(self), self.size, self.size, 3), dtype=torch.uint8, device=device)
        with ThreadPoolExecutor(threads or None) as pool:
            for start in range(0, len(self), _DECODED_AT_ONCE):
                images = []
                for image in pool.map(self._decode, self.rows[start : start + _DECODED_AT_ONCE].tolist()):
                    images.append(image)
                    if progress:
                        progress(start + len(images), len(self))
                decoded[start : start + len(images)] = torch.from_numpy(np.stack(images))
        self._decoded = decoded

    def images(self, positions: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """(n, 3, size, size) uint8 of the given positions in `rows`, on the device that holds them."""
        if self._decoded is not None:
            stack = self._decoded[torch.from_numpy(np.asarray(positions, np.int64)).to(self._decoded.device)]
        else:
            stack = torch.from_numpy(np.stack([self._decode(int(self.rows[p])) for p in positions]))
        return stack.permute(0, 3, 1, 2)

    @cached_property
    def landmarks(self) -> Tensor:
        """(N, 68, 2) float32 of all faces, (x, y) in pixels of the decoded square; NaN where a row has none."""
        points = self.dataset.landmark_array(self.rows)
        for k in np.flatnonzero(~np.isnan(points).all(axis=(1, 2))):
            points[k] *= self.size / np.array(self.dataset.image_size(int(self.rows[k])), np.float32)
        return torch.from_numpy(points)

    def _decode(self, row: int) -> NDArray[np.uint8]:
        image = self.dataset.image(row)
        if image.shape[:2] == (self.size, self.size):
            return image
        return np.asarray(Image.fromarray(image).resize((self.size, self.size), Image.Resampling.BILINEAR))


class Order:
    """Which items of `size` are in the batch of every step: a new permutation every pass over them.

    Args:
        size: number of items.
        batch: items a step; if there are fewer than that, every step takes all of them.
        seed: of the permutations.
        name: of the stream, so that streams with one seed differ.
    """

    together: ClassVar[int] = 1
    """How many items that follow each other are mirrored alike."""

    def __init__(self, size: int, batch: int, seed: int, name: str) -> None:
        self.size = size
        self.batch = min(batch, size)
        self.seed = seed
        self.name = name
        self._passes: dict[int, NDArray[np.int64]] = {}

    def __call__(self, step: int) -> NDArray[np.int64]:
        """Positions of the items of `step`, (batch,)."""
        places = np.arange(step * self.batch, (step + 1) * self.batch)
        passes = {number: self._permutation(number) for number in np.unique(places // self.size).tolist()}
        self._passes = passes
        return np.array([passes[p // self.size][p % self.size] for p in places.tolist()])

    def _permutation(self, number: int) -> NDArray[np.int64]:
        if number in self._passes:
            return self._passes[number]
        return np.random.default_rng([self.seed, crc32(self.name.encode()), number]).permutation(self.size)


class PairOrder(Order):
    """Pairs: an item in the order of `Order`, then another one of its group, drawn anew in every step.

    Args:
        groups: of each item; the only one of its group is paired with itself.
        pairs: pairs a step; if there are fewer items than that, every step takes all of them.
        seed: of the permutations and of the partners.
        name: of the stream.
    """

    together = 2

    def __init__(self, groups: Sequence[Hashable], pairs: int, seed: int, name: str) -> None:
        super().__init__(len(groups), pairs, seed, name)
        self.firsts, self.batch = Order(len(groups), pairs, seed, name), 2 * self.batch
        self.groups = groups
        self.members: dict[Hashable, list[int]] = {}
        for position, group in enumerate(groups):
            self.members.setdefault(group, []).append(position)

    def __call__(self, step: int) -> NDArray[np.int64]:
        """Positions of the items of `step`, (batch,), those of a pair one after the other."""
        rng = np.random.default_rng([self.seed, crc32(self.name.encode()), step, 1])
        both = []
        for first in self.firsts(step).tolist():
            others = [position for position in self.members[self.groups[first]] if position != first]
            both += [first, int(rng.choice(others or [first]))]
        return np.array(both)


class EvenOrder(Order):
    """As many items of every group in every step, each group in an order of its own.

    Args:
        groups: positions of the items of each.
        batch: items a step; where they cannot be divided evenly, the first groups have one more.
        seed: of the permutations.
        name: of the stream.
    """

    def __init__(self, groups: Sequence[NDArray[np.int64]], batch: int, seed: int, name: str) -> None:
        shares = [batch // len(groups) + (k < batch % len(groups)) for k in range(len(groups))]
        self.groups = [
            (group, Order(len(group), share, seed, f"{name} {k}"))
            for k, (group, share) in enumerate(zip(groups, shares, strict=True))
            if share
        ]
        super().__init__(sum(map(len, groups)), sum(order.batch for _, order in self.groups), seed, name)

    def __call__(self, step: int) -> NDArray[np.int64]:
        """Positions of the items of `step`, (batch,)."""
        return np.concatenate([group[order(step)] for group, order in self.groups])


@dataclass
class Stream:
    """Images with one kind of label, and their order in training.

    Attributes:
        faces: the images.
        labels: (N, A) float AU labels, NaN not labelled, or (N,) int64 expressions; (N, 0) where there are none.
        order: which of them come when.
        truth: (N,) as in `Batch`, if asked for.
    """

    faces: Faces
    labels: Tensor
    order: Order
    truth: Tensor | None = None

    def rows(self, step: int) -> NDArray[np.int64]:
        """Rows of the dataset that this process shows in a step."""
        positions = self.order(step)
        return self.faces.rows[positions[distributed.share(len(positions))]]


class _Steps(Dataset[Decoded | InputError]):
    """Step number -> decoded images, landmarks if asked for, labels of every stream (this process's share)."""

    def __init__(self, streams: Mapping[str, Stream], landmarks: bool, pinned: bool = False) -> None:
        self.streams, self.landmarks, self.pinned = streams, landmarks, pinned

    def __getitem__(self, step: int) -> Decoded | InputError:
        try:
            return self.at(step)
        except InputError as error:  # returned, because a worker would wrap it in a traceback
            return error

    def at(self, step: int) -> Decoded:
        return {name: self._of(stream, step) for name, stream in self.streams.items()}

    def _of(self, stream: Stream, step: int) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None, Tensor]:
        positions = stream.order(step)
        positions = positions[distributed.share(len(positions))]
        images = stream.faces.images(positions)
        if self.pinned and not images.is_cuda:
            images = images.pin_memory()
        places = torch.from_numpy(positions)
        landmarks = stream.faces.landmarks[places] if self.landmarks else None
        truth = None if stream.truth is None else stream.truth[places]
        return images, landmarks, stream.labels[places], truth, places


def _decoded_steps(
    streams: Mapping[str, Stream], steps: range, device: torch.device, workers: int, landmarks: bool
) -> Iterator[Decoded | InputError]:
    """Decoded images, landmarks if asked for, and labels of every stream, step by step.

    Images in memory are gathered here (on the device that holds them, or by a thread while a GPU is busy); the others
    are decoded by workers, ahead of time.
    """
    cuda = device.type == "cuda"
    near = _Steps({name: stream for name, stream in streams.items() if stream.faces.decoded}, landmarks, pinned=cuda)
    far = _Steps({name: stream for name, stream in streams.items() if not stream.faces.decoded}, landmarks)
    loader: Iterable[Decoded | InputError] = repeat({}, len(steps))
    if far.streams:
        loader = DataLoader(far, batch_size=None, sampler=steps, num_workers=workers, pin_memory=cuda)
    use = partial(torch.cuda.set_device, device) if cuda and device.index is not None else None
    gathering = ahead(near.at, steps, AHEAD, begin=use) if cuda else map(near.at, steps)
    for gathered, decoded in zip(gathering, loader, strict=True):
        if isinstance(decoded, InputError):
            yield decoded
        else:
            both = {**gathered, **decoded}
            yield {name: both[name] for name in streams}


def training_batches(
    streams: Mapping[str, Stream],
    steps: range,
    side: int,
    seed: int,
    device: torch.device,
    workers: int = 0,
    photographic: bool = False,
    landmarks: bool = False,
) -> Iterator[dict[str, Batch]]:
    """Augmented faces and labels of every stream, step by step, on `device`.

    Args:
        streams: by name.
        steps: the steps to make batches for.
        side: of the random crop, pixels.
        seed: of the augmentation.
        device: where the batches go.
        workers: processes that decode what is not in memory; 0 decodes in this process.
        photographic: changed as by cameras and light too, beside random crops (`photographic.photograph`).
        landmarks: whether faces come with their landmarks.

    Raises:
        InputError: an image that cannot be decoded; landmarks are asked for, and no AU image has any.
    """
    for name, stream in streams.items() if landmarks else ():
        if stream.faces.landmarks.isnan().all() and name == "primary":  # read here, once, before workers divide
            raise InputError(
                f"{stream.faces.dataset.folder} has no landmarks, which this method or network learns from; prepare it "
                "with `metafacs prepare --detector dlib68`"
            )
    loader = _decoded_steps(streams, steps, device, workers, landmarks)
    for step, decoded in zip(steps, loader, strict=True):
        if isinstance(decoded, InputError):
            raise decoded
        batch = {}
        for name, (images, points, labels, truth, places) in decoded.items():
            sample = Sample(images, points).to(device, non_blocking=True)
            sample = _augmented(sample, streams[name], name, step, side, seed, photographic)
            truth = None if truth is None else truth.to(device, non_blocking=True)
            labels, places = labels.to(device, non_blocking=True), places.to(device, non_blocking=True)
            batch[name] = Batch(sample, labels, truth, places)
        yield batch


def _augmented(
    decoded: Sample, stream: Stream, name: str, step: int, side: int, seed: int, photographic: bool
) -> Sample:
    """This process's part of the faces of a step; what happens to them is drawn for the batch of all processes."""
    generator = torch.Generator().manual_seed(mixed_seed(seed, step, crc32(name.encode())))
    count = stream.order.batch
    share = distributed.share(count)
    crops, together = random_crops(count, stream.faces.size - side, generator), stream.order.together
    crops = crops._replace(flipped=crops.flipped[::together].repeat_interleave(together)).part(share)
    images, points = crop(decoded.images, crops, side), decoded.landmarks
    points = None if points is None else crop_points(points, crops, side)
    if photographic:
        changes = random_changes(count, side, generator).part(share)
        images = photograph(images, changes)
        points = None if points is None else photograph_points(points, changes, side)
    return Sample(images, points)


def mixed_seed(*numbers: int) -> int:
    """One seed out of several numbers, in [0, 2**63)."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
