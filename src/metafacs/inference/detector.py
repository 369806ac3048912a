"""A trained detector as an object: pictures and videos in, tables out."""

import io
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from PIL import Image

from metafacs.ahead import iterated_ahead
from metafacs.data.card import LANDMARKS
from metafacs.data.transforms import centre_crops, crop, crop_points
from metafacs.datasets.cropping import CLOSEST_EYES
from metafacs.errors import InputError
from metafacs.faces import Face, Recipe, align, make_finder, move, to_jpeg
from metafacs.faces.face import Box, Picture
from metafacs.faces.finders import SEARCHING, WITH_LANDMARKS, best_finder, installed, settled
from metafacs.faces.pictures import MOST_PIXELS
from metafacs.faces.recipe import WHOLE
from metafacs.faces.tracking import Tracker
from metafacs.faces.video import Frame, video_frames
from metafacs.inference.rows import raw_schema, tidy
from metafacs.inference.sources import picture_frame
from metafacs.inference.watching import Crop, heeding, watch
from metafacs.models.network import Network
from metafacs.runs import DETECTOR
from metafacs.sample import Sample
from metafacs.training.checkpoint import DetectorCard, load_detector

logger = logging.getLogger(__name__)

Input = str | Path | bytes | Picture | Image.Image
_FINDING = threading.Lock()
"""Finders are shared within a process, and none of them may be used by two threads at a time."""


class AUDetector:
    """Detects facial Action Units in pictures and videos.

    One object may be used by several threads at the same time.

    Args:
        network: a trained network, in evaluation mode.
        card: what was saved with it.
        finder: what finds faces, as `metafacs.faces.make_finder` takes it; None: as the training data's crops
            were made, or the best that is installed where they were rendered or came with landmarks.
        device: "auto" (the GPU where there is one), "cpu" or "cuda".
        batch: faces that go through the network together.

    Attributes:
        aus: AU columns, in order.
        thresholds: probability from which each AU is called present.
        card: what was saved with the network: data, method, fold, people who never trained.
        recipe: how faces are aligned and cut out.

    Raises:
        InputError: the faces of the training data were cut out in a way that cannot be repeated, or what finds faces
            is not installed.

    Example:
        ``AUDetector.from_run("runs/mal_P1").detect("photo.jpg")[["face", "AU12", "AU12_present"]]``; without a run of
        one's own ``AUDetector.starter().detect("photo.jpg")``
    """

    def __init__(
        self,
        network: Network,
        card: DetectorCard,
        *,
        finder: Mapping[str, Any] | None = None,
        device: str = "auto",
        batch: int = 16,
    ) -> None:
        if batch < 1:
            raise InputError(f"batch is {batch}; give 1 or more")
        self.card, self.batch = card, batch
        self.aus, self.thresholds = list(card.aus), list(card.thresholds)
        self.recipe = recipe_of(card)
        self.finder = settled(finder if finder is not None else _finder(self.recipe), self.recipe.eyes)
        if network.uses_landmarks and self.finder["name"] not in WITH_LANDMARKS:
            logger.warning("this detector uses landmarks, and %s finds none: it goes without", self.finder["name"])
        self._finder = make_finder(self.finder)
        self._device = torch.device(_device(device))
        self._network = network.to(self._device).to(memory_format=torch.channels_last).eval()

    @classmethod
    def from_run(cls, path: str | Path, **options: Any) -> "AUDetector":
        """The detector that a training run left behind.

        Args:
            path: the run's folder, or its `detector.safetensors`, wherever that was copied to.
            options: `finder`, `device` and `batch`, as the class takes them.

        Raises:
            InputError: there is none, it is damaged, or it cannot be used here.
        """
        path = Path(path)
        network, card = load_detector(path / DETECTOR if path.is_dir() else path)
        return cls(network, card, **options)

    @classmethod
    def starter(cls, **options: Any) -> "AUDetector":
        """The small detector that comes with metafacs: for trying things out, not for measuring people.

        Args:
            options: `finder`, `device` and `batch`, as the class takes them.

        Raises:
            InputError: this installation came without it, or faces cannot be found here.
        """
        from metafacs.starter import starter_run

        return cls.from_run(starter_run(), **options)

    def detect(self, images: Input | Sequence[Input], faces: int = 0) -> pd.DataFrame:
        """Detects AUs in pictures that have nothing to do with each other.

        Args:
            images: one picture or several, each a file (path or content), an array (H, W, 3) uint8 in RGB, or a PIL
                image. Files are turned upright as their EXIF entry says.
            faces: take only so many faces of a picture, the largest; 0 takes all.

        Returns:
            One row per face, and one with `success` 0 for a picture without a face or that cannot be read; columns as
            in `metafacs.inference.rows.tidy`. `input` is the path, or the picture's place in `images`.

        Raises:
            InputError: something given is not a picture at all.
        """
        pictures = [images] if isinstance(images, str | Path | bytes | np.ndarray | Image.Image) else list(images)
        names = [str(picture) if isinstance(picture, str | Path) else str(k) for k, picture in enumerate(pictures)]
        frames = ((k, _picture_of(picture, k)) for k, picture in enumerate(pictures))
        return self._table(names, frames, self.tracker(faces=faces))

    def detect_video(
        self,
        path: str | Path,
        every: int = 1,
        faces: int = 0,
        *,
        stop: Callable[[], bool] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> pd.DataFrame:
        """Detects AUs in every frame of a video; people keep their number (`face`) over time.

        Only the rows are kept in memory, not the frames.

        Args:
            path: the video.
            every: every so many frames the whole frame is searched; between, only around the faces of the frame
                before, which is faster.
            faces: take only so many faces of a frame, those of the people known longest, then the largest; 0 takes
                all.
            stop: asked before each frame; true ends the work.
            progress: told after each frame how many were searched.

        Returns:
            One row per face and frame, and one with `success` 0 for each frame without a face; columns as in
            `metafacs.inference.rows.tidy`.

        Raises:
            InputError: it is not a video, or not one frame of it can be decoded.
            StoppedError: `stop` said so.
        """
        if every < 1:
            raise InputError(f"every is {every}; give 1 (search every whole frame) or more")
        if not Path(path).is_file():
            raise InputError(f"there is no video {path}")
        with closing(iterated_ahead((0, frame) for frame in video_frames(Path(path)))) as frames:
            return self._table([str(path)], heeding(frames, stop, progress), self.tracker(every, faces))

    def tracker(self, every: int = 1, faces: int = 0) -> Tracker:
        """What follows people as preparation followed those of the training data; arguments as of `detect_video`."""
        return Tracker(every, faces, largest=self.recipe.choice == "largest")

    def find(self, picture: Picture, around: Box | None = None) -> list[Face]:
        """All faces of a picture that can be cut out, the surest first.

        Args:
            picture: (H, W, 3) uint8, RGB.
            around: search only in and around this box: left, top, right, bottom.
        """
        if self._finder is None:
            height, width = picture.shape[:2]
            return [Face((0.0, 0.0, float(width), float(height)), 1.0, np.zeros((0, 2)), np.zeros((2, 2)))]
        with _FINDING:
            faces = self._finder.find(picture, around)
        return [face for face in faces if float(np.linalg.norm(face.eyes[1] - face.eyes[0])) >= CLOSEST_EYES]

    def crop(self, picture: Picture, face: Face) -> Crop:
        """A face aligned, cut out and resized exactly as those of the training data.

        It goes through a JPEG file as theirs did, so that a frame of a prepared dataset gives what it gave there.
        """
        aligned, matrix = align(picture, None if self.recipe.kind == WHOLE else face.eyes, self.recipe)
        points = None
        if self._network.uses_landmarks and len(face.points) == LANDMARKS:
            points = move(face.points, matrix) * (self.card.resize / self.recipe.size)
        with Image.open(io.BytesIO(to_jpeg(aligned, self.recipe.quality))) as stored:
            size = (self.card.resize, self.card.resize)
            image = stored.convert("RGB")
            image = image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)
            return Crop(np.asarray(image), points)

    def logits(self, crops: Sequence[Crop]) -> NDArray[np.float32]:
        """(N, A) logits, in the order of `aus`, of the middles of N crops from `crop`."""
        stack = torch.from_numpy(np.stack([face.image for face in crops])).permute(0, 3, 1, 2).to(self._device)
        places, points = centre_crops(len(stack), self.card.resize - self.card.side), None
        if self._network.uses_landmarks:
            unknown = np.full((LANDMARKS, 2), np.nan)
            known = np.stack([unknown if face.landmarks is None else face.landmarks for face in crops])
            points = crop_points(torch.from_numpy(known).float().to(self._device), places, self.card.side)
        logits = self._network.logits(Sample(crop(stack, places, self.card.side), points))
        return np.asarray(logits.float().cpu())

    def _table(self, names: Sequence[str], frames: Iterator[tuple[int, Frame]], tracker: Tracker) -> pd.DataFrame:
        parts = [part.rows for part in watch(self, names, frames, tracker)]
        rows = pa.concat_tables(parts) if parts else raw_schema(self.aus).empty_table()
        return tidy(rows, self.aus, self.thresholds)


