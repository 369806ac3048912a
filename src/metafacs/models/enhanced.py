"""EAC-Net's network: VGG-19 with attention around AU centres, and branches that look at these regions alone."""

from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs.models.network import FORMS, Network, Output
from metafacs.models.own import hidden_layers
from metafacs.models.regions import PAIRS, Branches, LandmarkNetwork, centres, cut
from metafacs.models.vgg import channels, ends, groups
from metafacs.sample import Sample

Join = Literal["c-net", "both"]
GRID, REACH, SLOPE = 100, 7, 0.07
"""Side of the grid that attention is drawn on, how far it reaches from a centre and how fast it falls, in its cells."""


def attention(points: Tensor, side: int) -> Tensor:
    """(N, 1, side, side): 1 at the centres of the ten pairs, falling with the distance along both axes, 0 elsewhere.

    Args:
        points: (N, 68, 2) landmarks, pixels.
        side: of the images, pixels.
    """
    cells = (centres(points, PAIRS) * (GRID / side)).floor()
    away = torch.arange(GRID, device=points.device, dtype=points.dtype) - cells[..., None]  # (N, 20, 2, GRID)
    near = (away >= -REACH) & (away < REACH)
    x, y = (1 - SLOPE * away.abs()).where(near, -2.0).unbind(2)  # a sum with -2 in it lies below 0
    drawn = (x[:, :, None] + y[..., None] - 1).amax(1, keepdim=True).clamp(min=0)
    return F.interpolate(drawn, (side, side), mode="bilinear", align_corners=False)


@FORMS.register("enhanced")
class EnhancedNetwork(LandmarkNetwork):
    """E-Net, VGG-19 whose third and fourth group add their first map times the attention to their last one, and C-Net,
    twenty branches on the map of the fourth.

    Args:
        network: a plain network on timm's VGG-19.
        mean_shape: see `LandmarkNetwork`.
        units: of a branch.
        hidden: of the layer that joins the branches, and of E-Net's last one.
        join: the AUs are read from "c-net" or from "both".

    Raises:
        InputError: another backbone.
    """

    form = "enhanced"

    def __init__(
        self,
        network: Network,
        mean_shape: Tensor | None = None,
        units: int = 150,
        hidden: int = 2048,
        join: Join = "c-net",
    ) -> None:
        parts = groups(network.backbone, "EAC-Net", 19)
        super().__init__(network, hidden * (1 + (join == "both")), mean_shape)
        self.units, self.hidden, self.join = units, hidden, join
        fc6: nn.Conv2d = network.backbone.pre_logits.fc1  # type: ignore[assignment, union-attr]
        self.e_hidden = nn.Sequential(nn.Dropout(0.5), *hidden_layers(fc6.out_channels, (hidden,)))
        self.e_head = nn.Linear(hidden, self.au_head.out_features)
        self.norm = nn.LocalResponseNorm(5, 0.01, 0.75, 2.0)  # Lasagne's alpha of 0.002: torch divides it by 5
        self.c_net = nn.Sequential(
            Branches(2 * len(PAIRS), channels(parts[3]), units), *hidden_layers(2 * len(PAIRS) * units, (hidden,))
        )
        self.finish(network.au_head.weight)

    @classmethod
    def around(cls, network: Network, **facts: Any) -> Self:
        """See the class."""
        return cls(network, **facts)

    def facts(self) -> dict[str, Any]:
        """Sizes of the layers; the mean shape is among the tensors."""
        return {"units": self.units, "hidden": self.hidden, "join": self.join}

    def e_net_parameters(self) -> dict[str, nn.Parameter]:
        """What E-Net learns, by name: its first two groups stay as they are."""
        kept = {id(p) for group in groups(self.backbone, "EAC-Net", 19)[:2] for p in group.parameters()}
        names = ("backbone.", "e_hidden.", "e_head.")
        return {name: p for name, p in self.named_parameters() if name.startswith(names) and id(p) not in kept}

    def enhanced(self, sample: Sample) -> Tensor:
        """(N, 512, S / 8, S / 8): the map of the fourth group, before its pooling."""
        one, two, three, four, _ = groups(self.backbone, "EAC-Net", 19)
        quarter = F.max_pool2d(attention(self.points(sample), sample.images.shape[-1]), 4)
        first, last = ends(three, two(one(self.normalised(sample.images))))
        first, last = ends(four, three[-1](last + quarter * first))
        return last + F.max_pool2d(quarter, 2) * first

    def e_feature(self, enhanced: Tensor) -> Tensor:
        """(N, hidden): E-Net's last feature."""
        _, _, _, four, five = groups(self.backbone, "EAC-Net", 19)
        x = five(four[-1](enhanced))
        head: Any = self.backbone.pre_logits
        if x.shape[-1] < head.input_kernel_size:
            x = F.adaptive_avg_pool2d(x, head.input_kernel_size)  # as timm does for small images
        return self.e_hidden(head.fc1(x).relu().mean((2, 3)))

    def e_net(self, sample: Sample) -> Tensor:
        """(N, A): logits of E-Net alone."""
        return self.e_head(self.e_feature(self.enhanced(sample)))

    def forward(self, sample: Sample) -> Output:
        """As a plain network's."""
        enhanced = self.enhanced(sample)
        feature = self.c_net(cut(self.norm(enhanced), self.cells(sample, PAIRS, 8)))
        if self.join == "both":
            feature = torch.cat([self.e_feature(enhanced), feature], 1)
        return self.read(feature, feature)
