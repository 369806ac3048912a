"""What must hold of every method there is; one that is registered is tested here without a further line."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from metafacs.facs import EXPRESSIONS as EXPRESSION_NAMES
from metafacs.methods import METHODS, Batch, Facts, Method, Setup
from metafacs.methods.losses import class_balance
from metafacs.models.network import build_network
from metafacs.sample import Sample
from metafacs.training.checkpoint import DetectorCard, load_detector, load_state, save_detector, save_state
from tests.methods.networks import AUS, EXPRESSIONS, batches
from tests.toy_runs import SMALL

CARD = DetectorCard(
    aus=[f"AU{k:02d}" for k in (1, 2, 4, 6, 12)],
    thresholds=[0.5] * AUS,
    expressions=list(EXPRESSION_NAMES),
    backbone=SMALL[None][0],
    backbone_options=SMALL[None][1],
    side=32,
    resize=36,
    crop={},
    dataset="made",
    test_fold="P1",
    test_subjects=["S000"],
    method="any",
    seed=0,
)


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "mal that is told the task": ("mal", {"inputs": "feature+task"}),
    "mal, permuted": ("mal", {"permuted": True}),
    "stl, class-balanced": ("stl", {"balanced": True}),
    "mtl, class-balanced": ("mtl", {"balanced": True}),
    "mal, class-balanced": ("mal", {"balanced": True}),
    "mtl, replayed": ("mtl", {"replay": "a run"}),
}
"""Controls and options that change what a method saves or draws."""


@pytest.fixture(params=[*METHODS, *VARIANTS])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def adamw(parameters) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-3)


def card_of(name: str) -> DetectorCard:
    """The card of a method's detector: on the smallest backbone that it works with."""
    backbone, options = SMALL[METHODS[VARIANTS.get(name, (name,))[0]].needs]
    return replace(CARD, backbone=backbone, backbone_options=options)


def build(name: str, seed: int = 0, autocast: Callable[[], Any] = nullcontext, **options: Any) -> Method:
    torch.manual_seed(seed)
    card = card_of(name)
    network = build_network(card.backbone, AUS, EXPRESSIONS, "scratch", card.backbone_options)
    many = batches(meta=40, masked=0.2, dtype=torch.float32)["meta"].labels
    facts = Facts(CARD.aus, CARD.expressions, many, ["S000", "S001"] * 20, torch.rand(40, 68, 2))
    setup = Setup(network, adamw, class_balance(batches(meta=40)["meta"].labels.float()), autocast, facts)
    kind, of_variant = VARIANTS.get(name, (name, {}))
    history = torch.rand(100, 2, generator=torch.Generator().manual_seed(4)) if "replay" in of_variant else None
    return METHODS[kind](replace(setup, history=history), METHODS[kind].Options(**of_variant, **options))


def batch(method: Method, step: int) -> dict[str, Batch]:
    whole = batches(6, 6, 8, side=32, masked=0.2, seed=step, dtype=torch.float32)
    return {name: whole[name] for name in method.streams}


def take(method: Method, steps: range) -> list[dict[str, Tensor]]:
    found = []
    for step in steps:
        torch.manual_seed(step)
        found.append(method.training_step(batch(method, step)))  # type: ignore[arg-type]
    return found


def state(method: Method) -> dict[str, Tensor]:
    return {f"{m}.{k}": v.clone() for m, module in method.modules.items() for k, v in module.state_dict().items()}


def test_three_steps_train_and_report_finite_scalars(name: str) -> None:
    method = build(name)
    before = state(method)
    for values in take(method, range(3)):
        assert values["loss_primary"] > 0
        for value in values.values():
            assert value.ndim == 0 and torch.isfinite(value) and not value.requires_grad
    after = state(method)
    assert before.keys() == after.keys()
    assert not torch.equal(before["network.au_head.weight"], after["network.au_head.weight"])
    assert all(torch.isfinite(value).all() for value in after.values())
    counted = [v for k, v in after.items() if k.startswith("network.") and k.endswith("num_batches_tracked")]
    # TCAE's encoder is frozen where no step learns from pairs, LP-Net leaves a stage out
    expected = {0, 3} if name in ("tcae", "lp_net") else {3}
    assert counted or "vgg" in card_of(name).backbone
    assert {int(value) for value in counted} <= expected, "one pass a step counts for the running statistics"


