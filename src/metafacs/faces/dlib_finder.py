"""Faces by dlib: its frontal detector (histograms of oriented gradients) and its 5- or 68-point model.

Both models come with the Python package face-recognition-models, so nothing is downloaded. The 5-point model is in the
public domain; the 68-point model was trained on iBUG 300-W, whose licence excludes commercial use.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metafacs.errors import InputError
from metafacs.faces.face import Box, Face, Picture, Points, corrected, side

WINDOW = 80
"""Side of the smallest face the detector sees, pixels."""
SMALL = 256
"""Smaller pictures are enlarged to this, so that faces in thumbnails reach the detector's window."""
NEAR_FACE = 120
"""Side that a known face is brought to when only its surroundings are searched, pixels."""
NEAR_REACH = 0.6
"""How far around the last box is searched, as a share of its side."""


class DlibFinder:
    """Finds faces that look about straight ahead.

    Args:
        points: landmarks of the model, 5 or 68.
        width: pictures whose longer side is longer than this many pixels are shrunk to it before faces are sought (not
            before landmarks are); 0 never shrinks. The detector sees faces of 80 pixels or more in what remains.
        upsample: doubles the picture that many times, to find smaller faces; four times the work each time.
        threshold: faces with a lower score are left out; below 0 more faces are found, and more that are not faces.
        correction: by how much the eyes are moved apart (each) and upwards, as in `finders.CORRECTIONS`.

    Raises:
        InputError: the `dlib` extra is missing, or a setting is impossible.
    """

    def __init__(
        self,
        points: int = 5,
        *,
        width: int = 640,
        upsample: int = 0,
        threshold: float = 0.0,
        correction: Sequence[float] = (0.0, 0.0),
    ) -> None:
        if width and width < WINDOW:
            raise InputError(f"a working width of {width} pixels shows no face; give {WINDOW} or more, or 0")
        if not 0 <= upsample <= 3:
            raise InputError(f"upsample is {upsample}; give 0 to 3 doublings")
        dlib = _import_dlib()
        self.width, self.upsample, self.threshold = width, upsample, threshold
        self.correction = correction[0], correction[1]
        self._dlib = dlib
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(model_file(f"shape_predictor_{points}_face_landmarks.dat")))

    def find(self, image: Picture, around: Box | None = None) -> list[Face]:
        """All faces, the surest first; see `FaceFinder`."""
        height, width = image.shape[:2]
        scale = self._scale(max(height, width))
        if around is None or side(around) <= 0:
            boxes = self._detect(image, (0.0, 0.0, float(width), float(height)), scale)
        else:
            reach = NEAR_REACH * side(around)
            region = (around[0] - reach, around[1] - reach, around[2] + reach, around[3] + reach)
            inside = tuple(float(np.clip(at, 0, most)) for at, most in zip(region, 2 * (width, height), strict=True))
            boxes = self._detect(image, inside, min(max(scale, 1.0), NEAR_FACE / side(around)))  # type: ignore[arg-type]
        return [self._face(image, box, score) for box, score in boxes]

    def sought(self, image: Picture) -> tuple[float, str]:
        """See `FaceFinder`."""
        longer = max(image.shape[:2])
        shrunk = 0 < self.width < longer
        more = f"--width {self.width} --upsample {self.upsample + 1}" if self.upsample < 3 else ""
        return WINDOW / self._scale(longer), "--width 0" if shrunk else more

    def _scale(self, longer: int) -> float:
        scale = max(1.0, SMALL / longer)
        if self.width:
            scale = min(scale, self.width / longer)
        return scale * 2**self.upsample

    def _detect(self, image: Picture, region: Box, scale: float) -> list[tuple[Box, float]]:
        """Boxes and scores in a region of the picture, seen at a scale."""
        x0, y0, x1, y1 = int(region[0]), int(region[1]), int(np.ceil(region[2])), int(np.ceil(region[3]))
        view = Image.fromarray(image[y0:y1, x0:x1])
        if scale != 1 and view.width and view.height:
            size = (max(1, round(view.width * scale)), max(1, round(view.height * scale)))
            view = view.resize(size, Image.Resampling.BILINEAR)
        if min(view.size) < WINDOW // 2:
            return []
        boxes, scores, _ = self._detector.run(np.ascontiguousarray(view), 0, self.threshold)
        across, down = (x1 - x0) / view.width, (y1 - y0) / view.height
        places = []
        for box, score in zip(boxes, scores, strict=True):
            left, top, right, bottom = box.left(), box.top(), box.right() + 1, box.bottom() + 1
            place = (x0 + left * across, y0 + top * down, x0 + right * across, y0 + bottom * down)
            places.append((place, float(score)))
        return sorted(places, key=lambda one: (-one[1], one[0]))

    def _face(self, image: Picture, box: Box, score: float) -> Face:
        corners = (round(box[0]), round(box[1]), round(box[2]) - 1, round(box[3]) - 1)
        shape = self._predictor(image, self._dlib.rectangle(*corners))
        # dlib counts in centres of pixels
        points = np.array([(point.x, point.y) for point in shape.parts()], np.float64) + 0.5
        return Face(box, score, points, corrected(eye_centres(points), *self.correction))


def eye_centres(points: Points) -> Points:
    """(2, 2) centres of the right and the left eye: the mean of its corners (5 points) or of its six points (68)."""
    ranges = ((2, 4), (0, 2)) if len(points) == 5 else ((36, 42), (42, 48))
    return np.stack([points[first:end].mean(axis=0) for first, end in ranges])


def model_file(name: str) -> Path:
    """Where the package face-recognition-models keeps a model; its own code, which needs pkg_resources, is not run.

    Raises:
        InputError: it is not installed.
    """
    package = importlib.util.find_spec("face_recognition_models")
    for folder in (package.submodule_search_locations or []) if package else []:
        path = Path(folder) / "models" / name
        if path.is_file():
            return path
    raise InputError(f"dlib's model {name} is not there; install the dlib extra: pip install 'metafacs[dlib]'")


def _import_dlib() -> Any:
    try:
        return importlib.import_module("dlib")
    except ImportError as error:
        raise InputError(
            f"faces cannot be sought because dlib cannot be imported ({error}); install the dlib extra: "
            "pip install 'metafacs[dlib]', or choose --detector given or none"
        ) from error
