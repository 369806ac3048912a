"""Runs a detector over faces, batch by batch."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metafacs.data.streams import Faces
from metafacs.data.transforms import centre_crops, crop, crop_points
from metafacs.models.network import Network
from metafacs.sample import Sample

Progress = Callable[[int, int], None]


def over_faces(
    function: Callable[..., Tensor],
    faces: Faces,
    side: int,
    device: torch.device,
    batch: int = 256,
    progress: Progress | None = None,
    labels: Tensor | None = None,
    landmarks: bool = False,
) -> NDArray[np.float32]:
    """`function` of the centre crop of every face, concatenated.

    Args:
        function: a `Sample` of B faces, and their labels where there are any, -> (B, ...).
        faces: the faces, in order.
        side: of the crop, pixels.
        device: where `function` expects its images.
        batch: images at a time.
        progress: is told (done, total).
        labels: (N, ...), of the faces, for `function`.
        landmarks: whether samples come with the faces' landmarks.
    """
    parts = []
    for start in range(0, len(faces), batch):
        end = min(start + batch, len(faces))
        images = faces.images(range(start, end)).to(device)
        places = centre_crops(len(images), faces.size - side)
        points = crop_points(faces.landmarks[start:end].to(device), places, side) if landmarks else None
        sample, given = Sample(crop(images, places, side), points), [] if labels is None else [labels[start:end]]
        parts.append(function(sample, *(part.to(device) for part in given)).float().cpu().numpy())
        if progress:
            progress(end, len(faces))
    return np.concatenate(parts)


def face_probabilities(
    network: Network,
    faces: Faces,
    side: int,
    device: torch.device,
    batch: int = 256,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """(N, A) probabilities that a network gives for the centre crop of every face; arguments as of `over_faces`."""
    return over_faces(network.probabilities, faces, side, device, batch, progress, landmarks=network.uses_landmarks)
