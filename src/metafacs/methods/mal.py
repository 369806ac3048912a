"""MAL: meta auxiliary learning, every image weighted by a meta network that looks one step ahead.

Paper: Li & Shan, Meta Auxiliary Learning for Facial Action Unit Detection, IEEE TAFFC 2023 (arXiv 2105.06620),
Eq. 4-11, Algorithm 1. One step, with r = sigmoid(phi(h)) the raw weight of an image with feature h:

    meta-train     w = r / (mean r_AU + mean r_FE);  theta' = theta - alpha * grad (1/B) sum_i w_i l_i
    meta-test      phi <- phi - beta * d L_v(theta') / d phi,  L_v = class-balanced AU loss of reserved AU images
    base-learning  w from the new phi;  theta <- theta - gamma * grad (1/B) sum_i w_i l_i

The meta gradient is computed without a second-order graph (`lookahead.py`), exactly. Differs from the paper in:

- The virtual step keeps its length whatever the weights are (`fixed_length`), as a step of AdamW does. The paper's
  grows with the gradient, so that images weigh more the larger their loss is scaled.
- Each task has a bias of its own in the meta network (`inputs`), with a higher learning rate (`task_beta`).
- The virtual step is as long as the learning rate (`alpha`), and base-learning may use any optimiser. The copy of the
  paper at hand lost alpha, beta and the details of the optimisers.
- The forward pass at theta serves meta-train and base-learning. With batches of unequal size each task's sum is divided
  by its own batch.

`--mal.fixed_length false --mal.inputs feature --mal.alpha 0.1` is the paper's form. Ablations: one weight a task
(`weights`), no normaliser (`normalise`), a plain meta loss (`balanced_meta`), standardised features
(`normalised_features`). A control: `permuted`. Smaller, with the same mathematics: `checkpointing`.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from metafacs import distributed
from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, Batch, Method, Setup, StepLength, Stream
from metafacs.methods.lookahead import Call, LookAhead, weighted_gradient
from metafacs.methods.losses import JointForward, LookAheadOptions, everywhere, here, over_batches, task_losses
from metafacs.methods.meta_network import Inputs, MetaInputs, RunningStandard, described, input_size
from metafacs.methods.recomputing import blocks, recomputed
from metafacs.sample import Sample

SATURATED = 0.02
"""A raw weight this near to 0 or 1 has next to no gradient left."""


class MetaNetwork(nn.Module):
    """One linear layer from the feature to one logit, zero-initialised, then a sigmoid: every weight starts at 0.5.

    Args:
        feature_size: length of the feature, or of whatever else the network is given of an image.
        bias: whether the logit has a constant.
        tasks: how many of those numbers, the last ones, say which task the image serves; their coefficients, a bias for
            each task, are parameters of their own (`task`).
    """

    def __init__(self, feature_size: int, bias: bool = True, tasks: int = 0) -> None:
        super().__init__()
        self.linear = nn.Linear(feature_size - tasks, 1, bias)
        self.task = nn.Linear(tasks, 1, bias=False) if tasks else None
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, feature: Tensor) -> Tensor:
        """(N, F) -> raw weights (N,) in (0, 1)."""
        own = self.linear.in_features
        logit = self.linear(feature[:, :own])
        return torch.sigmoid(logit + self.task(feature[:, own:]) if self.task else logit).squeeze(1)


def normalise(raw: Tensor, primary: int) -> Tensor:
    """Raw weights -> weights whose AU mean plus FE mean is one.

    Args:
        raw: (B1 + B2,), the AU images' first.
        primary: B1.
    """
    return raw / (raw[:primary].mean() + raw[primary:].mean())


def shuffled(weights: Tensor, primary: int) -> Tensor:
    """The same weights, dealt out at random within each task, alike in all processes.

    Args:
        weights: (B1 + B2,) of all processes, the AU images' first.
        primary: B1.
    """
    first, second = torch.randperm(primary), primary + torch.randperm(len(weights) - primary)
    order = torch.cat([first, second]).to(weights.device)
    return weights[distributed.gather(order)[: len(order)]]  # the first process's


@dataclass(frozen=True)
class MALOptions(LookAheadOptions):
    """Options of `MAL`."""

    alpha: StepLength = "rate"
    """length of the virtual (look-ahead) SGD step by its gradient's, or "rate": the scheduled learning rate of the
    network."""
    fixed_length: bool = True
    """whether the virtual step keeps its length whatever the weights are, so that they choose its direction alone;
    the paper's does not."""
    beta: float = 0.001
    """learning rate of the meta network."""
    meta_optimiser: Literal["sgd", "adam"] = "adam"
    """"sgd" as in the paper's Algorithm 1, or "adam"."""
    weights: Literal["sample", "task"] = "sample"
    """"sample" (the paper: one weight an image) or "task" (one weight a task, no meta network)."""
    normalise: bool = True
    """whether raw weights are divided by the sum of the two tasks' means, as in the paper."""
    balanced_meta: bool = True
    """whether the meta loss is class-balanced, as in the paper."""
    balanced: bool = False
    """whether the AU loss of training images is class-balanced, too, by the same counts (those of the reserve)."""
    inputs: Inputs = "feature+task"
    """what the meta network is given of an image: "feature" (the paper), "feature+task" (a bias for each task too),
    "feature+label+loss" or "loss"."""
    task_beta: float = 0.05
    """learning rate of the biases of "feature+task" and of `weights task`, higher than `beta` so that the balance is
    found within some ten steps."""
    normalised_features: bool = False
    """whether it is given features standardised by running statistics."""
    permuted: bool = False
    """whether the network's own step deals the weights out at random among the images of each task: a control, whose
    tasks are balanced as MAL's and whose images are not selected."""
    checkpointing: Literal["none", "meta", "all"] = "none"
    """whose activations are not kept but computed again, block by block: "none", "meta" (the reserved images') or
    "all"; less memory, the same mathematics with BatchNorm too."""

    def __post_init__(self) -> None:
        if (self.alpha != "rate" and self.alpha <= 0) or self.beta < 0 or self.task_beta < 0:
            raise InputError(
                "MAL's alpha must be positive, beta and task_beta not negative; found "
                f"{self.alpha}, {self.beta} and {self.task_beta}"
            )
        if self.normalised_features and (self.weights == "task" or self.inputs == "loss"):
            raise InputError("MAL's normalised_features is on, but its weights do not look at features; turn it off")
        if self.weights == "task" and self.inputs not in ("feature", "feature+task"):
            raise InputError(f"MAL's weights of tasks look at no image; leave out inputs ({self.inputs})")


