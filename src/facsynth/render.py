"""Draws faces in `warp`: a batch of faces, persons and scenes in a few launches, on any device."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facsynth.head import Head
from facsynth.identity import Person
from facsynth.model import require, start_warp
from facsynth.rows import LEVELS, capsule_rows, exposure, lamp_rows, look_row, view_row
from facsynth.scene import Camera, Scene
from facsynth.solids import Solids
from facsynth.texture import TEXTURE
from facsynth.wrinkles import wrinkle_maps

SHADOWS = (192, 512)
"""Least and most side of the shadow maps, in texels; 256 make a texel about a millimetre of the face."""
MOST_SOLIDS = 64
"""How many capsules an image may hold."""

_OPENNESS_RAYS = 48
_GAMMA = np.float32(1 / 2.2)

Frame = tuple[int, int]
"""Height and width of an image in pixels."""


class Renderer:
    """Draws faces on one device; keeps what all images share there.

    Args:
        head: the head.
        device: a warp device, "cpu" or "cuda:0".

    Raises:
        InputError: warp is not installed.
    """

    def __init__(self, head: Head, device: str = "cpu") -> None:
        self.head = head
        self.device = device
        self.warp = start_warp()
        self.kernels = require("facsynth.kernels")
        self.visibility = require("facsynth.visibility")
        self.shading = require("facsynth.shading")
        self._buffers: dict[str, Any] = {}
        self._around = self._array(head.corners, self.warp.int32)
        self._surface = self._upload_surface()
        self._patterns = [(top, left, self._array(part, self.warp.vec3)) for top, left, part in _patterns()]

    def draw(
        self,
        vertices: NDArray[np.float32],
        person_of: Sequence[int],
        persons: Sequence[Person],
        views: Sequence[tuple[Scene, Camera]],
        wrinkles: NDArray[np.float32],
        solids: Sequence[Solids],
        frame: Frame,
        rays: int,
    ) -> NDArray[np.float32]:
        """Draws n images.

        Args:
            vertices: (n, V, 3) float32 faces.
            person_of: for each image, which of `persons` it shows.
            persons: the persons.
            views: scene and camera of each image.
            wrinkles: (n, K) how deep each wrinkle pattern is.
            solids: what else is in each image.
            frame: height and width of the images, pixels.
            rays: rays x rays samples are taken in each pixel, at most 8 x 8.

        Returns:
            (n, height, width, 3) float32 RGB in linear light, as the camera exposes it.
        """
        wp, count = self.warp, len(vertices)
        batch = self._describe(person_of, persons, views, frame, rays)
        batch.vertices = self._array(vertices, wp.vec3)
        batch.normals = self._normals(batch.vertices)
        batch.relief = self._relief(person_of, persons, wrinkles)
        capsules = capsule_rows(solids)
        batch.capsules = self._structs(self.kernels.Capsule, capsules or [{"image": 0}])
        self._find_visible(batch, len(capsules), (frame[0] * rays, frame[1] * rays))
        lights = max(len(scene.habits.lights) for scene, _ in views)
        self._find_shadows(batch, (len(capsules), lights), int(np.clip(frame[1], *SHADOWS)))
        out = self._buffer("out", (count, *frame), wp.vec3)
        self._launch(self.shading.draw, (count, *frame), [self._surface, batch, rays], out)
        return np.array(out.numpy())

    def normals(self, vertices: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, V, 3) unit normals, area-weighted, of (n, V, 3) vertices."""
        return np.array(self._normals(self._array(vertices, self.warp.vec3)).numpy())

    def _describe(
        self,
        person_of: Sequence[int],
        persons: Sequence[Person],
        views: Sequence[tuple[Scene, Camera]],
        frame: Frame,
        rays: int,
    ) -> Any:
        """The batch as the kernels take it, as far as nothing has to be computed."""
        wp, kernels = self.warp, self.kernels
        batch = kernels.Batch()
        rows: list[dict[str, Any]] = []
        lamps: list[dict[str, Any]] = []
        papers: list[NDArray[np.float32]] = []
        for image, (who, (scene, camera)) in enumerate(zip(person_of, views, strict=True)):
            row = view_row(scene, camera, frame[1], rays)
            paper = scene.habits.backdrop
            place = (sum(len(before) for before in papers), *paper.shape[:2])
            own = {"person": who, "lamps": len(lamps), "backdrop": place, "gain": exposure(scene, persons[who])}
            rows.append(row | own)
            lamps += lamp_rows(image, scene, camera)
            papers.append(paper.reshape(-1, 3))
        batch.views = self._structs(kernels.View, rows)
        batch.lamps = self._structs(kernels.Lamp, lamps)
        batch.looks = self._structs(kernels.Look, [look_row(person) for person in persons])
        batch.backdrop = self._array(np.concatenate(papers)[None], wp.vec3)
        batch.hair = self._array(np.stack([person.hair for person in persons]), float)
        batch.texture = self._pyramid("texture", [person.texture for person in persons])
        batch.side = TEXTURE
        return batch

    def _find_visible(self, batch: Any, capsules: int, samples: Frame) -> None:
        """Fills `places` and `keys` of a batch."""
        wp, (count, many) = self.warp, batch.vertices.shape
        batch.places = self._buffer("places", (count, many), wp.vec3)
        self._launch(self.visibility.project, (count, many), [batch.views, batch.vertices], batch.places)
        batch.keys = self._buffer("keys", (count, *samples), wp.int64)
        batch.keys.fill_(self.kernels.EMPTY)
        faces = len(self.head.faces)
        self._launch(self.visibility.rasterise, (count, faces), [batch.places, self._surface.index, 1], batch.keys)
        if capsules:
            inputs = [batch.views, batch.capsules, faces]
            self._launch(self.visibility.rasterise_capsules, (capsules, samples[0]), inputs, batch.keys)

    def _find_shadows(self, batch: Any, capsules: tuple[int, int], side: int) -> None:
        """Fills `shadows` and `fits` of a batch; `capsules`: how many, and most lamps that one can have."""
        wp, visibility = self.warp, self.visibility
        lamps, many, (height, width) = len(batch.lamps), batch.vertices.shape[1], batch.keys.shape[1:]
        bounds = self._buffer("bounds", (lamps, 4), wp.float32)
        bounds.fill_(1e9)
        inputs = [batch.views, batch.lamps, batch.vertices, batch.normals, batch.places, float(width), float(height)]
        self._launch(visibility.span, (lamps, many), inputs, bounds)
        batch.fits = self._buffer("fits", (lamps,), wp.vec3)
        self._launch(visibility.fit, (lamps,), [bounds, side], batch.fits)
        places = self._buffer("thrown", (lamps, many), wp.vec3)
        self._launch(visibility.throw, (lamps, many), [batch.lamps, batch.fits, batch.vertices], places)
        batch.shadows = self._buffer("shadows", (lamps, side, side), wp.int64)
        batch.shadows.fill_(self.kernels.EMPTY)
        faces = len(self.head.faces)
        self._launch(visibility.rasterise, (lamps, faces), [places, self._surface.index, 0], batch.shadows)
        if capsules[0]:
            inputs = [batch.views, batch.lamps, batch.fits, batch.capsules, faces]
            self._launch(visibility.shade_capsules, (*capsules, side), inputs, batch.shadows)

    def _relief(self, person_of: Sequence[int], persons: Sequence[Person], wrinkles: NDArray[np.float32]) -> Any:
        """(n, pyramid) the relief of the persons at rest with the wrinkles of the images."""
        pyramid = self._pyramid("relief", [persons[who].relief for who in person_of], build=False)
        amounts = self._array(wrinkles, float)
        for number in np.flatnonzero((wrinkles != 0).any(axis=0)):
            top, left, part = self._patterns[number]
            inputs = [part, amounts, int(number), top, left, TEXTURE]
            self._launch(self.kernels.press, (len(wrinkles), *part.shape), inputs, pyramid)
        return self._build(pyramid)

    def _pyramid(self, name: str, images: Sequence[NDArray[np.float32]], build: bool = True) -> Any:
        """(n, pyramid) textures, each followed by smaller copies of itself, in the buffer `name`."""
        total = sum((TEXTURE >> level) ** 2 for level in range(LEVELS))
        pyramid = self._buffer(name, (len(images), total), self.warp.vec3)
        for number, image in enumerate(images):
            rows = np.ascontiguousarray(image, np.float32).reshape(-1, 3)
            flat = self.warp.array(rows, dtype=self.warp.vec3, device="cpu", copy=False)
            self.warp.copy(pyramid, flat, dest_offset=number * total, count=len(flat))
        return self._build(pyramid) if build else pyramid

    def _build(self, pyramid: Any) -> Any:
        source = 0
        for level in range(1, LEVELS):
            side = TEXTURE >> (level - 1)
            target = source + side * side
            self._launch(self.kernels.halve, (len(pyramid), side // 2, side // 2), [side, source, target], pyramid)
            source = target
        return pyramid

    def _normals(self, vertices: Any) -> Any:
        wp, (count, many) = self.warp, vertices.shape
        flat = self._buffer("flat", (count, len(self.head.faces)), wp.vec3)
        self._launch(self.visibility.flat_normals, flat.shape, [vertices, self._surface.index], flat)
        out = self._buffer("normals", (count, many), wp.vec3)
        self._launch(self.visibility.smooth_normals, out.shape, [flat, self._around], out)
        return out

    def _launch(self, kernel: Any, dim: Sequence[int], inputs: Sequence[Any], output: Any) -> None:
        self.warp.launch(kernel, dim=tuple(dim), inputs=list(inputs), outputs=[output], device=self.device)

    def _buffer(self, name: str, shape: Sequence[int], dtype: Any) -> Any:
        """An array with undefined contents, the same as last time if the shape is."""
        kept = self._buffers.get(name)
        if kept is None or kept.shape != tuple(shape):
            kept = self._buffers[name] = self.warp.empty(tuple(shape), dtype=dtype, device=self.device)
        return kept

    def _array(self, values: NDArray[Any], dtype: Any) -> Any:
        return self.warp.array(np.ascontiguousarray(values), dtype=dtype, device=self.device)

    def _structs(self, kind: Any, rows: Sequence[dict[str, Any]]) -> Any:
        table = np.zeros(len(rows), kind.numpy_dtype())
        for number, row in enumerate(rows):
            for name, value in row.items():
                table[name][number] = value
        return self.warp.array(table, dtype=kind, device=self.device)

    def _upload_surface(self) -> Any:
        wp, head = self.warp, self.head
        surface = self._surface = self.kernels.Surface()
        surface.index = self._array(head.faces, wp.vec3i)
        surface.material = self._array(head.material, wp.int32)
        surface.front = self._array(head.front, wp.vec2)
        surface.ball = self._array(head.ball, wp.vec3)
        surface.paint = self._array(head.paint, wp.vec3)
        surface.openness = self._measure_openness()
        return surface

    def _measure_openness(self) -> Any:
        """(V,) how much of its surroundings a vertex of the average head sees, in [0, 1]."""
        wp, head = self.warp, self.head
        out = wp.zeros(len(head.template), dtype=float, device=self.device)
        points = self._array(head.template, wp.vec3)
        mesh = wp.Mesh(points=points, indices=self._array(head.faces.reshape(-1), wp.int32))
        normals = self._normals(self._array(head.template[None], wp.vec3))
        inputs = [wp.uint64(mesh.id), points, normals, _OPENNESS_RAYS]
        self._launch(self.kernels.openness, (len(head.template),), inputs, out)
        return out


@functools.lru_cache(maxsize=2)
def renderer(head: Head, device: str = "cpu") -> Renderer:
    """The renderer of this process; made at the first call, which compiles the kernels once per machine."""
    return Renderer(head, device)


def develop(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear light -> sRGB-like values in [0, 1], with highlights rolled off rather than clipped."""
    soft = np.where(light > 0.7, 0.7 + 0.3 * np.tanh((light - 0.7) / 0.3), light)
    return np.asarray(np.clip(soft, 0, 1) ** _GAMMA, np.float32)


def _patterns() -> list[tuple[int, int, NDArray[np.float32]]]:
    """Each wrinkle pattern cut to where it is not zero: upper edge, left edge, (h, w, 3) relief."""
    cut = []
    for pattern in wrinkle_maps():
        rows, columns = (np.flatnonzero((pattern != 0).any(axis=(1 - axis, 2))) for axis in (0, 1))
        top, left = (int(place[0]) if len(place) else 0 for place in (rows, columns))
        bottom, right = (int(place[-1]) + 1 if len(place) else 1 for place in (rows, columns))
        cut.append((top, left, pattern[top:bottom, left:right]))
    return cut
