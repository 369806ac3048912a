"""Stronger augmentation of a batch of faces: what cameras, light and loose landmarks do to photographs.

For detectors that are to meet pictures unlike those they were trained on; `transforms` has the paper's random crops.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

GREY = 0.15
"""Share of the pictures that lose their colour."""
COVERED = 0.25
"""Share of the pictures a rectangle of which is covered."""
_TAPS = (1 / 16, 1 / 4, 3 / 8, 1 / 4, 1 / 16)  # across and down: a Gaussian of one pixel


class Changes(NamedTuple):
    """What happens to every image of a batch, drawn on the CPU so that a batch does not depend on the device."""

    affine: Tensor
    """(B, 2, 3) from places in the changed picture to places in the given one, both in [-1, 1]."""
    gain: Tensor
    """(B, 3, 1, 1) factor on each colour."""
    gamma: Tensor
    """(B, 1, 1, 1) exponent."""
    saturation: Tensor
    """(B, 1, 1, 1), 0 grey, 1 as it is."""
    softness: Tensor
    """(B, 1, 1, 1), from below 0 (sharpened) over 0 (as it is) to 1 (blurred)."""
    slope: Tensor
    """(B, 2, 1, 1) how brightness rises to the right and downwards, as a share from the middle to the edge."""
    noise: Tensor
    """(B, 1, side, side) added to all colours."""
    cover: Tensor
    """(B, 4) left, top, right, bottom of a covered rectangle, as shares of the side; empty where left is right."""
    colour: Tensor
    """(B, 3, 1, 1) what covers it, in [0, 1]."""

    def part(self, share: slice) -> "Changes":
        """The changes of a part of the batch."""
        return Changes(*(values[share] for values in self))


def random_changes(count: int, side: int, generator: torch.Generator) -> Changes:
    """Changes of `count` images.

    Args:
        count: B.
        side: of the images, pixels.
        generator: a CPU generator.
    """

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    grain = 0.04 * uniform(-1, 1, 1, 1, 1).clamp(min=0)
    grey = uniform(0, 1, 1, 1, 1) < GREY
    return Changes(
        affine=_affine(normal(1), normal(2), normal(2)),
        gain=(0.15 * normal(1, 1, 1) + 0.08 * normal(3, 1, 1)).exp(),
        gamma=(0.15 * normal(1, 1, 1)).exp(),
        saturation=torch.where(grey, torch.zeros(()), uniform(0.4, 1.5, 1, 1, 1)),
        softness=uniform(-1, 1, 1, 1, 1),
        slope=0.15 * normal(2, 1, 1),
        noise=grain * normal(1, side, side),
        cover=_cover(uniform(0, 1), uniform(0.1, 0.35, 2), uniform(0, 1, 2)),
        colour=uniform(0, 1, 3, 1, 1),
    )


def photograph(images: Tensor, changes: Changes) -> Tensor:
    """Changes a batch.

    Args:
        images: (B, 3, S, S), float in [0, 1].
        changes: of these images and this side.

    Returns:
        The same shape and range, channels last in memory.
    """
    on = Changes(*(values.to(images.device) for values in changes))
    places = functional.affine_grid(on.affine, list(images.shape), align_corners=False)
    images = functional.grid_sample(images.contiguous(), places, padding_mode="border", align_corners=False)
    images = torch.lerp(images, _blurred(images), on.softness).clamp(1e-3, 1)
    line = torch.linspace(-1, 1, images.shape[-1], device=images.device)
    slope = 1 + on.slope[:, :1] * line + on.slope[:, 1:] * line[:, None]
    images = images.pow(on.gamma) * on.gain * slope.clamp(min=0.2)
    grey = images.mean(dim=1, keepdim=True)
    images = _covered(torch.lerp(grey, images, on.saturation), on) + on.noise
    return images.clamp(0, 1).contiguous(memory_format=torch.channels_last)


def photograph_points(points: Tensor, changes: Changes, side: int) -> Tensor:
    """Takes landmarks where `photograph` takes the images.

    Args:
        points: (B, 68, 2), (x, y) in pixels of the images.
        changes: of these images.
        side: of the images, pixels.
    """
    affine = changes.affine.to(points.device)
    given = 2 * points / side - 1
    return side * (1 + torch.linalg.solve(affine[:, :, :2], (given - affine[:, None, :, 2]).mT).mT) / 2


def _affine(turn: Tensor, stretch: Tensor, shift: Tensor) -> Tensor:
    """(B, 2, 3) from normal deviates; turn: (B, 1), stretch and shift: (B, 2)."""
    angle = math.radians(4) * turn[:, 0]
    scale = (0.05 * stretch[:, :1] + torch.tensor([0.5, -0.5]) * 0.06 * stretch[:, 1:]).exp()
    cos, sin = angle.cos(), angle.sin()
    rotation = torch.stack([torch.stack([cos, -sin], dim=1), torch.stack([sin, cos], dim=1)], dim=1)
    return torch.cat([rotation * scale[:, None], 0.03 * shift[..., None]], dim=2)


def _cover(chance: Tensor, size: Tensor, place: Tensor) -> Tensor:
    """(B, 4) rectangles; chance: (B,), size and place: (B, 2) as shares of the side and of what is left of it."""
    size = size * (chance < COVERED)[:, None]
    start = place * (1 - size)
    return torch.cat([start, start + size], dim=1)


def _covered(images: Tensor, changes: Changes) -> Tensor:
    line = (torch.arange(images.shape[-1], device=images.device) + 0.5) / images.shape[-1]
    left, top, right, bottom = (changes.cover[:, k, None] for k in range(4))
    across, down = (line > left) & (line < right), (line > top) & (line < bottom)
    return torch.where((across[:, None, :] & down[:, :, None])[:, None], changes.colour, images)


def _blurred(images: Tensor) -> Tensor:
    """Under a Gaussian of one pixel; by sums of shifted pictures, which take a tenth of a convolution's time."""
    side = images.shape[-1]
    reach = len(_TAPS) // 2
    for dim, padding in ((3, (reach, reach, 0, 0)), (2, (0, 0, reach, reach))):
        padded = functional.pad(images, padding, mode="replicate")
        images = padded.narrow(dim, 0, side) * _TAPS[0]
        for place, tap in enumerate(_TAPS[1:], start=1):
            images.add_(padded.narrow(dim, place, side), alpha=tap)
    return images
