"""L2T-WW's bilevel gradient against finite differences, its limits, and its two phases."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from torch.func import functional_call

from metafacs.errors import InputError
from metafacs.methods.l2t_ww import L2TWW, PAIRS, TransferWeights, matching_losses
from metafacs.methods.stl import STL
from metafacs.sample import Sample
from metafacs.training.checkpoint import load_state, save_state
from tests.methods.brute_force import au_loss
from tests.methods.networks import batches, build, small_resnet, tiny_network

ALPHA = 0.05


def make(seed: int = 0, **options: object) -> L2TWW:
    """With a source of its own and meta networks away from their start."""
    method = build(L2TWW, small_resnet(seed), **{"alpha": ALPHA, **options})
    method.source.load_state_dict(small_resnet(7).state_dict())
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in method.meta.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return method


def matching_by_hand(method: L2TWW, source: list[Tensor], parameters: dict[str, Tensor], sample: Sample) -> Tensor:
    """The mean matching loss, pair by pair and channel by channel."""
    _, *matched = run(method, parameters, sample)
    total = torch.zeros((), dtype=torch.float64)
    for k, (s, _) in enumerate(PAIRS):
        pooled = source[s].mean((2, 3))
        what = torch.softmax(F.linear(pooled, method.meta.channel[k].weight, method.meta.channel[k].bias), 1)
        where = F.linear(pooled, method.meta.pair[k].weight, method.meta.pair[k].bias).clamp(0, 6)[:, 0]
        wanted = F.interpolate(source[s], matched[k].shape[2:], mode="bilinear")
        for image in range(len(sample)):
            for c in range(pooled.shape[1]):
                gap = (wanted[image, c] - matched[k][image, c]).pow(2).mean()
                total = total + where[image] * what[image, c] * gap / len(sample)
    return method.options.beta * total


def run(method: L2TWW, parameters: dict[str, Tensor], sample: Sample) -> tuple[Tensor, ...]:
    buffers = {name: b.clone() for name, b in method.student.named_buffers()}
    return functional_call(method.student, {**parameters, **buffers}, (sample,))


def loss_after_three_steps(method: L2TWW, batch, matching=None) -> float:
    """Algorithm 1's virtual steps by plain gradients, and the AU loss after them."""
    primary = batch["primary"]
    source = method.source_features(primary.sample)

    def fast(p):
        _, *matched = run(method, p, primary.sample)
        return method.options.beta * matching_losses(source, matched, *method.meta(source)).mean()

    def task(p):
        return au_loss(run(method, p, primary.sample)[0], primary.labels).mean()

    theta = {name: p.detach().requires_grad_() for name, p in method.student.named_parameters()}
    for loss in [matching or fast] * 2 + [task]:
        slopes = torch.autograd.grad(loss(theta), list(theta.values()), allow_unused=True)
        theta = {
            n: (p if s is None else p - ALPHA * s).detach().requires_grad_()
            for (n, p), s in zip(theta.items(), slopes, strict=True)
        }
    return task(theta).item()


def test_the_matching_loss_is_the_papers() -> None:
    method, batch = make(), batches(3, side=32)
    method.student.train()
    source = method.source_features(batch["primary"].sample)
    matching_at, _ = method.virtual_losses(batch["primary"], source)
    parameters = dict(method.student.named_parameters())
    expected = matching_by_hand(method, source, parameters, batch["primary"].sample)
    torch.testing.assert_close(matching_at(parameters), expected, rtol=1e-10, atol=1e-12)


def test_the_meta_gradient_is_the_limit_of_differences() -> None:
    """Through both matching steps and the AU step, for parameters of both meta networks."""
    method, batch = make(), batches(4, side=32, masked=0.2)
    method.student.train()
    gradient: dict[str, Tensor] = {}
    step = method.optimisers["meta"].step
    method.optimisers["meta"].step = lambda: gradient.update({n: p.grad for n, p in method.meta.named_parameters()})
    before = {name: value.clone() for name, value in method.student.state_dict().items()}
    outer = method._update_meta(batch["primary"], method.source_features(batch["primary"].sample))
    method.optimisers["meta"].step = step
    assert outer.item() == pytest.approx(loss_after_three_steps(method, batch), rel=1e-10)
    assert all(torch.equal(v, before[n]) for n, v in method.student.state_dict().items()), "rolled back"
    parameters = dict(method.meta.named_parameters())
    for name in ("channel.1.bias", "channel.14.weight", "pair.0.bias", "pair.11.weight"):
        place = tuple(int(k) for k in torch.unravel_index(gradient[name].abs().argmax(), gradient[name].shape))
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                parameters[name][place] += sign * 1e-6
            ends.append(loss_after_three_steps(method, batch))
            with torch.no_grad():
                parameters[name][place] -= sign * 1e-6
        found = gradient[name][place].item()
        assert found != 0
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(found, rel=1e-3), name


