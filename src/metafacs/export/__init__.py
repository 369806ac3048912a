"""A trained detector as one ONNX file: pre-processing, network and all that a user of it has to know."""

OLDEST, NEWEST = 18, 20
"""Versions of ONNX's operators that can be asked for."""
