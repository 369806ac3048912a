"""TCAE's networks: an encoder that tells pose from action, decoders that move pixels, and the probe that reads AUs."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs.models.network import FORMS, Network, Output
from metafacs.models.own import backbone
from metafacs.sample import Sample


def _down(channels: int, out: int, last: bool = False) -> list[nn.Module]:
    conv = nn.Conv2d(channels, out, 4, 2, 1)
    return [conv] if last else [conv, nn.BatchNorm2d(out), nn.LeakyReLU(0.2)]


@backbone("tcae")
class TCAEEncoder(nn.Module):
    """Halves the image until one pixel is left; the last three times in two branches, of pose and of action.

    Its feature is that of action.

    Args:
        img_size: S, side of the images, pixels; a power of two from 16 on.
        width: channels after the first convolution; the features have eight times as many.
    """

    normalisation: ClassVar = (0.0, 1.0)

    def __init__(self, img_size: int = 256, width: int = 32) -> None:
        super().__init__()
        self.stages = img_size.bit_length() - 1
        if img_size != 2**self.stages or img_size < 16:
            raise ValueError(f"img_size is {img_size}; it must be a power of two, from 16 on")
        self.width, self.num_features = width, 8 * width
        widths = [3, *(width * min(2**k, 8) for k in range(self.stages - 3))]
        self.trunk = nn.Sequential(*(m for k in range(len(widths) - 1) for m in _down(widths[k], widths[k + 1])))
        self.pose, self.action = self._branch(widths[-1]), self._branch(widths[-1])

    def _branch(self, channels: int) -> nn.Sequential:
        size = self.num_features
        return nn.Sequential(*_down(channels, size), *_down(size, size), *_down(size, size, last=True), nn.Flatten())

    def codes(self, images: Tensor) -> "Codes":
        """Features of pose and of action, both (N, num_features), of images in [0, 1]."""
        x = self.trunk(images)
        return Codes(self.pose(x), self.action(x))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, num_features), of action."""
        return self.action(self.trunk(images))


class Codes(NamedTuple):
    """What an encoder says of N images."""

    pose: Tensor
    action: Tensor


class Decoder(nn.Module):
    """From two features, of a source and of a target, to where each pixel of the target lies in the source.

    Args:
        encoder: whose features it takes.
    """

    def __init__(self, encoder: TCAEEncoder) -> None:
        super().__init__()
        w, stages = encoder.width, encoder.stages
        widths = [16 * w, *[8 * w] * (stages - 4), 4 * w, 2 * w, w, 3]
        layers: list[nn.Module] = [nn.Unflatten(1, (16 * w, 1, 1)), nn.ReLU()]
        for k in range(stages):
            layers += [nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(widths[k], widths[k + 1], 3, padding=1)]
            layers += [nn.Tanh()] if k == stages - 1 else [nn.BatchNorm2d(widths[k + 1]), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Flow (N, 2, S, S), (x, y) in half sides, and the logarithm of how much it counts (N, 1, S, S)."""
        out = self.layers(torch.cat([source, target], 1))
        return out[:, :2], out[:, 2:]


def warp(images: Tensor, flow: Tensor) -> Tensor:
    """Images whose pixels are fetched from where the flow says, never from outside; without flow the same images.

    Args:
        images: (N, C, S, S).
        flow: (N, 2, S, S), (x, y) in half sides.
    """
    line = torch.linspace(-1, 1, images.shape[-1], device=images.device, dtype=flow.dtype)
    identity = torch.stack(torch.meshgrid(line, line, indexing="xy"))
    places = (identity + flow).clamp(-1, 1).permute(0, 2, 3, 1)
    return F.grid_sample(images.to(flow.dtype), places, align_corners=True)  # else the corners would move


def combined(flows: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The mean of flows (N, 2, S, S), weighted by the softmax of their masks (N, 1, S, S)."""
    weights = torch.softmax(torch.stack([mask for _, mask in flows]), 0)
    return (torch.stack([flow for flow, _ in flows]) * weights).sum(0)


@FORMS.register("probed")
class ProbedNetwork(Network):
    """A plain network whose feature is normalised over the batch before the heads: a linear probe.

    Args:
        network: the plain network.
    """

    form = "probed"

    def __init__(self, network: Network) -> None:
        heads = network.au_head.out_features, network.expression_head.out_features
        super().__init__(network.backbone, network.feature_size, *heads)
        self._take(network)
        like = network.au_head.weight
        self.norm = nn.BatchNorm1d(network.feature_size).to(like.device, like.dtype)

    @classmethod
    def around(cls, network: Network, **facts: Any) -> Self:
        """See the class."""
        return cls(network, **facts)

    def forward(self, sample: Sample) -> Output:
        """As a plain network's."""
        feature = self.norm(self.backbone(self.normalised(sample.images)))
        return self.read(feature, feature)
