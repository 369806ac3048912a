"""PCGrad: where the two tasks' gradients conflict, each loses its part against the other.

Paper: Yu, Kumar, Gupta, Levine, Hausman & Finn, Gradient Surgery for Multi-Task Learning, NeurIPS 2020, Algorithm 1.
With g and h the gradients of the two tasks' losses by the shared parameters, where <g, h> < 0

    g' = g - (<g, h> / |h|^2) h,    h' = h - (<g, h> / |g|^2) g,

and the network moves along g' + h'. With two tasks the random order of the projections plays no part.

Differs from the paper in: the update is the mean of g' and h', not their sum, so that without a conflict it is MTL's.
The projection is over the backbone, all of its parameters taken as one vector; the heads, which are not shared, keep
their own gradients.
"""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from metafacs.methods.base import METHODS, AUOptions, Batch, Method, Setup, Stream
from metafacs.methods.lookahead import weighted_gradient
from metafacs.methods.losses import JointForward, JointOptions, task_losses
from metafacs.methods.task_weighting import TASKS, over_images

SHARED = "backbone."
"""Parameters of these names serve both tasks."""


class Surgery(NamedTuple):
    """What became of two gradients."""

    total: dict[str, Tensor]
    """g' + h' by parameter name."""
    cosine: Tensor
    """(): of the angle between g and h."""


def gradient_surgery(g: Mapping[str, Tensor], h: Mapping[str, Tensor]) -> Surgery:
    """g' + h', each without its part against the other.

    Args:
        g: gradient of one task by parameter name.
        h: of the other, of the same parameters.
    """
    names = list(g)
    dot = torch.stack([(g[name] * h[name]).sum() for name in names]).sum()
    squares = [torch.stack([x[name].square().sum() for name in names]).sum() for x in (g, h)]
    g_square, h_square = (square.clamp(min=torch.finfo(square.dtype).tiny) for square in squares)
    conflict = dot.clamp(max=0)
    to_g, to_h = 1 - conflict / g_square, 1 - conflict / h_square
    total = {name: to_g * g[name] + to_h * h[name] for name in names}
    return Surgery(total, dot / (g_square.sqrt() * h_square.sqrt()))


@METHODS.register("pcgrad")
class PCGrad(Method):
    """Adds the two tasks' gradients up after taking from each what works against the other."""

    streams: ClassVar[tuple[Stream, ...]] = ("primary", "auxiliary")
    Options: ClassVar[type[AUOptions]] = JointOptions

    def __init__(self, setup: Setup, options: JointOptions = JointOptions()) -> None:
        super().__init__(setup, options)
        self.joint = JointForward(setup, options)

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """One step along the mean of the two projected gradients."""
        self.network.train()
        n = len(batch["primary"])
        losses = self.joint(batch["primary"], batch["auxiliary"])[1]
        parameters = dict(self.network.named_parameters())
        each = over_images(losses.new_full((TASKS,), 1 / TASKS), n, len(losses))
        g = weighted_gradient(losses[:n], parameters, each[:n], retain_graph=True)
        h = weighted_gradient(losses[n:], parameters, each[n:])
        shared = [name for name in g if name.startswith(SHARED) and name in h]
        surgery = gradient_surgery({name: g[name] for name in shared}, {name: h[name] for name in shared})
        plain = {name: g[name] + h[name] if name in g and name in h else value for name, value in {**g, **h}.items()}
        self.update_base({**plain, **surgery.total})
        return {
            **task_losses(losses, n),
            "gradient_cosine": surgery.cosine,
            "conflict": (surgery.cosine < 0).to(losses.dtype),
        }
