"""ROI's network: branches for twenty regions on VGG-16."""

from typing import Any, Self

from torch import Tensor, nn

from metafacs.models.network import FORMS, Network, Output
from metafacs.models.own import hidden_layers
from metafacs.models.regions import PAIRS, Branches, LandmarkNetwork, cut
from metafacs.models.vgg import channels, groups
from metafacs.sample import Sample


@FORMS.register("roi")
class ROINetwork(LandmarkNetwork):
    """VGG-16 up to its twelfth convolution, then a branch for each of twenty regions.

    Args:
        network: a plain network on timm's VGG-16.
        mean_shape: see `LandmarkNetwork`.
        units: of a branch.
        hidden: of the layer that joins them.

    Raises:
        InputError: another backbone.
    """

    form = "roi"

    def __init__(
        self, network: Network, mean_shape: Tensor | None = None, units: int = 150, hidden: int = 2048
    ) -> None:
        width = channels(groups(network.backbone, "ROI", 16)[4])
        super().__init__(network, hidden, mean_shape)
        self.units, self.hidden = units, hidden
        self.branches = Branches(2 * len(PAIRS), width, units, padding=1, mode="bilinear")
        self.join = hidden_layers(2 * len(PAIRS) * units, (hidden,))
        self.finish(network.au_head.weight)

    @classmethod
    def around(cls, network: Network, **facts: Any) -> Self:
        """See the class."""
        return cls(network, **facts)

    def facts(self) -> dict[str, Any]:
        """Sizes of the layers; the mean shape is among the tensors."""
        return {"units": self.units, "hidden": self.hidden}

    def forward(self, sample: Sample) -> Output:
        """As a plain network's."""
        x = self.normalised(sample.images)
        *first, last = groups(self.backbone, "ROI", 16)
        x = nn.Sequential(*first, last[:4])(x)  # two of its three convolutions
        feature = self.join(self.branches(cut(x, self.cells(sample, PAIRS, 16))))
        return self.read(feature, feature)
