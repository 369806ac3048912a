"""From a person and the strength of the AUs to an aligned picture with landmarks."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metafacs.synth.head import Head, sphere
from metafacs.synth.identity import Person
from metafacs.synth.render import renderer
from metafacs.synth.rig import action_weights, rig_matrix
from metafacs.synth.scene import Scene, aim

BATCH = 16
"""How many images are drawn at once."""


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


def take(head: Head, shots: Sequence[Shot], size: int, rays: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draws pictures.

    Args:
        head: the head.
        shots: n pictures to take.
        size: side of the crops in pixels.
        rays: rays x rays samples a pixel.

    Returns:
        (n, size, size, 3) uint8 RGB, and (n, 68, 2) float32 landmarks (x, y) in pixels of the crop.
    """
    images, points = [], []
    for start in range(0, len(shots), BATCH):
        drawn = _take_batch(head, shots[start : start + BATCH], size, rays)
        images.append(drawn[0])
        points.append(drawn[1])
    return np.concatenate(images), np.concatenate(points)


def _take_batch(
    head: Head, shots: Sequence[Shot], size: int, rays: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    vertices = np.stack([pose_face(head, shot) for shot in shots])
    marks = vertices[:, head.landmarks]
    cameras = [aim(shot.scene, eye_centres(points)) for shot, points in zip(shots, marks, strict=True)]
    persons = list({id(shot.person): shot.person for shot in shots}.values())
    number = {id(person): k for k, person in enumerate(persons)}
    views = [(shot.scene, camera) for shot, camera in zip(shots, cameras, strict=True)]
    who = [number[id(shot.person)] for shot in shots]
    images = renderer(head).draw(vertices, who, persons, views, size, rays)
    points = np.stack([camera.crop(at, size) for camera, at in zip(cameras, marks, strict=True)])
    return images, points


def pose_face(head: Head, shot: Shot) -> NDArray[np.float32]:
    """(V, 3) the face of a shot, with its AUs and its gaze."""
    weights = action_weights(shot.strengths[None], rig_matrix(head.action_labels))
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


def to_jpeg(image: NDArray[np.uint8], quality: int = 92) -> bytes:
    """The image as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
