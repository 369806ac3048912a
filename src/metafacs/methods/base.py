"""What a method is: a class that takes training steps of its own and predicts AUs; and the table of methods."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from metafacs.models.network import Network
from metafacs.registry import Registry

Stream = Literal["primary", "auxiliary", "meta"]
AUReduction = Literal["mean", "sum"]
OptimiserFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


@dataclass
class Batch:
    """Images of one stream in one step."""

    images: Tensor
    """(B, 3, H, W), float in [0, 1]."""
    labels: Tensor
    """(B, A) AU labels, NaN not labelled, for `primary` and `meta`; (B,) expression index for `auxiliary`."""

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Setup:
    """What every method is built from, whatever its own options are."""

    network: Network
    """The base network; trained in place."""
    optimiser: OptimiserFactory
    """Makes the base optimiser from parameters."""
    class_weights: tuple[Tensor, Tensor] | None = None
    """(A,) weights of present and (A,) of absent AUs in the reserved set (`class_balance`), for the meta loss."""
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext
    """Makes the context in which forward passes run (mixed precision)."""


@dataclass(frozen=True)
class AUOptions:
    """Options of every method."""

    au_reduction: AUReduction = "mean"
    """"mean" or "sum" over the labelled AUs of an image."""


class Method(ABC):
    """A way to train a network on AU images, alone or with help.

    A method names the `streams` it needs, does its own updates in `training_step`, and owns its optimisers. A
    subclass provides `streams` and `training_step`; one that learns sample weights says so and provides
    `raw_sample_weights`.
    Everything in `modules` and `optimisers` is saved and restored; the loop scales the learning rate of
    `optimisers["base"]` by the schedule. A method is built as `Kind(setup, options)`, its options an instance of the
    frozen dataclass `Kind.Options`: the fields' types and descriptions become flags and YAML keys.
    """

    Options: ClassVar[type[AUOptions]] = AUOptions
    streams: ClassVar[tuple[Stream, ...]]
    learns_sample_weights: ClassVar[bool] = False
    needs_resnet: ClassVar[bool] = False
    """Whether it works on the stages of a timm ResNet (with at least two blocks each) only."""

    def __init__(self, setup: Setup, options: AUOptions = AUOptions()) -> None:
        self.network = setup.network
        self.options = options
        self.autocast = setup.autocast
        self.modules: dict[str, nn.Module] = {"network": setup.network}
        self.optimisers: dict[str, Optimizer] = {"base": setup.optimiser(setup.network.parameters())}

    def plan(self, steps: int) -> None:  # noqa: B027 - most methods do not care
        """Is told, before the first step and when a run is resumed, how many steps the whole run has."""

    @abstractmethod
    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """One training iteration, updates included.

        Args:
            batch: one `Batch` for each of `streams`; with several processes this process's equal share.

        Returns:
            Detached scalars by name, such as `loss_primary`, `loss_auxiliary`, `weight_primary`.
        """

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """(N, A) probabilities of the AUs in `images`, (N, 3, H, W) in [0, 1]."""
        self.network.eval()
        with self.autocast():
            return torch.sigmoid(self.network(images).au_logits)

    def raw_sample_weights(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N,) unnormalised weight that the method gives each image.

        Args:
            images: (N, 3, H, W), in [0, 1], of one stream.
            labels: of that stream, as in `Batch`; needed by methods whose weights depend on task, label or loss.
        """
        raise NotImplementedError(f"{type(self).__name__} learns no sample weights")

    def review(self, means: Mapping[str, float]) -> str | None:
        """A warning for the user, if `means` (of what `training_step` returned since the last look) calls for one."""
        return None

    def update_base(self, gradient: Mapping[str, Tensor], parameters: Mapping[str, Tensor] | None = None) -> None:
        """Steps the base optimiser along `gradient` (by parameter name; absent = untouched).

        No gradient stays behind: it would take memory, as much as the network, until the next step's end.

        Args:
            gradient: of `parameters`.
            parameters: all that the base optimiser moves; the network's where not given.
        """
        for name, parameter in (parameters or dict(self.network.named_parameters())).items():
            parameter.grad = gradient.get(name)
        self.optimisers["base"].step()
        self.optimisers["base"].zero_grad(set_to_none=True)


METHODS: Registry[Method] = Registry("method")
