"""MTAN: one shared network, from which each task picks its features by attention.

Paper: Liu, Johns & Davison, End-to-End Multi-Task Learning with Attention, CVPR 2019, on a ResNet. With b_k the output
of the last block but one of stage k, t_k that of its last block, one attention module A_k a task and encoders E_k that
all tasks share,

    A(x) = sigmoid(BN(conv1x1(ReLU(BN(conv1x1(x))))))
    a_1 = A_1(b_1) * t_1,    a_k = A_k([b_k, E_(k-1)(a_(k-1))]) * t_k    (k = 2, 3, 4)

and each task's head reads its own pooled a_4; the loss is the weighted sum of the tasks' (as MTL's). E_k is a 3x3
convolution, BN and ReLU to the channels of the next stage, then max-pooling to its size.
With saturated attention (every mask exactly one) it is MTL on the shared network, to the last bit.
Differs from the paper in: each image has labels of one task only, so that a task's loss sees half of the batch, while
its BatchNorm layers see all of it (`statistics` as for MTL); the encoders take both tasks' features as one batch, so
that in training and in use they are normalised by the same statistics; the task weights are fixed, DWA is a method of
its own; the authors' code for ResNets has a residual block where E_k has one convolution (the paper's own form); their
pooling, 2 x 2 of stride 2, meets even sizes only, ours keeps the rim of odd ones. Between the two convolutions of A lie
a quarter of the channels, as theirs have it for bottleneck blocks; for basic blocks others use all.
"""

from dataclasses import replace
from typing import ClassVar

from metafacs.methods.base import METHODS, Setup
from metafacs.methods.mtl import MTL, MTLOptions
from metafacs.models.attended import AttendedNetwork


@METHODS.register("mtan")
class MTAN(MTL):
    """MTL's steps on a shared network with an attention module per task on each stage.

    The network is a timm ResNet with at least two blocks in every stage.
    """

    needs: ClassVar[str | None] = "resnet"

    def __init__(self, setup: Setup, options: MTLOptions = MTLOptions()) -> None:
        super().__init__(replace(setup, network=AttendedNetwork(setup.network)), options)
