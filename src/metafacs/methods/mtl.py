"""MTL: multi-task learning, AU and expression images together with fixed task weights.

Paper: the baseline "MTL" of Li & Shan, IEEE TAFFC 2023, section IV: both heads on one backbone, Eq. 1 + Eq. 2.
Differs from the paper in: the copy at hand lost the paper's task weight. The default is one half for each task, which
is what MAL's normalised weights are before it has learned anything: MAL with equal weights is MTL to the last bit.

Controls, options that are off by default: what balance, selection and perfect weights are worth. `balanced` has the AU
loss balanced as MAL's meta loss is, `replay` the balance of the two tasks that a MAL run found, step by step, without a
difference between images, and `truth` weights that a study knows to be right.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from metafacs import distributed
from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, Batch, Method, Setup, StepCount, Stream
from metafacs.methods.lookahead import weighted_gradient
from metafacs.methods.losses import JointForward, JointOptions, over_batches, task_losses


@dataclass(frozen=True)
class MTLOptions(JointOptions):
    """Options of `MTL`."""

    auxiliary_weight: float = 0.5
    """a, share of the expression task in the loss, in [0, 1]."""
    balanced: bool = False
    """whether positives and negatives of each AU count the same in the AU loss, as in MAL's meta loss and by the same
    counts (those of the reserve)."""
    truth: str | None = None
    """column of the expression dataset that a study knows to tell bad images: they weigh 0, the others share their
    weight."""
    bad: str = "0"
    """values of that column that mean "bad", such as "mislabelled,unreadable"."""
    replay: str | None = None
    """finished MAL run of as many steps: each task has, in every step, the mean weight that it had there."""

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
        self.task_weights = (1 - options.auxiliary_weight, options.auxiliary_weight)
        self.joint = JointForward(setup, options, options.balanced)
        self.history = setup.history
        if self.history is not None:
            self.modules["taken"] = self.taken = StepCount()

    def plan(self, steps: int) -> None:
        """Refuses to replay a run of another length."""
        if self.history is not None and len(self.history) != steps:
            raise InputError(
                f"the run to replay took {len(self.history)} steps and this one takes {steps}; give both the same "
                "--loop.steps"
            )

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """One gradient step on the weighted sum of the two mean losses."""
        self.network.train()
        primary, auxiliary = batch["primary"], batch["auxiliary"]
        losses = self.joint(primary, auxiliary)[1]
        n, m = len(primary), len(auxiliary)
        if self.history is not None:
            self.task_weights = tuple(self.history[int(self.taken.count)].tolist())
            self.taken.count += 1
        au, fe = self.task_weights
        each = losses.new_tensor([au] * n + [fe] * m)
        if auxiliary.truth is not None:
            good = distributed.total([auxiliary.truth.mean()])[0] / distributed.count()
            each[n:] *= auxiliary.truth / good.clamp(min=1 / m / distributed.count())
        parameters = dict(self.network.named_parameters())
        weights = over_batches(each, n) / distributed.count()
        self.update_base(weighted_gradient(losses, parameters, weights))
        shown = {} if self.history is None else {"weight_primary": each[:n].mean(), "weight_auxiliary": each[n:].mean()}
        return {**task_losses(losses, n), **shown}
