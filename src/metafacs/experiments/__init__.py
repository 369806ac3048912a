"""Grids of training runs: their cells, and where these run."""
