"""The gradient through virtual steps against one big graph and against differences."""

import pytest
import torch
from torch import Tensor

from metafacs.methods.unrolled import unrolled_gradient

ALPHA = 0.2


def problem(seed: int = 0) -> tuple[dict[str, Tensor], list[Tensor], list]:
    """theta, phi and three losses, the last without phi; one parameter has no part in some of them."""
    g = torch.Generator().manual_seed(seed)
    theta = {"a": torch.randn(4, generator=g, dtype=torch.float64), "b": torch.randn(2, generator=g).double()}
    phi = [torch.randn(4, generator=g, dtype=torch.float64).requires_grad_()]

    def first(p):
        return (torch.sigmoid(phi[0]) * p["a"].sin()).pow(2).sum() * p["b"].exp().mean()

    def second(p):
        return (phi[0] * p["a"]).cos().sum()

    def last(p):
        return (p["a"].pow(3) * p["b"].sum()).sum().tanh()

    return theta, phi, [first, second, last]


def outer(p):
    return (p["a"].sin() * p["b"].cos().sum()).sum()


def whole_graph(theta, steps):
    p = {name: value.clone().requires_grad_() for name, value in theta.items()}
    for loss in steps:
        slopes = torch.autograd.grad(loss(p), list(p.values()), create_graph=True, allow_unused=True)
        p = {n: v if s is None else v - ALPHA * s for (n, v), s in zip(p.items(), slopes, strict=True)}
    return outer(p)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_it_is_the_gradient_through_one_big_graph(count: int) -> None:
    theta, phi, steps = problem()
    before = {name: value.clone() for name, value in theta.items()}
    found = unrolled_gradient(steps[:count], outer, theta, phi, ALPHA)
    loss = whole_graph(theta, steps[:count])
    (expected,) = torch.autograd.grad(loss, phi)
    torch.testing.assert_close(found.gradient[0], expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.outer_loss, loss.detach())
    assert all(torch.equal(theta[name], before[name]) and not theta[name].requires_grad for name in theta)


def test_it_is_the_limit_of_differences() -> None:
    theta, phi, steps = problem(1)
    found = unrolled_gradient(steps, outer, theta, phi, ALPHA).gradient[0]
    for k in range(4):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                phi[0][k] += sign * 1e-6
            values.append(whole_graph(theta, steps).item())
            with torch.no_grad():
                phi[0][k] -= sign * 1e-6
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(found[k].item(), rel=1e-6, abs=1e-9)


def test_steps_that_phi_does_not_shape_give_nothing() -> None:
    theta, phi, steps = problem()
    assert not unrolled_gradient(steps[2:], outer, theta, phi, ALPHA).gradient[0].any()
