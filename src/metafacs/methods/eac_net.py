"""EAC-Net: attention around AU centres, and branches that look at these regions.

Paper: Li, Abtahi, Zhu & Yin, EAC-Net: A Region-Based Deep Enhancing and Cropping Approach for Facial Action Unit
Detection, FG 2017 and PAMI 2018, after the authors' code. Of twenty centres, placed by landmarks, an attention map M is
drawn: 1 - 0.07 (|dx| + |dy|) on a grid of 100 x 100, up to 7 cells away, the highest where several meet. E-Net is
VGG-19 with

    x = ReLU(conv3_4) + M * ReLU(conv3_1),    y = ReLU(conv4_4) + M * ReLU(conv4_1),

M max-pooled to size, then fc6 and 2048; C-Net cuts 3 x 3 cells of the normalised y around each centre, each into a
convolution and a layer of 150 of its own, which 2048 join. E-Net is trained first (its first two groups of convolutions
stay as they are), then C-Net on the frozen E-Net. The loss is the bounded cross-entropy `regions.ace_losses`.
With no attention E-Net is VGG-19.
Differs from the paper in: images are normalised as VGG's weights want, which the authors' code does not do; their loop
leaves out the attention of a centre near the border; the code joins nothing, although the paper joins both networks
(`join`); both phases share one learning rate schedule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, Batch, Setup, StepCount, Stream
from metafacs.methods.regions import RegionMethod, RegionOptions
from metafacs.models.enhanced import EnhancedNetwork, Join


@dataclass(frozen=True)
class EACNetOptions(RegionOptions):
    """Options of `EACNet`."""

    hidden: int = 2048
    """of the layer that joins the regions."""
    first_share: float = 0.25
    """share of the run's steps that train E-Net, in [0, 1); the others train C-Net."""
    join: Join = "c-net"
    """the AUs are read from "c-net", as in the authors' code, or from "both" networks, as in their paper."""

    def __post_init__(self) -> None:
        if not 0 <= self.first_share < 1:
            raise InputError(f"EAC-Net's first_share is {self.first_share}; it must be at least 0 and below 1")


@METHODS.register("eac_net")
class EACNet(RegionMethod):
    """Trains E-Net, then C-Net on the frozen E-Net, on timm's VGG-19; with landmarks."""

    Options: ClassVar[type[AUOptions]] = EACNetOptions
    options: EACNetOptions
    network: EnhancedNetwork

    def __init__(self, setup: Setup, options: EACNetOptions = EACNetOptions()) -> None:
        network = EnhancedNetwork(setup.network, setup.facts.mean_shape, options.units, options.hidden, options.join)
        super().__init__(replace(setup, network=network), options)
        self.taken, self.first_steps = StepCount(), 0
        self.modules["taken"] = self.taken

    def plan(self, steps: int) -> None:
        """Sets how many steps train E-Net; none until this is called."""
        self.first_steps = round(self.options.first_share * steps)

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """One step of E-Net or of C-Net."""
        values = super().training_step(batch)
        self.taken.count += 1
        return values

    @property
    def first_phase(self) -> bool:
        """Whether the next step is one of E-Net."""
        return int(self.taken.count) < self.first_steps

    def losses(self, batch: Mapping[Stream, Batch]) -> Tensor:
        """(B,): of the network that learns."""
        sample = batch["primary"].sample
        logits = self.network.e_net(sample) if self.first_phase else self.network(sample).au_logits
        return self.losses_of(logits, batch["primary"])

    def trained(self) -> dict[str, nn.Parameter]:
        """Those of the network that learns."""
        first = self.network.e_net_parameters()
        names = ("c_net.", "au_head.")
        return first if self.first_phase else {n: p for n, p in self.network.named_parameters() if n.startswith(names)}
