"""The detector that ships with the package: for trying things out."""

from metafacs.starter.locate import starter_run

__all__ = ["starter_run"]
