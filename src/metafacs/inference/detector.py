"""A trained detector as an object: pictures and videos in, tables out."""

import copy
import io
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

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
from metafacs.faces.finders import CLOSER, NO_FACE, SEARCHING, WITH_LANDMARKS, best_finder, installed, nobody, settled
from metafacs.faces.pictures import MOST_PIXELS
from metafacs.faces.recipe import WHOLE
from metafacs.faces.tracking import Tracker
from metafacs.faces.video import Frame, video_frames
from metafacs.inference.calibration import lowered
from metafacs.inference.rows import logit_column, raw_schema, tidy
from metafacs.inference.sources import picture_frame
from metafacs.inference.watching import Crop, heeding, watch
from metafacs.models.network import Network
from metafacs.runs import DETECTOR
from metafacs.sample import Sample
from metafacs.training.checkpoint import DetectorCard, load_detector

logger = logging.getLogger(__name__)

Input = str | os.PathLike[str] | bytes | BinaryIO | Picture | Image.Image
_FINDING = threading.Lock()
"""Finders are shared within a process, and none of them may be used by two threads at a time."""


class AUDetector:
    """Detects facial Action Units in pictures and videos.

    One object may be used by several threads at the same time, and sent to other processes (it can be pickled).

    Args:
        network: a trained network, in evaluation mode.
        card: what was saved with it.
        finder: what finds faces, by name or as `metafacs.faces.make_finder` takes it; None: as the training data's
            crops were made, or the best that is installed where they were rendered or came with landmarks.
        device: "auto" (the GPU where there is one), "cpu", "cuda" or "cuda:1", ...
        batch: faces that go through the network together.

    Attributes:
        aus: AU columns, in order.
        thresholds: probability from which each AU is called present.
        card: what was saved with the network: data, method, fold, people who never trained.
        recipe: how faces are aligned and cut out.

    Raises:
        InputError: the faces of the training data were cut out in a way that cannot be repeated, what finds faces is
            not installed, or an argument is not of the kind that is asked for.

    Example:
        ``AUDetector.from_run("runs/mal_P1").detect("photo.jpg")[["face", "AU12", "AU12_present"]]``; without a run of
        one's own ``AUDetector.starter().detect("photo.jpg")``
    """

    def __init__(
        self,
        network: Network,
        card: DetectorCard,
        *,
        finder: str | Mapping[str, Any] | None = None,
        device: str = "auto",
        batch: int = 16,
    ) -> None:
        if not isinstance(finder, str | Mapping | None):
            raise InputError(f"finder is {type(finder).__name__}; give a name ({', '.join(SEARCHING)}) or its settings")
        finder = {"name": finder} if isinstance(finder, str) else finder
        self.card, self.batch = card, _whole("batch", batch, 1)
        self.aus, self.thresholds = list(card.aus), list(card.thresholds)
        self.recipe = recipe_of(card)
        self.finder = settled(finder if finder is not None else _finder(self.recipe), self.recipe.eyes)
        if network.uses_landmarks and self.finder["name"] not in WITH_LANDMARKS:
            logger.warning("this detector uses landmarks, and %s finds none: it goes without", self.finder["name"])
        self._network, self._where = network.eval(), str(device)
        self._start()

    def _start(self) -> None:
        """Makes what belongs to this process and machine."""
        self._finder = make_finder(self.finder)
        self._device = torch.device(_device(self._where))
        self._network = self._network.to(self._device).to(memory_format=torch.channels_last)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: the finder is made there, and the device chosen there."""
        network = copy.deepcopy(self._network).cpu()
        return {**self.__dict__, "_network": network, "_finder": None, "_device": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

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

    def closer(self) -> "AUDetector":
        """The same detector, with the same network in memory, seeking smaller faces, beside large ones too: slower."""
        finder = {**self.finder, **CLOSER.get(self.finder["name"], {})}
        return AUDetector(self._network, self.card, finder=finder, device=self._where, batch=self.batch)

    def detect(self, images: Input | Iterable[Input], faces: int = 0, *, neutral: Input | None = None) -> pd.DataFrame:
        """Detects AUs in pictures that have nothing to do with each other.

        Args:
            images: one picture or several, each a file (path, content, or opened in binary mode), a PIL image, or an
                array (H, W, 3) in RGB or (H, W) in grey, uint8; an array (N, H, W, 3) is N pictures. Files are turned
                upright as their EXIF entry says.
            faces: take only so many faces of a picture, the largest; 0 takes all.
            neutral: a picture of the person with a resting face; what it shows is taken off (see
                `metafacs.inference.calibration`).

        Returns:
            One row per face, and one with `success` 0 for a picture without a face or that cannot be read; columns as
            in `metafacs.inference.rows.tidy`. `input` is the path, or the picture's place in `images`.

        Raises:
            InputError: something given is not a picture at all, or `faces` is not a number from 0 on.
        """
        tracker, pictures = self.tracker(faces=faces), _pictures(images)
        names = [str(one) if isinstance(one, str | os.PathLike) else str(k) for k, one in enumerate(pictures)]
        frames = ((k, _picture_of(picture, k)) for k, picture in enumerate(pictures))
        return self._table(names, frames, tracker, neutral)

    def detect_video(
        self,
        path: str | os.PathLike[str],
        every: int = 1,
        faces: int = 0,
        *,
        neutral: Input | None = None,
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
            neutral: as in `detect`.
            stop: asked before each frame; true ends the work.
            progress: told after each frame how many were searched.

        Returns:
            One row per face and frame, and one with `success` 0 for each frame without a face; columns as in
            `metafacs.inference.rows.tidy`.

        Raises:
            InputError: it is not a video, not one frame of it can be decoded, or an argument is not a number that is
                asked for.
            StoppedError: `stop` said so.
        """
        tracker = self.tracker(every, faces)
        if not isinstance(path, str | os.PathLike):
            raise InputError(
                f"a video is given by its path, not as {type(path).__name__} (cameras: `metafacs detect 0`)"
            )
        if not Path(path).is_file():
            raise InputError(f"there is no video {path}")
        with closing(iterated_ahead((0, frame) for frame in video_frames(Path(path)))) as frames:
            return self._table([str(path)], heeding(frames, stop, progress), tracker, neutral)

    def rest(self, neutral: Input) -> NDArray[np.float64]:
        """(A,) logits of the largest face of a picture.

        Raises:
            InputError: it cannot be read or shows no face.
        """
        table = self.detect([neutral], faces=1)
        if not table["success"].iloc[0]:
            name = neutral if isinstance(neutral, str | os.PathLike) else "the neutral picture"
            raise InputError(f"{name}: {table['problem'].iloc[0]}; give a picture of the person with a neutral face")
        odds = table[self.aus].iloc[0].to_numpy(np.float64).clip(1e-7, 1 - 1e-7)
        return np.asarray(np.log(odds / (1 - odds)))

    def tracker(self, every: int = 1, faces: int = 0) -> Tracker:
        """What follows people as preparation followed those of the training data; arguments as of `detect_video`."""
        most = _whole("faces", faces, 0)
        return Tracker(_whole("every", every, 1), most, largest=self.recipe.choice == "largest")

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

    def nobody(self, picture: Picture) -> str:
        """What is said of a picture, (H, W, 3) uint8, without a face."""
        return NO_FACE if self._finder is None else nobody(self._finder, self.finder["name"], picture)

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

    def _table(
        self, names: Sequence[str], frames: Iterator[tuple[int, Frame]], tracker: Tracker, neutral: Input | None
    ) -> pd.DataFrame:
        rest = None if neutral is None else self.rest(neutral)
        parts = [part.rows for part in watch(self, names, frames, tracker)]
        rows = pa.concat_tables(parts) if parts else raw_schema(self.aus).empty_table()
        if rest is not None:
            rows = lowered(rows, [logit_column(au) for au in self.aus], {}, rest)
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
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", name):
        raise InputError(f"device is '{name}'; give auto, cpu or cuda")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name.startswith("cuda") and int(name[5:] or 0) >= count:
        raise InputError(f"device is '{name}', but there are {count} GPUs that torch can use; give auto or cpu")
    return ("cuda" if count else "cpu") if name == "auto" else name


