"""Where a face is seen from and in which light: head pose, alignment of the crop, lights, background, camera."""

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facsynth.backdrop import BACKDROP, draw_backdrop
from facsynth.colour import SKIN_TONES, Colour, between
from facsynth.hand import draw_hand
from facsynth.illumination import Light, Vector, draw_illumination, unit
from facsynth.optics import Sensor, draw_sensor
from facsynth.solids import Solids, draw_glasses
from metafacs.errors import InputError

__all__ = [
    "BACKDROP",
    "CROP",
    "EYES",
    "Camera",
    "Framing",
    "Habits",
    "Light",
    "Prop",
    "Scene",
    "Sensor",
    "aim",
    "draw_framing",
    "draw_habits",
    "draw_scene",
    "unit",
]

EYES = ((0.32, 0.36), (0.68, 0.36))
"""Where the centres of the right and the left eye lie in an aligned crop, as shares of its width and height."""
PIVOT = (0.0, -0.06, 0.12)
"""The point the head turns about, in head coordinates (metres)."""
GLASSES = {False: 0.1, True: 0.15}
"""Share of people who wear glasses, in a laboratory and in the wild."""
HANDS = 0.04
"""Share of pictures taken in the wild in which a hand is before the face."""
HEAD_ROOM = (1.5, 2.2, 2.0)
"""What a head needs beside, above and below the middle of its eyes, in distances between them."""


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
    sensor: Sensor = field(default_factory=Sensor)
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


def draw_habits(rng: np.random.Generator, wild: bool = False) -> Habits:
    """Draws the room, the light and the camera of a person.

    Args:
        rng: random numbers.
        wild: pictures taken anywhere, by any camera, rather than in one laboratory.
    """
    light = draw_illumination(rng, wild)
    distance = float(np.exp(rng.uniform(np.log(0.45), np.log(2.5)))) if wild else float(rng.uniform(0.8, 1.6))
    glasses = (draw_glasses(rng),) if rng.random() < GLASSES[wild] else ()
    return Habits(
        yaw=float(rng.normal(0, 0.1 if wild else 0.05)),
        pitch=float(rng.normal(0, 0.07 if wild else 0.045)),
        lights=light.lights,
        sky=light.sky,
        ground=light.ground,
        backdrop=draw_backdrop(rng, wild),
        exposure=float(rng.uniform(0.75, 1.2) if wild else rng.uniform(0.9, 1.08)),
        distance=distance,
        sensor=draw_sensor(rng, distance, wild),
        props=glasses,
    )


def draw_scene(
    habits: Habits, rng: np.random.Generator, pose: float = 1.0, wild: bool = False, skin: Colour | None = None
) -> Scene:
    """Draws one picture in a person's room.

    Args:
        habits: the person's.
        rng: the picture's own random numbers.
        pose: factor on the variation of the head pose.
        wild: more varied poses, and now and then a hand before the face.
        skin: linear colour of that hand, the person's own; any colour of skin where left out.
    """
    spread, furthest = ((0.26, 0.14), (0.7, 0.42)) if wild else ((0.13, 0.085), (0.42, 0.35))
    turn = np.clip([habits.yaw, habits.pitch] + pose * rng.normal(0, spread), np.negative(furthest), furthest)
    scene = Scene(
        yaw=float(turn[0]),
        pitch=float(turn[1]),
        framing=Framing(
            middle=(CROP.middle[0] + float(rng.normal(0, 0.008)), CROP.middle[1] + float(rng.normal(0, 0.008))),
            eyes=CROP.eyes * float(np.exp(rng.normal(0, 0.02))),
            roll=float(np.clip(rng.normal(0, 0.02), -0.05, 0.05)),
        ),
        habits=habits,
    )
    if wild and rng.random() < HANDS:
        colour = between(SKIN_TONES, float(rng.random())) if skin is None else skin
        return replace(scene, props=(draw_hand(rng, colour),))
    return scene


def draw_framing(rng: np.random.Generator, width: int, height: int, eyes: float) -> Framing:
    """Draws where a face lies in an uncropped photo or video frame.

    The whole head is in the picture where that leaves room, rather near the middle than at the edge, and tilted a
    little; a head larger than the picture has its face in the middle.

    Args:
        rng: random numbers.
        width: of the picture, pixels.
        height: of the picture, pixels.
        eyes: distance between the eyes, pixels.

    Raises:
        InputError: the eyes are no distance apart, or further than half the picture's width or height.
    """
    if not 0 < eyes <= min(width, height) / 2:
        raise InputError(
            f"no face with eyes {eyes:g} pixels apart fits into a picture of {width} x {height} pixels; "
            f"choose a distance of at most {min(width, height) / 2:g}"
        )
    beside, above, below = (room * eyes for room in HEAD_ROOM)

    def anywhere(first: float, last: float) -> float:
        return float((first + (last - first) * rng.beta(2, 2)) if last > first else (first + last) / 2)

    middle = (anywhere(beside, width - beside) / width, anywhere(above, height - below) / width)
    return Framing(middle, eyes / width, float(np.clip(rng.normal(0, 0.07), -0.25, 0.25)))


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
