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
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from metafacs import processes
from metafacs.errors import InputError
from metafacs.methods.base import METHODS, Batch, Method, OptimiserFactory, Stream
from metafacs.methods.joint import JointForward, StatisticsMode, over_batches
from metafacs.methods.lookahead import (
    LossesAt,
    Parameters,
    RandomState,
    Way,
    differentiable_attention,
    isolated,
    pick_way,
    weight_gradient,
    weighted_gradient,
)
from metafacs.methods.losses import AUReduction, balanced_au_losses
from metafacs.methods.tangents import Record
from metafacs.models.network import Network, Output

SATURATED = 0.02
"""A raw weight this near to 0 or 1 has next to no gradient left."""


class MetaNetwork(nn.Module):
    """One linear layer from the feature to one logit, zero-initialised, then a sigmoid: every weight starts at 0.5.

    Args:
        feature_size: length of the feature.
    """

    def __init__(self, feature_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(feature_size, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, feature: Tensor) -> Tensor:
        """(N, F) -> raw weights (N,) in (0, 1)."""
        return torch.sigmoid(self.linear(feature)).squeeze(1)


def normalise(raw: Tensor, primary: int) -> Tensor:
    """Raw weights -> weights whose AU mean plus FE mean is one.

    Args:
        raw: (B1 + B2,), the AU images' first.
        primary: B1.
    """
    return raw / (raw[:primary].mean() + raw[primary:].mean())


@METHODS.register("mal")
class MAL(Method):
    """Learns the weight of every image online, by its effect one step ahead on reserved AU images.

    Args:
        network: the base network.
        optimiser: makes the base optimiser.
        class_weights: weights of present and absent AUs in the meta loss.
        autocast: mixed precision.
        alpha: length of the virtual (look-ahead) SGD step.
        beta: learning rate of the meta network.
        meta_optimiser: "sgd" as in the paper's Algorithm 1, or "adam".
        way: how the meta gradient is found: "auto" (forward mode where every layer has a forward-mode rule, else
            central differences, with a warning), "forward", "difference" or "second-order" (the slow reference).
        au_reduction: "mean" or "sum" over the labelled AUs of an image.
        statistics: BatchNorm statistics of the two streams: "joint" or "separate", as for MTL.
    """

    streams: ClassVar[tuple[Stream, ...]] = ("primary", "auxiliary", "meta")
    learns_sample_weights: ClassVar[bool] = True

    def __init__(
        self,
        network: Network,
        optimiser: OptimiserFactory,
        class_weights: tuple[Tensor, Tensor] | None = None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
        alpha: float = 0.1,
        beta: float = 0.001,
        meta_optimiser: Literal["sgd", "adam"] = "adam",
        way: Literal["auto", "forward", "difference", "second-order"] = "auto",
        au_reduction: AUReduction = "mean",
        statistics: StatisticsMode = "joint",
    ) -> None:
        super().__init__(network, optimiser, class_weights, autocast)
        if class_weights is None:
            raise InputError("MAL needs the class weights of the reserved AU images")
        if alpha <= 0 or beta < 0:
            raise InputError(f"MAL's alpha must be positive and beta not negative; found {alpha} and {beta}")
        self.alpha = alpha
        self.balance = class_weights
        self.joint = JointForward(network, au_reduction, statistics, autocast)
        self.way: Way | None = None if way == "auto" else way
        like = next(network.parameters())
        self.meta_network = MetaNetwork(network.feature_size).to(like.device, like.dtype)
        self.modules["meta_network"] = self.meta_network
        factory = torch.optim.SGD if meta_optimiser == "sgd" else torch.optim.Adam
        self.optimisers["meta"] = factory(self.meta_network.parameters(), lr=beta)

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """Meta-train, meta-test and base-learning on one batch."""
        self.network.train()
        primary, auxiliary = batch["primary"], batch["auxiliary"]
        if self.way is None:
            self.way = pick_way(self.network, primary.images[:2])
        n = len(primary)
        losses_at, meta_loss_at = self.joint.replay(primary, auxiliary), self.meta_loss_at(batch["meta"])
        parameters = dict(self.network.named_parameters())
        record = Record() if self.way == "forward" else None
        with differentiable_attention() if self.way == "second-order" else record or nullcontext():
            feature, losses = self.joint(primary, auxiliary)
        feature, n_all = _everywhere(feature.detach(), n), n * processes.count()

        u = self.weigh(feature, n_all)[1]
        found = weight_gradient(
            losses, losses_at, meta_loss_at, parameters, _here(u.detach(), n), self.alpha, self.way, record
        )
        self._update_meta(u, _everywhere(found.gradient, n))
        with torch.no_grad():
            raw, u = self.weigh(feature, n_all)
        self.update_base(weighted_gradient(losses, parameters, _here(u, n)))
        return {
            "loss_primary": losses[:n].detach().mean(),
            "loss_auxiliary": losses[n:].detach().mean(),
            "meta_loss": found.meta_loss,
            **_weight_statistics(raw, n_all),
        }

    def weigh(self, feature: Tensor, primary: int) -> tuple[Tensor, Tensor]:
        """Raw weights r and u = w / B of the whole batch (all processes), each (B1 + B2,).

        Args:
            feature: (B1 + B2, F), the AU images' first, detached from the base network.
            primary: B1.
        """
        raw = self.meta_network(feature)
        return raw, over_batches(normalise(raw, primary), primary)

    def meta_loss_at(self, meta: Batch) -> LossesAt:
        """The class-balanced AU loss of reserved images as a function of the parameters, without side effects.

        The network normalises the batch by its own BatchNorm statistics, as in training.
        """
        passes = isolated(self.network)
        positive, negative = self.balance
        whole = len(meta) * processes.count()

        def meta_loss(parameters: Parameters) -> Tensor:
            with RandomState(meta.images).replayed(), self.autocast():
                logits = Output(*passes(parameters, meta.images)).au_logits
            losses = balanced_au_losses(logits, meta.labels, positive, negative, self.joint.au_reduction)
            return losses.sum() / whole

        return meta_loss

    @torch.no_grad()
    def raw_sample_weights(self, images: Tensor) -> Tensor:
        """(N,) raw weight of each image, as the network sees it outside training."""
        self.network.eval()
        with self.autocast():
            feature = self.network(images).feature
        return self.meta_network(feature)

    def _update_meta(self, u: Tensor, gradient: Tensor) -> None:
        """phi <- phi - beta * (d meta loss / d u) (d u / d phi)."""
        phi = list(self.meta_network.parameters())
        for parameter, g in zip(phi, torch.autograd.grad(u, phi, grad_outputs=gradient), strict=True):
            parameter.grad = g
        self.optimisers["meta"].step()

    def review(self, means: Mapping[str, float]) -> str | None:
        """Warns when most raw weights are stuck at an end."""
        share = means.get("raw_weight_saturated", 0.0)
        if share < 0.5:
            return None
        return (
            f"{share:.0%} of the raw sample weights are below {SATURATED} or above {1 - SATURATED}: the meta "
            "network is saturated and hardly learns any more; lower --mal.beta"
        )


@torch.no_grad()
def _weight_statistics(raw: Tensor, primary: int) -> dict[str, Tensor]:
    """What the log shows of a batch's raw weights (B1 + B2,), the first `primary` of them AU images'."""
    weights = normalise(raw, primary)
    return {
        "weight_primary": weights[:primary].mean(),
        "weight_auxiliary": weights[primary:].mean(),
        "raw_weight_mean": raw.mean(),
        "raw_weight_sd": raw.std(),
        "raw_weight_saturated": ((raw < SATURATED) | (raw > 1 - SATURATED)).float().mean(),
    }


def _everywhere(values: Tensor, primary: int) -> Tensor:
    """The whole batch's values, AU images first, from this process's (its first `primary` are AU images')."""
    return torch.cat([processes.gather(values[:primary]), processes.gather(values[primary:])])


def _here(values: Tensor, primary: int) -> Tensor:
    """The inverse of `_everywhere`."""
    streams = values.split([primary * processes.count(), len(values) - primary * processes.count()])
    return torch.cat([stream[processes.share(len(stream))] for stream in streams])
