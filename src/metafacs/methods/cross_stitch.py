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

from dataclasses import dataclass, replace
from typing import ClassVar

from metafacs.methods.base import METHODS, AUOptions, Setup
from metafacs.methods.mtl import MTL, MTLOptions
from metafacs.models.stitched import Per, StitchedNetwork


@dataclass(frozen=True)
class CrossStitchOptions(MTLOptions):
    """Options of `CrossStitch`."""

    per: Per = "channel"
    """one 2x2 unit for each "channel" or for each "layer"."""
    own: float = 0.9
    """weight of a network's own features at the start."""
    other: float = 0.1
    """weight of the other network's features at the start."""


@METHODS.register("cross_stitch")
class CrossStitch(MTL):
    """MTL's steps on two stitched networks, on timm ResNets; the expression network starts as a copy of the AU one."""

    Options: ClassVar[type[AUOptions]] = CrossStitchOptions
    needs: ClassVar[str | None] = "resnet"

    def __init__(self, setup: Setup, options: CrossStitchOptions = CrossStitchOptions()) -> None:
        stitched = StitchedNetwork(setup.network, options.per, options.own, options.other)
        super().__init__(replace(setup, network=stitched), options)
