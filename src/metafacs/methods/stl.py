"""STL: single-task learning, the AU images alone.

Paper: the baseline "STL" of Li & Shan, IEEE TAFFC 2023, section IV: backbone and AU head, Eq. 1.
Differs from the paper in: nothing known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from metafacs import distributed
from metafacs.methods.base import METHODS, AUOptions, Balance, Batch, Method, Setup, Stream
from metafacs.methods.lookahead import weighted_gradient
from metafacs.methods.losses import au_losses


@dataclass(frozen=True)
class STLOptions(AUOptions):
    """Options of `STL`."""

    balanced: bool = False
    """whether positives and negatives of each AU count the same in the AU loss, as in MAL's meta loss and by the same
    counts (those of the reserve)."""


@METHODS.register("stl")
class STL(Method):
    """Trains on the primary stream only."""

    streams: ClassVar[tuple[Stream, ...]] = ("primary",)
    Options: ClassVar[type[AUOptions]] = STLOptions
    balance: Balance | None = None

    def __init__(self, setup: Setup, options: AUOptions = STLOptions()) -> None:
        super().__init__(setup, options)
        if isinstance(options, STLOptions):  # other authors' detectors have losses and options of their own
            self.balance = setup.balance(options.balanced)

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """One gradient step on the mean loss."""
        self.network.train()
        with self.autocast():
            losses = self.losses(batch)
        weights = losses.new_full(losses.shape, 1 / (len(losses) * distributed.count()))
        parameters = self.trained()
        self.update_base(weighted_gradient(losses, parameters, weights), parameters)
        return {"loss_primary": losses.detach().mean()}

    def losses(self, batch: Mapping[Stream, Batch]) -> Tensor:
        """(B,): loss of each image of the step."""
        primary = batch["primary"]
        logits = self.network(primary.sample).au_logits
        return au_losses(logits, primary.labels, self.options.au_reduction, self.balance)

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that this step moves, by name."""
        return dict(self.network.named_parameters())
