"""L2T-WW: learning what and where to transfer from an expression network to the AU network.

Paper: Jang, Lee, Hwang & Shin, Learning What and Where to Transfer, ICML 2019, Eq. 1-4, Algorithm 1. With S_s the
feature of a frozen source network's stage s, T_t the target's of stage t, r a 1x1 convolution,

    matching loss   M = beta * sum over pairs (s, t) of  lambda_st sum_c w_stc mean_places (S_sc - r_st(T_t)_c)^2
    what            w_st = softmax(linear(pool(S_s))), zero at the start       (all channels the same)
    where           lambda_st = relu6(linear(pool(S_s))), bias 1 at the start, all 16 pairs of four stages

per batch: one ordinary step on AU loss + M; then T = 2 virtual steps on M alone and one on the AU loss; the gradient of
the AU loss after them, through all three steps, updates the two linear maps (Adam); the target is rolled back.
beta 0.5, T, and Adam's rates are those of the authors' code.
Differs from the paper in: the source is trained here, on the expression images in the first `source_share` of the
steps, during which the target waits, so that the run has as many steps as any other method's and one learning rate
schedule spans both; target and source have the same backbone and start from the same weights; virtual steps are plain
SGD of length alpha, whatever the base optimiser; they count for no running statistics; the gradient goes through one
step's graph at a time (`unrolled.py`), exactly.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs import distributed
from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, Batch, Method, Setup, StepCount, StepLength, Stream
from metafacs.methods.lookahead import LossesAt, Parameters, RandomState, isolated, weighted_gradient
from metafacs.methods.losses import au_losses, expression_losses
from metafacs.methods.unrolled import unrolled_gradient
from metafacs.models.network import Network, load_weights
from metafacs.models.stages import stage_outputs, stages, widths
from metafacs.sample import Sample

PAIRS = [(source, target) for source in range(4) for target in range(4)]
"""Every stage of the source with every stage of the target."""


class TransferWeights(nn.Module):
    """Two meta networks: how much each channel and each pair of stages counts, for each image.

    The weights of the channels of a source feature are the softmax of a linear layer, zero at the start, on the
    pooled feature; the weight of a pair is relu6 of a linear layer with bias 1.

    Args:
        channels: of the source's stages.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channel = nn.ModuleList(nn.Linear(channels[s], channels[s]) for s, _ in PAIRS)
        self.pair = nn.ModuleList(nn.Linear(channels[s], 1) for s, _ in PAIRS)
        for layer in self.channel:
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for layer in self.pair:
            nn.init.ones_(layer.bias)  # type: ignore[arg-type]

    def forward(self, source: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Of the source's four features: for each of `PAIRS` the channels' weights (N, C) and the pair's (N,)."""
        pooled = [feature.mean((2, 3)) for feature in source]
        pairs = list(zip(PAIRS, self.channel, self.pair, strict=True))
        channels = [torch.softmax(layer(pooled[s]), 1) for (s, _), layer, _ in pairs]
        return channels, [F.relu6(layer(pooled[s])).squeeze(1) for (s, _), _, layer in pairs]


class Student(nn.Module):
    """The target network with a 1x1 convolution for each of `PAIRS`, to the channels of the source's stage.

    Args:
        network: the target, on a timm ResNet.
        channels: of the source's stages.
    """

    def __init__(self, network: Network, channels: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        target = widths(network.backbone)
        like = network.au_head.weight
        self.matching = nn.ModuleList(nn.Conv2d(target[t], channels[s], 1) for s, t in PAIRS).to(
            like.device, like.dtype
        )

    def forward(self, sample: Sample) -> tuple[Tensor, ...]:
        """AU logits (N, A), and the matching feature of each of `PAIRS`, (N, C_s, H_t, W_t)."""
        features = stage_outputs(self.network.backbone, self.network.normalised(sample.images))
        feature = self.network.backbone.forward_head(features[-1])  # type: ignore[operator]
        logits = self.network.read(feature, feature).au_logits
        return logits, *(layer(features[t]) for (_, t), layer in zip(PAIRS, self.matching, strict=True))


def matching_losses(
    source: Sequence[Tensor], matched: Sequence[Tensor], channels: Sequence[Tensor], pairs: Sequence[Tensor]
) -> Tensor:
    """(N,): sum over pairs p and channels c of pair weight * channel weight * mean over places of (S_c - r(T)_c)^2.

    Args:
        source: the source's four features, (N, C_s, H_s, W_s); brought to the target's size bilinearly.
        matched: for each of `PAIRS`, (N, C_s, H_t, W_t).
        channels: for each of `PAIRS`, (N, C_s).
        pairs: for each of `PAIRS`, (N,).
    """
    total = torch.zeros_like(pairs[0])
    for (s, _), feature, channel, pair in zip(PAIRS, matched, channels, pairs, strict=True):
        stage = source[s]
        if stage.shape[2:] != feature.shape[2:]:
            stage = F.interpolate(stage, feature.shape[2:], mode="bilinear", align_corners=False)
        distance = (stage - feature).to(channel.dtype).square().mean((2, 3))
        total = total + pair * (channel * distance).sum(1)
    return total


@dataclass(frozen=True)
class L2TWWOptions(AUOptions):
    """Options of `L2TWW`."""

    source: str | None = None
    """safetensors file with the weights of a trained source, a backbone's or a metafacs detector's, whose training
    must not have seen the test subjects; without it the source is trained in this run."""
    source_share: float = 0.3
    """share of the run's steps in which the source is trained, in [0, 1); 0 leaves it as the network starts. Not
    used where `source` is given."""
    alpha: StepLength = 0.1
    """length of a virtual SGD step, or "rate": the scheduled learning rate, as in the paper."""
    beta: float = 0.5
    """weight of the matching loss."""
    virtual_steps: int = 2
    """T, on the matching loss alone, before the one on the AU loss."""
    meta_rate: float = 1e-4
    """Adam's learning rate for the meta networks."""
    meta_decay: float = 1e-4
    """Adam's weight decay for them."""

    def __post_init__(self) -> None:
        if not 0 <= self.source_share < 1:
            raise InputError(f"L2T-WW's source_share is {self.source_share}; it must be at least 0 and below 1")
        if (self.alpha != "rate" and self.alpha <= 0) or self.beta < 0 or self.virtual_steps < 1:
            raise InputError(
                "L2T-WW's alpha must be positive, beta not negative and virtual_steps at least 1; "
                f"found {self.alpha}, {self.beta} and {self.virtual_steps}"
            )


@METHODS.register("l2t_ww")
class L2TWW(Method):
    """Trains an expression network, then an AU network that learns which of its features to match."""

    streams: ClassVar[tuple[Stream, ...]] = ("primary", "auxiliary")
    Options: ClassVar[type[AUOptions]] = L2TWWOptions
    options: L2TWWOptions
    needs: ClassVar[str | None] = "resnet"

    def __init__(self, setup: Setup, options: L2TWWOptions = L2TWWOptions()) -> None:
        network, optimiser = setup.network, setup.optimiser
        stages(network.backbone, "L2T-WW")
        super().__init__(setup, options)
        self.source_share, self.source_steps = 0.0 if options.source else options.source_share, 0
        self.source = copy.deepcopy(network)
        if options.source:
            load_weights(self.source.backbone, Path(options.source))
        channels = widths(network.backbone)
        self.student = Student(network, channels)
        like = network.au_head.weight
        self.meta = TransferWeights(channels).to(like.device, like.dtype)
        self.taken = StepCount()
        self.modules |= {"source": self.source, "matching": self.student.matching, "meta": self.meta}
        self.modules["taken"] = self.taken
        self.optimisers["base"] = optimiser(self.student.parameters())
        self.optimisers["source"] = optimiser(self.source.parameters())
        self.optimisers["meta"] = torch.optim.Adam(
            self.meta.parameters(), lr=options.meta_rate, weight_decay=options.meta_decay
        )

    def plan(self, steps: int) -> None:
        """Sets how many steps train the source; none until this is called."""
        self.source_steps = round(self.source_share * steps)

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """One step of the source, or one of the target and one of the meta networks."""
        taken = int(self.taken.count)
        self.taken.count += 1
        if taken < self.source_steps:
            return self._train_source(batch["auxiliary"])
        return self._train_target(batch["primary"])

    def _train_source(self, auxiliary: Batch) -> dict[str, Tensor]:
        self.source.train()
        with self.autocast():
            logits = self.source(auxiliary.sample).expression_logits
        losses = expression_losses(logits, auxiliary.labels)
        weights = torch.full_like(losses, 1 / (len(losses) * distributed.count()))
        parameters = dict(self.source.named_parameters())
        for name, gradient in weighted_gradient(losses, parameters, weights).items():
            parameters[name].grad = gradient
        optimiser = self.optimisers["source"]
        for group, base in zip(optimiser.param_groups, self.optimisers["base"].param_groups, strict=True):
            group["lr"] = base["lr"]  # the schedule is the base optimiser's
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return {"loss_auxiliary": losses.detach().mean()}

    def _train_target(self, primary: Batch) -> dict[str, Tensor]:
        self.student.train()
        source = self.source_features(primary.sample)
        with self.autocast():
            logits, *matched = self.student(primary.sample)
        losses = au_losses(logits, primary.labels, self.options.au_reduction)
        with torch.no_grad():
            weights = self.meta(source)
        matching = self.options.beta * matching_losses(source, matched, *weights)
        each = torch.full_like(losses, 1 / (len(losses) * distributed.count()))
        parameters = dict(self.student.named_parameters())
        self.update_base(weighted_gradient(losses + matching, parameters, each), parameters)
        del logits, matched
        outer = self._update_meta(primary, source)
        return {
            "loss_primary": losses.detach().mean(),
            "loss_matching": matching.detach().mean(),
            "meta_loss": outer,
            "pair_weight_mean": distributed.gather(torch.stack(weights[1])).mean(),
        }

    @torch.no_grad()
    def source_features(self, sample: Sample) -> list[Tensor]:
        """What the four stages of the frozen source give for N faces."""
        self.source.eval()
        with self.autocast():
            features = stage_outputs(self.source.backbone, self.source.normalised(sample.images))
        return [feature.to(torch.promote_types(feature.dtype, torch.float32)) for feature in features]

    def _update_meta(self, primary: Batch, source: list[Tensor]) -> Tensor:
        """One step of the meta networks by the AU loss after virtual steps; returns that loss."""
        matching_at, task_at = self.virtual_losses(primary, source)
        unrolled = unrolled_gradient(
            [*[matching_at] * self.options.virtual_steps, task_at],
            task_at,
            dict(self.student.named_parameters()),
            list(self.meta.parameters()),
            self.step_length(self.options.alpha),
        )
        for parameter, gradient in zip(self.meta.parameters(), unrolled.gradient, strict=True):
            parameter.grad = gradient
        self.optimisers["meta"].step()
        self.optimisers["meta"].zero_grad(set_to_none=True)
        return unrolled.outer_loss

    def virtual_losses(self, primary: Batch, source: list[Tensor]) -> tuple[LossesAt, LossesAt]:
        """The mean matching loss and the mean AU loss as functions of the student's parameters, without side effects.

        Both are this process's share of the mean over all processes; every call draws the same random masks.
        """
        passes, random = isolated(self.student), RandomState(primary.sample.images)
        whole = len(primary) * distributed.count()

        def outputs_at(parameters: Parameters) -> tuple[Tensor, ...]:
            with random.replayed(), self.autocast():
                return passes(parameters, primary.sample)

        def matching_at(parameters: Parameters) -> Tensor:
            _, *matched = outputs_at(parameters)
            return self.options.beta * matching_losses(source, matched, *self.meta(source)).sum() / whole

        def task_at(parameters: Parameters) -> Tensor:
            return au_losses(outputs_at(parameters)[0], primary.labels, self.options.au_reduction).sum() / whole

        return matching_at, task_at
