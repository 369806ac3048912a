"""Both streams through one network: the forward pass that multi-task methods share."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from metafacs.methods.base import AUOptions, Batch, Setup
from metafacs.methods.lookahead import LossesAt, Parameters, RandomState, isolated
from metafacs.methods.losses import au_losses, expression_losses
from metafacs.models.network import Output

StatisticsMode = Literal["joint", "separate"]
Forward = Callable[[Tensor], Output]


@dataclass(frozen=True)
class JointOptions(AUOptions):
    """Options of methods that send both streams through one network."""

    statistics: StatisticsMode = "joint"
    """BatchNorm statistics of the two streams: "joint" (one forward for both, as the paper shares it, so that BatchNorm
    normalises by the mixture) or "separate" (one forward each; only AU images, which are what test images are like,
    enter the running statistics)."""


class JointForward:
    """Features and per-sample losses of an AU batch and an expression batch.

    Args:
        setup: of the method.
        options: of the method.
        thrift: makes a context for every pass of the network, such as `recomputed`.
    """

    def __init__(
        self,
        setup: Setup,
        options: JointOptions,
        thrift: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.network, self.autocast = setup.network, setup.autocast
        self.au_reduction, self.statistics = options.au_reduction, options.statistics
        self.thrift = thrift

    def __call__(self, primary: Batch, auxiliary: Batch) -> tuple[Tensor, Tensor]:
        """Features (B1 + B2, F) and losses (B1 + B2,), AU images first.

        This is the one pass of a step that counts for BatchNorm's running statistics.
        """
        aside: Forward = self.network
        if self.statistics == "separate":
            passes, parameters = isolated(self.network, self.thrift), dict(self.network.named_parameters())
            aside = lambda images: Output(*passes(parameters, images))  # noqa: E731
        return self._losses(self._counted, aside, primary, auxiliary)

    def _counted(self, images: Tensor) -> Output:
        with self.thrift():
            return self.network(images)

    def replay(self, primary: Batch, auxiliary: Batch, full_precision: bool = False) -> LossesAt:
        """The losses that the next `__call__` would give, as a function of the parameters, side effects left out.

        Call it before `__call__`: random layers will draw the same masks that `__call__` is about to draw.

        Args:
            primary: AU images.
            auxiliary: expression images.
            full_precision: leave mixed precision out.
        """
        both_at = self.replay_both(primary, auxiliary, full_precision)
        return lambda parameters: both_at(parameters)[1]

    def replay_both(
        self, primary: Batch, auxiliary: Batch, full_precision: bool = False
    ) -> Callable[[Parameters], tuple[Tensor, Tensor]]:
        """Like `replay`, for features and losses."""
        passes, random = isolated(self.network, self.thrift), RandomState(primary.images)
        autocast = nullcontext if full_precision else self.autocast

        def both_at(parameters: Parameters) -> tuple[Tensor, Tensor]:
            def forward(images: Tensor) -> Output:
                return Output(*passes(parameters, images))

            with random.replayed():
                return self._losses(forward, forward, primary, auxiliary, autocast)

        return both_at

    def _losses(
        self,
        network: Forward,
        aside: Forward,
        primary: Batch,
        auxiliary: Batch,
        autocast: Callable[[], AbstractContextManager[object]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        n = len(primary)
        with (autocast or self.autocast)():
            if self.statistics == "joint":
                both = network(torch.cat([primary.images, auxiliary.images]))
                feature, au_logits, expression_logits = (
                    both.feature,
                    both.au_logits[:n],
                    both.expression_logits[n:],
                )
            else:
                first, second = network(primary.images), aside(auxiliary.images)
                feature = torch.cat([first.feature, second.feature])
                au_logits, expression_logits = first.au_logits, second.expression_logits
        au = au_losses(au_logits, primary.labels, self.au_reduction)
        return feature, torch.cat([au, expression_losses(expression_logits, auxiliary.labels)])


def over_batches(weights: Tensor, primary: int) -> Tensor:
    """Per-sample weights (B1 + B2,), each divided by the size of its own stream's batch.

    Args:
        weights: the AU images' first.
        primary: B1.
    """
    return torch.cat([weights[:primary] / primary, weights[primary:] / (len(weights) - primary)])
