"""A trained detector in use: photographs and videos in, a table of faces with their AUs out."""

from metafacs.inference.detector import AUDetector
from metafacs.inference.watching import StoppedError

__all__ = ["AUDetector", "StoppedError"]
