"""From a person and the strength of the AUs to a picture with landmarks."""

import functools
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facsynth.head import Head, load_head, sphere
from facsynth.identity import Person
from facsynth.render import MOST_SOLIDS, develop, renderer
from facsynth.rig import action_weights, rig_matrix
from facsynth.scene import Scene, aim
from facsynth.sensor import record
from facsynth.solids import Solids, join
from facsynth.wrinkles import wrinkle_weights
from metafacs.errors import InputError

BATCH = 8
"""How many images are drawn at once, at most."""
MOST_RAYS = 8
"""Most samples across a pixel."""

_SAMPLES = 1 << 21  # drawn at once; 24 MB


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture to take.

    Attributes:
        person: who.
        strengths: (2, A) strength of each AU of the rig on the right and the left.
        gaze: turn of the eyes to the person's left and upwards, radians.
        scene: pose, framing and light.
        seed: of the sensor's noise.
    """

    person: Person
    strengths: NDArray[np.float64]
    gaze: tuple[float, float]
    scene: Scene
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture that was taken.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        landmarks: (68, 2) float32, the iBUG points (x, y) in pixels, where they are, hidden or not.
        quality: of the camera's JPEG files, 1 to 100.
    """

    pixels: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    quality: int

    def jpeg(self) -> bytes:
        """The file that the camera stores."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "JPEG", quality=self.quality)
        return buffer.getvalue()


def photograph(shots: Iterable[Shot], size: int | tuple[int, int], rays: int) -> Iterator[Photo]:
    """Takes pictures one after the other, with only a few in memory at once; arguments and errors as in `take`."""
    waiting = iter(shots)
    while batch := list(itertools.islice(waiting, BATCH)):
        for shot, pixels, landmarks in zip(batch, *take(load_head(), batch, size, rays), strict=True):
            yield Photo(pixels, landmarks, shot.scene.habits.sensor.quality)


def take(
    head: Head, shots: Sequence[Shot], size: int | tuple[int, int], rays: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draws pictures, a few at a time, so that any number of them needs the same memory besides the result.

    Args:
        head: the head.
        shots: n pictures to take.
        size: side of square pictures in pixels, or their (height, width).
        rays: rays x rays samples a pixel, 1 to `MOST_RAYS`.

    Returns:
        (n, height, width, 3) uint8 RGB, and (n, 68, 2) float32 landmarks (x, y) in pixels.

    Raises:
        InputError: `rays` or the number of solids in a picture is out of range.
    """
    frame = (size, size) if isinstance(size, int) else size
    if not 1 <= rays <= MOST_RAYS:
        raise InputError(f"rays is {rays}; give the samples across a pixel, 1 to {MOST_RAYS}")
    images = np.empty((len(shots), *frame, 3), np.uint8)
    points = np.empty((len(shots), 68, 2), np.float32)
    step = max(1, min(BATCH, _SAMPLES // (frame[0] * frame[1] * rays * rays)))
    for start in range(0, len(shots), step):
        part = slice(start, start + step)
        images[part], points[part] = _take_batch(head, shots[part], frame, rays)
    return images, points


def _take_batch(
    head: Head, shots: Sequence[Shot], frame: tuple[int, int], rays: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    vertices = np.stack([pose_face(head, shot) for shot in shots])
    marks = vertices[:, head.landmarks]
    cameras = [aim(shot.scene, eye_centres(points)) for shot, points in zip(shots, marks, strict=True)]
    persons = list({id(shot.person): shot.person for shot in shots}.values())
    number = {id(person): k for k, person in enumerate(persons)}
    light = renderer(head).draw(
        vertices,
        [number[id(shot.person)] for shot in shots],
        persons,
        [(shot.scene, camera) for shot, camera in zip(shots, cameras, strict=True)],
        np.stack([wrinkle_weights(shot.strengths[None])[0] * shot.person.wrinkles for shot in shots]),
        [_solids(shot.scene, points) for shot, points in zip(shots, marks, strict=True)],
        frame,
        rays,
    )
    pictures = zip(develop(light), shots, strict=True)
    images = np.stack([record(values, shot.scene.habits.sensor, shot.seed) for values, shot in pictures])
    points = np.stack([camera.crop(at, frame[1]) for camera, at in zip(cameras, marks, strict=True)])
    return images, points


def _solids(scene: Scene, marks: NDArray[np.float32]) -> Solids:
    solids = join([prop.solids(marks) for prop in (*scene.habits.props, *scene.props)])
    if len(solids) > MOST_SOLIDS:
        raise InputError(f"a picture with {len(solids)} capsules; at most {MOST_SOLIDS} can be drawn, leave props out")
    return solids


def pose_face(head: Head, shot: Shot) -> NDArray[np.float32]:
    """(V, 3) the face of a shot, with its AUs and its gaze."""
    weights = action_weights(shot.strengths[None], _rig(head.action_labels))
    lids = [(name, abs(shot.gaze[1])) for name in _lid_actions(shot.gaze[1])]
    for name, amount in lids:
        weights[0, head.action_labels.index(name)] += amount / 0.6
    face = head.express(shot.person.rest, weights)[0]
    turn = rotation(*shot.gaze)
    for eye in head.eyes:
        ball = shot.person.rest[eye]
        centre, _ = sphere(ball)
        face[eye] = ((ball - centre) @ turn.T + centre).astype(np.float32)
    return face


@functools.lru_cache(maxsize=2)
def _rig(labels: tuple[str, ...]) -> NDArray[np.float32]:
    return rig_matrix(labels)


def _lid_actions(upwards: float) -> tuple[str, str]:
    return ("eyeLookUpLeft", "eyeLookUpRight") if upwards > 0 else ("eyeLookDownLeft", "eyeLookDownRight")


def rotation(left: float, upwards: float) -> NDArray[np.float64]:
    """(3, 3) the rotation that turns the direction -y towards +x and +z by two angles."""
    a, b = np.cos(left), np.sin(left)
    c, d = np.cos(upwards), np.sin(upwards)
    about_z = np.array([[a, -b, 0], [b, a, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, c, d], [0, -d, c]])
    return about_z @ about_x


def eye_centres(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """(2, k) centres of the right and the left eye from (68, k) landmarks."""
    return np.stack([landmarks[36:42].mean(axis=0, dtype=np.float64), landmarks[42:48].mean(axis=0, dtype=np.float64)])
