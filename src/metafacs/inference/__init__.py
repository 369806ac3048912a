"""A trained detector in use: photographs and videos in, a table of faces with their AUs out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metafacs.inference.detector import AUDetector
    from metafacs.inference.watching import StoppedError

__all__ = ["AUDetector", "StoppedError"]


def __getattr__(name: str) -> Any:
    places = {"AUDetector": "detector", "StoppedError": "watching"}  # loaded when first asked for: it needs PyTorch
    if name not in places:
        raise AttributeError(f"module 'metafacs.inference' has no attribute '{name}'")
    return getattr(import_module(f"metafacs.inference.{places[name]}"), name)
