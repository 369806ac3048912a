"""BatchNorm of several processes; that two equal one is in `tests/test_processes.py`."""

import copy

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor, nn

from metafacs import distributed
from metafacs.methods import METHODS
from metafacs.methods.losses import class_balance
from metafacs.models.synchronised import synchronise
from metafacs.sample import Sample
from tests.methods.networks import batches, build, timm_network, tiny_network


class Alone:
    """Stands in for the other processes: there are none, but the code path is that of several."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sums = 0

        def total(values: Tensor) -> Tensor:
            self.sums += 1
            return values

        monkeypatch.setattr(distributed, "differentiable_total", total)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_it_is_batch_norm(dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    others = Alone(monkeypatch)
    plain = timm_network("test_efficientnet", dtype=dtype).train()
    changed = copy.deepcopy(plain)
    synchronise(changed)
    synchronise(changed)  # a second time changes nothing
    layers = sum(isinstance(layer, nn.BatchNorm2d) for layer in changed.modules())
    sample = Sample(torch.rand(6, 3, 32, 32, dtype=dtype) + 5)
    for network in (plain, changed):
        network(sample)[1].square().sum().backward()
    assert others.sums == 2 * layers > 0
    greatest = max(p.grad.abs().max().item() for p in plain.parameters() if p.grad is not None)
    for (name, one), other in zip(plain.named_parameters(), changed.parameters(), strict=True):
        if one.grad is not None:  # some are zero but for rounding: their layer stands before another BatchNorm
            assert torch.allclose(one.grad, other.grad, tolerance, tolerance * greatest), name
    assert list(plain.state_dict()) == list(changed.state_dict())
    for name, value in plain.state_dict().items():
        assert torch.allclose(value, changed.state_dict()[name], tolerance, tolerance), name
    before = others.sums
    changed.eval()(sample)
    assert others.sums == before


def test_tangents_and_second_derivatives_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    Alone(monkeypatch)
    norm, images = nn.BatchNorm2d(3).double(), torch.rand(4, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    changed = copy.deepcopy(norm)
    synchronise(changed)
    direction = torch.rand_like(images)
    tangents = []
    for layer in (norm, changed):
        with forward_ad.dual_level():
            tangents.append(forward_ad.unpack_dual(layer(forward_ad.make_dual(images.detach(), direction))).tangent)
    assert torch.allclose(*tangents, atol=1e-12)
    assert torch.autograd.gradgradcheck(lambda x: changed(x).pow(3), (images,))


@pytest.mark.parametrize("way", ["forward", "difference"])
def test_a_step_of_mal_is_the_same(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    others, after = Alone(monkeypatch), []
    for changes in (False, True):
        whole = batches(8, 8, 16, side=32)
        options = {"alpha": 0.3, "beta": 0.5, "meta_optimiser": "sgd", "way": way}
        made = build(METHODS["mal"], timm_network("test_efficientnet"), class_balance(whole["meta"].labels), **options)
        if changes:
            synchronise(made.network)
        values = made.training_step(whole)  # type: ignore[arg-type]
        after.append(({k: v.clone() for m in made.modules.values() for k, v in m.state_dict().items()}, values))
    assert others.sums > 0
    (one, values), (other, other_values) = after
    for name, value in one.items():
        tolerance = 1e-5 if way == "difference" else 1e-7  # a difference quotient is exact to some 1e-7 in float64
        assert torch.allclose(value, other[name], tolerance, tolerance / 100), name
    assert values["meta_loss"] == pytest.approx(other_values["meta_loss"].item(), rel=1e-8)
    assert one["linear.weight"].abs().max() > 1e-6


def test_a_copy_normalises_by_its_own_parameters() -> None:
    network = tiny_network().train()
    synchronise(network)
    copied = copy.deepcopy(network)
    nn.init.zeros_(copied.backbone.layers[1].weight)
    sample = Sample(torch.rand(4, 3, 16, 16, dtype=torch.float64))
    assert not torch.allclose(network(sample)[0], copied(sample)[0])
