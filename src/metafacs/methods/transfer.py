"""What of a source network's features a target network is to match, and how much: the modules of L2T-WW."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs.models.network import Network
from metafacs.models.stages import stage_outputs, widths

PAIRS = [(source, target) for source in range(4) for target in range(4)]
"""Every stage of the source with every stage of the target."""


class TransferWeights(nn.Module):
    """Two meta networks: how much each channel and each pair of stages counts, for each image.

    The weights of the channels of a source feature are the softmax of a linear layer, zero at the start, on the
    pooled feature; the weight of a pair is relu6 of a linear layer with bias 1.

    Args:
        channels: of the source's stages.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channel = nn.ModuleList(nn.Linear(channels[s], channels[s]) for s, _ in PAIRS)
        self.pair = nn.ModuleList(nn.Linear(channels[s], 1) for s, _ in PAIRS)
        for layer in self.channel:
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for layer in self.pair:
            nn.init.ones_(layer.bias)  # type: ignore[arg-type]

    def forward(self, source: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Of the source's four features: for each of `PAIRS` the channels' weights (N, C) and the pair's (N,)."""
        pooled = [feature.mean((2, 3)) for feature in source]
        pairs = list(zip(PAIRS, self.channel, self.pair, strict=True))
        channels = [torch.softmax(layer(pooled[s]), 1) for (s, _), layer, _ in pairs]
        return channels, [F.relu6(layer(pooled[s])).squeeze(1) for (s, _), _, layer in pairs]


class Student(nn.Module):
    """The target network with a 1x1 convolution for each of `PAIRS`, to the channels of the source's stage.

    Args:
        network: the target, on a timm ResNet.
        channels: of the source's stages.
    """

    def __init__(self, network: Network, channels: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        own = widths(network.backbone)
        like = network.au_head.weight
        self.matching = nn.ModuleList(nn.Conv2d(own[t], channels[s], 1) for s, t in PAIRS).to(like.device, like.dtype)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """AU logits (N, A), and the matching feature of each of `PAIRS`, (N, C_s, H_t, W_t)."""
        features = stage_outputs(self.network.backbone, self.network.normalised(images))
        feature = self.network.backbone.forward_head(features[-1])  # type: ignore[operator]
        logits = self.network.read(feature, feature).au_logits
        return logits, *(layer(features[t]) for (_, t), layer in zip(PAIRS, self.matching, strict=True))


def matching_losses(
    source: Sequence[Tensor], matched: Sequence[Tensor], channels: Sequence[Tensor], pairs: Sequence[Tensor]
) -> Tensor:
    """(N,): sum over pairs p and channels c of pair weight * channel weight * mean over places of (S_c - r(T)_c)^2.

    Args:
        source: the source's four features, (N, C_s, H_s, W_s); brought to the target's size bilinearly.
        matched: for each of `PAIRS`, (N, C_s, H_t, W_t).
        channels: for each of `PAIRS`, (N, C_s).
        pairs: for each of `PAIRS`, (N,).
    """
    total = torch.zeros_like(pairs[0])
    for (s, _), feature, channel, pair in zip(PAIRS, matched, channels, pairs, strict=True):
        wanted = source[s]
        if wanted.shape[2:] != feature.shape[2:]:
            wanted = F.interpolate(wanted, feature.shape[2:], mode="bilinear", align_corners=False)
        distance = (wanted - feature).to(channel.dtype).square().mean((2, 3))
        total = total + pair * (channel * distance).sum(1)
    return total
