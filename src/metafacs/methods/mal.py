"""MAL: meta auxiliary learning, every image weighted by a meta network that looks one step ahead.

Paper: Li & Shan, Meta Auxiliary Learning for Facial Action Unit Detection, IEEE TAFFC 2023 (arXiv 2105.06620),
Eq. 4-11, Algorithm 1. One step, with r = sigmoid(phi(h)) the raw weight of an image with feature h:

    meta-train     w = r / (mean r_AU + mean r_FE);  theta' = theta - alpha * grad (1/B) sum_i w_i l_i
    meta-test      phi <- phi - beta * d L_v(theta') / d phi,  L_v = class-balanced AU loss of reserved AU images
    base-learning  w from the new phi;  theta <- theta - gamma * grad (1/B) sum_i w_i l_i

Differs from the paper in: the meta gradient is computed without a second-order graph (`lookahead.py`), exactly; the
forward pass at theta serves meta-train and base-learning; base-learning may use any optimiser; with batches of unequal
size each task's sum is divided by its own batch. The copy of the paper at hand lost alpha, beta and the details of the
optimisers: the defaults are ours.

Ablations, options that are off by default: one weight a task (`weights`), no normaliser (`normalise`), a virtual step
of the heads or the last stage alone (`lookahead`), a plain meta loss (`balanced_meta`), a meta network that is told
other things (`inputs`) or standardised features (`normalised_features`).

Cheaper: a look-ahead at every k-th step only (`meta_every`), or of the last stage (`lookahead`); both are
approximations. Smaller, with the same mathematics: `checkpointing`, `meta_part`, `training_part`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, Batch, Setup, Stream
from metafacs.methods.joint import over_batches
from metafacs.methods.meta_network import (
    Inputs,
    MetaNetwork,
    RunningStandard,
    Told,
    described,
    normalise,
    told_size,
)
from metafacs.methods.sample_weighting import Checkpointing, LookAheadOptions, SampleWeighting, Thrift, weight_means
from metafacs.methods.training_pass import Scope, TrainingPass, split

__all__ = ["MAL", "MetaNetwork", "normalise"]

SATURATED = 0.02
"""A raw weight this near to 0 or 1 has next to no gradient left."""


class Turn(nn.Module):
    """Tells at which steps it is the meta network's turn: the first of every `every`. Its count is saved with a run."""

    taken: Tensor

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))  # stays on the CPU: nothing waits for it

    def next(self) -> bool:
        """Whether the step that now begins looks ahead."""
        if self.every == 1:
            return True
        due = int(self.taken) % self.every == 0
        self.taken += 1
        return due


@dataclass(frozen=True)
class MALOptions(LookAheadOptions):
    """Options of `MAL`."""

    alpha: float = 0.1
    """length of the virtual (look-ahead) SGD step."""
    beta: float = 0.001
    """learning rate of the meta network."""
    meta_optimiser: Literal["sgd", "adam"] = "adam"
    """"sgd" as in the paper's Algorithm 1, or "adam"."""
    weights: Literal["sample", "task"] = "sample"
    """"sample" (the paper: one weight an image) or "task" (one weight a task, no meta network)."""
    normalise: bool = True
    """whether raw weights are divided by the sum of the two tasks' means, as in the paper."""
    lookahead: Scope = "full"
    """what the virtual step moves: "full" (the paper: the whole network) "last-stage" (of the backbone, and the heads:
    costs half) or "heads" (the two heads)."""
    balanced_meta: bool = True
    """whether the meta loss is class-balanced, as in the paper."""
    inputs: Inputs = "feature"
    """what the meta network is told of an image: "feature" (the paper), "feature+label+loss" or "loss"."""
    normalised_features: bool = False
    """whether it is told features standardised by running statistics."""
    meta_every: int = 1
    """k, look ahead at every k-th step, the first one included; between, the meta network weighs as it is."""
    checkpointing: Checkpointing = "none"
    """whose activations are not kept but computed again, block by block: "none", "meta" (the reserved images') or
    "all"; less memory, the same mathematics with BatchNorm too."""
    meta_part: int = 0
    """reserved images that go through the network at a time; 0: all. Not with BatchNorm."""
    training_part: int = 0
    """training images that do; 0: all. Not with BatchNorm."""

    def __post_init__(self) -> None:
        if self.alpha <= 0 or self.beta < 0:
            raise InputError(f"MAL's alpha must be positive and beta not negative; found {self.alpha} and {self.beta}")
        if self.normalised_features and (self.weights == "task" or self.inputs == "loss"):
            raise InputError("MAL's normalised_features is on, but its weights do not look at features; turn it off")
        if self.weights == "task" and self.inputs != "feature":
            raise InputError(f"MAL's weights of tasks look at no image; leave out inputs ({self.inputs})")
        if self.meta_every < 1:
            raise InputError(f"MAL's meta_every counts steps and must be at least 1; found {self.meta_every}")


