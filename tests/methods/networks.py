"""Small networks and batches for the tests of methods."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import timm
import torch
from torch import Tensor, nn

from metafacs.methods import Batch, Method, Setup
from metafacs.models.network import Network
from metafacs.sample import Sample
from tests.toy_runs import SMALL_RESNET

AUS, EXPRESSIONS = 5, 7
Kind = TypeVar("Kind", bound=Method)


class TinyBackbone(nn.Module):
    """Two convolutions with BatchNorm, and dropout if asked."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(8, 16, 3, 2, 1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Dropout(dropout),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).mean((2, 3))


def tiny_network(dropout: float = 0.0, seed: int = 0, dtype: torch.dtype = torch.float64) -> Network:
    torch.manual_seed(seed)
    return Network(TinyBackbone(dropout), 16, AUS, EXPRESSIONS).to(dtype)


def timm_network(name: str, seed: int = 0, dtype: torch.dtype = torch.float64, **options: object) -> Network:
    torch.manual_seed(seed)
    backbone = timm.create_model(name, num_classes=0, **options)
    return Network(backbone, backbone.num_features, AUS, EXPRESSIONS).to(dtype)


def small_resnet(seed: int = 0, dtype: torch.dtype = torch.float64, **options: object) -> Network:
    return timm_network("test_resnet", seed, dtype, **{**SMALL_RESNET, **options})


def batches(
    primary: int = 6,
    auxiliary: int = 6,
    meta: int = 10,
    side: int = 16,
    masked: float = 0.0,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> dict[str, Batch]:
    """Random images and labels; a share `masked` of the AU labels is NaN."""
    g = torch.Generator().manual_seed(seed)

    def images(n: int) -> Tensor:
        return torch.rand(n, 3, side, side, generator=g, dtype=dtype)

    def aus(n: int) -> Tensor:
        labels = (torch.rand(n, AUS, generator=g) < 0.4).to(dtype)
        hidden = torch.rand(n, AUS, generator=g) < masked
        return labels.masked_fill(hidden, float("nan"))

    return {
        "primary": Batch(Sample(images(primary)), aus(primary)),
        "auxiliary": Batch(Sample(images(auxiliary)), torch.randint(0, EXPRESSIONS, (auxiliary,), generator=g)),
        "meta": Batch(Sample(images(meta)), aus(meta)),
        "pairs": Batch(Sample(images(2 * primary)), torch.empty(2 * primary, 0)),
    }


def sgd(parameters) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.05)


def build(
    kind: type[Kind],
    network: Network,
    class_weights: tuple[Tensor, Tensor] | None = None,
    autocast: Callable[[], Any] = nullcontext,
    optimiser: Callable[..., torch.optim.Optimizer] = sgd,
    **options: Any,
) -> Kind:
    """A method with its own options in the place of `Options(...)`."""
    return kind(Setup(network, optimiser, class_weights, autocast), kind.Options(**options))
