"""Cross-stitch: a network for each task, which exchange features through learned mixtures after every stage.

Paper: Misra, Shrivastava, Gupta & Hebert, Cross-stitch Networks for Multi-task Learning, CVPR 2016, Eq. 1. With x_A and
x_B what a stage of the two networks gives,

    x_A <- s_AA x_A + s_AB x_B,    x_B <- s_BA x_A + s_BB x_B,

after each of the four stages of a ResNet, with one learned s per channel (the paper's choice) or per layer, and
(s_AA, s_AB) = (s_BB, s_BA) = (0.9, 0.1) at the start.
With s the identity it is two single-task networks; with 0.5 everywhere both tasks read the same mean of two networks.
Differs from the paper in: both networks start from the same weights instead of from networks trained for each task;
the units learn at the base learning rate, not at 100 to 1000 times it (under AdamW, where a step's length does not
depend on the gradient's, that factor has no counterpart); each image has labels of one task only.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

from torch import Tensor

from metafacs.methods.base import METHODS, OptimiserFactory
from metafacs.methods.joint import StatisticsMode
from metafacs.methods.losses import AUReduction
from metafacs.methods.mtl import MTL
from metafacs.models.network import Network
from metafacs.models.stitched import Per, StitchedNetwork


@METHODS.register("cross_stitch")
class CrossStitch(MTL):
    """MTL's steps on two stitched networks.

    Args:
        network: the base network, on a timm ResNet; the expression network starts as a copy of it.
        optimiser: makes the base optimiser.
        class_weights: not used.
        autocast: mixed precision.
        auxiliary_weight: share of the expression task in the loss, in [0, 1].
        au_reduction: "mean" or "sum" over the labelled AUs of an image.
        statistics: BatchNorm statistics of the two streams: "joint" or "separate", as for MTL.
        per: one 2x2 unit for each "channel" or for each "layer".
        own: weight of a network's own features at the start.
        other: weight of the other network's features at the start.
    """

    needs_resnet: ClassVar[bool] = True

    def __init__(
        self,
        network: Network,
        optimiser: OptimiserFactory,
        class_weights: tuple[Tensor, Tensor] | None = None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
        auxiliary_weight: float = 0.5,
        au_reduction: AUReduction = "mean",
        statistics: StatisticsMode = "joint",
        per: Per = "channel",
        own: float = 0.9,
        other: float = 0.1,
    ) -> None:
        stitched = StitchedNetwork(network, per, own, other)
        super().__init__(stitched, optimiser, class_weights, autocast, auxiliary_weight, au_reduction, statistics)
