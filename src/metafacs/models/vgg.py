"""timm's VGG group by group, and one of any width."""

from itertools import pairwise

from timm.models.vgg import VGG
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.models.own import backbone

_CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


@backbone("vgg")
class NarrowVGG(VGG):
    """VGG-16 or VGG-19 with fewer channels, for trials and tests on the CPU.

    Args:
        depth: 16 or 19.
        width: channels of the first group; 64 is the original.
        mlp_ratio: size of the first fully connected layer as a share of 4096.
    """

    def __init__(self, depth: int = 19, width: int = 8, mlp_ratio: float = 1 / 64) -> None:
        layers: list[int | str] = []
        for group, count in enumerate(_CONVOLUTIONS[depth]):
            layers += [width * min(2**group, 8)] * count + ["M"]
        super().__init__(layers, num_classes=0, mlp_ratio=mlp_ratio)


def groups(backbone: nn.Module, what: str, depth: int) -> list[nn.Sequential]:
    """The five groups of convolutions, each with its ReLUs and the pooling at its end.

    Args:
        backbone: the network to look into.
        what: needs it, for the message ("EAC-Net").
        depth: that it must have, 16 or 19.

    Raises:
        InputError: the backbone is not such a VGG.
    """
    wanted = sum(_CONVOLUTIONS[depth])
    plain = isinstance(backbone, VGG) and not backbone.use_norm
    if not plain or sum(isinstance(layer, nn.Conv2d) for layer in backbone.features) != wanted:  # type: ignore[union-attr]
        raise InputError(
            f"{what} works on timm's VGG-{depth} without BatchNorm, and this backbone is another "
            f"({type(backbone).__name__}); take --network.backbone vgg{depth}, or metafacs_vgg with options "
            f"{{depth: {depth}}}"
        )
    features: nn.Sequential = backbone.features  # type: ignore[assignment]
    poolings = [place + 1 for place, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)]
    return [features[start:end] for start, end in pairwise([0, *poolings])]


def channels(group: nn.Sequential) -> int:
    """Of the maps of a group."""
    return len(next(group.parameters()))


def ends(group: nn.Sequential, x: Tensor) -> tuple[Tensor, Tensor]:
    """What the first and the last convolution of a group give, after their ReLU and before the pooling."""
    first = group[:2](x)
    return first, group[2:-1](first)
