import pytest
import torch

from metafacs.errors import InputError
from metafacs.models.stages import stage_outputs, stages, widths
from tests.methods.networks import small_resnet, timm_network


@pytest.mark.parametrize("name", ["test_resnet", "resnet18", "resnet26d", "resnext50_32x4d"])
def test_stage_by_stage_is_the_backbone(name: str) -> None:
    backbone = timm_network(name, dtype=torch.float32).backbone.eval()
    images = torch.rand(2, 3, 64, 64)
    found = stage_outputs(backbone, images)
    assert [feature.shape[1] for feature in found] == widths(backbone)
    assert torch.equal(backbone.forward_head(found[-1]), backbone(images))


def test_stages_of_what_is_none() -> None:
    assert [len(stage) for stage in stages(small_resnet().backbone, "it", 2)] == [2, 2, 2, 2]
    with pytest.raises(InputError, match="it works on the stages of timm's ResNets, and this backbone is a Linear"):
        stages(torch.nn.Linear(1, 1), "it")
    with pytest.raises(InputError, match=r"it needs at least 3 residual blocks in every stage.* 2, 2, 2, 2; take a"):
        stages(small_resnet().backbone, "it", 3)
