"""LP-Net's network (reconstructed): local regions in sequence, and a branch that knows the shape of a person's face."""

from typing import Any, NamedTuple, Self

from torch import Tensor, nn

from metafacs.models.network import FORMS, Network, Output
from metafacs.models.stages import stages, stem, widths
from metafacs.sample import Sample

GRID = 4
"""Regions a side."""
POINTS = 49
"""Of the shape."""


class Whole(NamedTuple):
    """All that the network says of N images."""

    output: Output
    person: Tensor
    """(N, F): feature of the person."""
    shape: Tensor
    """(N, 49, 2): of the person's face, about its middle, in distances of the eyes."""


@FORMS.register("lp")
class LPNetwork(Network):
    """A ResNet's first three stages; their map's mean, plus what an LSTM makes of 4 x 4 regions; the person's branch.

    Args:
        network: a plain network on a timm ResNet; its fourth stage is left out.

    Raises:
        InputError: another backbone.
    """

    form = "lp"

    def __init__(self, network: Network) -> None:
        stages(network.backbone, "LP-Net")
        size = widths(network.backbone)[2]
        super().__init__(network.backbone, size, network.au_head.out_features, network.expression_head.out_features)
        self.mean, self.std = network.mean, network.std
        self.regions = nn.LSTM(size, size, batch_first=True, bidirectional=True)
        self.relations = nn.Linear(2 * size, size)
        self.person = nn.Sequential(nn.Linear(size, size), nn.ReLU())
        self.shape = nn.Linear(size, 2 * POINTS)
        self.to(network.au_head.weight.device, network.au_head.weight.dtype)

    @classmethod
    def around(cls, network: Network, **facts: Any) -> Self:
        """See the class."""
        return cls(network, **facts)

    def whole(self, sample: Sample) -> Whole:
        """All that it says."""
        x = stem(self.backbone, self.normalised(sample.images))
        for stage in stages(self.backbone, "LP-Net")[:3]:
            x = stage(x)
        mean = x.mean((2, 3))
        sequence, _ = self.regions(nn.functional.adaptive_avg_pool2d(x, GRID).flatten(2).transpose(1, 2).contiguous())
        feature = mean + self.relations(sequence.mean(1))
        person = self.person(mean)
        return Whole(self.read(feature, feature), person, self.shape(person).unflatten(1, (POINTS, 2)))

    def forward(self, sample: Sample) -> Output:
        """As a plain network's."""
        return self.whole(sample).output
