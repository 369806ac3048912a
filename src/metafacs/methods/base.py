"""What a method is: a class that takes training steps of its own and predicts AUs; and the table of methods."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from metafacs.models.network import Network
from metafacs.registry import Registry
from metafacs.sample import Batch, Sample

Stream = Literal["primary", "auxiliary", "meta", "pairs"]
""""pairs": two frames of one video after each other, of the AU training images, without their labels."""
AUReduction = Literal["mean", "sum"]
Balance = tuple[Tensor, Tensor]
"""(A,) weights of present and (A,) of absent AUs."""
StepLength = float | Literal["rate"]
"""Of a virtual step: a number, or "rate", the learning rate that the base optimiser has by then."""
OptimiserFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


@dataclass(frozen=True)
class Facts:
    """What a method may know of its data beside batches; all of it is of the training rows alone."""

    aus: Sequence[str] = ()
    """Names of the AUs, as "AU01", in the order of the network's outputs."""
    expressions: Sequence[str] = ()
    """Names of the expressions, likewise."""
    labels: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    """(N, A) AU labels, NaN not labelled."""
    subjects: Sequence[str] = ()
    """(N,) who each row shows."""
    landmarks: Tensor | None = None
    """(N, 68, 2) landmarks in the middle crop, as shares of its side, NaN not known; where the method uses any."""

    @property
    def mean_shape(self) -> Tensor | None:
        """(68, 2): the mean of the landmarks."""
        return None if self.landmarks is None else self.landmarks.nanmean(0)


@dataclass(frozen=True)
class Setup:
    """What every method is built from, whatever its own options are."""

    network: Network
    """The base network; trained in place."""
    optimiser: OptimiserFactory
    """Makes the base optimiser from parameters."""
    class_weights: Balance | None = None
    """Of the AUs in the reserved set (`class_balance`), for balanced losses."""
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext
    """Makes the context in which forward passes run (mixed precision)."""
    facts: Facts = Facts()
    """Of the data."""
    history: Tensor | None = None
    """(steps, 2) weights of the AU task and of the expression task in a run that is replayed, on the CPU."""

    def balance(self, balanced: bool) -> Balance | None:
        """The class weights of an AU loss; None of one that is not balanced.

        Raises:
            ValueError: they are not known.
        """
        if balanced and self.class_weights is None:
            raise ValueError("a balanced loss needs the class weights of the reserved AU images")
        return self.class_weights if balanced else None


@dataclass(frozen=True)
class AUOptions:
    """Options of every method."""

    au_reduction: AUReduction = "sum"
    """"sum" or "mean" over the labelled AUs of an image; with the mean, 12 AUs together have the say of one."""


class StepCount(nn.Module):
    """The number of steps taken, where it is saved and restored with everything else."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))  # stays on the CPU: it is read every step


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
    needs: ClassVar[str | None] = None
    """The kind of backbone that it works on, if not on any: "resnet" (timm's, with two blocks or more in a stage),
    "vgg16" or "vgg19" (timm's), or one of metafacs' own by name."""
    uses_landmarks: ClassVar[bool] = False
    """Whether its losses or its network look at the landmarks of training faces."""

    def __init__(self, setup: Setup, options: AUOptions = AUOptions()) -> None:
        self.network = setup.network
        self.options = options
        self.autocast = setup.autocast
        self.modules: dict[str, nn.Module] = {"network": setup.network}
        self.optimisers: dict[str, Optimizer] = {"base": setup.optimiser(setup.network.parameters())}

    @property
    def takes_landmarks(self) -> bool:
        """Whether training faces must come with their landmarks, for its losses or for its network."""
        return self.uses_landmarks or self.network.uses_landmarks

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

    def predict(self, sample: Sample) -> Tensor:
        """(N, A) probabilities of the AUs of faces, as `Network.probabilities`, in the method's precision."""
        with self.autocast():
            return self.network.probabilities(sample)

    def raw_sample_weights(self, sample: Sample, labels: Tensor | None = None) -> Tensor:
        """(N,) unnormalised weight that the method gives each image.

        Args:
            sample: faces of one stream.
            labels: of that stream, as in `Batch`; needed by methods whose weights depend on task, label or loss.
        """
        raise NotImplementedError(f"{type(self).__name__} learns no sample weights")

    def review(self, means: Mapping[str, float]) -> str | None:
        """A warning for the user, if `means` (of what `training_step` returned since the last look) calls for one."""
        return None

    def step_length(self, alpha: StepLength) -> float:
        """What `alpha` is in this step."""
        return float(self.optimisers["base"].param_groups[0]["lr"]) if alpha == "rate" else alpha

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
