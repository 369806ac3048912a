"""Meta auxiliary learning of any two tasks: somebody's own torch model, losses and loaders.

Paper: Li & Shan, Meta Auxiliary Learning for Facial Action Unit Detection, IEEE TAFFC 2023, Algorithm 1, which names
other tasks as future work. The step is that of `mal.MAL`, over the same functions, and exact like it.
Differs from the paper in: what `mal` differs in; the meta loss is what the caller says.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from metafacs import distributed
from metafacs.methods.lookahead import Call, LookAhead, Way, weighted_gradient
from metafacs.methods.losses import everywhere, here, over_batches
from metafacs.methods.mal import MetaNetwork, normalise

Task = Callable[[Any, Any], tuple[Tensor, Tensor]]
"""Model and batch -> one loss a sample, (n,), and one feature a sample, (n, F)."""
Loss = Callable[[Any, Any], Tensor]
"""Model and batch -> one loss, ()."""


@dataclass(frozen=True)
class Step:
    """What one step saw; all without a graph.

    Attributes:
        primary_loss: (), mean over the primary samples.
        auxiliary_loss: (), mean over the auxiliary samples.
        meta_loss: (), loss of the reserved samples after the virtual step.
        primary_weights: (n,), weights that this step used; their mean and that of the auxiliary ones add up to 1.
        auxiliary_weights: (m,).
    """

    primary_loss: Tensor
    auxiliary_loss: Tensor
    meta_loss: Tensor
    primary_weights: Tensor
    auxiliary_weights: Tensor


class AuxiliaryLearning:
    """Trains a model on a primary task with the help of an auxiliary one; the weight of every sample is learned online.

    A meta network looks one step ahead, at the loss of a few reserved primary samples. The gradient is exact, without
    a second-order graph, with BatchNorm, dropout and mixed precision, on several processes that share the batches.

    Args:
        model: any module with all that is trained, such as the tasks' heads; the caller puts it into training mode.
            Parameters that do not require a gradient stay as they are.
        optimiser: of the model's parameters; its learning rate may be scheduled as usual, and gradients clipped in a
            hook (`register_step_pre_hook`).
        primary: the primary task: is given the model and a batch, whatever the caller's loader makes. It may call the
            model, or parts of it, as often as it likes. It runs several times a step, at other parameters and within
            forward mode, and must not keep anything between calls.
        auxiliary: the auxiliary task; its features are as long as the primary ones.
        features: F, length of a feature; the meta network sees nothing else of a sample.
        reserve_loss: of a batch of reserved samples; the mean primary loss where not given.
        alpha: length of the virtual step.
        beta: learning rate of the meta network (Adam). With 0 both tasks keep a weight of one half.
        way: "forward" (exact), "difference" (for layers without a forward-mode rule), or "auto": the first if it can.
        autocast: makes the context of forward passes, such as `lambda: torch.autocast("cuda", torch.bfloat16)`.

    Raises:
        ValueError: the optimiser has a parameter that the model lacks: it would never be trained.

    Attributes:
        meta_network: features (n, F) -> raw weights (n,) in (0, 1); save it beside the model.
        meta_optimiser: its optimiser.

    Example:
        >>> model = nn.Linear(4, 3)
        >>> def task(model, batch, column):
        ...     x, y = batch
        ...     return (model(x)[:, column] - y) ** 2, x
        >>> learning = AuxiliaryLearning(
        ...     model, torch.optim.SGD(model.parameters(), 0.1), partial(task, column=0), partial(task, column=1), 4
        ... )
        >>> batch = torch.ones(5, 4), torch.ones(5)
        >>> learning.step(batch, batch, batch).primary_weights.shape
        torch.Size([5])
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: Optimizer,
        primary: Task,
        auxiliary: Task,
        features: int,
        *,
        reserve_loss: Loss | None = None,
        alpha: float = 0.1,
        beta: float = 1e-3,
        way: Way = "auto",
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        inside = set(model.parameters())
        strangers = [p for group in optimiser.param_groups for p in group["params"] if p not in inside]
        if strangers:
            shapes = ", ".join(str(tuple(p.shape)) for p in strangers)
            raise ValueError(
                f"the optimiser has parameters that are not the model's, of shape {shapes}; make one module"
            )
        reserve = reserve_loss or (lambda model, batch: primary(model, batch)[0].mean())
        self._tasks, self._features = _Tasks(model, primary, auxiliary, reserve), features
        self._optimiser, self._alpha, self._way, self._autocast = optimiser, alpha, way, autocast
        self.meta_network = MetaNetwork(features).to(next(model.parameters()).detach())
        self.meta_optimiser = torch.optim.Adam(self.meta_network.parameters(), lr=beta)

    def step(self, primary: Any, auxiliary: Any, reserve: Any) -> Step:
        """One iteration of Algorithm 1: both networks are updated.

        With several processes each brings its share, equally large everywhere.

        Args:
            primary: batch for the primary task.
            auxiliary: batch for the auxiliary task.
            reserve: batch of samples that are in no primary batch, for the meta loss.

        Raises:
            ValueError: a task does not give losses (n,) and features (n, F), or the reserve loss is not one number.
        """
        like = self.meta_network.linear.weight

        def forward(network: Call) -> tuple[tuple[Tensor, int], Tensor]:
            parts = network("primary", primary), network("auxiliary", auxiliary)
            for name, (losses, feature) in zip(("primary", "auxiliary"), parts, strict=True):
                if losses.dim() != 1 or feature.shape != (len(losses), self._features):
                    raise ValueError(
                        f"the {name} task must give losses (n,) and features (n, {self._features}); "
                        f"found {tuple(losses.shape)} and {tuple(feature.shape)}"
                    )
            losses, feature = (
                torch.cat([first.to(like), second.to(like)]) for first, second in zip(*parts, strict=True)
            )
            return (feature.detach(), len(parts[0][0])), losses

        samples = LookAhead(self._tasks, forward, self._way, self._autocast)
        feature, here_first = samples.output
        n, feature = here_first * distributed.count(), everywhere(feature, here_first)

        # Meta-train: theta' = theta - alpha * grad sum_i u_i l_i
        u = over_batches(normalise(self.meta_network(feature), n), n)
        virtual = samples.virtual_step(here(u, n), self._alpha)

        # Meta-test: phi <- phi - beta * dL(theta') / dphi
        v, meta_loss = samples.gradient_at(virtual, partial(_share_of_reserve, batch=reserve))
        self.meta_optimiser.zero_grad()
        u.backward(everywhere(-self._alpha * samples.alignment(v), here_first))
        self.meta_optimiser.step()

        # Base-learning: theta <- theta - gamma * grad sum_i u_i l_i, u from the new phi
        with torch.no_grad():
            w = normalise(self.meta_network(feature), n)
        gradient = weighted_gradient(samples.losses, samples.theta, here(over_batches(w, n), n))
        for name, parameter in self._tasks.named_parameters():
            parameter.grad = gradient.get(name)
        self._optimiser.step()
        self._tasks.zero_grad(set_to_none=True)
        losses, weights = samples.losses.detach(), here(w, n)
        return Step(
            losses[:here_first].mean(),
            losses[here_first:].mean(),
            meta_loss,
            weights[:here_first],
            weights[here_first:],
        )


class _Tasks(nn.Module):
    """The model with what is to be done with it, so that all of it runs at other parameters."""

    def __init__(self, model: nn.Module, primary: Task, auxiliary: Task, reserve: Loss) -> None:
        super().__init__()
        self.model = model
        self.run = {"primary": primary, "auxiliary": auxiliary, "reserve": reserve}

    def forward(self, task: str, batch: Any) -> Any:
        return self.run[task](self.model, batch)


def _share_of_reserve(network: Call, batch: Any) -> Tensor:
    """This process's part of the meta loss of all processes."""
    loss = network("reserve", batch)
    if loss.dim() != 0:
        raise ValueError(f"the reserve loss must be one number, (); found {tuple(loss.shape)}")
    return loss / distributed.count()
