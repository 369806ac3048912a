"""What the controls beside MAL do: balance without selection, selection without sense, and perfect weights."""

from dataclasses import replace

import pytest
import torch

from metafacs.errors import InputError
from metafacs.methods import Setup
from metafacs.methods.losses import class_balance, over_batches
from metafacs.methods.mal import MAL, shuffled
from metafacs.methods.mtl import MTL, MTLOptions
from metafacs.methods.stl import STL
from metafacs.sample import concatenated
from tests.methods.brute_force import assert_parameters, assert_same_state, au_loss, forward, stepped, training_losses
from tests.methods.networks import batches, build, sgd, tiny_network

SHARE = 0.3


def test_dealt_out_weights_are_those_of_their_task() -> None:
    weights = torch.arange(10.0)
    torch.manual_seed(0)
    found = [shuffled(weights, 4) for _ in range(20)]
    for order in found:
        assert sorted(order[:4].tolist()) == [0, 1, 2, 3] and sorted(order[4:].tolist()) == [4, 5, 6, 7, 8, 9]
    assert len({tuple(order.tolist()) for order in found}) > 10
    torch.manual_seed(0)
    assert torch.equal(shuffled(weights, 4), found[0])


def test_permuted_mal_learns_as_mal_and_moves_by_weights_dealt_out() -> None:
    batch, methods = batches(6, 9), []
    for permuted in (False, True):
        options = {"permuted": permuted, "beta": 0.5, "inputs": "feature"}
        method = build(MAL, tiny_network(), class_balance(batch["meta"].labels), **options)
        torch.nn.init.normal_(method.meta_network.linear.weight, generator=torch.Generator().manual_seed(1))
        methods.append(method)
    start = methods[1].network
    feature, _ = training_losses(start.train(), dict(start.named_parameters()), batch)
    logged = []
    for method in methods:
        torch.manual_seed(3)
        logged.append(method.training_step(batch))
    torch.testing.assert_close(*logged)
    assert_same_state(methods[0].meta_network, methods[1].meta_network)
    weights = methods[1].weigh(feature.detach(), 6)[1].detach()
    twin = tiny_network().train()
    torch.manual_seed(3)
    losses = training_losses(twin, dict(twin.named_parameters()), batch)[1]
    assert_parameters(start, stepped(twin, (over_batches(shuffled(weights, 6), 6) * losses).sum()), 1e-12)


def test_a_replayed_run_has_the_tasks_weights_of_every_step() -> None:
    history = torch.tensor([[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]], dtype=torch.float64)
    replayed = MTL(Setup(tiny_network(), sgd, history=history), MTLOptions(replay="run"))
    replayed.plan(3)
    for step, (primary, auxiliary) in enumerate(history.tolist()):
        twin, batch = tiny_network(), batches(6, 9, seed=step)
        twin.load_state_dict(replayed.network.state_dict())
        build(MTL, twin, auxiliary_weight=auxiliary).training_step(batch)
        values = replayed.training_step(batch)
        assert values["weight_primary"].item() == pytest.approx(primary, rel=1e-12)
        assert values["weight_auxiliary"].item() == pytest.approx(auxiliary, rel=1e-12)
        assert_parameters(replayed.network, dict(twin.named_parameters()))
    with pytest.raises(InputError, match="3 steps and this one takes 4"):
        replayed.plan(4)


@pytest.mark.parametrize("good", [0, 1, 4, 9])
def test_bad_images_weigh_nothing_and_the_others_share_their_weight(good: int) -> None:
    batch, network = batches(6, 9, masked=0.2), tiny_network()
    truth = (torch.arange(9) < good).double()
    losses = training_losses(network.train(), dict(network.named_parameters()), batch)[1]
    expected = (1 - SHARE) * losses[:6].mean() + SHARE * (losses[6:] * truth).sum() / max(good, 1)
    after = stepped(network, expected)
    batch["auxiliary"] = replace(batch["auxiliary"], truth=truth)
    build(MTL, network, auxiliary_weight=SHARE).training_step(batch)
    assert_parameters(network, after)


def test_a_scaled_expression_loss_is_a_scaled_weight() -> None:
    batch, network = batches(6, 9, 20), tiny_network().train()
    losses = training_losses(network, dict(network.named_parameters()), batch)[1]
    after = stepped(network, (losses[:6].mean() + 0.1 * losses[6:].mean()) / 2)
    build(MTL, network, expression_scale=0.1).training_step(batch)
    assert_parameters(network, after)


def test_class_balanced_mtl_has_the_balance_of_the_meta_loss() -> None:
    batch, network = batches(6, 9, 20, masked=0.2), tiny_network().train()
    balance = class_balance(batch["meta"].labels)
    theta, primary = dict(network.named_parameters()), batch["primary"]
    losses = training_losses(network, theta, batch)[1]
    both = concatenated([primary.sample, batch["auxiliary"].sample])
    logits = forward(network, theta, both).au_logits[:6]
    au = au_loss(logits, primary.labels, torch.where(primary.labels == 1, *balance)).mean()
    after = stepped(network, (au + losses[6:].mean()) / 2)
    build(MTL, network, balance, balanced=True).training_step(batch)
    assert_parameters(network, after)
    with pytest.raises(ValueError, match="class weights"):
        build(MTL, network, balanced=True)


def test_class_balanced_stl_has_the_balance_of_the_meta_loss() -> None:
    batch, network = batches(6, 9, 20, masked=0.2), tiny_network().train()
    balance, primary = class_balance(batch["meta"].labels), batch["primary"]
    logits = forward(network, dict(network.named_parameters()), primary.sample).au_logits
    after = stepped(network, au_loss(logits, primary.labels, torch.where(primary.labels == 1, *balance)).mean())
    build(STL, network, balance, balanced=True).training_step(batch)
    assert_parameters(network, after)
