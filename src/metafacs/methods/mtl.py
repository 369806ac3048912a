"""MTL: multi-task learning, AU and expression images together with fixed task weights.

Paper: the baseline "MTL" of Li & Shan, IEEE TAFFC 2023, section IV: both heads on one backbone, Eq. 1 + Eq. 2.
Differs from the paper in: the copy at hand lost the paper's task weight. The default is one half for each task, which
is what MAL's normalised weights are before it has learned anything: MAL with equal weights is MTL to the last bit.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

from torch import Tensor

from metafacs import distributed
from metafacs.errors import InputError
from metafacs.methods.base import METHODS, Batch, Method, OptimiserFactory, Stream
from metafacs.methods.joint import JointForward, StatisticsMode, over_batches
from metafacs.methods.lookahead import weighted_gradient
from metafacs.methods.losses import AUReduction
from metafacs.models.network import Network


@METHODS.register("mtl")
class MTL(Method):
    """Trains both tasks with fixed weights: (1 - a) * mean AU loss + a * mean expression loss.

    Args:
        network: the base network.
        optimiser: makes the base optimiser.
        class_weights: not used.
        autocast: mixed precision.
        auxiliary_weight: a, share of the expression task in the loss, in [0, 1].
        au_reduction: "mean" or "sum" over the labelled AUs of an image.
        statistics: BatchNorm statistics of the two streams: "joint" (one forward, as the paper shares it) or
            "separate" (each stream by its own; running statistics follow the AU images).
    """

    streams: ClassVar[tuple[Stream, ...]] = ("primary", "auxiliary")

    def __init__(
        self,
        network: Network,
        optimiser: OptimiserFactory,
        class_weights: tuple[Tensor, Tensor] | None = None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
        auxiliary_weight: float = 0.5,
        au_reduction: AUReduction = "mean",
        statistics: StatisticsMode = "joint",
    ) -> None:
        super().__init__(network, optimiser, class_weights, autocast)
        if not 0 <= auxiliary_weight <= 1:
            raise InputError(f"MTL's auxiliary_weight is {auxiliary_weight}; it must lie in [0, 1]")
        self.auxiliary_weight = auxiliary_weight
        self.joint = JointForward(network, au_reduction, statistics, autocast)

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
        return {"loss_primary": losses[:n].detach().mean(), "loss_auxiliary": losses[n:].detach().mean()}