def test_at_the_start_all_channels_and_all_pairs_count_nearly_the_same() -> None:
    meta = TransferWeights([4, 6, 8, 10])
    features = [torch.zeros(3, c, 2, 2) for c in (4, 6, 8, 10)]
    channels, pairs = meta(features)
    assert len(channels) == len(pairs) == 16
    for (s, _), channel, pair in zip(PAIRS, channels, pairs, strict=True):
        assert torch.equal(channel, torch.full((3, features[s].shape[1]), 1 / features[s].shape[1]))
        assert torch.equal(pair, torch.ones(3))
    assert not any(layer.weight.any() for layer in meta.channel)
    torch.nn.init.constant_(meta.pair[0].bias, 9.0)
    assert torch.equal(meta(features)[1][0], torch.full((3,), 6.0))


def test_without_matching_it_is_stl_to_the_last_bit() -> None:
    stl = build(STL, small_resnet(drop_path_rate=0.3))
    method = build(L2TWW, small_resnet(drop_path_rate=0.3), beta=0.0)
    for step in range(2):
        for each in (stl, method):
            torch.manual_seed(step)
            each.training_step(batches(4, side=32, seed=step))
    own = method.network.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in stl.network.state_dict().items())


def state(method: L2TWW) -> dict[str, Tensor]:
    return {f"{m}.{k}": v.clone() for m, module in method.modules.items() for k, v in module.state_dict().items()}


def test_the_source_learns_first_and_then_stands_still() -> None:
    method = build(L2TWW, small_resnet(), source_share=0.5)
    method.plan(4)
    start = state(method)
    first = [method.training_step(batches(4, 4, side=32, seed=k)) for k in range(2)]
    middle = state(method)
    later = [method.training_step(batches(4, 4, side=32, seed=k)) for k in range(2, 4)]
    end = state(method)
    assert [set(values) for values in first] == [{"loss_auxiliary"}] * 2
    assert all({"loss_primary", "loss_matching", "meta_loss"} <= set(values) for values in later)
    for name in start:
        phase = (start, middle) if name.startswith(("network.", "matching.", "meta.")) else (middle, end)
        assert name == "taken.count" or torch.equal(phase[0][name], phase[1][name]), name
    for name in ("source.backbone.layer4.1.bn1.weight", "source.expression_head.weight"):
        assert not torch.equal(start[name], middle[name])
    for name in ("network.au_head.weight", "meta.channel.0.bias", "matching.3.weight"):
        assert not torch.equal(middle[name], end[name])


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_it_goes_on_from_either_phase_to_the_last_bit(stop: int, tmp_path: Path) -> None:
    def made() -> L2TWW:
        method = build(L2TWW, small_resnet(dtype=torch.float32, drop_path_rate=0.2), source_share=0.5)
        method.plan(4)
        return method

    def take(method: L2TWW, steps: range) -> None:
        for step in steps:
            torch.manual_seed(step)
            method.training_step(batches(4, 4, side=32, seed=step, dtype=torch.float32))

    whole, first, second = made(), made(), made()
    take(whole, range(4))
    take(first, range(stop))
    save_state(tmp_path / "state", stop, first.modules, first.optimisers)
    load_state(tmp_path / "state", second.modules, second.optimisers)
    take(second, range(stop, 4))
    expected = state(whole)
    assert all(torch.equal(value, expected[name]) for name, value in state(second).items())


def test_a_trained_source_is_taken_from_a_file(tmp_path: Path) -> None:
    trained = small_resnet(5, torch.float32)
    save_file({f"network.{k}": v for k, v in trained.state_dict().items()}, tmp_path / "s.safetensors")
    method = build(L2TWW, small_resnet(dtype=torch.float32), source=str(tmp_path / "s.safetensors"))
    method.plan(100)
    assert method.source_steps == 0
    expected = trained.backbone.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in method.source.backbone.state_dict().items())
    with pytest.raises(InputError, match=r"weights file .*nothing does not exist"):
        build(L2TWW, small_resnet(), source=str(tmp_path / "nothing"))


@pytest.mark.parametrize("options", [{"source_share": 1.0}, {"alpha": 0.0}, {"beta": -1.0}, {"virtual_steps": 0}])
def test_settings_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="L2T-WW's"):
        build(L2TWW, small_resnet(), **options)


def test_another_backbone_is_refused() -> None:
    with pytest.raises(InputError, match="L2T-WW works on the stages of timm's ResNets"):
        build(L2TWW, tiny_network())
