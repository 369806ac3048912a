"""Training methods, one file each; importing this package registers them all."""

from metafacs.methods import cross_stitch, l2t_ww, mal, maxl, mtan, mtl, stl
from metafacs.methods.base import METHODS, Batch, Method

__all__ = ["METHODS", "Batch", "Method", "cross_stitch", "l2t_ww", "mal", "maxl", "mtan", "mtl", "stl"]
