import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from metafacs.data.photographic import COVERED, GREY, Changes, photograph, random_changes

B, SIDE = 6, 24


def images(seed: int = 0) -> Tensor:
    rough = torch.rand(B, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return 0.2 + 0.5 * functional.interpolate(rough, size=SIDE, mode="bilinear")


def nothing() -> Changes:
    one = torch.ones(B, 1, 1, 1)
    return Changes(
        affine=torch.eye(2, 3).expand(B, 2, 3),
        gain=one.expand(B, 3, 1, 1),
        gamma=one,
        saturation=one,
        softness=0 * one,
        slope=torch.zeros(B, 2, 1, 1),
        noise=torch.zeros(B, 1, SIDE, SIDE),
        cover=torch.zeros(B, 4),
        colour=torch.zeros(B, 3, 1, 1),
    )


def drawn(count: int = 4000) -> Changes:
    return random_changes(count, 2, torch.Generator().manual_seed(1))


def test_no_change_changes_nothing() -> None:
    found = photograph(images(), nothing())
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(found, images(), atol=1e-5)


def test_places_go_where_the_affine_map_says() -> None:
    shift = 2 * 3 / SIDE  # three pixels, the picture being two wide
    affine = torch.eye(2, 3).repeat(B, 1, 1)
    affine[:, 0, 2] = shift
    found = photograph(images(), nothing()._replace(affine=affine))
    assert torch.allclose(found[..., :-3], images()[..., 3:], atol=1e-5)


def test_colour_and_light_are_those_of_the_formula() -> None:
    half, slope = torch.full((B, 1, 1, 1), 0.5), torch.zeros(B, 2, 1, 1)
    slope[:, 1] = 0.4
    changes = nothing()._replace(gain=half.expand(B, 3, 1, 1), gamma=4 * half, saturation=0 * half, slope=slope)
    rows = 1 + 0.4 * torch.linspace(-1, 1, SIDE)[:, None]
    expected = (0.5 * images() ** 2 * rows).mean(dim=1, keepdim=True).expand(B, 3, SIDE, SIDE)
    assert torch.allclose(photograph(images(), changes), expected, atol=1e-5)


def test_softness_blurs_as_a_gaussian_does_and_below_zero_sharpens() -> None:
    taps = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    kernel = torch.outer(taps, taps).expand(3, 1, 5, 5)
    expected = functional.conv2d(functional.pad(images(), (2, 2, 2, 2), mode="replicate"), kernel, groups=3)
    one = torch.ones(B, 1, 1, 1)
    assert torch.allclose(photograph(images(), nothing()._replace(softness=one)), expected, atol=1e-5)
    sharp = photograph(images(), nothing()._replace(softness=-one))
    assert torch.allclose(sharp, 2 * images() - expected, atol=1e-5)


def test_a_rectangle_is_covered_and_noise_is_added() -> None:
    cover = torch.tensor([[0.25, 0.5, 0.5, 1.0]]).expand(B, 4)
    colour = torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1).expand(B, 3, 1, 1)
    found = photograph(images(), nothing()._replace(cover=cover, colour=colour))
    inside = found[:, :, SIDE // 2 :, SIDE // 4 : SIDE // 2]
    assert torch.allclose(inside, colour.expand_as(inside))
    assert torch.allclose(found[:, :, : SIDE // 2], images()[:, :, : SIDE // 2], atol=1e-5)
    noise = 0.1 * torch.randn(B, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    noisy = photograph(images(), nothing()._replace(noise=noise))
    assert torch.allclose(noisy, (images() + noise).clamp(0, 1), atol=1e-5)


def test_what_is_drawn_is_what_was_meant() -> None:
    changes = drawn()
    assert (changes.saturation == 0).float().mean().item() == pytest.approx(GREY, abs=0.03)
    assert (changes.cover[:, 2] > changes.cover[:, 0]).float().mean().item() == pytest.approx(COVERED, abs=0.03)
    assert changes.cover.min() >= 0 and changes.cover.max() <= 1
    turn = torch.atan2(changes.affine[:, 1, 0], changes.affine[:, 0, 0])
    assert math.degrees(turn.std().item()) == pytest.approx(4, abs=0.5)
    assert turn.mean().abs() < 0.01 and changes.affine[:, :, 2].mean(dim=0).abs().max() < 0.005
    assert changes.gain.log().mean().abs() < 0.02 and changes.softness.mean().abs() < 0.05


def test_every_picture_stays_in_range_and_differs_in_its_own_way() -> None:
    changes = random_changes(B, SIDE, torch.Generator().manual_seed(0))
    found = photograph(images()[:1].expand(B, 3, SIDE, SIDE), changes)
    assert found.min() >= 0 and found.max() <= 1 and found.isfinite().all()
    assert all(not torch.equal(found[a], found[b]) for a in range(B) for b in range(a))


def test_a_part_is_changed_as_in_the_whole() -> None:
    changes = random_changes(B, SIDE, torch.Generator().manual_seed(0))
    part = photograph(images()[2:4], changes.part(slice(2, 4)))
    assert torch.allclose(part, photograph(images(), changes)[2:4], atol=1e-6)