def _whole(name: str, value: Any, least: int) -> int:
    """A whole number from `least` on."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name} is {value!r}; give a whole number, {least} or more")
    return int(value)


def _pictures(images: Any) -> list[Any]:
    """One picture or several as a list; raises InputError where neither is given."""
    if isinstance(images, str | os.PathLike | bytes | Image.Image) or hasattr(images, "read"):
        return [images]
    if isinstance(images, np.ndarray) and images.ndim < 4:
        return [images]
    if isinstance(images, Mapping | pd.DataFrame) or not isinstance(images, Iterable):
        raise InputError(f"images are given as {type(images).__name__}; give one picture, or a list of them")
    return list(images)


def _picture_of(picture: Any, place: int) -> Frame:
    """A picture as a frame; raises InputError for what cannot be one by its type."""
    if isinstance(picture, str | os.PathLike):
        return picture_frame(Path(picture))
    if hasattr(picture, "read"):
        picture = picture.read()
    if isinstance(picture, bytes | Image.Image):
        return picture_frame(picture)
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        what = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise InputError(
            f"image {place} is {what}; give files (binary where open), PIL images or arrays (H, W, 3) of uint8 in RGB"
        )
    if picture.shape[0] * picture.shape[1] > MOST_PIXELS or min(picture.shape[:2]) < 1:
        return Frame(0, None, None, f"{picture.shape[1]}x{picture.shape[0]} pixels")
    return Frame(0, None, np.ascontiguousarray(picture))
