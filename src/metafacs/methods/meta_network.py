"""Meta networks: what turns what is known of an image into its raw weight, and what they may be given."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Inputs = Literal["feature", "feature+task", "feature+label+loss", "loss"]
MetaInputs = Literal["feature", "feature+task", "feature+label+loss", "loss", "task"]
"""What a meta network is given of an image; "task" is no more than which of the two it serves."""

MOMENTUM = 0.01
"""Share of the newest batch in the running statistics of features, once they have settled."""


class RunningStandard(nn.Module):
    """Takes features to zero mean and unit variance by running statistics.

    The mean of all batches at first, an exponential average later: the features move while the network trains.

    Args:
        feature_size: length of the feature.
    """

    mean: Tensor
    variance: Tensor
    batches: Tensor

    def __init__(self, feature_size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_size))
        self.register_buffer("variance", torch.ones(feature_size))
        self.register_buffer("batches", torch.zeros(()))

    @torch.no_grad()
    def update(self, feature: Tensor) -> None:
        """Counts one more batch, (N, F), of which every image counts the same."""
        self.batches += 1
        share = (1 / self.batches).clamp(min=MOMENTUM)
        self.mean.lerp_(feature.mean(0), share)
        self.variance.lerp_(feature.var(0, correction=0), share)

    def forward(self, feature: Tensor) -> Tensor:
        """(N, F) -> (N, F)."""
        return (feature - self.mean) / (self.variance + 1e-5).sqrt()


def input_size(inputs: MetaInputs, feature_size: int, aus: int, expressions: int) -> int:
    """How many numbers `described` gives of an image."""
    if inputs in ("feature", "feature+task"):
        return feature_size + (2 if inputs == "feature+task" else 0)
    return 2 if inputs in ("loss", "task") else feature_size + aus + expressions + 2


def described(
    inputs: MetaInputs, feature: Tensor, au_labels: Tensor, expressions: Tensor, losses: Tensor, classes: int
) -> Tensor:
    """What the meta network is given of n AU images and m expression images, (n + m, K).

    Labels and losses stand in columns of their task; an image has zeros in those of the other. So a linear layer has
    coefficients of its own for losses of different scale.

    Args:
        inputs: what it is given.
        feature: (n + m, F), the AU images' first, without a graph.
        au_labels: (n, A), NaN not labelled; given as 1 present, -1 absent, 0 not labelled.
        expressions: (m,), index; given as one of `classes` columns.
        losses: (n + m,), without a graph.
        classes: number of expressions.
    """
    if inputs == "feature":
        return feature
    n = len(au_labels)
    if "task" in inputs:
        one = feature.new_ones(len(feature), 1)
        task = torch.block_diag(one[:n], one[n:])
        return task if inputs == "task" else torch.cat([feature, task], 1)
    au, expression = losses[:n, None].to(feature.dtype), losses[n:, None].to(feature.dtype)
    if inputs == "loss":
        return torch.block_diag(au, expression)
    signs = (2 * au_labels.to(feature.dtype) - 1).nan_to_num(0.0)
    one_hot = F.one_hot(expressions, classes).to(feature.dtype)
    return torch.cat([feature, torch.block_diag(torch.cat([signs, au], 1), torch.cat([one_hot, expression], 1))], 1)
