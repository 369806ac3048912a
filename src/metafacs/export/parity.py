"""Compares an exported file with the network it came from, on noise and on faces."""

from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from metafacs.data.transforms import centre_crops, crop
from metafacs.errors import InputError
from metafacs.export.session import Session
from metafacs.faces.face import Picture
from metafacs.inference.rows import sigmoid
from metafacs.models.network import Network
from metafacs.sample import Sample
from metafacs.training.checkpoint import DetectorCard

TOLERANCE = 1e-4
"""So far a probability may be from PyTorch's."""
BATCHES = (1, 3, 8)
TILE, ACROSS, DOWN = 256, 4, 2
"""Side of the faces in faces.jpg, pixels, and how they lie; rendered by `metafacs synth fe --images 8 --size 256 --seed
11`."""


def rendered_faces(size: int) -> Picture:
    """(8, size, size, 3) rendered faces of different people, aligned."""
    with files("metafacs.export").joinpath("faces.jpg").open("rb") as file, Image.open(file) as sheet:
        corners = [(TILE * k, TILE * j) for j in range(DOWN) for k in range(ACROSS)]
        tiles = [sheet.crop((x, y, x + TILE, y + TILE)) for x, y in corners]
    return resized(tiles, size)


def random_faces(size: int, count: int = 8) -> Picture:
    """(count, size, size, 3) noise, from fine to coarse, one black and one white."""
    rng = np.random.default_rng(0)
    pictures = []
    for k in range(count - 2):
        coarse = rng.integers(0, 256, (max(2, size >> k), max(2, size >> k), 3), np.uint8)
        pictures.append(Image.fromarray(coarse))
    stack = resized(pictures, size)
    return np.concatenate([stack, np.zeros((1, size, size, 3), np.uint8), np.full((1, size, size, 3), 255, np.uint8)])


def resized(pictures: Sequence[Image.Image], size: int) -> Picture:
    """(N, size, size, 3): pictures brought to one size, bilinear, and left alone where they have it."""
    sides = (size, size)
    stack = (p if p.size == sides else p.resize(sides, Image.Resampling.BILINEAR) for p in pictures)
    return np.stack([np.asarray(picture.convert("RGB")) for picture in stack])


@torch.inference_mode()
def by_torch(network: Network, card: DetectorCard, faces: Picture, batch: int = 32) -> NDArray[np.float32]:
    """(N, A) probabilities as `AUDetector` gives them, of aligned faces (N, S, S, 3)."""
    images = torch.from_numpy(resized([Image.fromarray(face) for face in faces], card.resize)).permute(0, 3, 1, 2)
    parts = []
    for part in images.split(batch):
        places = centre_crops(len(part), card.resize - card.side)
        parts.append(network.logits(Sample(crop(part, places, card.side))).float().cpu().numpy())
    return sigmoid(np.concatenate(parts))


def check_parity(session: Session, network: Network, card: DetectorCard, size: int) -> float:
    """The largest difference of a probability from PyTorch's, over noise, faces and sizes of batches.

    Raises:
        InputError: it is above `TOLERANCE`, or something is not a number.
    """
    faces = np.concatenate([rendered_faces(size), random_faces(size)])
    expected = by_torch(network, card, faces)
    results = [session.probabilities(faces, batch) for batch in BATCHES]
    worst = max(float(np.abs(one - expected).max()) for one in results)
    if not worst <= TOLERANCE:
        raise InputError(
            f"the exported '{card.backbone}' differs from PyTorch by {worst:.2g} on test faces, more than {TOLERANCE}: "
            "no file was written; try another --opset, or other versions of torch and onnxruntime"
        )
    return worst
