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
    function: Callable[..., Tensor],
    faces: Faces,
    side: int,
    device: torch.device,
    batch: int = 256,
    progress: Progress | None = None,
    labels: Tensor | None = None,
) -> NDArray[np.float32]:
    """`function` of the centre crop of every face, concatenated.

    Args:
        function: (B, 3, side, side) images in [0, 1], and their labels where there are any, -> (B, ...).
        faces: the faces, in order.
        side: of the crop, pixels.
        device: where `function` expects its images.
        batch: images at a time.
        progress: is told (done, total).
        labels: (N, ...), of the faces, for `function`.
    """
    parts = []
    for start in range(0, len(faces), batch):
        end = min(start + batch, len(faces))
        images = faces.images(range(start, end)).to(device)
        places = centre_crops(len(images), faces.size - side)
        own = () if labels is None else (labels[start:end].to(device),)
        parts.append(function(crop(images, places, side), *own).float().cpu().numpy())
        if progress:
            progress(end, len(faces))
    return np.concatenate(parts)
