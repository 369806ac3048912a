"""Meta-Weight-Net: the weight of an image as a learned function of its loss.

Paper: Shu, Xie, Yi, Zhao, Zhou, Xu & Meng, Meta-Weight-Net: Learning an Explicit Mapping For Sample Weighting,
NeurIPS 2019, Eq. 3-5, Algorithm 1. With V(l; phi) a network of one hidden layer of 100 units, ReLU, and a sigmoid,

    virtual step   theta' = theta - alpha * grad (1/B) sum_i V(l_i; phi) l_i,   no gradient through V's input
    meta step      phi <- phi - beta * d L_v(theta') / d phi,   L_v = loss of reserved images
    network step   theta <- theta - gamma * grad (1/B) sum_i V(l_i; phi) l_i  with the new phi

Differs from the paper in: there is one V for each task, for the losses of AU and of expression images are of different
scale and mean different things; the reserved images' loss is the class-balanced AU loss of MAL; phi is trained by Adam;
the gradient is computed without a second-order graph (`lookahead.py`), exactly. Weights are not normalised, as in the
paper's equations and in the authors' stable code, which divides by the batch's size; another script of theirs divides
by the weights' sum (`normalise`: by MAL's normaliser). The loss is the sum of the two tasks' means, twice the paper's
mean over the whole mini-batch, and weighs images of streams of unequal batches otherwise. Their Adam has a weight decay
of 1e-4, ours none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from metafacs import distributed
from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, Batch, Method, Setup, StepLength, Stream
from metafacs.methods.lookahead import LookAhead, weighted_gradient
from metafacs.methods.losses import JointForward, LookAheadOptions, everywhere, here, over_batches, task_losses
from metafacs.methods.mal import normalise
from metafacs.sample import Sample


class WeightNet(nn.Module):
    """V: one hidden layer from a loss to a weight in (0, 1).

    Args:
        hidden: units of the hidden layer.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, losses: Tensor) -> Tensor:
        """(N,) -> (N,)."""
        return torch.sigmoid(self.layers(losses[:, None])).squeeze(1)


@dataclass(frozen=True)
class MetaWeightNetOptions(LookAheadOptions):
    """Options of `MetaWeightNet`."""

    alpha: StepLength = 0.1
    """length of the virtual (look-ahead) SGD step, or "rate": the scheduled learning rate, as in the paper."""
    beta: float = 0.001
    """learning rate of V (Adam)."""
    hidden: int = 100
    """units of V's hidden layer."""
    normalise: bool = False
    """whether weights are divided by the sum of the two tasks' means, as MAL's are."""

    def __post_init__(self) -> None:
        if (self.alpha != "rate" and self.alpha <= 0) or self.beta < 0 or self.hidden < 1:
            raise InputError(
                "Meta-Weight-Net's alpha must be positive, beta not negative and hidden at least 1; found "
                f"{self.alpha}, {self.beta} and {self.hidden}"
            )


@METHODS.register("meta_weight_net")
class MetaWeightNet(Method):
    """Learns online which weight images of a given loss should have, by their effect one step ahead."""

    streams: ClassVar[tuple[Stream, ...]] = ("primary", "auxiliary", "meta")
    learns_sample_weights: ClassVar[bool] = True
    Options: ClassVar[type[AUOptions]] = MetaWeightNetOptions
    options: MetaWeightNetOptions

    def __init__(self, setup: Setup, options: MetaWeightNetOptions = MetaWeightNetOptions()) -> None:
        super().__init__(setup, options)
        self.joint = JointForward(setup, options)
        self.like = next(setup.network.parameters()).detach()
        self.primary_net, self.auxiliary_net = (WeightNet(options.hidden).to(self.like) for _ in range(2))
        self.modules |= {"primary_net": self.primary_net, "auxiliary_net": self.auxiliary_net}
        phi = [*self.primary_net.parameters(), *self.auxiliary_net.parameters()]
        self.optimisers["meta"] = torch.optim.Adam(phi, lr=options.beta)

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """Virtual step, meta step and network step on one batch."""
        self.network.train()
        primary, auxiliary, meta = batch["primary"], batch["auxiliary"], batch["meta"]
        n = len(primary) * distributed.count()
        forward = partial(self.joint.through, primary, auxiliary)
        images = LookAhead(self.network, forward, self.options.way, self.autocast)
        losses = everywhere(images.losses, len(primary))

        u = over_batches(self.weigh(losses, n), n)
        alpha = self.step_length(self.options.alpha)
        virtual = images.virtual_step(here(u, n), alpha)
        v, meta_loss = images.gradient_at(virtual, partial(self.joint.meta_loss, meta, True))
        slope = -alpha * images.alignment(v)
        self.optimisers["meta"].zero_grad()
        u.backward(everywhere(slope, len(primary)))
        self.optimisers["meta"].step()

        with torch.no_grad():
            weights = self.weigh(losses, n)
        self.update_base(weighted_gradient(images.losses, images.theta, here(over_batches(weights, n), n)))
        return {
            **task_losses(images.losses, len(primary)),
            "meta_loss": meta_loss,
            "weight_primary": weights[:n].mean(),
            "weight_auxiliary": weights[n:].mean(),
            "weight_sd": weights.std(),
        }

    def weigh(self, losses: Tensor, primary: int) -> Tensor:
        """The weights of the whole batch (all processes), (B1 + B2,).

        Args:
            losses: (B1 + B2,), the AU images' first, without a graph.
            primary: B1.
        """
        losses = losses.to(self.like.dtype)
        raw = torch.cat([self.primary_net(losses[:primary]), self.auxiliary_net(losses[primary:])])
        return normalise(raw, primary) if self.options.normalise else raw

    @torch.no_grad()
    def raw_sample_weights(self, sample: Sample, labels: Tensor | None = None) -> Tensor:
        """(N,) V of each image's loss, as the network sees it outside training.

        Args:
            sample: faces of one stream.
            labels: as in `Batch`; without them there is no loss.
        """
        losses = self.joint.outside_training(sample, labels)[1]
        if labels is None or losses is None:
            raise ValueError("these weights depend on an image's loss: give `labels`")
        net = self.primary_net if labels.dim() == 2 else self.auxiliary_net
        return net(losses.to(self.like.dtype))
