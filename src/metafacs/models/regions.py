"""Regions of a face around the centres of AUs, which landmarks place; what the networks with regions share.

Landmarks are iBUG's 68, counted from 0. The centres are those of the authors' codes of EAC-Net and JAA-Net.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.facs import au_code
from metafacs.models.network import Network
from metafacs.sample import Sample


class Rule(NamedTuple):
    """Where two centres are: at two landmarks, so far below them."""

    right: int
    """Landmark on the person's right."""
    left: int
    down: float
    """In distances between the inner corners of the eyes."""


_BROWS = (Rule(21, 22, -1 / 2), Rule(18, 25, -1 / 3), Rule(19, 24, 1 / 3))
_LIPS, _MOUTH, _CHIN, _LID = Rule(51, 57, 0), Rule(48, 54, 0), Rule(56, 58, 1 / 2), Rule(38, 43, 0)
PAIRS = (*_BROWS, Rule(41, 46, 1), _LID, Rule(49, 53, 0), _MOUTH, _LIPS, Rule(61, 63, 0), _CHIN)
"""The ten pairs of EAC-Net and ROI, whatever the AUs."""
OF_AU = {
    **dict(zip((1, 2, 4), _BROWS, strict=True)),
    **{6: Rule(41, 46, 1), 7: _LID, 9: Rule(32, 34, -1 / 2), 10: Rule(61, 63, 0)},
    **{12: _MOUTH, 14: _MOUTH, 15: _MOUTH, 17: _CHIN, 26: _CHIN, 23: _LIPS, 24: _LIPS, 25: _LIPS},
}
"""The pair of each AU that JAA-Net knows."""


def rules_of(aus: Sequence[str], what: str) -> list[Rule]:
    """The pair of each AU.

    Raises:
        InputError: an AU that has none.
    """
    strange = [au for au in aus if au_code(au) not in OF_AU]
    if strange:
        known = ",".join(map(str, sorted(OF_AU)))
        raise InputError(
            f"{what} does not know where {', '.join(strange)} is on a face; give --data.aus out of {known}"
        )
    return [OF_AU[au_code(au)] for au in aus]


def centres(points: Tensor, rules: Sequence[Rule], markup: Sequence[int] = range(68)) -> Tensor:
    """(N, 2 R, 2): the right and the left centre of each rule.

    Args:
        points: (N, P, 2) landmarks, (x, y).
        rules: R of them.
        markup: which of the 68 landmarks the P points are.
    """
    place = {landmark: k for k, landmark in enumerate(markup)}
    chosen = points[:, [place[k] for rule in rules for k in (rule.right, rule.left)]]
    down = chosen.new_tensor([rule.down for rule in rules for _ in range(2)])
    eyes = (points[:, place[39], 0] - points[:, place[42], 0]).abs()
    return torch.stack([chosen[..., 0], chosen[..., 1] + eyes[:, None] * down], -1)


def cut(features: Tensor, cells: Tensor) -> Tensor:
    """(N, R * C, 3, 3): 3 x 3 cells of a feature map around each of R cells; those at its border are moved inwards.

    Args:
        features: (N, C, H, W); a smaller map than 3 x 3, of a tiny image, is filled up with zeros.
        cells: (N, R, 2) int64, (column, row).
    """
    missing = [max(0, 3 - size) for size in features.shape[2:]]
    features = F.pad(features, (0, missing[1], 0, missing[0]))
    height, width = features.shape[2:]
    around = torch.arange(-1, 2, device=cells.device)
    x = cells[..., 0].clamp(1, width - 2)[..., None, None] + around
    y = cells[..., 1].clamp(1, height - 2)[..., None, None] + around[:, None]
    index = (y * width + x).flatten(1)[:, None].expand(-1, features.shape[1], -1)
    return features.flatten(2).gather(2, index).unflatten(2, (-1, 3, 3)).transpose(1, 2).flatten(1, 2)


class Branches(nn.Sequential):
    """A branch of its own for each region: 3 x 3 cells, twice as large, a 3x3 convolution, one fully connected layer.

    It maps (N, R * C, 3, 3), what `cut` gives, to (N, R * units).

    Args:
        regions: R.
        channels: C.
        units: of the fully connected layer.
        padding: of the convolution.
        mode: how cells are made twice as large, "nearest" or "bilinear".
        out: channels of the convolution; C where not given.
    """

    def __init__(
        self, regions: int, channels: int, units: int, padding: int = 0, mode: str = "nearest", out: int = 0
    ) -> None:
        between = regions * (out or channels)
        super().__init__(
            nn.Upsample(scale_factor=2, mode=mode),
            nn.Conv2d(regions * channels, between, 3, padding=padding, groups=regions),
            nn.ReLU(),
            nn.Conv2d(between, regions * units, 4 + 2 * padding, groups=regions),
            nn.ReLU(),
            nn.Flatten(),
        )


class LandmarkNetwork(Network):
    """Base of networks that look at landmarks; those that are not known are the mean shape's.

    Args:
        network: a plain network; its backbone and its normalisation are used.
        feature_size: of the own feature, for which new heads are made.
        mean_shape: (68, 2), as shares of the image's side; read from a file's tensors where not given.
    """

    uses_landmarks = True
    mean_shape: Tensor

    def __init__(self, network: Network, feature_size: int, mean_shape: Tensor | None = None) -> None:
        heads = network.au_head.out_features, network.expression_head.out_features
        super().__init__(network.backbone, feature_size, *heads)
        self.mean, self.std = network.mean, network.std
        self.register_buffer("mean_shape", torch.full((68, 2), 0.5) if mean_shape is None else mean_shape.clone())

    def points(self, sample: Sample) -> Tensor:
        """(N, 68, 2), (x, y) in pixels of the images."""
        mean = self.mean_shape * sample.images.shape[-1]
        if sample.landmarks is None:
            return mean.expand(sample.images.shape[0], -1, -1)  # not len: a graph leaves it open
        return torch.where(sample.landmarks.isnan(), mean, sample.landmarks.to(mean.dtype))

    def cells(self, sample: Sample, rules: Sequence[Rule], stride: int) -> Tensor:
        """(N, 2 R, 2) int64: in which cell of a feature map each centre lies."""
        return (centres(self.points(sample), rules) / stride).floor().long()

    def finish(self, like: Tensor) -> None:
        """Brings what was made anew to where the backbone is."""
        self.to(like.device, like.dtype)
