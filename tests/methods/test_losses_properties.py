"""Masks and weights in losses: what is not labelled moves nothing, and weights weigh as they say."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from metafacs.methods.base import AUReduction
from metafacs.methods.losses import au_losses, class_balance, expression_losses
from metafacs.methods.mal import normalise
from metafacs.methods.meta_network import described
from tests.strategies import COUNTS, masked_labels, run

AUS = 4
reductions = st.sampled_from(["mean", "sum"])


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Logits and labels of the same images, float64."""
    labels = draw(masked_labels(AUS, 10))
    logit = st.floats(-60, 60) | st.sampled_from([0.0, 1e4, -1e4])
    logits = draw(st.lists(logit, min_size=labels.size, max_size=labels.size))
    return torch.tensor(logits, dtype=torch.float64).reshape(labels.shape), torch.tensor(labels)


def gradient(losses: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(losses.sum(), logits)[0]


@pytest.mark.parametrize("count", COUNTS)
def test_what_is_not_labelled_changes_no_loss_and_no_gradient(count: int) -> None:
    @given(batches(), reductions, st.floats(-1e4, 1e4))
    def check(batch: tuple[Tensor, Tensor], reduction: AUReduction, other: float) -> None:
        logits, labels = batch[0].requires_grad_(), batch[1]
        weights = torch.linspace(0.5, 2, AUS, dtype=torch.float64)
        for loss in (
            lambda z: au_losses(z, labels, reduction),
            lambda z: au_losses(z, labels, reduction, (weights, weights.flip(0))),
        ):
            losses = loss(logits)
            assert losses.shape == (len(labels),) and losses.isfinite().all() and (losses >= 0).all()
            slope = gradient(losses, logits)
            assert not slope[labels.isnan()].any() and slope.isfinite().all()
            changed = torch.where(labels.isnan(), other, logits.detach()).requires_grad_()
            assert torch.equal(loss(changed), losses)
            assert torch.equal(gradient(loss(changed), changed), slope)
            assert not losses[labels.isnan().all(1)].any()

    run(check, count)


@pytest.mark.parametrize("count", COUNTS)
def test_losses_are_the_formula_for_each_image_alone(count: int) -> None:
    @given(batches(), st.randoms(use_true_random=False))
    def check(batch: tuple[Tensor, Tensor], random: object) -> None:
        logits, labels = batch
        mean, total = au_losses(logits, labels, "mean"), au_losses(logits, labels)
        for k, (own, label) in enumerate(zip(logits.tolist(), labels.tolist(), strict=True)):
            terms = [
                max(z, 0) - z * y + math.log1p(math.exp(-abs(z)))
                for z, y in zip(own, label, strict=True)
                if not math.isnan(y)
            ]
            assert float(total[k]) == pytest.approx(sum(terms), rel=1e-9, abs=1e-12)
            assert float(mean[k]) == pytest.approx(sum(terms) / max(1, len(terms)), rel=1e-9, abs=1e-12)
        order = random.sample(range(len(labels)), len(labels))  # type: ignore[attr-defined]
        assert torch.equal(au_losses(logits[order], labels[order]), total[order])

    run(check, count)


@pytest.mark.parametrize("count", COUNTS)
def test_balanced_losses_scale_with_their_weights(count: int) -> None:
    @given(batches(), reductions, st.floats(0.01, 100))
    def check(batch: tuple[Tensor, Tensor], reduction: AUReduction, scale: float) -> None:
        logits, labels = batch
        one = torch.ones(AUS, dtype=torch.float64)
        plain = au_losses(logits, labels, reduction)
        torch.testing.assert_close(au_losses(logits, labels, reduction, (one, one)), plain)
        scaled = au_losses(logits, labels, reduction, (scale * one, scale * one))
        torch.testing.assert_close(scaled, scale * plain)
        present = au_losses(logits, labels, "sum", (one, 0 * one))
        absent = au_losses(logits, labels, "sum", (0 * one, one))
        torch.testing.assert_close(present + absent, au_losses(logits, labels, "sum"))

    run(check, count)


@pytest.mark.parametrize("count", COUNTS)
def test_class_balance_gives_both_classes_the_same_total(count: int) -> None:
    @given(masked_labels(AUS))
    def check(labels: np.ndarray) -> None:
        positive, negative = class_balance(torch.tensor(labels))
        for k in range(AUS):
            present, absent = int((labels[:, k] == 1).sum()), int((labels[:, k] == 0).sum())
            if present and absent:
                assert float(positive[k]) * present == pytest.approx(float(negative[k]) * absent)
                assert float(positive[k]) * present == pytest.approx((present + absent) / 2)
            else:
                assert positive[k] == negative[k] == 1
        more = torch.tensor(np.vstack([labels, np.full((3, AUS), np.nan)]))
        assert all(torch.equal(a, b) for a, b in zip(class_balance(more), (positive, negative), strict=True))

    run(check, count)


@pytest.mark.parametrize("count", COUNTS)
def test_expression_losses_know_no_shift_and_no_order(count: int) -> None:
    rows = st.lists(st.tuples(st.lists(st.floats(-50, 50), min_size=7, max_size=7), st.integers(0, 6)), max_size=8)

    @given(rows, st.floats(-100, 100))
    def check(batch: list[tuple[list[float], int]], shift: float) -> None:
        logits = torch.tensor([own for own, _ in batch], dtype=torch.float64).reshape(-1, 7)
        labels = torch.tensor([label for _, label in batch], dtype=torch.int64)
        losses = expression_losses(logits, labels)
        assert losses.shape == (len(batch),) and (losses >= 0).all()
        torch.testing.assert_close(expression_losses(logits + shift, labels), losses)
        torch.testing.assert_close(expression_losses(logits.flip(0), labels.flip(0)), losses.flip(0))

    run(check, count)


@pytest.mark.parametrize("count", COUNTS)
def test_sample_weights_are_normalised_whatever_they_were(count: int) -> None:
    raw = st.lists(st.floats(1e-6, 1), min_size=1, max_size=12)

    @given(raw, raw, st.floats(1e-3, 1e3))
    def check(primary: list[float], auxiliary: list[float], scale: float) -> None:
        both = torch.tensor(primary + auxiliary, dtype=torch.float64)
        weights, n = normalise(both, len(primary)), len(primary)
        assert float(weights[:n].mean() + weights[n:].mean()) == pytest.approx(1)
        assert (weights > 0).all()
        torch.testing.assert_close(normalise(scale * both, n), weights)

    run(check, count)


@pytest.mark.parametrize("count", COUNTS)
def test_a_meta_network_is_told_nothing_of_what_is_not_labelled(count: int) -> None:
    @given(masked_labels(AUS, 6), st.lists(st.integers(0, 6), max_size=5))
    def check(labels: np.ndarray, expressions: list[int]) -> None:
        n, m = len(labels), len(expressions)
        feature, losses = torch.ones(n + m, 3), torch.arange(1.0, n + m + 1)
        told = described(
            "feature+label+loss", feature, torch.tensor(labels), torch.tensor(expressions).long(), losses, 7
        )
        assert told.shape == (n + m, 3 + AUS + 7 + 2) and told.isfinite().all()
        signs = told[:n, 3 : 3 + AUS].numpy()
        assert (signs[np.isnan(labels)] == 0).all() and (signs[labels == 1] == 1).all()
        assert (signs[labels == 0] == -1).all() and not told[n:, 3 : 3 + AUS].any()

    run(check, count)