@pytest.mark.parametrize("name", ["mal", "maxl", "meta_weight_net", "l2t_ww"])
def test_a_virtual_step_may_be_as_long_as_the_networks(name: str) -> None:
    methods = [build(name, alpha=alpha) for alpha in ("rate", 1e-3, 0.1)]
    for method in methods:
        take(method, range(2))
    rate, number, other = map(state, methods)
    assert all(torch.equal(value, number[key]) for key, value in rate.items())
    assert not all(torch.equal(value, other[key]) for key, value in rate.items())


def test_predictions_are_probabilities_without_side_effects(name: str) -> None:
    method = build(name)
    take(method, range(1))
    before, sample = state(method), Sample(torch.rand(4, 3, 32, 32))
    found = method.predict(sample)
    assert found.shape == (4, AUS) and ((found > 0) & (found < 1)).all() and not found.requires_grad
    assert torch.allclose(found[:2], method.predict(sample[:2]))
    assert all(torch.equal(value, before[key]) for key, value in state(method).items())


def test_it_trains_after_it_has_predicted(name: str) -> None:
    plain, looking = build(name), build(name)
    take(plain, range(2))
    take(looking, range(1))
    looking.predict(Sample(torch.rand(2, 3, 32, 32)))
    take(looking, range(1, 2))
    other = state(looking)
    assert all(torch.equal(value, other[key]) for key, value in state(plain).items())


def test_sample_weights_are_there_if_they_are_learned(name: str) -> None:
    method = build(name)
    take(method, range(1))
    if not method.learns_sample_weights:
        with pytest.raises(NotImplementedError, match="learns no sample weights"):
            method.raw_sample_weights(Sample(torch.rand(3, 3, 32, 32)))
        return
    for stream in ("primary", "auxiliary"):
        data = batches(3, 3, side=32, masked=0.2, dtype=torch.float32)[stream]
        weights = method.raw_sample_weights(data.sample, data.labels)
        assert weights.shape == (3,) and (weights > 0).all() and not weights.requires_grad


def test_a_restored_method_goes_on_to_the_last_bit(name: str, tmp_path: Path) -> None:
    whole, first, second = build(name), build(name), build(name, seed=9)
    take(whole, range(5))
    take(first, range(3))
    save_state(tmp_path / "state", 3, first.modules, first.optimisers)
    assert load_state(tmp_path / "state", second.modules, second.optimisers) == 3
    take(second, range(3, 5))
    expected = state(whole)
    assert all(torch.equal(value, expected[key]) for key, value in state(second).items())


def test_its_detector_predicts_the_same_from_a_file(name: str, tmp_path: Path) -> None:
    method = build(name)
    take(method, range(2))
    save_detector(tmp_path / "d.safetensors", method.network, card_of(name))
    network, card = load_detector(tmp_path / "d.safetensors")
    sample = Sample(torch.rand(3, 3, 32, 32))
    assert card == card_of(name) and not network.training
    assert torch.equal(network.probabilities(sample), method.predict(sample))


def test_learning_lowers_the_loss(name: str) -> None:
    method = build(name)
    fixed = batch(method, 0)
    losses = []
    for step in range(25):
        torch.manual_seed(step)
        losses.append(method.training_step(fixed)["loss_primary"].item())  # type: ignore[arg-type]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_it_trains_in_mixed_precision(name: str) -> None:
    method = build(name, autocast=lambda: torch.autocast("cpu", torch.bfloat16))
    before = state(method)
    for values in take(method, range(2)):
        assert all(torch.isfinite(value) for value in values.values())
    after = state(method)
    assert all(value.dtype == before[key].dtype and torch.isfinite(value).all() for key, value in after.items())
    assert not torch.equal(before["network.au_head.weight"], after["network.au_head.weight"])


def test_the_base_optimiser_has_every_parameter_of_the_network(name: str) -> None:
    method = build(name)
    held = {id(p) for group in method.optimisers["base"].param_groups for p in group["params"]}
    assert {id(p) for p in method.network.parameters()} <= held
    assert method.modules["network"] is method.network
