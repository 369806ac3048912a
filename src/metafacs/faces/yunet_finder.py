"""Faces by YuNet, a small network, run by OpenCV from a model file that the user gives."""

import hashlib
import importlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metafacs.errors import InputError
from metafacs.faces.face import Box, Face, Picture, surroundings

NEAR_REACH = 0.6
"""How far around the last box is searched, as a share of its side."""
LEAST = 10
"""Side of the smallest faces that the network sees, as its authors say, pixels of the searched picture."""
SMALLEST = 16
"""Smaller pieces of a picture are not searched, pixels."""


class YunetFinder:
    """Finds faces in any usual pose.

    Args:
        model: the ONNX file, face_detection_yunet_*.onnx of the OpenCV model zoo.
        sha256: its SHA-256, so that a dataset's card says exactly what found its faces.
        width: pictures whose longer side is longer than this many pixels are shrunk to it; 0 never shrinks.
        threshold: faces with a lower score, from 0 to 1, are left out.

    Raises:
        InputError: OpenCV is missing, or the file is missing, another one, or not YuNet.
    """

    def __init__(self, model: str, sha256: str, *, width: int = 640, threshold: float = 0.6) -> None:
        checked = _check(Path(model), sha256)
        try:
            cv2 = importlib.import_module("cv2")
        except ImportError as error:
            raise InputError(
                f"YuNet needs OpenCV, which cannot be imported ({error}): pip install opencv-python-headless"
            ) from error
        self.width = width
        try:
            self._network: Any = cv2.FaceDetectorYN.create(str(checked), "", (320, 320), threshold)
        except (cv2.error, AttributeError) as error:
            raise InputError(f"OpenCV {cv2.__version__} cannot read {model} as YuNet: {error}") from error

    def find(self, image: Picture, around: Box | None = None) -> list[Face]:
        """All faces, the surest first; see `FaceFinder`."""
        height, width = image.shape[:2]
        x0, y0, x1, y1 = 0, 0, width, height
        if around is not None:
            x0, y0, x1, y1 = surroundings(around, NEAR_REACH, image)
        view = Image.fromarray(image[y0:y1, x0:x1])
        if min(view.size) < SMALLEST:
            return []
        scale = min(1.0, self.width / max(view.size)) if self.width else 1.0
        if scale < 1:
            size = (max(1, round(view.width * scale)), max(1, round(view.height * scale)))
            view = view.resize(size, Image.Resampling.BILINEAR)
        self._network.setInputSize(view.size)
        _, rows = self._network.detect(np.ascontiguousarray(np.asarray(view)[:, :, ::-1]))
        to_picture = np.array([(x1 - x0) / view.width, (y1 - y0) / view.height])
        faces = [_face(row, to_picture, np.array([x0, y0])) for row in ([] if rows is None else rows)]
        return sorted(faces, key=lambda face: (-face.score, face.box))

    def sought(self, image: Picture) -> tuple[float, str]:
        """See `FaceFinder`."""
        scale = min(1.0, self.width / max(image.shape[:2])) if self.width else 1.0
        return LEAST / scale, "--width 0" if scale < 1 else ""


def _face(row: Any, to_picture: Any, start: Any) -> Face:
    """A face from YuNet's row: x, y, width, height, then (x, y) of right eye, left eye, nose, mouth corners, score."""
    numbers = np.asarray(row, np.float64)
    corners = np.stack([numbers[:2], numbers[:2] + numbers[2:4]]) * to_picture + start
    points = (numbers[4:14].reshape(5, 2) + 0.5) * to_picture + start
    (left, top), (right, bottom) = corners.tolist()
    return Face((left, top, right, bottom), float(numbers[14]), points, points[:2])


def _check(model: Path, sha256: str) -> Path:
    if not model.is_file():
        raise InputError(f"there is no YuNet model {model}; give the .onnx file of the OpenCV model zoo")
    with model.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256.strip().lower():
        raise InputError(f"{model} has SHA-256 {digest}, not {sha256 or 'any that was given'}; it is another file")
    return model
