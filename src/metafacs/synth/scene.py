"""Where a face is seen from and in which light: head pose, alignment of the crop, lights, background."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

EYES = ((0.32, 0.36), (0.68, 0.36))
"""Where the centres of the right and the left eye lie in an aligned crop, as shares of its width and height."""
DISTANCE = 0.9
"""Metres from the camera to the head."""
PIVOT = (0.0, -0.06, 0.12)
"""The point the head turns about, in head coordinates (metres)."""
BACKDROP = 16
"""Side of the coarse background images, in pixels; the camera shows them out of focus."""

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Habits:
    """What stays the same in all pictures of one person: the room, its light, how the head is held.

    Attributes:
        yaw: mean turn of the head in radians, positive to the person's left.
        pitch: mean nod in radians, positive upwards.
        key: direction towards the main light, in camera coordinates (right, up, towards the camera).
        key_colour: its linear colour and strength.
        fill: direction towards the second light.
        fill_colour: its colour.
        sky: light from above.
        ground: light from below.
        softness: width of the main light, radians.
        backdrop: (BACKDROP, BACKDROP, 3) linear colours behind the head.
        exposure: factor on everything.
    """

    yaw: float
    pitch: float
    key: Vector
    key_colour: Vector
    fill: Vector
    fill_colour: Vector
    sky: Vector
    ground: Vector
    softness: float
    backdrop: NDArray[np.float32]
    exposure: float


@dataclass(frozen=True)
class Scene:
    """One picture: pose, small deviations of the alignment, and the light.

    Attributes:
        yaw: turn of the head in radians, positive to the person's left.
        pitch: nod in radians, positive upwards.
        scale: factor on the size of the face in the crop.
        roll: rotation of the crop, radians.
        shift: displacement in the crop, shares of its size.
        habits: light and background.
    """

    yaw: float
    pitch: float
    scale: float
    roll: float
    shift: tuple[float, float]
    habits: Habits


def unit(vector: Any) -> Vector:
    """The direction of a vector."""
    v = np.asarray(vector, np.float64)
    return v / np.linalg.norm(v)


def draw_habits(rng: np.random.Generator) -> Habits:
    """Draws a person's room and light."""
    side = rng.choice([-1, 1])
    warmth = rng.normal(0, 0.08)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    key = rng.uniform(0.75, 1.5)
    ambient = rng.uniform(0.12, 0.4)
    return Habits(
        yaw=rng.normal(0, 0.06),
        pitch=rng.normal(0, 0.05),
        key=unit([side * abs(rng.normal(0, 0.5)), rng.uniform(0.0, 0.9), 1.0]),
        key_colour=key * tint,
        fill=unit([-side * rng.uniform(0.4, 1.6), rng.uniform(-0.2, 0.5), 1.0]),
        fill_colour=rng.uniform(0.15, 0.6) * np.array([1 - warmth, 1.0, 1 + warmth]),
        sky=ambient * np.array([0.97, 1.0, 1.04]),
        ground=ambient * rng.uniform(0.3, 0.8) * np.array([1.05, 1.0, 0.92]),
        softness=rng.uniform(0.05, 0.3),
        backdrop=draw_backdrop(rng),
        exposure=rng.uniform(0.85, 1.1),
    )


def draw_backdrop(rng: np.random.Generator) -> NDArray[np.float32]:
    """(BACKDROP, BACKDROP, 3) a plain or blurred background."""
    base = rng.uniform(0.02, 0.8) * (1 + 0.3 * rng.uniform(-1, 1, 3))
    contrast = rng.choice([0.05, 0.25, 0.6])
    coarse = rng.normal(0, contrast, (4, 4, 1)) + rng.normal(0, contrast / 6, (4, 4, 3))
    image = base * np.exp(coarse)
    channels = [Image.fromarray(image[..., k].astype(np.float32)) for k in range(3)]
    blurred = [channel.resize((BACKDROP, BACKDROP), Image.Resampling.BICUBIC) for channel in channels]
    return np.clip(np.stack([np.asarray(channel) for channel in blurred], axis=-1), 0, 1).astype(np.float32)