@METHODS.register("mal")
class MAL(Method):
    """Learns the weight of every image online, by its effect one step ahead on reserved AU images."""

    streams: ClassVar[tuple[Stream, ...]] = ("primary", "auxiliary", "meta")
    learns_sample_weights: ClassVar[bool] = True
    Options: ClassVar[type[AUOptions]] = MALOptions
    options: MALOptions

    def __init__(self, setup: Setup, options: MALOptions = MALOptions()) -> None:
        super().__init__(setup, options)
        network, like = setup.network, next(setup.network.parameters()).detach()
        self.joint = JointForward(setup, options, options.balanced)
        self.inputs: MetaInputs = "task" if options.weights == "task" else options.inputs
        self.aus, self.classes = network.au_head.out_features, network.expression_head.out_features
        size = input_size(self.inputs, network.feature_size, self.aus, self.classes)
        tasks = 2 if self.inputs == "feature+task" else 0
        self.meta_network = MetaNetwork(size, options.weights == "sample", tasks).to(like)
        self.modules["meta_network"] = self.meta_network
        self.standard = RunningStandard(network.feature_size).to(like) if options.normalised_features else None
        if self.standard:
            self.modules["standard"] = self.standard
        factory = torch.optim.SGD if options.meta_optimiser == "sgd" else torch.optim.Adam
        beta = options.task_beta if self.inputs == "task" else options.beta
        groups = [{"params": list(self.meta_network.linear.parameters()), "lr": beta}]
        if self.meta_network.task:
            groups.append({"params": list(self.meta_network.task.parameters()), "lr": options.task_beta})
        self.optimisers["meta"] = factory(groups)
        again = nullcontext if options.checkpointing == "none" else partial(recomputed, blocks(network.backbone))
        self.meta_context: Callable[[], AbstractContextManager[None]] = again
        self.training_context = again if options.checkpointing == "all" else nullcontext
        self.record = options.checkpointing != "all"  # it would keep what checkpointing lets go

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """One iteration of Algorithm 1.

        theta are the network's parameters, phi the meta network's; h_i and l_i feature and loss of a training image at
        theta, r_i its raw and w_i its normalised weight; u_i = w_i / B its weight in the loss, B its stream's batch.
        What has all images of all processes has the AU images, n of them, first.
        """
        self.network.train()
        primary, auxiliary, meta = batch["primary"], batch["auxiliary"], batch["meta"]
        n = len(primary) * distributed.count()
        forward = partial(self.joint.through, primary, auxiliary)
        with self.training_context():
            images = LookAhead(self.network, forward, self.options.way, self.autocast, self.record)
        known = self.known(images, primary, auxiliary)

        # Meta-train: theta' = theta - alpha * grad sum_i u_i l_i
        u = over_batches(self.weigh(known, n)[1], n)
        alpha = self.step_length(self.options.alpha)
        virtual = images.virtual_step(here(u, n), alpha)

        # Meta-test: phi <- phi - beta * dL(theta') / dphi, with dL/du_i = -alpha * <grad l_i(theta), grad L(theta')>,
        # or, where the step keeps its length, with the part of grad L across the step alone
        v, meta_loss = images.gradient_at(virtual, partial(self.meta_loss, meta))
        slope = -alpha * images.alignment(images.across(v) if self.options.fixed_length else v)
        self.optimisers["meta"].zero_grad()
        u.backward(everywhere(slope, len(primary)))
        self.optimisers["meta"].step()

        # Base-learning: theta <- theta - gamma * grad sum_i u_i l_i, u from the new phi
        with torch.no_grad():
            r, w = self.weigh(known, n)
            w = shuffled(w, n) if self.options.permuted else w
        self.update_base(weighted_gradient(images.losses, images.theta, here(over_batches(w, n), n)))
        return {
            **task_losses(images.losses, len(primary)),
            "meta_loss": meta_loss,
            "weight_primary": w[:n].mean(),
            "weight_auxiliary": w[n:].mean(),
            "raw_weight_mean": r.mean(),
            "raw_weight_sd": r.std(),
            "raw_weight_saturated": ((r < SATURATED) | (r > 1 - SATURATED)).float().mean(),
        }

    def meta_loss(self, meta: Batch, network: Call) -> Tensor:
        """This process's share of the loss of the reserved images."""
        with self.meta_context():
            return self.joint.meta_loss(meta, self.options.balanced_meta, network)

    def known(self, images: LookAhead, primary: Batch, auxiliary: Batch) -> Tensor:
        """What the meta network is given of every image, (B1 + B2, K), without a graph to the base network."""
        first, second = images.output
        feature = everywhere(torch.cat([first.feature, second.feature]), len(primary))
        if self.standard:
            self.standard.update(feature)
            feature = self.standard(feature)
        if self.inputs == "feature":
            return feature
        labels = distributed.gather(primary.labels), distributed.gather(auxiliary.labels)
        return described(self.inputs, feature, *labels, everywhere(images.losses, len(primary)), self.classes)

    def weigh(self, known: Tensor, primary: int) -> tuple[Tensor, Tensor]:
        """Raw weights r and weights w of the whole batch (all processes), each (B1 + B2,).

        Args:
            known: (B1 + B2, K), the AU images' first.
            primary: B1.
        """
        raw = self.meta_network(known)
        return raw, normalise(raw, primary) if self.options.normalise else raw

    @torch.no_grad()
    def raw_sample_weights(self, sample: Sample, labels: Tensor | None = None) -> Tensor:
        """(N,) raw weight of each image, as the network sees it outside training.

        Args:
            sample: faces of one stream.
            labels: as in `Batch`; not looked at by the paper's MAL.
        """
        feature, losses = self.joint.outside_training(sample, labels)
        feature = self.standard(feature) if self.standard else feature
        if self.inputs == "feature":
            return self.meta_network(feature)
        if labels is None or losses is None:
            raise ValueError("these weights depend on an image's task, labels or loss: give `labels`")
        none = labels.new_zeros(0)
        aus, expressions = (labels, none.long()) if labels.dim() == 2 else (none.view(0, self.aus), labels)
        return self.meta_network(described(self.inputs, feature, aus, expressions, losses, self.classes))

    def review(self, means: Mapping[str, float]) -> str | None:
        """Warns when most raw weights are stuck at an end."""
        share = means.get("raw_weight_saturated", 0.0)
        if share < 0.5:
            return None
        return (
            f"{share:.0%} of the raw sample weights are below {SATURATED} or above {1 - SATURATED}: the meta "
            "network is saturated and hardly learns any more; lower --mal.beta"
        )
