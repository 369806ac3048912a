"""SRERL's network: branches for the regions of each AU on VGG-19, and messages between related AUs."""

from collections.abc import Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs.models.network import FORMS, Network, Output
from metafacs.models.regions import Branches, LandmarkNetwork, cut, rules_of
from metafacs.models.vgg import channels, ends, groups
from metafacs.sample import Sample


class HeadPerAU(nn.Linear):
    """A linear layer that reads each AU from features of its own: (N, A * features) -> (N, A)."""

    def __init__(self, features: int, aus: int) -> None:
        super().__init__(features, aus)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        return (x.unflatten(1, self.weight.shape) * self.weight).sum(2) + self.bias


class GatedGraph(nn.Module):
    """Rounds of messages along a graph, taken up by gates, as in a gated graph neural network.

        m_i = sum_j a_ij W_m h_j + b,   z = sig(W_z m + U_z h),   r = sig(W_r m + U_r h)
        h <- (1 - z) h + z tanh(W m + U (r h))

    Args:
        size: of h.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.message = nn.Linear(size, size)
        self.from_message = nn.Linear(size, 3 * size)
        self.from_state = nn.Linear(size, 2 * size, bias=False)
        self.from_kept = nn.Linear(size, size, bias=False)

    def forward(self, h: Tensor, graph: Tensor) -> Tensor:
        """One round, (N, A, size); the graph (A, A)."""
        message = graph @ F.linear(h, self.message.weight) + self.message.bias
        z, r, w = self.from_message(message).chunk(3, -1)
        u_z, u_r = self.from_state(h).chunk(2, -1)
        z, r = torch.sigmoid(z + u_z), torch.sigmoid(r + u_r)
        return (1 - z) * h + z * torch.tanh(w + self.from_kept(r * h))


@FORMS.register("related")
class RelatedNetwork(LandmarkNetwork):
    """Two regions for each AU on three scales of VGG-19, and rounds of messages between AUs.

    Args:
        network: a plain network on timm's VGG-19.
        aus: names of the AUs.
        mean_shape: see `LandmarkNetwork`.
        graph: (A, A), 1 where the second AU makes the first likelier, -1 less likely, 0 else; read from a file's
            tensors where not given.
        units: of a branch; an AU has twice as many.
        rounds: of messages.

    Raises:
        InputError: another backbone, or an AU of which nobody knows where it is.
    """

    form = "related"
    graph: Tensor

    def __init__(
        self,
        network: Network,
        aus: Sequence[str],
        mean_shape: Tensor | None = None,
        graph: Tensor | None = None,
        units: int = 150,
        rounds: int = 3,
    ) -> None:
        widths = [channels(group) for group in groups(network.backbone, "SRERL", 19)]
        n, size = len(aus), 2 * units
        super().__init__(network, n * 2 * size, mean_shape)
        self.aus, self.units, self.rounds, self.rules = list(aus), units, rounds, rules_of(aus, "SRERL")
        self.branches = Branches(2 * n, sum(widths[1:4]), units, out=widths[3] * 3 // 4)
        self.messages = GatedGraph(size)
        self.au_head = HeadPerAU(2 * size, n)
        self.register_buffer("graph", torch.zeros(n, n) if graph is None else graph.clone())
        self.finish(network.au_head.weight)

    @classmethod
    def around(cls, network: Network, **facts: Any) -> Self:
        """See the class."""
        return cls(network, **facts)

    def facts(self) -> dict[str, Any]:
        """AUs and sizes; the mean shape and the graph are among the tensors."""
        return {"aus": self.aus, "units": self.units, "rounds": self.rounds}

    def regions(self, sample: Sample) -> Tensor:
        """(N, A, 2 * units): what each AU's own two regions say of it."""
        one, two, three, four, _ = groups(self.backbone, "SRERL", 19)
        second = ends(two, one(self.normalised(sample.images)))[1]
        third = ends(three, two[-1](second))[1]
        fourth = ends(four, three[-1](third))[1]
        scales = torch.cat([F.avg_pool2d(second, 4), F.avg_pool2d(third, 2), fourth], 1)
        return self.branches(cut(scales, self.cells(sample, self.rules, 8))).unflatten(1, (len(self.aus), -1))

    def forward(self, sample: Sample) -> Output:
        """As a plain network's; the feature holds the AUs' one after the other."""
        start = h = self.regions(sample)
        for _ in range(self.rounds):
            h = self.messages(h, self.graph)
        feature = torch.cat([h, start], 2).flatten(1)
        return self.read(feature, feature)
