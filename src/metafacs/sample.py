"""Faces as a network takes them, and with their labels, as a method does."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """What a network is given of N faces. What is to reach networks beside images is a field here."""

    images: Tensor
    """(N, 3, S, S), float in [0, 1]."""
    landmarks: Tensor | None = None
    """(N, 68, 2) float, (x, y) in pixels of the images, pixel 0 covering [0, 1); NaN not known. None where the network
    and the method use none, and wherever nobody knows any."""

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | Tensor) -> "Sample":
        """Some of the faces."""
        return Sample(self.images[index], None if self.landmarks is None else self.landmarks[index])

    def to(self, device: torch.device, non_blocking: bool = False) -> "Sample":
        """The same faces on a device."""
        points = None if self.landmarks is None else self.landmarks.to(device, non_blocking=non_blocking)
        return Sample(self.images.to(device, non_blocking=non_blocking), points)


def concatenated(samples: Sequence[Sample]) -> Sample:
    """All faces of several samples, in order; either all have landmarks or none has.

    Example:
        >>> len(concatenated([Sample(torch.zeros(2, 3, 8, 8)), Sample(torch.zeros(1, 3, 8, 8))]))
        3
    """
    points = [sample.landmarks for sample in samples if sample.landmarks is not None]
    if len(points) not in (0, len(samples)):
        raise ValueError(f"{len(points)} of {len(samples)} samples have landmarks; give NaN for those not known")
    return Sample(torch.cat([sample.images for sample in samples]), torch.cat(points) if points else None)


@dataclass(frozen=True)
class Batch:
    """Faces of one stream in one step."""

    sample: Sample
    labels: Tensor
    """(B, A) AU labels, NaN not labelled, for `primary` and `meta`; (B,) expression index for `auxiliary`; (B, 0) for
    `pairs`."""
    truth: Tensor | None = None
    """(B,) float, 1 for good images and 0 for bad ones, where a study knows that and training asks for it."""
    places: Tensor | None = None
    """(B,) int64, which of the stream's faces these are."""

    def __len__(self) -> int:
        return len(self.labels)
