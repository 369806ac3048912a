"""Augmentation of a whole batch at once, on the device the batch is on."""

from typing import NamedTuple

import torch
from torch import Tensor


class Crops(NamedTuple):
    """Where to cut every image of a batch, drawn on the CPU so that a batch does not depend on the device."""

    top: Tensor
    """(B,) int64, first row of the crop."""
    left: Tensor
    """(B,) int64, first column."""
    flipped: Tensor
    """(B,) bool, mirrored or not."""

    def part(self, share: slice) -> "Crops":
        """The crops of a part of the batch."""
        return Crops(*(values[share] for values in self))


MIRRORED = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *range(54, 47, -1),
    *range(59, 54, -1),
    *range(64, 59, -1),
    *range(67, 64, -1),
)
"""Which of the 68 landmarks (iBUG) stands in the place of each in a mirrored face."""


def random_crops(count: int, slack: int, generator: torch.Generator) -> Crops:
    """Crops at uniform places, mirrored half of the time.

    Args:
        count: B.
        slack: side of the images less side of the crop, pixels.
        generator: a CPU generator.
    """
    top, left = torch.randint(0, slack + 1, (2, count), generator=generator)
    return Crops(top, left, torch.rand(count, generator=generator) < 0.5)


def centre_crops(count: int, slack: int) -> Crops:
    """The middle of every image, not mirrored."""
    middle = torch.full((count,), slack // 2)
    return Crops(middle, middle, torch.zeros(count, dtype=torch.bool))


def crop(images: Tensor, crops: Crops, side: int) -> Tensor:
    """Cuts squares out of a batch.

    Args:
        images: (B, 3, S, S), uint8, S >= side.
        crops: one place an image.
        side: of the squares, pixels.

    Returns:
        (B, 3, side, side), float in [0, 1], channels last in memory, which convolutions like best.
    """
    line = torch.arange(side)
    y = crops.top[:, None] + line
    x = crops.left[:, None] + torch.where(crops.flipped[:, None], line.flip(0), line)
    batch = torch.arange(len(images))[:, None, None]
    index = (batch, y[:, :, None], x[:, None, :])
    picked = images.permute(0, 2, 3, 1)[tuple(part.to(images.device) for part in index)]
    return picked.permute(0, 3, 1, 2).float().div_(255)


def crop_points(points: Tensor, crops: Crops, side: int) -> Tensor:
    """Takes landmarks where `crop` takes the images.

    Args:
        points: (B, 68, 2), (x, y) in pixels of the images.
        crops: one place an image.
        side: of the squares, pixels.
    """
    top, left, flipped = (values.to(points.device) for values in crops)
    moved = points - torch.stack([left, top], 1)[:, None]
    mirrored = torch.stack([side - moved[..., 0], moved[..., 1]], -1)[:, list(MIRRORED)]
    return torch.where(flipped[:, None, None], mirrored, moved)
