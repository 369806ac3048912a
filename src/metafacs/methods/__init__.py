"""Training methods, one file each; importing this package registers them all."""

from metafacs.methods import mal, mtl, stl
from metafacs.methods.base import METHODS, Batch, Method

__all__ = ["METHODS", "Batch", "Method", "mal", "mtl", "stl"]