@METHODS.register("mal")
class MAL(SampleWeighting):
    """Learns the weight of every image online, by its effect one step ahead on reserved AU images."""

    Options: ClassVar[type[AUOptions]] = MALOptions
    learns_sample_weights: ClassVar[bool] = True

    def __init__(self, setup: Setup, options: MALOptions = MALOptions()) -> None:
        thrift = Thrift(options.checkpointing, options.meta_part, options.training_part)
        super().__init__(setup, options, options.balanced_meta, thrift)
        network = setup.network
        split(network, options.lookahead)  # fails now rather than in the first step
        self.turn = Turn(options.meta_every)
        if options.meta_every > 1:
            self.modules["turn"] = self.turn
        self.alpha, self.normalised, self.scope = options.alpha, options.normalise, options.lookahead
        self.told: Told = "task" if options.weights == "task" else options.inputs
        self.aus, self.classes = network.au_head.out_features, network.expression_head.out_features
        size = told_size(self.told, network.feature_size, self.aus, self.classes)
        self.meta_network = MetaNetwork(size, bias=options.weights == "sample").to(self.like)
        self.modules["meta_network"] = self.meta_network
        self.standard = RunningStandard(network.feature_size).to(self.like) if options.normalised_features else None
        if self.standard:
            self.modules["standard"] = self.standard
        factory = torch.optim.SGD if options.meta_optimiser == "sgd" else torch.optim.Adam
        self.optimisers["meta"] = factory(self.meta_network.parameters(), lr=options.beta)

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """Meta-train, meta-test and base-learning on one batch."""
        looks_ahead = self.turn.next()
        images = self.forward_pass(batch, looks_ahead)
        known = self.known(images)
        seen: dict[str, Tensor] = {}
        if looks_ahead:
            u = self.weigh(known, images.primary)[1]
            found = images.look_ahead(u, self.alpha, self.scope)
            self._update_meta(u, found.gradient)
            seen["meta_loss"] = found.meta_loss
        with torch.no_grad():
            raw, u = self.weigh(known, images.primary)
        self.update_base(images.gradient(u))
        return {
            **images.task_losses(),
            **seen,
            **weight_means(self._normalised(raw, images.primary), images.primary),
            "raw_weight_mean": raw.mean(),
            "raw_weight_sd": raw.std(),
            "raw_weight_saturated": ((raw < SATURATED) | (raw > 1 - SATURATED)).float().mean(),
        }

    def known(self, images: TrainingPass) -> Tensor:
        """What the meta network is told of every image, (B1 + B2, K)."""
        feature = images.feature
        if self.standard:
            self.standard.update(feature)
            feature = self.standard(feature)
        return described(self.told, feature, images.au_labels, images.expressions, images.losses, self.classes)

    def weigh(self, known: Tensor, primary: int) -> tuple[Tensor, Tensor]:
        """Raw weights r and u = w / B of the whole batch (all processes), each (B1 + B2,).

        Args:
            known: (B1 + B2, K), what the meta network is told, the AU images' first, detached from the base network.
            primary: B1.
        """
        raw = self.meta_network(known)
        return raw, over_batches(self._normalised(raw, primary), primary)

    def _normalised(self, raw: Tensor, primary: int) -> Tensor:
        return normalise(raw, primary) if self.normalised else raw

    @torch.no_grad()
    def raw_sample_weights(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N,) raw weight of each image, as the network sees it outside training.

        Args:
            images: (N, 3, H, W), in [0, 1].
            labels: as in `Batch`; not looked at by the paper's MAL.
        """
        feature, losses = self._outside_training(images, labels)
        feature = self.standard(feature) if self.standard else feature
        if self.told == "feature":
            return self.meta_network(feature)
        if labels is None or losses is None:
            raise ValueError("these weights depend on an image's task, labels or loss: give `labels`")
        none = labels.new_zeros(0)
        aus, expressions = (labels, none.long()) if labels.dim() == 2 else (none.view(0, self.aus), labels)
        return self.meta_network(described(self.told, feature, aus, expressions, losses, self.classes))

    def review(self, means: Mapping[str, float]) -> str | None:
        """Warns when most raw weights are stuck at an end."""
        share = means.get("raw_weight_saturated", 0.0)
        if share < 0.5:
            return None
        return (
            f"{share:.0%} of the raw sample weights are below {SATURATED} or above {1 - SATURATED}: the meta "
            "network is saturated and hardly learns any more; lower --mal.beta"
        )
