"""The density ratio on distributions where it is known, and the step that it weights."""

import copy
import math

import pytest
import torch

from metafacs.errors import InputError
from metafacs.methods.density_ratio import DensityRatio, DomainClassifier
from metafacs.methods.mtl import MTL
from tests.methods.brute_force import assert_parameters, assert_same_state, stepped, training_losses
from tests.methods.networks import batches, build, tiny_network


def test_the_ratio_of_two_gaussians_is_recovered():
    """N(m, S) against N(m', S) with diagonal S: log ratio = (m - m') S^-1 h - (m S^-1 m - m' S^-1 m') / 2."""
    g = torch.Generator().manual_seed(0)
    spread = torch.tensor([1.0, 2.0, 0.5, 3.0])
    au_mean, fe_mean = torch.tensor([0.8, 0.0, 0.3, 1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    classifier = DomainClassifier(4)
    optimiser = torch.optim.Adam(classifier.linear.parameters(), lr=0.01)
    for step in range(1500):
        au = au_mean + spread * torch.randn(256, 4, generator=g)
        fe = fe_mean + spread * torch.randn(64, 4, generator=g)
        classifier.standard.update(torch.cat([au, fe]))
        for parameter, gradient in zip(classifier.linear.parameters(), classifier.gradient(au, fe), strict=True):
            parameter.grad = gradient
        optimiser.param_groups[0]["lr"] = 0.01 * (1 - step / 1500)
        optimiser.step()
    h = fe_mean + spread * torch.randn(2000, 4, generator=g)
    precision = 1 / spread**2
    true = h @ (precision * (au_mean - fe_mean)) - (precision * (au_mean**2 - fe_mean**2)).sum() / 2
    with torch.no_grad():
        found = classifier(h)
    assert true.std() > 0.9
    assert (found - true).abs().mean() < 0.12
    # the weighted mean over one distribution is the mean over the other
    weights = found.exp() / found.exp().sum()
    assert (weights @ h)[0].item() == pytest.approx(0.8, abs=0.15)


def test_the_first_step_is_mtls_to_the_last_bit_and_clip_one_stays_there():
    networks = [tiny_network(0.3, dtype=torch.float32) for _ in range(2)]
    for method in (build(DensityRatio, networks[0], clip=1.0, rate=0.5), build(MTL, networks[1])):
        for step in range(4):
            torch.manual_seed(step)
            method.training_step(batches(dtype=torch.float32, seed=step))
    assert_same_state(*networks)
    networks = [tiny_network(0.3, dtype=torch.float32) for _ in range(2)]
    for method in (build(DensityRatio, networks[0], rate=0.5), build(MTL, networks[1])):
        torch.manual_seed(0)
        method.training_step(batches(dtype=torch.float32))
    assert_same_state(*networks)


def randomised(method, scale=1.0):
    torch.manual_seed(3)
    torch.nn.init.normal_(method.classifier.linear.weight, 0, scale)
    torch.nn.init.normal_(method.classifier.linear.bias, 0, scale)
    return method


@pytest.mark.parametrize("clip", [1.5, 100.0])
def test_a_step_weights_expression_images_by_the_clipped_normalised_ratio(clip):
    network, batch = tiny_network().train(), batches(4, 9, masked=0.3)
    method = randomised(build(DensityRatio, network, clip=clip))
    twin, linear = copy.deepcopy(network), copy.deepcopy(method.classifier.linear)
    feature, losses = training_losses(twin, dict(twin.named_parameters()), batch)
    standard = (feature - feature.mean(0)) / (feature.var(0, correction=0) + 1e-5).sqrt()
    ratios = [min(max(math.exp(z), 1 / clip), clip) for z in linear(standard)[4:, 0].tolist()]
    weights = torch.tensor([1 / 4] * 4 + [r / sum(ratios) for r in ratios], dtype=torch.float64)
    values = method.training_step(batch)
    assert len(set(ratios)) > 1
    assert_parameters(network, stepped(twin, (weights * losses).sum() / 2), 1e-10)
    assert values["effective_share"] == pytest.approx(sum(ratios) ** 2 / (9 * sum(r * r for r in ratios)))


def test_the_classifier_follows_the_gradient_of_its_cross_entropy():
    batch = batches(4, 9)
    method = randomised(build(DensityRatio, tiny_network(), weight_decay=0.0))
    classifier = method.classifier
    au, fe = torch.randn(4, 16, dtype=torch.float64), torch.randn(9, 16, dtype=torch.float64)
    odds = torch.cat([classifier(au), classifier(fe)])
    domain = torch.tensor([1.0] * 4 + [0.0] * 9).double()
    weight = torch.tensor([1 / 8] * 4 + [1 / 18] * 9).double()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(odds, domain, weight, reduction="sum")
    expected = torch.autograd.grad(loss, list(classifier.linear.parameters()))
    for found, wanted in zip(classifier.gradient(au, fe), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    before = classifier.linear.weight.detach().clone()
    method.training_step(batch)
    assert not torch.equal(before, classifier.linear.weight)


def test_the_weight_of_an_au_image_is_one():
    batch = batches()
    method = randomised(build(DensityRatio, tiny_network()))
    assert method.raw_sample_weights(batch["primary"].sample, batch["primary"].labels).tolist() == [1] * 6
    sample = batch["auxiliary"].sample
    found = method.raw_sample_weights(sample, batch["auxiliary"].labels)
    assert torch.equal(found, method.raw_sample_weights(sample)) and found.std() > 0


@pytest.mark.parametrize("options", [{"clip": 0.5}, {"rate": -1.0}, {"weight_decay": -1.0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(InputError, match="clip must be at least 1"):
        build(DensityRatio, tiny_network(), **options)