def draw_scene(habits: Habits, rng: np.random.Generator, pose: float = 1.0) -> Scene:
    """Draws one picture in a person's room.

    Args:
        habits: the person's.
        rng: the picture's own random numbers.
        pose: factor on the variation of the head pose.
    """
    return Scene(
        yaw=float(np.clip(habits.yaw + pose * rng.normal(0, 0.14), -0.42, 0.42)),
        pitch=float(np.clip(habits.pitch + pose * rng.normal(0, 0.09), -0.35, 0.35)),
        scale=float(np.exp(rng.normal(0, 0.02))),
        roll=float(np.clip(rng.normal(0, 0.02), -0.05, 0.05)),
        shift=(float(rng.normal(0, 0.008)), float(rng.normal(0, 0.008))),
        habits=habits,
    )


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with the crop it is to draw.

    A point of the crop, as a complex number u + iv of shares of its size, lies at `turn` * (u + iv) + `start` of the
    image plane (right is real, down imaginary, at distance 1).
    """

    origin: Vector
    right: Vector
    up: Vector
    forward: Vector
    turn: complex
    start: complex

    def plane(self, points: NDArray[np.floating[Any]]) -> NDArray[np.complex128]:
        """(n,) where (n, 3) points lie on the image plane."""
        return _plane(points, self.origin, self.right, self.up, self.forward)

    def crop(self, points: NDArray[np.floating[Any]], size: int) -> NDArray[np.float32]:
        """(n, 2) where (n, 3) points lie in the crop, (x, y) in pixels."""
        place = (self.plane(points) - self.start) / self.turn * size
        return np.stack([place.real, place.imag], axis=-1).astype(np.float32)

    def direction(self, place: complex) -> Vector:
        """The vector from the camera to a point of the image plane."""
        return self.right * place.real - self.up * place.imag


def _plane(points: Any, origin: Vector, right: Vector, up: Vector, forward: Vector) -> NDArray[np.complex128]:
    offset = np.asarray(points, np.float64) - origin
    depth = offset @ forward
    return np.asarray(offset @ right / depth - 1j * (offset @ up) / depth)


def aim(scene: Scene, eyes: NDArray[np.floating[Any]]) -> Camera:
    """The camera that sees the head in the scene's pose, and the crop that puts the eyes at `EYES`.

    The crop is what a similarity alignment of a photo by its two eye centres gives, up to the scene's deviations.

    Args:
        scene: the pose and the deviations.
        eyes: (2, 3) centres of the right and the left eye in head coordinates.
    """
    yaw, pitch = scene.yaw, scene.pitch
    forward = np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
    right = unit(np.cross(forward, [0, 0, 1]))
    up = np.cross(right, forward)
    origin = np.array(PIVOT) - DISTANCE * forward
    seen = _plane(eyes, origin, right, up, forward)
    goal = [complex(*place) for place in EYES]
    turn = (seen[1] - seen[0]) / (goal[1] - goal[0])
    middle = (goal[0] + goal[1]) / 2
    turn *= np.exp(1j * scene.roll) / scene.scale
    start = (seen[0] + seen[1]) / 2 - turn * (middle + complex(*scene.shift))
    return Camera(origin, right, up, forward, complex(turn), complex(start))


def crop_recipe(size: int) -> dict[str, Any]:
    """How rendered crops are aligned, for the card of a dataset."""
    return {
        "kind": "similarity",
        "size": size,
        "points": "centres of the eyes (mean of landmarks 37-42 and of 43-48, counted from 1)",
        "template": {"right_eye": list(EYES[0]), "left_eye": list(EYES[1])},
        "template_unit": "share of the crop's width and height; the right eye is the person's",
        "jitter": {"scale": 0.02, "roll_radians": 0.02, "shift": 0.008},
    }
