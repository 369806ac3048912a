"""MAXL: auxiliary labels that a second network invents, such that learning them helps the primary task.

Paper: Liu, Davison & Johns, Self-Supervised Generalisation with Meta Auxiliary Learning, NeurIPS 2019, Eq. 1-5,
Algorithm 1. A label network g_phi splits every class of the primary task into K subclasses and gives each image a
soft label y over the subclasses of its own class (masked softmax); the base network theta learns y with another head:

    L_aux   = focal loss, -sum_k y_k (1 - p_k)^2 log p_k
    theta   <- theta - gamma grad (L_primary + L_aux)
    phi     <- phi - beta d/dphi [ L_primary(theta - alpha grad (L_primary + L_aux)) + c H ],
    H       = sum_k m_k log m_k, m the mean label of the batch (keeps the labels from collapsing into one subclass)

AUs are many labels at once, where the paper has one class an image. Here each AU is a primary task of two classes,
present and absent, each of which is split into K: so the auxiliary head has 2K logits an AU, a softmax over each 2K,
and y of an AU lives on the K that belong to its label. Unlabelled AUs have no auxiliary label. L_aux of an image is the
mean (or sum) over its labelled AUs, H the mean over the AUs. Since y enters the loss linearly, d/dy is the look-ahead
gradient of `lookahead.py`, exactly; the rest of the chain is first order.
The primary loss of an AU is focal too, -(1 - p)^2 log p of its label's probability p, in both updates, as in the
authors' code (`au_loss`).
Differs from the paper in: the above; the expression images are a further task with a fixed weight as in MTL, so that
the method sees the data of every other one (`auxiliary_weight` 0 with `statistics: separate` is the paper's own form:
joint statistics let expression images into BatchNorm in the inner step and not in the outer one); both updates share
one forward pass of the same batch, where the authors' code takes turns after every epoch; the label network is the
backbone with one linear layer, and its optimiser is Adam.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from metafacs import distributed
from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, AUReduction, Batch, Method, Setup, StepLength, Stream
from metafacs.methods.lookahead import Call, LookAhead, weighted_gradient
from metafacs.methods.losses import JointForward, LookAheadOptions, au_losses, over_batches, task_losses
from metafacs.models.network import Network
from metafacs.sample import Sample


class LearnerOutput(NamedTuple):
    """An `Output` and one field more."""

    feature: Tensor
    au_logits: Tensor
    expression_logits: Tensor
    generated_logits: Tensor
    """(N, A, 2K)."""


class Learner(nn.Module):
    """The network with a further head, for the generated labels.

    Args:
        network: with two heads.
        subclasses: K, of each of an AU's two classes.
    """

    def __init__(self, network: Network, subclasses: int) -> None:
        super().__init__()
        like, self.subclasses = network.au_head.weight, subclasses
        self.network = network
        size = 2 * subclasses * network.au_head.out_features
        self.generated_head = nn.Linear(network.feature_size, size).to(like.device, like.dtype)

    def forward(self, sample: Sample) -> LearnerOutput:
        """As the network's."""
        output = self.network(sample)
        with torch.autocast(output.feature.device.type, enabled=False):
            logits = self.generated_head(output.feature)
        logits = logits.unflatten(1, (-1, 2 * self.subclasses))
        return LearnerOutput(output.feature, output.au_logits, output.expression_logits, logits)


class LabelNetwork(nn.Module):
    """Images and AU labels -> soft auxiliary labels.

    Args:
        network: whose backbone is copied, with its weights.
        subclasses: K, of each of an AU's two classes.
    """

    def __init__(self, network: Network, subclasses: int) -> None:
        super().__init__()
        self.subclasses = subclasses
        aus = network.au_head.out_features
        like = network.au_head.weight
        self.body = copy.deepcopy(network)  # its two heads go unused
        for head in (self.body.au_head, self.body.expression_head):
            head.requires_grad_(False)
        self.head = nn.Linear(network.feature_size, aus * 2 * subclasses).to(like.device, like.dtype)

    def forward(self, sample: Sample, labels: Tensor) -> Tensor:
        """N faces and (N, A) -> (N, A, 2K), for each AU a distribution over the subclasses of its label."""
        feature = self.body(sample).feature
        with torch.autocast(feature.device.type, enabled=False):
            logits = self.head(feature)
        return masked_softmax(logits.unflatten(1, (labels.shape[1], -1)), labels)


