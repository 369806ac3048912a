"""A trained detector in use: photographs and videos in, a table of faces with their AUs out."""

from metafacs.inference.detector import AUDetector

__all__ = ["AUDetector"]
