"""gBN's network: AUs as one variable of many values, read off as exact marginals; and expressions read from AUs."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.models.network import FORMS, Network


def configurations(count: int) -> Tensor:
    """(2 ** count, count): all combinations of present (1) and absent (0), the last AU changing fastest."""
    return torch.stack([(torch.arange(2**count) >> k) & 1 for k in reversed(range(count))], 1)


class JointHead(nn.Linear):
    """A score for each configuration of some AUs, and a logit for each of the others.

    The logit of one of those AUs is logsumexp of the scores with it less logsumexp of those without it: that of its
    exact marginal probability.

    Args:
        features: of the input.
        joint: columns of the AUs that share scores, k of them.
        aus: of all AUs.
    """

    configurations: Tensor

    def __init__(self, features: int, joint: Sequence[int], aus: int) -> None:
        k = len(joint)
        super().__init__(features, 2**k + aus - k)
        self.joint, self.size = list(joint), 2**k
        self.others = [column for column in range(aus) if column not in joint]
        self.register_buffer("configurations", configurations(k), persistent=False)
        order = [*self.joint, *self.others]
        self.order = [order.index(column) for column in range(aus)]

    def scores(self, feature: Tensor) -> Tensor:
        """(N, 2 ** k)."""
        return F.linear(feature, self.weight[: self.size], self.bias[: self.size])

    def marginals(self, scores: Tensor) -> Tensor:
        """(N, k): logits of the AUs that share scores."""
        with_it = self.configurations.T == 1
        both = [scores[:, None].masked_fill(~mask, -torch.inf).logsumexp(2) for mask in (with_it, ~with_it)]
        return both[0] - both[1]

    def forward(self, feature: Tensor) -> Tensor:
        """(N, A) logits."""
        others = F.linear(feature, self.weight[self.size :], self.bias[self.size :])
        return torch.cat([self.marginals(self.scores(feature)), others], 1)[:, self.order]


@FORMS.register("joint")
class JointNetwork(Network):
    """Any backbone with a joint head for AUs, one for expressions, and another that sees AU configurations alone.

    Args:
        network: a plain network.
        joint: columns of the AUs that share scores.

    Raises:
        InputError: fewer than two of them.
    """

    form = "joint"
    au_head: JointHead

    def __init__(self, network: Network, joint: Sequence[int]) -> None:
        if len(joint) < 2:
            raise InputError("gBN needs at least two of the AUs 1, 2, 4, 6, 7, 12, 15 and 17; give them in --data.aus")
        heads = network.au_head.out_features, network.expression_head.out_features
        super().__init__(network.backbone, network.feature_size, *heads)
        self._take(network)
        self.au_head = JointHead(network.feature_size, joint, heads[0])
        sizes = [self.au_head.size, 64, 64, 64]
        hidden = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(sizes)]
        self.from_aus = nn.Sequential(*hidden, nn.Linear(64, heads[1]))
        self.to(network.expression_head.weight.device, network.expression_head.weight.dtype)

    @classmethod
    def around(cls, network: Network, **facts: Any) -> Self:
        """See the class."""
        return cls(network, **facts)

    def facts(self) -> dict[str, Any]:
        """Columns of the AUs that share scores."""
        return {"joint": self.au_head.joint}
