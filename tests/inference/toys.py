"""Tiny detectors, and faces drawn as two dots that a finder made for them finds."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from metafacs.faces import Face, Recipe
from metafacs.faces.face import Box
from metafacs.models.network import build_network
from metafacs.runs import DETECTOR
from metafacs.sample import Sample
from metafacs.training.checkpoint import DetectorCard, save_detector
from tests.toy_runs import BACKBONE

AUS = ["AU01", "AU04", "AU12", "AU24"]
EXPRESSIONS = ["neutral", "happiness"]
EYES = 30.0
"""Distance of the eyes of drawn faces, pixels."""


def save_toy(folder: Path, crop: dict[str, Any] | None = None, thresholds: Sequence[float] = (0.5,) * 4) -> Path:
    """A run folder with an untrained detector whose probabilities differ from picture to picture."""
    torch.manual_seed(3)
    network = build_network(BACKBONE, len(AUS), len(EXPRESSIONS), "scratch").eval()
    with torch.no_grad():
        logits = network(Sample(torch.rand(8, 3, 32, 32))).au_logits
        network.au_head.weight.mul_(2.0 / logits.std(0).mean())
        network.au_head.bias.sub_(network(Sample(torch.rand(8, 3, 32, 32))).au_logits.mean(0))
    card = DetectorCard(
        aus=AUS,
        thresholds=list(thresholds),
        expressions=EXPRESSIONS,
        backbone=BACKBONE,
        backbone_options={},
        side=32,
        resize=36,
        crop=Recipe(size=48).to_card() if crop is None else crop,
        dataset="toy",
        test_fold="P1",
        test_subjects=["S000", "S003"],
        method="mal",
        seed=0,
    )
    folder.mkdir(parents=True, exist_ok=True)
    save_detector(folder / DETECTOR, network, card)
    return folder


def draw(faces: Sequence[tuple[float, float]], seed: int = 0, size: tuple[int, int] = (96, 200)) -> np.ndarray:
    """(H, W, 3) a grey picture with a red dot and, 30 pixels to its right, a blue one per face.

    Args:
        faces: (x, y) between the dots; faces stand side by side.
        seed: of the grey texture.
        size: (H, W).
    """
    rng = np.random.default_rng(seed)
    out = np.repeat(rng.integers(90, 160, (size[0] // 8 + 1, size[1] // 8 + 1, 1)), 3, axis=2)
    out = out.repeat(8, axis=0).repeat(8, axis=1)[: size[0], : size[1]].astype(np.uint8)
    x, y = np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5
    for middle in faces:
        for side, channel in ((-1, 0), (1, 2)):
            dot = (x[None] - middle[0] - side * EYES / 2) ** 2 + (y[:, None] - middle[1]) ** 2 < 25
            out[dot] = 0
            out[dot, channel] = 255
    return out


class DotFinder:
    """Finds drawn faces, the leftmost first, and counts how often it looked at whole pictures and around boxes."""

    def __init__(self) -> None:
        self.whole = self.near = 0

    def find(self, image: np.ndarray, around: Box | None = None) -> list[Face]:
        self.whole, self.near = self.whole + (around is None), self.near + (around is not None)
        wide = image.astype(int)
        right = _middles(wide[:, :, 0] - wide[:, :, 2] > 100)
        left = _middles(wide[:, :, 2] - wide[:, :, 0] > 100)
        faces = []
        for one, other in zip(right, left, strict=False):
            eyes = np.array([one, other])
            (x, y) = eyes.mean(axis=0)
            box = (x - 25, y - 20, x + 25, y + 30)
            if around is None or (around[0] - 30 <= x <= around[2] + 30 and around[1] - 30 <= y <= around[3] + 30):
                faces.append(Face(box, 1.0, np.repeat(eyes, 34, axis=0), eyes))
        return faces

    def sought(self, image: np.ndarray) -> tuple[float, str]:
        return 10.0, "--smallest 5"


def _middles(mask: np.ndarray) -> list[np.ndarray]:
    """The middle of each group of columns."""
    rows, columns = np.nonzero(mask)
    order = np.argsort(columns)
    groups = np.split(order, np.flatnonzero(np.diff(columns[order]) > 5) + 1) if len(order) else []
    return [np.array([columns[one].mean() + 0.5, rows[one].mean() + 0.5]) for one in groups]


def make_video(path: Path, pictures: Sequence[np.ndarray], codec: str = "mpeg4", rate: int = 25) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        stream.codec_context.gop_size = 10
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def walk(frames: int, gaps: Sequence[int] = ()) -> list[np.ndarray]:
    """Two faces that move about; in the frames of `gaps` there is none."""
    middles = [[(40 + k % 20, 40 + k % 7), (140 - k % 15, 50)] for k in range(frames)]
    return [draw([] if k in gaps else middles[k], seed=k // 5) for k in range(frames)]


def save_picture(path: Path, picture: np.ndarray, change: Callable[[Image.Image], Image.Image] | None = None) -> Path:
    image = Image.fromarray(picture)
    (change(image) if change else image).save(path)
    return path
