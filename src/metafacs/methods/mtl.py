"""MTL: multi-task learning, AU and expression images together with fixed task weights.

Paper: the baseline "MTL" of Li & Shan, IEEE TAFFC 2023, section IV: both heads on one backbone, Eq. 1 + Eq. 2.
Differs from the paper in: the copy at hand lost the paper's task weight. The default is one half for each task, which
is what MAL's normalised weights are before it has learned anything: MAL with equal weights is MTL to the last bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from metafacs import distributed
from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, Batch, Method, Setup, Stream
from metafacs.methods.lookahead import weighted_gradient
from metafacs.methods.losses import JointForward, JointOptions, over_batches, task_losses


@dataclass(frozen=True)
class MTLOptions(JointOptions):
    """Options of `MTL`."""

    auxiliary_weight: float = 0.5
    """a, share of the expression task in the loss, in [0, 1]."""

    def __post_init__(self) -> None:
        if not 0 <= self.auxiliary_weight <= 1:
            raise InputError(f"auxiliary_weight is {self.auxiliary_weight}; it must lie in [0, 1]")


@METHODS.register("mtl")
class MTL(Method):
    """Trains both tasks with fixed weights: (1 - a) * mean AU loss + a * mean expression loss."""

    streams: ClassVar[tuple[Stream, ...]] = ("primary", "auxiliary")
    Options: ClassVar[type[AUOptions]] = MTLOptions

    def __init__(self, setup: Setup, options: MTLOptions = MTLOptions()) -> None:
        super().__init__(setup, options)
        self.auxiliary_weight = options.auxiliary_weight
        self.joint = JointForward(setup, options)

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """One gradient step on the weighted sum of the two mean losses."""
        self.network.train()
        primary, auxiliary = batch["primary"], batch["auxiliary"]
        losses = self.joint(primary, auxiliary)[1]
        n, m = len(primary), len(auxiliary)
        task_weights = losses.new_tensor([1 - self.auxiliary_weight] * n + [self.auxiliary_weight] * m)
        parameters = dict(self.network.named_parameters())
        weights = over_batches(task_weights, n) / distributed.count()
        self.update_base(weighted_gradient(losses, parameters, weights))
        return task_losses(losses, n)
