"""Training methods, one file each; `METHODS`, which needs PyTorch, imports them all when first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metafacs.methods.base import METHODS, Batch, Facts, Method, Setup

NAMES = (
    "cross_stitch",
    "density_ratio",
    "dwa",
    "eac_net",
    "gbn",
    "gradnorm",
    "jaa_net",
    "l2rw",
    "l2t_ww",
    "loss_balanced",
    "lp_net",
    "mal",
    "maxl",
    "meta_weight_net",
    "mtan",
    "mtl",
    "pcgrad",
    "roi",
    "srerl",
    "stl",
    "tcae",
    "uncertainty",
)
"""Of the methods, and of their files."""

__all__ = ["METHODS", "NAMES", "Batch", "Facts", "Method", "Setup"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'metafacs.methods' has no attribute '{name}'")
    for method in NAMES:
        import_module(f"metafacs.methods.{method}")
    return getattr(import_module("metafacs.methods.base"), name)
