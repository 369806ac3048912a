"""LP-Net (reconstructed): relations of local regions, with what is the person's own taken out of the feature.

Paper: Niu, Han, Yang, Huang & Shan, Local Relationship Learning with Person-specific Shape Regularization for Facial
Action Unit Detection, CVPR 2019. Neither code nor text was to be had; this is from memory. On the first stages of a
ResNet an LSTM runs over local regions; a second branch finds the mean shape s of the person's face, and its feature
f_P is to be orthogonal to the AUs' feature f_L:

    L = L_AU + shape |found shape - s|^2 + orthogonal cos(f_L, f_P)^2

Landmarks are needed in training only. With both weights 0 and no relations it is STL on the three stages.
Differs from the paper in: what is not known of it. Ours are three stages, 4 x 4 regions, one bidirectional LSTM added
to the mean of the map, the cosine, both weights; s is the mean over a person's training rows of 49 points about their
middle, in distances of the eyes, made symmetric because images are mirrored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from metafacs.data.transforms import MIRRORED
from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, Batch, Facts, Setup, Stream
from metafacs.methods.losses import au_losses
from metafacs.methods.stl import STL
from metafacs.models.jaa import MARKUP
from metafacs.models.lp import LPNetwork


@dataclass(frozen=True)
class LPNetOptions(AUOptions):
    """Options of `LPNet`."""

    shape: float = 1.0
    """weight of the shape of the person's face."""
    orthogonal: float = 0.1
    """weight of what the features of AUs and of the person share."""

    def __post_init__(self) -> None:
        if self.shape < 0 or self.orthogonal < 0:
            raise InputError(f"LP-Net's weights are {self.shape} and {self.orthogonal}; they cannot be negative")


@METHODS.register("lp_net")
class LPNet(STL):
    """STL on relations of regions, with the person's own shape taken out; on timm ResNets; reconstructed."""

    Options: ClassVar[type[AUOptions]] = LPNetOptions
    options: LPNetOptions
    network: LPNetwork
    needs: ClassVar[str | None] = "resnet"
    uses_landmarks: ClassVar[bool] = True

    def __init__(self, setup: Setup, options: LPNetOptions = LPNetOptions()) -> None:
        network = LPNetwork(setup.network)
        super().__init__(replace(setup, network=network), options)
        self.shapes = person_shapes(setup.facts).to(network.au_head.weight)

    def losses(self, batch: Mapping[Stream, Batch]) -> Tensor:
        """(B,): all terms; of a person without landmarks the AUs' alone."""
        primary = batch["primary"]
        whole = self.network.whole(primary.sample)
        losses = au_losses(whole.output.au_logits, primary.labels, self.options.au_reduction)
        feature = whole.output.feature
        shared = F.cosine_similarity(feature, whole.person.to(feature.dtype)).square()
        losses = losses + self.options.orthogonal * shared
        if primary.places is None:
            return losses
        true = self.shapes[primary.places]
        away = torch.where(true.isnan(), 0.0, whole.shape.to(true.dtype) - true)
        return losses + self.options.shape * away.square().mean((1, 2))


def person_shapes(facts: Facts) -> Tensor:
    """(N, 49, 2): for each training row the mean shape of the person's face; NaN where no landmarks are known."""
    if facts.landmarks is None:
        return torch.full((len(facts.subjects), 49, 2), torch.nan)
    shapes = face_shapes(facts.landmarks)
    rows: dict[str, list[int]] = {}
    for row, subject in enumerate(facts.subjects):
        rows.setdefault(subject, []).append(row)
    for own in rows.values():
        shapes[own] = shapes[own].nanmean(0)
    return shapes


def face_shapes(landmarks: Tensor) -> Tensor:
    """(N, 49, 2): the 49 points about their middle, in distances of the eyes, made the mean of it and its mirror image.

    Args:
        landmarks: (N, 68, 2), NaN not known.
    """
    mirrored = landmarks[:, list(MIRRORED)] * landmarks.new_tensor([-1.0, 1.0])
    both = []
    for points in (landmarks, mirrored):
        eyes = (points[:, 36:42].mean(1) - points[:, 42:48].mean(1)).norm(dim=1).clamp(min=1e-6)
        chosen = points[:, list(MARKUP)]
        both.append((chosen - chosen.mean(1, keepdim=True)) / eyes[:, None, None])
    return torch.stack(both).mean(0)
