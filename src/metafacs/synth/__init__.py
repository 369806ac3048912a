"""Rendered faces: AU and expression data with known truth, made from a parametric 3D head."""
