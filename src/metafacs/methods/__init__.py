"""Training methods, one file each; importing this package registers them all."""

from metafacs.methods import (
    cross_stitch,
    density_ratio,
    dwa,
    gradnorm,
    l2rw,
    l2t_ww,
    loss_balanced,
    mal,
    maxl,
    meta_weight_net,
    mtan,
    mtl,
    pcgrad,
    stl,
    uncertainty,
)
from metafacs.methods.base import METHODS, Batch, Method, Setup

__all__ = [
    "METHODS",
    "Batch",
    "Method",
    "Setup",
    "cross_stitch",
    "density_ratio",
    "dwa",
    "gradnorm",
    "l2rw",
    "l2t_ww",
    "loss_balanced",
    "mal",
    "maxl",
    "meta_weight_net",
    "mtan",
    "mtl",
    "pcgrad",
    "stl",
    "uncertainty",
]
