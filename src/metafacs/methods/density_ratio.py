"""Importance weighting: expression images weighted by how much they look like AU images.

Paper: Cortes, Mansour & Mohri, Learning Bounds for Importance Weighting, NIPS 2010: losses of images drawn from one
distribution, weighted by the ratio of the densities of the other and of this, have the expectation that images of the
other would have. The ratio is found as the odds of a domain classifier d on the feature h (Bickel, Bruckner &
Scheffer, Discriminative Learning for Differing Training and Test Distributions, ICML 2007):

    d = logistic regression, AU images (1) against expression images (0), both domains counting one half
    w_i = p_AU(h_i) / p_FE(h_i) = d(h_i) / (1 - d(h_i)) for an expression image,   w_i = 1 for an AU image

Differs from the paper in: the features move while the network trains, so d is trained along with it, one step of Adam
a batch, on detached features standardised by running statistics; the ratio is clipped to [1/c, c], for its variance, on
which the paper's bounds turn, is unbounded, and divided by its mean over the batch (self-normalised), so that the
expression task keeps the weight it has in MTL.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs import distributed
from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, Batch, Method, Setup, Stream
from metafacs.methods.lookahead import weighted_gradient
from metafacs.methods.losses import JointForward, JointOptions, over_batches, task_losses
from metafacs.methods.meta_network import RunningStandard
from metafacs.sample import Sample


class DomainClassifier(nn.Module):
    """Logistic regression on standardised features: the log-odds that an image is an AU image, 0 at the start.

    Args:
        feature_size: length of the feature.
    """

    def __init__(self, feature_size: int) -> None:
        super().__init__()
        self.standard = RunningStandard(feature_size)
        self.linear = nn.Linear(feature_size, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, feature: Tensor) -> Tensor:
        """(N, F) -> log p_AU(h) / p_FE(h), (N,)."""
        return self.linear(self.standard(feature)).squeeze(1)

    def gradient(self, primary: Tensor, auxiliary: Tensor) -> tuple[Tensor, ...]:
        """Of the mean over both domains of the mean cross-entropy, by the linear layer's parameters.

        Args:
            primary: (n, F), features of AU images.
            auxiliary: (m, F), of expression images.
        """
        loss = 0.5 * (F.softplus(-self(primary)).mean() + F.softplus(self(auxiliary)).mean())
        return torch.autograd.grad(loss, list(self.linear.parameters()))


@dataclass(frozen=True)
class DensityRatioOptions(JointOptions):
    """Options of `DensityRatio`."""

    clip: float = 10.0
    """c, largest ratio, and one over the smallest; 1 is MTL."""
    rate: float = 0.001
    """learning rate of the domain classifier (Adam)."""
    weight_decay: float = 0.01
    """of the domain classifier; keeps domains that can be told apart from ratios of 0 and infinity."""

    def __post_init__(self) -> None:
        if self.clip < 1 or self.rate < 0 or self.weight_decay < 0:
            raise InputError(
                "the density ratio's clip must be at least 1, its rate and weight_decay not negative; found "
                f"{self.clip}, {self.rate} and {self.weight_decay}"
            )


@METHODS.register("density_ratio")
class DensityRatio(Method):
    """Trains both tasks, expression images weighted by the density ratio of the AU to the expression data."""

    streams: ClassVar[tuple[Stream, ...]] = ("primary", "auxiliary")
    Options: ClassVar[type[AUOptions]] = DensityRatioOptions
    learns_sample_weights: ClassVar[bool] = True

    def __init__(self, setup: Setup, options: DensityRatioOptions = DensityRatioOptions()) -> None:
        super().__init__(setup, options)
        self.clip = options.clip
        self.joint = JointForward(setup, options)
        network = setup.network
        self.classifier = DomainClassifier(network.feature_size).to(next(network.parameters()).detach())
        self.modules["classifier"] = self.classifier
        self.optimisers["classifier"] = torch.optim.Adam(
            self.classifier.linear.parameters(), lr=options.rate, weight_decay=options.weight_decay
        )

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """A step of the classifier, then one of the network, with the weights of before the classifier's step."""
        self.network.train()
        n = len(batch["primary"])
        feature, losses = self.joint(batch["primary"], batch["auxiliary"])
        primary, auxiliary = distributed.gather(feature[:n].detach()), distributed.gather(feature[n:].detach())
        self.classifier.standard.update(torch.cat([primary, auxiliary]))
        ratios = self.ratios(auxiliary)
        right = self._update_classifier(primary, auxiliary)
        weights = 0.5 * (ratios / ratios.mean())[distributed.share(len(ratios))]
        each = over_batches(torch.cat([weights.new_full((n,), 0.5), weights]), n) / distributed.count()
        self.update_base(weighted_gradient(losses, dict(self.network.named_parameters()), each.to(losses.dtype)))
        return {
            **task_losses(losses, n),
            "ratio_sd": ratios.std(),
            "effective_share": ratios.sum().square() / (len(ratios) * ratios.square().sum()),
            "domain_accuracy": right,
        }

    @torch.no_grad()
    def ratios(self, feature: Tensor) -> Tensor:
        """Clipped p_AU / p_FE at features (N, F), (N,)."""
        return self.classifier(feature).exp().clamp(1 / self.clip, self.clip)

    def _update_classifier(self, primary: Tensor, auxiliary: Tensor) -> Tensor:
        """One step on features of both domains; returns the share it told right before, both domains counting half."""
        with torch.no_grad():
            right = (self.classifier(primary) > 0).to(primary.dtype).mean()
            right = (right + (self.classifier(auxiliary) <= 0).to(primary.dtype).mean()) / 2
        gradients = self.classifier.gradient(primary, auxiliary)
        for parameter, gradient in zip(self.classifier.linear.parameters(), gradients, strict=True):
            parameter.grad = gradient
        self.optimisers["classifier"].step()
        return right

    @torch.no_grad()
    def raw_sample_weights(self, sample: Sample, labels: Tensor | None = None) -> Tensor:
        """(N,) ratio of each image, as the network sees it outside training; 1 if `labels` are those of AU images."""
        self.network.eval()
        with self.autocast():
            feature = self.network(sample).feature
        ratios = self.ratios(feature)
        return torch.ones_like(ratios) if labels is not None and labels.dim() == 2 else ratios
