"""Training methods, one file each; importing this package registers them all."""

from metafacs.methods import (
    density_ratio,
    dwa,
    gradnorm,
    l2rw,
    loss_balanced,
    mal,
    meta_weight_net,
    mtl,
    pcgrad,
    stl,
    uncertainty,
)
from metafacs.methods.base import METHODS, Batch, Method

__all__ = [
    "METHODS",
    "Batch",
    "Method",
    "density_ratio",
    "dwa",
    "gradnorm",
    "l2rw",
    "loss_balanced",
    "mal",
    "meta_weight_net",
    "mtl",
    "pcgrad",
    "stl",
    "uncertainty",
]
