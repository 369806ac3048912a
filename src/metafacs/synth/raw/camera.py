"""Uncropped camera frames of the people whom the prepared datasets show as aligned crops."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from metafacs.synth.head import load_head
from metafacs.synth.identity import Person
from metafacs.synth.photo import Shot, encode, take
from metafacs.synth.scene import CROP, Framing, Habits
from metafacs.synth.solids import draw_shoulders

BATCH = 16
"""Frames in memory at once."""


def uncropped(person: Person, habits: Habits, framing: Framing, rng: np.random.Generator) -> Habits:
    """Somebody's habits in an uncropped camera frame: with shoulders, and blurred in proportion to the smaller face."""
    blur = habits.sensor.blur * framing.eyes / CROP.eyes
    shoulders = draw_shoulders(rng, person.colours["skin"])
    return replace(habits, sensor=replace(habits.sensor, blur=blur), props=(*habits.props, shoulders))


def reframe(shot: Shot, framing: Framing, habits: Habits, turn: float = 0.0) -> Shot:
    """The same moment in a camera frame in place of an aligned crop.

    By how much the crop was shifted, scaled and tilted off its template, the head is in the frame.

    Args:
        shot: an aligned crop.
        framing: where the eyes lie in the camera frame on average.
        habits: the person's there, from `uncropped`.
        turn: how far the camera stands to the side, radians: the head looks turned by so much to the person's left.
    """
    scene, scale = shot.scene, framing.eyes / CROP.eyes
    right, down = (
        at + (mine - usual) * scale
        for at, mine, usual in zip(framing.middle, scene.framing.middle, CROP.middle, strict=True)
    )
    placed = Framing((right, down), scene.framing.eyes * scale, scene.framing.roll + framing.roll)
    return replace(shot, scene=replace(scene, framing=placed, habits=habits, yaw=scene.yaw + turn))


def film(
    shots: Iterable[Shot], size: int | tuple[int, int], rays: int
) -> Iterator[tuple[bytes, NDArray[np.float32], NDArray[np.uint8]]]:
    """JPEG file, landmarks (68, 2) in pixels and pixels (H, W, 3) of each shot, a few at a time.

    Args:
        shots: what to take.
        size: side of square pictures, or (height, width), in pixels.
        rays: rays x rays samples are taken in each pixel.
    """
    waiting = iter(shots)
    while batch := list(itertools.islice(waiting, BATCH)):
        pictures, points = take(load_head(), batch, size, rays)
        for shot, picture, marks in zip(batch, pictures, points, strict=True):
            yield encode(picture, shot.scene.habits.sensor), marks, picture
