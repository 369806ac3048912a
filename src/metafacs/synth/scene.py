"""Where a face is seen from and in which light: head pose, alignment of the crop, lights, background."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metafacs.synth.solids import Solids

EYES = ((0.32, 0.36), (0.68, 0.36))
"""Where the centres of the right and the left eye lie in an aligned crop, as shares of its width and height."""
PIVOT = (0.0, -0.06, 0.12)
"""The point the head turns about, in head coordinates (metres)."""
BACKDROP = 64
"""Side of the background images, in pixels."""

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Light:
    """One lamp or window.

    Attributes:
        direction: unit vector towards it, in camera coordinates (right, up, towards the camera).
        colour: (3,) its linear colour and strength.
        softness: its width, radians.
    """

    direction: Vector
    colour: Vector
    softness: float


@dataclass(frozen=True)
class Sensor:
    """What a camera does to a picture.

    Attributes:
        blur: standard deviation of the blur (focus, movement, a small face in a large picture), share of the width.
        noise: standard deviation of the noise of a mid-grey pixel, in [0, 1]; dark pixels have less.
        quality: of the JPEG file, 1-95.
    """

    blur: float = 0.0
    noise: float = 0.0
    quality: int = 92


@dataclass(frozen=True)
class Framing:
    """Where the eyes lie in a picture. Lengths are shares of the picture's width, downwards too.

    Attributes:
        middle: the point midway between the centres of the eyes, (right, down) from the upper left corner.
        eyes: the distance between them.
        roll: rotation of the face in the picture, radians.
    """

    middle: tuple[float, float]
    eyes: float
    roll: float


CROP = Framing(((EYES[0][0] + EYES[1][0]) / 2, EYES[0][1]), EYES[1][0] - EYES[0][0], 0.0)
"""The framing of an aligned crop."""


class Prop(Protocol):
    """A thing that is not the head: glasses, a hand, shoulders."""

    def solids(self, points: NDArray[np.floating[Any]]) -> Solids:
        """Its shape, for a face whose 68 landmarks are at `points` (68, 3), in head coordinates."""


@dataclass(frozen=True)
class Habits:
    """What stays the same in all pictures of one person: the room, its light, the camera, how the head is held.

    Attributes:
        yaw: mean turn of the head in radians, positive to the person's left.
        pitch: mean nod in radians, positive upwards.
        lights: one to three, the main light first.
        sky: light from above.
        ground: light from below.
        backdrop: (BACKDROP, BACKDROP, 3) linear colours behind the head.
        exposure: factor on everything.
        distance: metres from the camera to the head.
        sensor: the camera.
        props: what the person wears.
    """

    yaw: float
    pitch: float
    lights: tuple[Light, ...]
    sky: Vector
    ground: Vector
    backdrop: NDArray[np.float32]
    exposure: float
    distance: float = 0.9
    sensor: Sensor = Sensor()
    props: tuple[Prop, ...] = ()


@dataclass(frozen=True)
class Scene:
    """One picture: pose, framing, things in front of the face, and the room.

    Attributes:
        yaw: turn of the head in radians, positive to the person's left.
        pitch: nod in radians, positive upwards.
        framing: where the eyes lie in the picture.
        habits: light, background, camera.
        props: things in this picture only, besides those the person wears.
    """

    yaw: float
    pitch: float
    framing: Framing
    habits: Habits
    props: tuple[Prop, ...] = ()


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
        lights=(
            Light(unit([side * abs(rng.normal(0, 0.5)), rng.uniform(0.0, 0.9), 1.0]), key * tint, 0.2),
            Light(
                unit([-side * rng.uniform(0.4, 1.6), rng.uniform(-0.2, 0.5), 1.0]),
                rng.uniform(0.15, 0.6) * np.array([1 - warmth, 1.0, 1 + warmth]),
                0.3,
            ),
        ),
        sky=ambient * np.array([0.97, 1.0, 1.04]),
        ground=ambient * rng.uniform(0.3, 0.8) * np.array([1.05, 1.0, 0.92]),
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
        framing=Framing(
            middle=(CROP.middle[0] + float(rng.normal(0, 0.008)), CROP.middle[1] + float(rng.normal(0, 0.008))),
            eyes=CROP.eyes * float(np.exp(rng.normal(0, 0.02))),
            roll=float(np.clip(rng.normal(0, 0.02), -0.05, 0.05)),
        ),
        habits=habits,
    )


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with the picture it is to draw.

    A point of the picture, as a complex number u + iv of shares of its width, lies at `turn` * (u + iv) + `start` on
    the image plane (right is real, down imaginary, at distance 1).
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

    def crop(self, points: NDArray[np.floating[Any]], width: int) -> NDArray[np.float32]:
        """(n, 2) where (n, 3) points lie in a picture `width` pixels wide, (x, y) in pixels."""
        place = (self.plane(points) - self.start) / self.turn * width
        return np.stack([place.real, place.imag], axis=-1).astype(np.float32)

    def direction(self, place: complex) -> Vector:
        """The vector from the camera to a point of the image plane."""
        return self.right * place.real - self.up * place.imag


def _plane(points: Any, origin: Vector, right: Vector, up: Vector, forward: Vector) -> NDArray[np.complex128]:
    offset = np.asarray(points, np.float64) - origin
    depth = offset @ forward
    return np.asarray(offset @ right / depth - 1j * (offset @ up) / depth)


def aim(scene: Scene, eyes: NDArray[np.floating[Any]]) -> Camera:
    """The camera that sees the head in the scene's pose, and the picture that its framing asks for.

    With the framing `CROP`, up to small deviations, that is what a similarity alignment of a photo by its two eye
    centres gives.

    Args:
        scene: the pose and the framing.
        eyes: (2, 3) centres of the right and the left eye in head coordinates.
    """
    yaw, pitch, framing = scene.yaw, scene.pitch, scene.framing
    forward = np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
    right = unit(np.cross(forward, [0, 0, 1]))
    up = np.cross(right, forward)
    origin = np.array(PIVOT) - scene.habits.distance * forward
    seen = _plane(eyes, origin, right, up, forward)
    turn = (seen[1] - seen[0]) / framing.eyes * np.exp(1j * framing.roll)
    start = (seen[0] + seen[1]) / 2 - turn * complex(*framing.middle)
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
