"""Draws faces with a small ray caster in `warp`: one launch draws a batch of faces, persons and scenes."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metafacs.synth.head import Head
from metafacs.synth.identity import Person
from metafacs.synth.model import require, start_warp
from metafacs.synth.scene import Camera, Scene

_OPENNESS_RAYS = 48
_BRIGHTNESS = 0.3  # linear light of a well exposed face
_ADAPTATION = 0.35  # 0: a camera that never adapts, 1: every face comes out equally bright


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
        self.kernels = require("metafacs.synth.kernels")
        self._meshes: list[Any] = []
        self._surface = self._upload_surface()
        self._openness = self._array(self._measure_openness(), float)

    def draw(
        self,
        vertices: NDArray[np.float32],
        person_of: Sequence[int],
        persons: Sequence[Person],
        views: Sequence[tuple[Scene, Camera]],
        size: int,
        rays: int,
    ) -> NDArray[np.uint8]:
        """Draws n images.

        Args:
            vertices: (n, V, 3) float32 faces.
            person_of: for each image, which of `persons` it shows.
            persons: the persons.
            views: scene and camera of each image.
            size: side of the square images, pixels.
            rays: rays x rays samples are taken in each pixel.

        Returns:
            (n, size, size, 3) uint8 RGB.
        """
        wp = self.warp
        meshes = self._refit(vertices)
        normals = vertex_normals(vertices, self.head)
        textures = np.stack([person.texture for person in persons])
        backdrops = np.stack([scene.habits.backdrop for scene, _ in views])
        out = wp.zeros((len(vertices), size, size), dtype=wp.vec3, device=self.device)
        wp.launch(
            self.kernels.cast,
            dim=(len(vertices), size, size),
            inputs=[
                self._structs(self.kernels.View, [_view(*at) for at in zip(meshes, person_of, views, strict=True)]),
                self._structs(self.kernels.Look, [_look(person) for person in persons]),
                self._surface,
                self._array(normals, wp.vec3),
                self._openness,
                self._array(np.stack([person.hair for person in persons]), float),
                self._array(textures, float),
                self._array(backdrops, float),
                size,
                rays,
            ],
            outputs=[out],
            device=self.device,
        )
        gains = [exposure(scene, persons[who]) for (scene, _), who in zip(views, person_of, strict=True)]
        return develop(out.numpy() * np.array(gains, np.float32)[:, None, None, None])

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
        surface = self.kernels.Surface()
        surface.index = self._array(head.faces.reshape(-1), wp.int32)
        surface.material = self._array(head.material, wp.int32)
        surface.front = self._array(head.front, wp.vec2)
        surface.ball = self._array(head.ball, wp.vec3)
        surface.paint = self._array(head.paint, wp.vec3)
        return surface

    def _refit(self, vertices: NDArray[np.float32]) -> list[int]:
        """One mesh per image; its tree is built once, from the average head, so that no image depends on another."""
        wp = self.warp
        while len(self._meshes) < len(vertices):
            points = self._array(self.head.template, wp.vec3)
            self._meshes.append(wp.Mesh(points=points, indices=self._surface.index))
        for mesh, points in zip(self._meshes, vertices, strict=False):
            mesh.points.assign(points)
            mesh.refit()
        return [mesh.id for mesh in self._meshes[: len(vertices)]]

    def _measure_openness(self) -> NDArray[np.float32]:
        """(V,) how much of its surroundings a vertex of the average head sees, in [0, 1]."""
        wp = self.warp
        out = wp.zeros(len(self.head.template), dtype=float, device=self.device)
        (mesh,) = self._refit(self.head.template[None])
        normal = self._array(vertex_normals(self.head.template[None], self.head)[0], wp.vec3)
        wp.launch(
            self.kernels.openness,
            dim=len(self.head.template),
            inputs=[wp.uint64(mesh), self._meshes[0].points, normal, _OPENNESS_RAYS],
            outputs=[out],
            device=self.device,
        )
        return np.asarray(out.numpy())


@functools.lru_cache(maxsize=2)
def renderer(head: Head, device: str = "cpu") -> Renderer:
    """The renderer of this process; made at the first call, which compiles the kernels once per machine."""
    return Renderer(head, device)


def vertex_normals(vertices: NDArray[np.float32], head: Head) -> NDArray[np.float32]:
    """(n, V, 3) unit normals, area-weighted, of (n, V, 3) vertices."""
    out = np.empty_like(vertices)
    for image, points in enumerate(vertices):
        a, b, c = (points[head.faces[:, k]] for k in range(3))
        flat = np.zeros((len(head.faces) + 1, 3), np.float32)
        flat[:-1] = np.cross(b - a, c - a)
        total = flat[head.corners].sum(axis=1)
        out[image] = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return out


def exposure(scene: Scene, person: Person) -> float:
    """What the camera multiplies light by: half-way between none and the same brightness for every face."""
    room = scene.habits
    light = 0.5 * sum(lamp.colour for lamp in room.lights) + 0.5 * (room.sky + room.ground)
    seen = float(np.mean(light * person.colours["skin"]))
    return float(room.exposure * (_BRIGHTNESS / seen) ** _ADAPTATION)


def develop(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Linear light -> 8-bit sRGB-like values, with highlights rolled off rather than clipped."""
    soft = np.where(light > 0.7, 0.7 + 0.3 * np.tanh((light - 0.7) / 0.3), light)
    return (255 * np.clip(soft, 0, 1) ** (1 / 2.2) + 0.5).astype(np.uint8)


def _view(mesh: int, person: int, at: tuple[Scene, Camera]) -> dict[str, Any]:
    scene, camera = at
    habits = scene.habits

    def seen(direction: Any) -> Any:
        return camera.right * direction[0] + camera.up * direction[1] - camera.forward * direction[2]

    return {
        "mesh": mesh,
        "person": person,
        "origin": camera.origin,
        "corner": camera.forward + camera.direction(camera.start),
        "across": camera.direction(camera.turn),
        "down": camera.direction(camera.turn * 1j),
        "right": camera.right,
        "up": camera.up,
        "key": seen(habits.lights[0].direction),
        "key_colour": habits.lights[0].colour,
        "fill": seen(habits.lights[-1].direction),
        "fill_colour": habits.lights[-1].colour,
        "sky": habits.sky,
        "ground": habits.ground,
        "softness": habits.lights[0].softness,
    }


def _look(person: Person) -> dict[str, Any]:
    colours = {name: value for name, value in person.colours.items() if name != "skin"}
    return {**colours, "pupil": person.pupil, "gloss": person.gloss, "lash": person.lash}
