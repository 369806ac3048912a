"""TCAE: features of facial action from pairs of frames without labels, and a linear probe of AUs on them.

Paper: Li, Zeng, Shan & Chen, Self-Supervised Representation Learning from Videos for Facial Action Unit Detection, CVPR
2019, after the authors' code. An encoder gives each frame a feature of pose p and one of action a; from those of a
source s and a target t one decoder makes a flow of pose, another one of action, which warp s into I_p and I_a, and both
together, by masks, into I. Per pair, with || the mean over values,

    10 |I - t| + |p(I_p) - p(t)|^2 + |a(I_p) - a(s)|^2 + |p(I_a) - p(s)|^2 + |a(I_a) - a(t)|^2
    + |p(I) - p(t)|^2 + |a(I) - a(t)|^2 + |I_p back - s| + |I_a back - s| + 0.1 |flow of action|

Of each term only pairs of middling loss count: those that rank from `easiest` to half of the batch above it,
`easiest` rising from 0 to 0.35. Then the AUs are read from a by BatchNorm and a linear layer, the encoder frozen (or
`tune: all`). TAE (Li, Zeng & Shan, TPAMI 2020) is the same idea with changes that are not known to us.
Differs from the paper in: pairs are frames of the AU videos, not of 7,000 people's VoxCeleb: it cannot have TAE's data;
the window rises evenly, not when the validation loss stands still; both phases share one schedule; the linear layer has
a bias, which BatchNorm's shift makes superfluous.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, Batch, Setup, StepCount, Stream
from metafacs.methods.stl import STL
from metafacs.models.tcae import Decoder, ProbedNetwork, TCAEEncoder, combined, warp

WINDOW, HARDEST = 0.5, 0.35
"""Share of the pairs that count, and the last rank that it starts from, as a share."""


@dataclass(frozen=True)
class TCAEOptions(AUOptions):
    """Options of `TCAE`."""

    pretrain_share: float = 0.7
    """share of the run's steps that learn from pairs of frames, in [0, 1); the others learn AUs."""
    tune: Literal["linear", "all"] = "linear"
    """what AUs are learned by: the linear probe alone, or the encoder too."""

    def __post_init__(self) -> None:
        if not 0 <= self.pretrain_share < 1:
            raise InputError(f"TCAE's pretrain_share is {self.pretrain_share}; it must be at least 0 and below 1")


@METHODS.register("tcae")
class TCAE(STL):
    """Learns to tell pose from action on pairs of frames, then reads AUs from action; on `metafacs_tcae`."""

    streams: ClassVar[tuple[Stream, ...]] = ("primary", "pairs")
    Options: ClassVar[type[AUOptions]] = TCAEOptions
    options: TCAEOptions
    needs: ClassVar[str | None] = "metafacs_tcae"

    def __init__(self, setup: Setup, options: TCAEOptions = TCAEOptions()) -> None:
        encoder = setup.network.backbone
        if not isinstance(encoder, TCAEEncoder):
            raise InputError(
                f"TCAE works on its own backbone, and this one is a {type(encoder).__name__}; take "
                "--network.backbone metafacs_tcae --network.weights scratch"
            )
        network = ProbedNetwork(setup.network)
        super().__init__(replace(setup, network=network), options)
        self.encoder, self.taken, self.first_steps = encoder, StepCount(), 0
        like = network.au_head.weight
        self.decoders = nn.ModuleList([Decoder(encoder), Decoder(encoder)]).to(like.device, like.dtype)
        self.modules |= {"decoders": self.decoders, "taken": self.taken}
        self.optimisers["base"] = setup.optimiser([*network.parameters(), *self.decoders.parameters()])

    def plan(self, steps: int) -> None:
        """Sets how many steps learn from pairs; none until this is called."""
        self.first_steps = round(self.options.pretrain_share * steps)

    @property
    def first_phase(self) -> bool:
        """Whether the next step learns from pairs."""
        return int(self.taken.count) < self.first_steps

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """One step of the encoder and the decoders, or of what reads AUs."""
        first = self.first_phase
        values = super().training_step(batch)
        self.taken.count += 1
        return {"loss_pairs": values["loss_primary"]} if first else values

    def losses(self, batch: Mapping[Stream, Batch]) -> Tensor:
        """(B,): of pairs, or of AU images."""
        if not self.first_phase:
            self.network.backbone.train(self.options.tune == "all")
            return super().losses(batch)
        images = batch["pairs"].sample.images
        terms = self.pair_losses(images[::2], images[1::2])
        easiest = HARDEST * int(self.taken.count) / max(self.first_steps - 1, 1)
        return sum((middling(term, easiest) for term in terms), torch.zeros_like(terms[0]))

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that this step moves, by name."""
        network, decoders = dict(self.network.named_parameters()), self.decoders.named_parameters(prefix="decoders")
        encoder = {name: p for name, p in network.items() if name.startswith("backbone.")}
        if self.first_phase:
            return encoder | dict(decoders)
        return network if self.options.tune == "all" else {n: p for n, p in network.items() if n not in encoder}

    def pair_losses(self, source: Tensor, target: Tensor) -> list[Tensor]:
        """The terms of the loss, each (B,); both images (B, 3, S, S)."""
        both = self.encoder.codes(torch.cat([source, target]))
        (p_s, p_t), (a_s, a_t) = both.pose.chunk(2), both.action.chunk(2)
        decode_pose, decode_action = self.decoders
        pose, action = decode_pose(p_s, p_t), decode_action(a_s, a_t)
        by_pose, by_action, image = (
            warp(source, pose[0]),
            warp(source, action[0]),
            warp(source, combined([pose, action])),
        )
        of_pose, of_action, of_image = map(self.encoder.codes, (by_pose, by_action, image))
        back = [
            warp(by_pose.detach(), decode_pose(of_pose.pose, p_s)[0]),
            warp(by_action.detach(), decode_action(of_action.action, a_s)[0]),
        ]
        return [
            10 * distance(image, target),
            squared(of_pose.pose, p_t) + squared(of_pose.action, a_s),
            squared(of_action.pose, p_s) + squared(of_action.action, a_t),
            squared(of_image.pose, p_t) + squared(of_image.action, a_t),
            *(distance(image, source) for image in back),
            0.1 * action[0].abs().mean((1, 2, 3)),
        ]


def distance(first: Tensor, second: Tensor) -> Tensor:
    """(B,): mean absolute difference of images."""
    return (first - second).abs().flatten(1).mean(1)


def squared(first: Tensor, second: Tensor) -> Tensor:
    """(B,): mean squared difference of features."""
    return (first - second).square().mean(1)


def middling(losses: Tensor, easiest: float) -> Tensor:
    """(B,): losses that rank from the share `easiest` to `WINDOW` above it, scaled to keep their mean; the others 0.

    Example:
        >>> middling(torch.tensor([4.0, 1.0, 3.0, 2.0]), 0.25)
        tensor([0., 0., 6., 4.])
    """
    count = len(losses)
    first = min(int(easiest * count), count - 1)
    last = max(first + 1, min(count, int((easiest + WINDOW) * count)))
    rank = losses.detach().argsort().argsort()
    chosen = (rank >= first) & (rank < last)
    return torch.where(chosen, losses, 0.0) * (count / (last - first))
