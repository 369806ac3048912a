"""Scores the starter model: on crops of held-out rendered people, on whole photographs of them, on real photographs."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

import faces
from facsynth.head import load_head
from facsynth.photo import take
from metafacs.data.prepared import PreparedDataset
from metafacs.data.streams import Faces
from metafacs.evaluation.metrics import au_scores, average_scores
from metafacs.inference.detector import AUDetector
from metafacs.inference.watching import Crop
from metafacs.runs import DETECTOR
from metafacs.training.checkpoint import load_detector
from metafacs.training.predicting import face_probabilities

WIDTH, HEIGHT, EYES = 320, 320, 62.0
"""Of the rendered photographs, pixels."""
PHOTOGRAPHED = 30
"""Held-out people who are rendered again in whole photographs."""
SHIPPED = {
    "astronaut.png": ("skimage", "data/astronaut.png", "scikit-image's", "a smile with teeth: AU6, AU12, AU25"),
    "grace_hopper.jpg": (
        "matplotlib",
        "mpl-data/sample_data/grace_hopper.jpg",
        "matplotlib's",
        "about neutral, perhaps a trace of AU12",
    ),
}
"""Real photographs that come with Python packages: package, path in it, whose it is, what the makers see in it."""


@dataclass(frozen=True)
class Scores:
    """What was measured.

    Attributes:
        crops: `au_scores` of crops of held-out people.
        first: average F1 and AUC on those of them whom the first edition was scored on.
        people: how many people, `images` how many crops.
        images: see above.
        cropped: `au_scores` of crops of those whose photographs were rendered, aligned by the rendered landmarks.
        found: `au_scores` of the same faces found in whole photographs; those not found are left out.
        finder: what found them.
        photographs: how many photographs were rendered.
        missed: in how many of them no face was found.
        shipped: file -> AU -> probability, of the real photographs that are there.
    """

    crops: pd.DataFrame
    first: pd.Series
    people: int
    images: int
    cropped: pd.DataFrame
    found: pd.DataFrame
    photographs: int
    missed: int
    finder: str
    shipped: dict[str, dict[str, float]]


def measure(data: Path, package: Path, people: int, seed: int) -> Scores:
    """What the model card reports of rendered people.

    Args:
        data: the AU data that the detector was trained on, with its test people.
        package: folder of the detector that ships.
        people: how many were rendered.
        seed: of the rendering.
    """
    dataset, (network, about) = PreparedDataset.open(data), load_detector(package / DETECTOR)
    rows = np.flatnonzero(dataset.column("fold") == about.test_fold)
    crops = Faces(dataset, rows, about.resize)
    chances = face_probabilities(network.eval(), crops, about.side, torch.device("cpu"))
    labels, subjects = dataset.au_labels(about.aus)[rows], dataset.column("subject")[rows]
    first = subjects < f"S{faces.FIRST:05d}"
    detector = AUDetector.from_run(package, device="cpu")
    shown, photographed, cropped, missed = _photographs(detector, people, seed)
    found = ~np.isnan(photographed).any(axis=1)
    return Scores(
        crops=au_scores(labels, chances, about.aus),
        first=average_scores(au_scores(labels[first], chances[first], about.aus)),
        people=len(set(subjects)),
        images=len(rows),
        cropped=au_scores(shown[found], cropped[found], detector.aus),
        found=au_scores(shown[found], photographed[found], detector.aus),
        photographs=len(shown),
        missed=missed,
        finder=str(detector.finder["name"]),
        shipped=look(detector),
    )


def look(detector: AUDetector) -> dict[str, dict[str, float]]:
    """Probabilities of the largest face of each real photograph that is installed."""
    probabilities = {}
    for name, (package, inside, *_) in SHIPPED.items():
        spec = find_spec(package)
        path = Path((spec.submodule_search_locations or [""])[0]) / inside if spec else Path()
        if path.is_file():
            row = detector.detect(path, faces=1).iloc[0]
            probabilities[name] = {au: float(row[au]) for au in detector.aus}
    return probabilities


def _photographs(
    detector: AUDetector, people: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]:
    """Labels, probabilities of the same faces in whole photographs and in crops, (N, A) each; how many were missed."""
    held_out = [number for number in range(people) if faces.FOLDS[number % len(faces.FOLDS)] == "test"][:PHOTOGRAPHED]
    rng = np.random.default_rng([seed, 5])
    labels, photographed, cropped = [], [], []
    for number in held_out:
        taken = faces.pictures(number, seed)
        shots = [faces.as_photo(one.shot, rng, WIDTH, HEIGHT, EYES) for one in taken]
        pictures = take(load_head(), shots, (HEIGHT, WIDTH), faces.RAYS)[0]
        crops = take(load_head(), [one.shot for one in taken], faces.SIZE, faces.RAYS)[0]
        rows = detector.detect(list(pictures), faces=1)
        photographed.append(rows[detector.aus].to_numpy(np.float64))
        shown = [Crop(_resized(one, detector.card.resize)) for one in crops]
        cropped.append(1 / (1 + np.exp(-detector.logits(shown))))
        labels.append(np.array([[one.row[au] for au in detector.aus] for one in taken], np.float64))
    whole = np.concatenate(photographed)
    return np.concatenate(labels), whole, np.concatenate(cropped), int(np.isnan(whole).any(axis=1).sum())


def _resized(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR))
