"""Networks: any timm backbone with an AU head and an expression head, and the forms that some methods build from it."""

from metafacs.models import attended, stitched

__all__ = ["attended", "stitched"]
