"""One shared ResNet in which each task attends to features of its own (MTAN's network)."""

from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs.models.network import FORMS, Network, Output
from metafacs.models.stages import stages, stem, widths
from metafacs.sample import Sample

TASKS = 2
"""AU detection and expression recognition, in this order."""


class Attention(nn.Sequential):
    """A mask in (0, 1) for every value of a feature map: 1x1 conv, BN, ReLU, 1x1 conv, BN, sigmoid.

    Args:
        channels: of its input.
        masked: channels of the feature map; a quarter of them lie between the two convolutions.
    """

    def __init__(self, channels: int, masked: int) -> None:
        between = max(1, masked // 4)
        super().__init__(
            nn.Conv2d(channels, between, 1, bias=False),
            nn.BatchNorm2d(between),
            nn.ReLU(),
            nn.Conv2d(between, masked, 1, bias=False),
            nn.BatchNorm2d(masked),
            nn.Sigmoid(),
        )


@FORMS.register("attended")
class AttendedNetwork(Network):
    """A ResNet shared by both tasks, with an attention module per task on the last block of each stage.

    With b_k the output of stage k's last block but one, t_k that of its last block, and a_k the attended feature
    of a task (each task its own A_k, all tasks the same encoder E_k):

        a_1 = A_1(b_1) * t_1,   a_k = A_k([b_k, E_(k-1)(a_(k-1))]) * t_k,

    and the task's head reads the pooled a_4. The shared network goes on from t_k, not from a_k.

    Args:
        network: a plain network on a timm ResNet with two blocks or more in every stage; its parts are used.

    Raises:
        InputError: another backbone.
    """

    form = "attended"

    def __init__(self, network: Network) -> None:
        backbone = network.backbone
        stages(backbone, "MTAN", blocks=2)
        super().__init__(
            backbone, network.feature_size, network.au_head.out_features, network.expression_head.out_features
        )
        self._take(network)
        channels = widths(backbone)
        self.attention = nn.ModuleList(
            nn.ModuleList(Attention(c if k == 0 else 2 * c, c) for k, c in enumerate(channels)) for _ in range(TASKS)
        )
        self.encoders = nn.ModuleList(_encoder(channels[k], channels[k + 1]) for k in range(3))
        like = network.au_head.weight
        self.attention.to(like.device, like.dtype)
        self.encoders.to(like.device, like.dtype)

    @classmethod
    def around(cls, network: Network, **facts: Any) -> Self:
        """See the class."""
        return cls(network, **facts)

    def forward(self, sample: Sample) -> Output:
        """As a plain network's; each head reads its own task's attended feature."""
        x = stem(self.backbone, self.normalised(sample.images))
        attended: list[Tensor] = []
        for k, stage in enumerate(stages(self.backbone, "MTAN")):
            before = stage[:-1](x)
            x = stage[-1](before)
            inputs = [before] * TASKS
            if attended:
                inputs = [torch.cat([before, encoded], 1) for encoded in self._encode(k, attended, before.shape[2:])]
            attended = [self.attention[task][k](inputs[task]) * x for task in range(TASKS)]  # type: ignore[index]
        au, expression = (self.backbone.forward_head(a) for a in attended)  # type: ignore[operator]
        return self.read(au, expression)

    def _encode(self, k: int, attended: list[Tensor], size: torch.Size) -> tuple[Tensor, ...]:
        """Each task's attended feature of the stage before k with the channels and the size of stage k."""
        encoded = self.encoders[k - 1](torch.cat(attended))  # one batch: BatchNorm counts one pass a step
        if encoded.shape[2:] != size:
            encoded = F.max_pool2d(encoded, 2, 2, ceil_mode=True)  # to the same size as a convolution of stride 2
        # not `chunk`: its pieces' number depends on the size, which an exported graph leaves open
        return encoded.unflatten(0, (TASKS, -1)).unbind(0)


def _encoder(channels: int, following: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, following, 3, padding=1, bias=False), nn.BatchNorm2d(following), nn.ReLU())
