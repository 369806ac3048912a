"""A timm ResNet run stage by stage."""

from timm.models.resnet import ResNet
from torch import Tensor, nn

from metafacs.errors import InputError


def stages(backbone: nn.Module, what: str, blocks: int = 1) -> list[nn.Sequential]:
    """The four stages of residual blocks.

    Args:
        backbone: the network to look into.
        what: needs it, for the message ("MTAN").
        blocks: that every stage must have.

    Raises:
        InputError: the backbone is not a timm ResNet, or a stage has too few blocks.
    """
    if not isinstance(backbone, ResNet):
        raise InputError(
            f"{what} works on the stages of timm's ResNets, and this backbone is a {type(backbone).__name__}; "
            "take one such as --network.backbone resnet34"
        )
    layers = [backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4]
    counts = [len(stage) for stage in layers]
    if min(counts) < blocks:
        raise InputError(
            f"{what} needs at least {blocks} residual blocks in every stage, and this backbone has "
            f"{', '.join(map(str, counts))}; take a deeper one such as --network.backbone resnet18"
        )
    return layers


def widths(backbone: nn.Module) -> list[int]:
    """Channels that each stage gives."""
    channels = {info["module"]: int(info["num_chs"]) for info in backbone.feature_info}  # type: ignore[union-attr]
    return [channels[f"layer{k}"] for k in range(1, 5)]


def stem(backbone: ResNet, images: Tensor) -> Tensor:
    """What comes before the first stage, of normalised images."""
    return backbone.maxpool(backbone.act1(backbone.bn1(backbone.conv1(images))))


def stage_outputs(backbone: ResNet, images: Tensor) -> list[Tensor]:
    """What each of the four stages gives for normalised images, (N, C_k, H_k, W_k).

    `backbone.forward_head` of the last one is what the backbone itself gives.
    """
    outputs, x = [], stem(backbone, images)
    for stage in (backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4):
        x = stage(x)
        outputs.append(x)
    return outputs
