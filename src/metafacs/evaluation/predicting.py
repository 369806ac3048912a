"""Runs a detector over faces, batch by batch."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metafacs.data.streams import Faces
from metafacs.data.transforms import centre_crops, crop

Progress = Callable[[int, int], None]


def over_faces(
    function: Callable[[Tensor], Tensor],
    faces: Faces,
    side: int,
    device: torch.device,
    batch: int = 256,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """`function` of the centre crop of every face, concatenated.

    Args:
        function: (B, 3, side, side) images in [0, 1] -> (B, ...).
        faces: the faces, in order.
        side: of the crop, pixels.
        device: where `function` expects its images.
        batch: images at a time.
        progress: is told (done, total).
    """
    parts = []
    for start in range(0, len(faces), batch):
        images = faces.images(range(start, min(start + batch, len(faces)))).to(device)
        places = centre_crops(len(images), faces.size - side)
        parts.append(function(crop(images, places, side)).float().cpu().numpy())
        if progress:
            progress(start + len(images), len(faces))
    return np.concatenate(parts)
