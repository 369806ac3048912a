import pytest
import torch
from torch import Tensor

from metafacs.data.transforms import Crops, centre_crops, crop, random_crops


def images(count: int, side: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_crops_are_slices_mirrored_where_said() -> None:
    pictures, crops = images(40, 20), random_crops(40, 6, torch.Generator().manual_seed(1))
    found = crop(pictures, crops, 14)
    assert found.shape == (40, 3, 14, 14) and found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    for picture, top, left, flipped, out in zip(pictures, *crops, found, strict=True):
        expected = picture[:, top : top + 14, left : left + 14]
        expected = expected.flip(2) if flipped else expected
        assert torch.equal(out, expected.float() / 255)


def test_random_crops_reach_every_place_and_mirror_half() -> None:
    crops = random_crops(8000, 3, torch.Generator().manual_seed(0))
    for line in (crops.top, crops.left):
        assert torch.bincount(line).tolist() == pytest.approx([2000] * 4, abs=200)
    assert crops.flipped.float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert torch.corrcoef(torch.stack([line.float() for line in crops])).triu(1).abs().max() < 0.05


def test_no_slack_leaves_the_image() -> None:
    pictures = images(3, 9)
    assert torch.equal(crop(pictures, centre_crops(3, 0), 9), pictures.float() / 255)


@pytest.mark.parametrize("slack, middle", [(0, 0), (1, 0), (4, 2), (24, 12)])
def test_the_centre(slack: int, middle: int) -> None:
    crops = centre_crops(2, slack)
    assert crops.top.tolist() == crops.left.tolist() == [middle] * 2
    assert not crops.flipped.any()


def test_crops_depend_on_the_generator_alone() -> None:
    torch.manual_seed(0)
    first = random_crops(10, 5, torch.Generator().manual_seed(3))
    torch.manual_seed(1)
    second = random_crops(10, 5, torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_part_of_the_crops() -> None:
    crops = random_crops(10, 5, torch.Generator().manual_seed(3))
    parts = [crops.part(slice(0, 5)), crops.part(slice(5, 10))]
    assert all(torch.equal(torch.cat(p), whole) for *p, whole in zip(*parts, crops, strict=True))
    assert isinstance(parts[0], Crops)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_the_device_does_not_matter() -> None:
    pictures, crops = images(4, 20), random_crops(4, 4, torch.Generator().manual_seed(1))
    assert torch.equal(crop(pictures.cuda(), crops, 16).cpu(), crop(pictures, crops, 16))
