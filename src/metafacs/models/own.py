"""Backbones of metafacs' own, entered into timm's registry, so that their names stand wherever a timm name does.

Each is a class with `num_features` and options of its own that maps (N, 3, S, S) to (N, num_features); where it has a
`normalisation`, that is the mean and the standard deviation of its colours. None has published weights.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

import torch
from timm.models import register_model
from torch import Tensor, nn

Kind = TypeVar("Kind", bound=type[nn.Module])


def backbone(name: str) -> Callable[[Kind], Kind]:
    """Decorator that enters a class into timm's registry as `metafacs_NAME`."""

    def enter(kind: Kind) -> Kind:
        def make(
            pretrained: bool = False,
            num_classes: int = 0,
            pretrained_cfg: object = None,
            pretrained_cfg_overlay: object = None,
            cache_dir: object = None,
            **options: Any,
        ) -> Any:
            if pretrained or num_classes:
                raise ValueError(f"metafacs_{name} has no published weights and no classifier")
            model: Any = kind(**options)
            mean, std = getattr(model, "normalisation", (0.5, 0.25))
            model.pretrained_cfg = {"mean": (mean,) * 3, "std": (std,) * 3}
            return model

        make.__name__ = f"metafacs_{name}"
        register_model(make)
        return kind

    return enter


def flat_size(features: nn.Module, side: int) -> int:
    """How many numbers `features` makes of an image of `side` x `side` pixels; it must be without statistics yet.

    Raises:
        ValueError: the image is too small for it, or does not divide as it must.
    """
    try:
        with torch.no_grad():
            return int(features.eval()(torch.zeros(1, 3, side, side)).numel())
    except RuntimeError as error:
        raise ValueError(f"img_size {side} does not fit: {error}") from error
    finally:
        features.train()


def start(module: nn.Module) -> None:
    """Weights by He's rule for ReLU, biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def hidden_layers(size: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """Flattening, then fully connected layers with ReLU and dropout of one half."""
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise((size, *hidden)):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers)


class Cells(nn.Module):
    """BatchNorm, ReLU and a 3x3 convolution, padded, with weights of its own in each cell of a square grid.

    Args:
        channels: of the input.
        out: of the output.
        grid: cells a side; must divide the side of the map.
    """

    def __init__(self, channels: int, out: int, grid: int) -> None:
        super().__init__()
        self.grid, cells = grid, grid * grid
        self.norm = nn.BatchNorm2d(cells * channels)
        self.conv = nn.Conv2d(cells * channels, cells * out, 3, padding=1, groups=cells)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, S, S) -> (N, out, S, S)."""
        g = self.grid
        cells = x.unflatten(3, (g, -1)).unflatten(2, (g, -1)).permute(0, 2, 4, 1, 3, 5).flatten(1, 3)
        y = self.conv(self.norm(cells).relu()).unflatten(1, (g, g, -1))
        return y.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
