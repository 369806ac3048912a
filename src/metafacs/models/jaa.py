"""JAA-Net's network: it finds landmarks itself, and looks where they say that each AU is."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.models.network import FORMS, Network, Output
from metafacs.models.own import Cells, backbone
from metafacs.models.regions import Rule, centres, rules_of
from metafacs.sample import Sample

MARKUP = (*range(17, 60), 61, 62, 63, 65, 66, 67)
"""The 49 of the 68 landmarks that it finds."""
REACH, SLOPE = 0.14, 0.56
"""Width of the attention of a centre as a share of the map's, and how far it has fallen at twice its border."""


def _convolution(channels: int, out: int, groups: int = 1, padding: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(groups * channels, groups * out, 3, padding=padding, groups=groups)
    return [conv, nn.BatchNorm2d(groups * out), nn.ReLU()]


class RegionStage(nn.Module):
    """A convolution, then three layers with weights of their own in each of 8 x 8, 4 x 4 and 2 x 2 cells; pooled."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(*_convolution(channels, out)[:1])
        self.cells = nn.ModuleList(
            [Cells(out, out // 2, 8), Cells(out // 2, out // 4, 4), Cells(out // 4, out // 4, 2)]
        )
        self.norm = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, S, S) -> (N, out, S / 2, S / 2)."""
        x = y = self.conv(x)
        parts = [y := layer(y) for layer in self.cells]
        return F.max_pool2d(self.norm(x + torch.cat(parts, 1)).relu(), 2)


@backbone("jaa")
class JAARegions(nn.Module):
    """The first part of JAA-Net, which all its branches share.

    Args:
        img_size: S, side of the images, pixels; a multiple of 16.
        units: an eighth of the channels of the feature map.
    """

    normalisation: ClassVar = (0.5, 0.5)

    def __init__(self, img_size: int = 176, units: int = 8) -> None:
        super().__init__()
        if img_size % 16 or img_size < 32:
            raise ValueError(f"img_size is {img_size}; it must be a multiple of 16, from 32 on")
        self.img_size, self.units, self.num_features = img_size, units, 8 * units
        self.stages = nn.Sequential(RegionStage(3, 4 * units), RegionStage(4 * units, 8 * units))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, num_features), the mean over the map."""
        return self.stages(images).mean((2, 3))


class Branch(nn.Sequential):
    """Six convolutions and three poolings, as many of them side by side as there are `groups`."""

    def __init__(self, units: int, groups: int = 1) -> None:
        layers: list[nn.Module] = []
        for before, after in ((8, 12), (12, 16), (16, 20)):
            layers += [*_convolution(before * units, after * units, groups)]
            layers += [*_convolution(after * units, after * units, groups), nn.MaxPool2d(2)]
        super().__init__(*layers)


class Whole(NamedTuple):
    """All that the network says of N images."""

    output: Output
    points: Tensor
    """(N, 49, 2) landmarks, (x, y) in pixels, pixel 0 covering [0, 1)."""
    drawn: Tensor
    """(N, A, S / 4 + 8, S / 4 + 8): attention as the landmarks place it."""
    refined: Tensor
    """(N, A, S / 4, S / 4): attention as it is used."""
    local_logits: Tensor | None
    """(N, A): what each AU's own branch says, in the second version."""


def attention(points: Tensor, rules: Sequence[Rule], side: int, size: int) -> Tensor:
    """(N, A, size, size): 1 at the two centres of each AU, falling with the distance along both axes, 0 elsewhere.

    Args:
        points: (N, 49, 2) landmarks, pixels.
        rules: where each AU is.
        side: of the images, pixels.
        size: of the maps.
    """
    half = round((size - 1) / 2 * REACH)
    places = ((centres(points, rules, MARKUP) - 0.5) * (size / side)).round()
    away = (torch.arange(size, device=points.device, dtype=points.dtype) - places[..., None]).abs()
    x, y = (1 - away * (SLOPE / (REACH * size))).where(away <= half, -2.0).unbind(2)  # a sum with -2 in it is below 0
    drawn = (x[:, :, None] + y[..., None] - 1).clamp(min=0)
    return drawn.unflatten(1, (-1, 2)).amax(2)


@FORMS.register("jaa")
class JAANetwork(Network):
    """JAA-Net: landmarks, attention for each AU, a branch for each AU and one for the whole face.

    Args:
        network: a plain network on `metafacs_jaa`.
        aus: names of the AUs.
        version: 1 or 2; the second reads each AU from its own branch too.

    Raises:
        InputError: another backbone, or an AU of which nobody knows where it is.
    """

    form = "jaa"
    backbone: JAARegions

    def __init__(self, network: Network, aus: Sequence[str], version: int = 1) -> None:
        backbone = network.backbone
        if not isinstance(backbone, JAARegions):
            raise InputError(
                f"JAA-Net works on its own backbone, and this one is a {type(backbone).__name__}; take "
                "--network.backbone metafacs_jaa --network.weights scratch"
            )
        self_rules, u = rules_of(aus, "JAA-Net"), backbone.units
        super().__init__(backbone, 64 * u, len(aus), network.expression_head.out_features)
        self.mean, self.std = network.mean, network.std
        self.aus, self.version, self.rules = list(aus), version, self_rules
        n, flat = len(aus), 20 * u * (backbone.img_size // 32) ** 2
        self.align, self.whole_face, self.local = Branch(u), Branch(u), Branch(u, n)
        self.landmarks = nn.Sequential(nn.Flatten(), nn.Linear(flat, 64 * u), nn.Linear(64 * u, 2 * len(MARKUP)))
        layers = [_convolution(1, 8 * u, n, 0), *(_convolution(8 * u, 8 * u, n, 0) for _ in range(2))]
        last = nn.Conv2d(n * 8 * u, n, 3, groups=n)
        self.refine = nn.Sequential(*(part for layer in layers for part in layer), last, nn.Sigmoid())
        self.join = nn.Sequential(nn.Flatten(), nn.Linear(3 * flat, 64 * u))
        own = nn.Conv2d(n * 20 * u, n * 8 * u, backbone.img_size // 32, groups=n)
        self.own_heads = nn.Sequential(own, nn.Conv2d(n * 8 * u, n, 1, groups=n), nn.Flatten())
        if version == 1:
            self.own_heads = nn.Sequential()
        self.to(network.au_head.weight.device, network.au_head.weight.dtype)

    @classmethod
    def around(cls, network: Network, **facts: Any) -> Self:
        """See the class."""
        return cls(network, **facts)

    def facts(self) -> dict[str, Any]:
        """AUs and version."""
        return {"aus": self.aus, "version": self.version}

    def whole(self, sample: Sample) -> Whole:
        """All that it says."""
        x, side = self.backbone.stages(self.normalised(sample.images)), self.backbone.img_size
        aligned = self.align(x)
        points = self.landmarks(aligned).unflatten(1, (-1, 2)) + 0.5
        drawn = attention(points.detach().to(self.mean.dtype), self.rules, side, side // 4 + 8)
        refined = self.refine(drawn)
        local = self.local((x[:, None] * refined[:, :, None]).flatten(1, 2))
        mean = local.unflatten(1, (len(self.aus), -1)).mean(1)
        own = self.own_heads(local) if self.version == 2 else None
        joined = [aligned, mean.detach() if self.version == 2 else mean, self.whole_face(x)]
        feature = self.join(torch.cat(joined, 1))
        return Whole(self.read(feature, feature), points, drawn, refined, own)

    def forward(self, sample: Sample) -> Output:
        """As a plain network's."""
        return self.whole(sample).output
