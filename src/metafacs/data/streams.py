"""From rows of prepared datasets to the batches of every step; all randomness is a function of seed and step.

Because the batch of step k depends on nothing but the seed and k, a resumed run sees what an undisturbed one would have
seen, however many workers decode.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from metafacs import processes
from metafacs.data.photographic import photograph, random_changes
from metafacs.data.prepared import PreparedDataset
from metafacs.data.splits import Rows
from metafacs.data.transforms import crop, random_crops
from metafacs.errors import InputError

Progress = Callable[[int, int], None]


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
        self._decoded: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def decoded(self) -> bool:
        """Whether every image is in memory."""
        return self._decoded is not None

    @property
    def bytes_decoded(self) -> int:
        """Memory that `decode_all` would take."""
        return len(self) * 3 * self.size**2

    def decode_all(self, threads: int = 0, progress: Progress | None = None) -> None:
        """Decodes every image once and keeps them in memory."""
        decoded = np.empty((len(self), self.size, self.size, 3), np.uint8)
        with ThreadPoolExecutor(threads or None) as pool:
            for k, image in enumerate(pool.map(self._decode, self.rows.tolist())):
                decoded[k] = image
                if progress:
                    progress(k + 1, len(self))
        self._decoded = decoded

    def images(self, positions: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """(n, 3, size, size) uint8 of the given positions in `rows`."""
        if self._decoded is not None:
            stack = self._decoded[np.asarray(positions)]
        else:
            stack = np.stack([self._decode(int(self.rows[p])) for p in positions])
        return torch.from_numpy(stack).permute(0, 3, 1, 2)

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


@dataclass
class Stream:
    """Images with one kind of label, and their order in training.

    Attributes:
        faces: the images.
        labels: (N, A) float AU labels, NaN not labelled, or (N,) int64 expressions.
        order: which of them come when.
    """

    faces: Faces
    labels: Tensor
    order: Order


class _Steps(Dataset[dict[str, tuple[Tensor, Tensor]] | InputError]):
    """Step number -> decoded images and labels of every stream (this process's share)."""

    def __init__(self, streams: Mapping[str, Stream]) -> None:
        self.streams = streams

    def __getitem__(self, step: int) -> dict[str, tuple[Tensor, Tensor]] | InputError:
        try:
            return {name: self._of(stream, step) for name, stream in self.streams.items()}
        except InputError as error:  # returned, because a worker would wrap it in a traceback
            return error

    @staticmethod
    def _of(stream: Stream, step: int) -> tuple[Tensor, Tensor]:
        positions = stream.order(step)
        positions = positions[processes.share(len(positions))]
        return stream.faces.images(positions), stream.labels[torch.from_numpy(positions)]


def training_batches(
    streams: Mapping[str, Stream],
    steps: range,
    side: int,
    seed: int,
    device: torch.device,
    workers: int = 0,
    photographic: bool = False,
) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Augmented images, float in [0, 1], and labels of every stream, step by step, on `device`.

    Args:
        streams: by name.
        steps: the steps to make batches for.
        side: of the random crop, pixels.
        seed: of the augmentation.
        device: where the batches go.
        workers: processes that decode; 0 decodes in this process.
        photographic: changed as by cameras and light too, beside random crops (`photographic.photograph`).

    Raises:
        InputError: an image that cannot be decoded.
    """
    loader = DataLoader(
        _Steps(streams),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=False,
    )
    for step, decoded in zip(steps, loader, strict=True):
        if isinstance(decoded, InputError):
            raise decoded
        yield {
            name: (
                _augmented(images.to(device, non_blocking=True), streams[name], name, step, side, seed, photographic),
                labels.to(device, non_blocking=True),
            )
            for name, (images, labels) in decoded.items()
        }


def _augmented(
    images: Tensor, stream: Stream, name: str, step: int, side: int, seed: int, photographic: bool
) -> Tensor:
    """This process's part of the images of a step; what happens to them is drawn for the batch of all processes."""
    generator = torch.Generator().manual_seed(mixed_seed(seed, step, crc32(name.encode())))
    count = stream.order.batch
    share = processes.share(count)
    cut = crop(images, random_crops(count, stream.faces.size - side, generator).part(share), side)
    return photograph(cut, random_changes(count, side, generator).part(share)) if photographic else cut


def mixed_seed(*numbers: int) -> int:
    """One seed out of several numbers, in [0, 2**63)."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