def masked_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """Softmax over the subclasses of each AU's own class: the first K if it is absent, the last K if present.

    Args:
        logits: (N, A, 2K).
        labels: (N, A), NaN not labelled.

    Returns:
        (N, A, 2K); zero for an AU without label.
    """
    n, aus, both = logits.shape
    inside = torch.softmax(logits.view(n, aus, 2, both // 2), 3)
    absent, present = (labels == 0), (labels == 1)
    return (inside * torch.stack([absent, present], 2)[..., None]).flatten(2)


def focal_terms(logits: Tensor) -> Tensor:
    """-(1 - p)^2 log p for p the softmax over the last dimension; the shape stays."""
    log_p = torch.log_softmax(logits, -1)
    return -((1 - log_p.exp()) ** 2) * log_p


def focal_au_losses(logits: Tensor, labels: Tensor, reduction: AUReduction = "mean") -> Tensor:
    """(N,): -(1 - p)^2 log p, p the probability of the label, over the labelled AUs of each image; both (N, A)."""
    labelled = ~labels.isnan()
    terms = focal_terms(torch.stack([logits, torch.zeros_like(logits)], -1))
    total = torch.where(labelled, torch.where(labels == 1, terms[..., 0], terms[..., 1]), 0.0).sum(1)
    return total if reduction == "sum" else total / labelled.sum(1).clamp(min=1)


def collapse(labels: Tensor, labelled: Tensor) -> Tensor:
    """H: for each AU sum_k m_k log m_k of the batch's mean label m, averaged over the AUs with a label in the batch.

    The value is that of the whole batch; with several processes the gradient is this process's part of it.

    Args:
        labels: (N, A, 2K).
        labelled: (N, A), 1 or 0.
    """
    share = labels.sum(0)
    total, counts = distributed.total([share.detach(), labelled.sum(0).to(share.dtype)])
    mean = (share + (total - share.detach())) / counts.clamp(min=1)[:, None]
    tiny = torch.finfo(mean.dtype).tiny
    return (mean * mean.clamp(min=tiny).log()).sum() / (counts > 0).sum().clamp(min=1)


@dataclass(frozen=True)
class MAXLOptions(LookAheadOptions):
    """Options of `MAXL`."""

    subclasses: int = 5
    """K, into which the label network splits "present" and "absent" of each AU."""
    generated_weight: float = 1.0
    """of the auxiliary loss beside the AU loss."""
    entropy_weight: float = 0.2
    """c, of the regulariser that keeps the invented labels from collapsing."""
    alpha: StepLength = 0.1
    """length of the virtual (look-ahead) SGD step, or "rate": the scheduled learning rate, as in the paper."""
    beta: float = 1e-4
    """learning rate of the label network (Adam)."""
    label_decay: float = 5e-4
    """weight decay of the label network."""
    auxiliary_weight: float = 0.5
    """a, share of the expression task in the loss, in [0, 1]; 0, with `statistics` "separate", is the paper's own."""
    au_loss: Literal["focal", "cross-entropy"] = "focal"
    """the AUs' own loss: focal, as in the authors' code, or MTL's."""

    def __post_init__(self) -> None:
        length = 1.0 if self.alpha == "rate" else self.alpha
        if self.subclasses < 2 or length <= 0 or not 0 <= self.auxiliary_weight <= 1:
            raise InputError(
                "MAXL's subclasses must be at least 2, alpha positive and auxiliary_weight in [0, 1]; "
                f"found {self.subclasses}, {self.alpha} and {self.auxiliary_weight}"
            )


@METHODS.register("maxl")
class MAXL(Method):
    """MTL with a further task, on the AU images, whose labels are learned by their effect one step ahead."""

    streams: ClassVar[tuple[Stream, ...]] = ("primary", "auxiliary")
    Options: ClassVar[type[AUOptions]] = MAXLOptions
    options: MAXLOptions

    def __init__(self, setup: Setup, options: MAXLOptions = MAXLOptions()) -> None:
        super().__init__(setup, options)
        self.joint = JointForward(setup, options)
        self.learner = Learner(setup.network, options.subclasses)
        self.label_network = LabelNetwork(setup.network, options.subclasses)
        self.modules |= {"generated_head": self.learner.generated_head, "label_network": self.label_network}
        self.optimisers["base"] = setup.optimiser(self.learner.parameters())
        phi = [p for p in self.label_network.parameters() if p.requires_grad]
        self.optimisers["labels"] = torch.optim.Adam(phi, lr=options.beta, weight_decay=options.label_decay)

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """One update of the network and one of the label network, from the same forward passes."""
        self.learner.train()
        self.label_network.train()
        primary, auxiliary = batch["primary"], batch["auxiliary"]
        n, m = len(primary), len(auxiliary)
        forward = partial(self.all_losses, primary, auxiliary)
        images = LookAhead(self.learner, forward, self.options.way, self.autocast)
        with self.autocast():
            labels = self.label_network(primary.sample, primary.labels)
        u = self.weigh(labels, primary.labels, m)

        alpha = self.step_length(self.options.alpha)
        virtual = images.virtual_step(u, alpha)
        v, meta_loss = images.gradient_at(virtual, partial(self.primary_loss, primary))
        entropy = collapse(labels, ~primary.labels.isnan())
        self._update_labels(u, -alpha * images.alignment(v), entropy)
        losses = images.losses
        self.update_base(weighted_gradient(losses, images.theta, u.detach()), images.theta)
        generated = (losses[n + m :] * u[n + m :]).detach().sum() * distributed.count()
        share = self.options.generated_weight * (1 - self.options.auxiliary_weight)
        return {
            **task_losses(losses[: n + m], n),
            "loss_generated": generated / share if share else generated,
            "meta_loss": meta_loss,
            "label_collapse": entropy.detach(),
        }

    def weigh(self, labels: Tensor, au_labels: Tensor, auxiliary: int) -> Tensor:
        """u, this process's share of the weight of every one of the losses, with the graph to `labels`.

        Args:
            labels: (N, A, 2K), invented.
            au_labels: (N, A), NaN not labelled.
            auxiliary: number of expression images, M.

        Returns:
            (N + M + N * A * 2K,): AU losses, expression losses, focal terms.
        """
        n, a = len(labels), self.options.auxiliary_weight
        tasks = over_batches(labels.new_tensor([1 - a] * n + [a] * auxiliary), n)
        terms = self.options.generated_weight * (1 - a) * labels / n
        if self.options.au_reduction == "mean":
            terms = terms / (~au_labels.isnan()).sum(1).clamp(min=1)[:, None, None]
        return torch.cat([tasks, terms.flatten()]) / distributed.count()

    def all_losses(self, primary: Batch, auxiliary: Batch, learner: Call) -> tuple[Any, Tensor]:
        """The losses of both streams, then every focal term of the AU images, flat."""
        outputs, losses = self.joint.through(primary, auxiliary, learner)
        if self.options.au_loss == "focal":
            au = focal_au_losses(outputs[0].au_logits, primary.labels, self.options.au_reduction)
            losses = torch.cat([au, losses[len(primary) :]])
        return outputs, torch.cat([losses, focal_terms(outputs[0].generated_logits).flatten()])

    def primary_loss(self, primary: Batch, learner: Call) -> Tensor:
        """This process's share of the mean AU loss."""
        function = focal_au_losses if self.options.au_loss == "focal" else au_losses
        losses = function(learner(primary.sample).au_logits, primary.labels, self.options.au_reduction)
        return losses.sum() / (len(primary) * distributed.count())

    def _update_labels(self, u: Tensor, gradient: Tensor, entropy: Tensor) -> None:
        """phi <- phi - beta * [(d primary loss / d u) (d u / d phi) + c d H / d phi]."""
        phi = [p for p in self.label_network.parameters() if p.requires_grad]
        slopes = torch.autograd.grad(
            [u, self.options.entropy_weight * entropy], phi, grad_outputs=[gradient, torch.ones_like(entropy)]
        )
        for parameter, slope in zip(phi, distributed.total(slopes), strict=True):
            parameter.grad = slope
        self.optimisers["labels"].step()
        self.optimisers["labels"].zero_grad(set_to_none=True)
