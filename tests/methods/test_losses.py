"""Losses against the formulas, typed here anew with loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metafacs.methods.losses import au_losses, class_balance, expression_losses

NAN = float("nan")


def example(seed: int = 0, masked: float = 0.3, images: int = 20, aus: int = 6) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, aus, generator=g, dtype=torch.float64)
    labels = (torch.rand(images, aus, generator=g) < 0.3).double()
    return logits, labels.masked_fill(torch.rand(images, aus, generator=g) < masked, NAN)


def by_hand(logits: Tensor, labels: Tensor, reduction: str, positive: list[float], negative: list[float]) -> Tensor:
    found = []
    for z, y in zip(logits.tolist(), labels.tolist(), strict=True):
        terms = []
        for a in range(len(z)):
            p = 1 / (1 + math.exp(-z[a]))
            if y[a] == 1:
                terms.append(-positive[a] * math.log(p))
            elif y[a] == 0:
                terms.append(-negative[a] * math.log(1 - p))
        found.append(sum(terms) / (max(len(terms), 1) if reduction == "mean" else 1))
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("masked", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_au_losses_are_cross_entropy_over_the_labelled_aus(masked: float, reduction: str) -> None:
    logits, labels = example(masked=masked)
    torch.testing.assert_close(
        au_losses(logits, labels, reduction),  # type: ignore[arg-type]
        by_hand(logits, labels, reduction, [1] * 6, [1] * 6),
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_balanced_losses_weight_present_and_absent(reduction: str) -> None:
    logits, labels = example()
    positive, negative = torch.rand(6).double() + 0.5, torch.rand(6).double() + 0.5
    torch.testing.assert_close(
        au_losses(logits, labels, reduction, (positive, negative)),  # type: ignore[arg-type]
        by_hand(logits, labels, reduction, positive.tolist(), negative.tolist()),
    )


def test_an_unlabelled_au_has_no_influence() -> None:
    logits, labels = example()
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(au_losses(logits, labels).sum(), logits)
    assert not gradient[labels.isnan()].any() and gradient[~labels.isnan()].all()
    changed = torch.where(labels.isnan(), logits.detach() + 100, logits.detach())
    assert torch.equal(au_losses(changed, labels), au_losses(logits.detach(), labels))


def test_an_image_without_labels_counts_nothing_and_has_a_gradient_of_zero() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    losses = au_losses(logits, torch.full((2, 3), NAN))
    losses.sum().backward()
    assert losses.tolist() == [0, 0]
    assert logits.grad is not None and not logits.grad.any()


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_extreme_logits_stay_finite(logit: float) -> None:
    labels = torch.tensor([[0.0, 1.0, NAN]])
    assert torch.isfinite(au_losses(torch.full((1, 3), logit), labels)).all()


def test_expression_losses_are_cross_entropy() -> None:
    logits = torch.randn(5, 4, dtype=torch.float64)
    labels = torch.tensor([0, 3, 1, 1, 2])
    expected = [-math.log(math.exp(z[y]) / sum(map(math.exp, z))) for z, y in zip(logits.tolist(), labels, strict=True)]
    torch.testing.assert_close(expression_losses(logits, labels), torch.tensor(expected, dtype=torch.float64))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), masked=st.floats(0, 0.9), images=st.integers(1, 30))
def test_both_classes_count_the_same_in_total(seed: int, masked: float, images: int) -> None:
    labels = example(seed, masked, images)[1]
    positive, negative = class_balance(labels)
    for a in range(labels.shape[1]):
        present, absent = int((labels[:, a] == 1).sum()), int((labels[:, a] == 0).sum())
        if not present or not absent:
            assert positive[a] == negative[a] == 1
            continue
        assert present * positive[a] == pytest.approx(absent * negative[a].item())
        assert (present * positive[a] + absent * negative[a]) / (present + absent) == pytest.approx(1)


def test_weights_are_inverse_frequencies() -> None:
    rates = torch.tensor([0.21, 0.17, 0.2, 0.46, 0.55])  # AU1, 2, 4, 6, 7 of BP4D occur in about these shares
    labels = (torch.arange(1000)[:, None] < (1000 * rates).round()).float()
    positive, negative = class_balance(labels)
    torch.testing.assert_close(positive, 0.5 / rates)
    torch.testing.assert_close(negative, 0.5 / (1 - rates))
    # Published AU losses weight AU a by (1 / rate_a) / sum of (1 / rate): the same ratios between AUs.
    published = (1 / rates) / (1 / rates).sum()
    torch.testing.assert_close(positive / positive.sum(), published)
