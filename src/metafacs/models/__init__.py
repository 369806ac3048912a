"""Networks: any timm backbone with an AU head and an expression head, and the forms that some methods build from it.

Importing this package registers the forms, and the backbones of metafacs' own with timm.
"""

from metafacs.models import alexnet, attended, drml, enhanced, jaa, joint, lp, ofs, related, roi, stitched, tcae, vgg

__all__ = [
    "alexnet",
    "attended",
    "drml",
    "enhanced",
    "jaa",
    "joint",
    "lp",
    "ofs",
    "related",
    "roi",
    "stitched",
    "tcae",
    "vgg",
]