def recipe_of(card: DetectorCard) -> Recipe:
    """How the faces that a detector takes are aligned and cut out.

    Raises:
        InputError: in no way that can be repeated.
    """
    try:
        return Recipe.from_card(card.crop)
    except InputError as error:
        raise InputError(
            f"this detector was trained on faces of '{card.dataset}' whose way of being cut out cannot be repeated "
            f"({card.crop}); train it on faces from `metafacs prepare` or `metafacs synth`"
        ) from error


def _finder(recipe: Recipe) -> dict[str, Any]:
    """What finds faces; where the training data came with landmarks, something that does not need them."""
    if recipe.kind == WHOLE:
        logger.warning("this detector was trained on pictures that were cut out already: whole pictures are taken")
        return dict(recipe.finder) if recipe.finder.get("name") == "none" else {"name": "none"}
    name = recipe.finder.get("name")
    if name in ("given", "none", "auto"):
        return {"name": "auto"}
    if name in SEARCHING and not installed(name):
        best = best_finder()
        logger.warning("this detector's faces were found by %s, which is not installed here; %s is used", name, best)
        return {"name": best}
    return dict(recipe.finder)


def _device(name: str) -> str:
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"device is '{name}'; give auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device is 'cuda', but there is no GPU that torch can use; give auto or cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _picture_of(picture: Input, place: int) -> Frame:
    """A picture as a frame; raises InputError for what cannot be one by its type."""
    if isinstance(picture, str | Path | bytes | Image.Image):
        return picture_frame(Path(picture) if isinstance(picture, str) else picture)
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        what = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise InputError(f"image {place} is {what}; give files, PIL images or arrays (H, W, 3) of uint8 in RGB")
    if picture.shape[0] * picture.shape[1] > MOST_PIXELS or min(picture.shape[:2]) < 1:
        return Frame(0, None, None, f"{picture.shape[1]}x{picture.shape[0]} pixels")
    return Frame(0, None, np.ascontiguousarray(picture))
