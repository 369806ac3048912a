"""Two ResNets, one a task, whose stages exchange what they see (the cross-stitch network)."""

import copy
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from metafacs.models.network import FORMS, Network, Output
from metafacs.models.stages import stages, stem, widths
from metafacs.sample import Sample

Per = Literal["channel", "layer"]


class Stitch(nn.Module):
    """x_A <- s_AA x_A + s_AB x_B and x_B <- s_BA x_A + s_BB x_B, with learned s.

    Args:
        channels: of both feature maps, for one 2x2 unit a channel; 1 for a single one.
        own: s_AA and s_BB at the start.
        other: s_AB and s_BA at the start.
    """

    def __init__(self, channels: int, own: float, other: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[own, other], [other, own]]).repeat(channels, 1, 1))

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Both feature maps (N, C, H, W), mixed."""
        (aa, ab), (ba, bb) = self.weight.permute(1, 2, 0)[..., None, None]
        return aa * a + ab * b, ba * a + bb * b


@FORMS.register("stitched")
class StitchedNetwork(Network):
    """Two ResNets with the same start, A for AUs and B for expressions, and a stitch after every stage.

    Args:
        network: a plain network on a timm ResNet; its backbone becomes A, a copy of it B.
        per: a 2x2 unit for every "channel" or for every "layer".
        own: weight of a network's own feature at the start.
        other: weight of the other network's.

    Raises:
        InputError: another backbone.
    """

    form = "stitched"

    def __init__(self, network: Network, per: Per = "channel", own: float = 0.9, other: float = 0.1) -> None:
        stages(network.backbone, "cross-stitch")
        super().__init__(
            network.backbone, network.feature_size, network.au_head.out_features, network.expression_head.out_features
        )
        self._take(network)
        self.per = per
        self.expression_backbone = copy.deepcopy(network.backbone)
        channels = widths(network.backbone) if per == "channel" else [1] * 4
        like = network.au_head.weight
        self.stitches = nn.ModuleList(Stitch(c, own, other) for c in channels).to(like.device, like.dtype)

    @classmethod
    def around(cls, network: Network, **facts: Any) -> Self:
        """See the class."""
        return cls(network, **facts)

    def facts(self) -> dict[str, Any]:
        """Whether the units are per channel: the rest is in the weights."""
        return {"per": self.per}

    def forward(self, sample: Sample) -> Output:
        """As a plain network's; AUs are read from A, expressions from B."""
        x = self.normalised(sample.images)
        a, b = stem(self.backbone, x), stem(self.expression_backbone, x)
        first, second = (stages(backbone, "cross-stitch") for backbone in (self.backbone, self.expression_backbone))
        for stage_a, stage_b, stitch in zip(first, second, self.stitches, strict=True):
            a, b = stitch(stage_a(a), stage_b(b))
        heads = self.backbone.forward_head, self.expression_backbone.forward_head
        return self.read(heads[0](a), heads[1](b))  # type: ignore[operator]
