"""Uncropped camera frames and photographs of the people whom recordings and portraits show as aligned crops."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facsynth.identity import Person
from facsynth.photo import Shot
from facsynth.portraits import Portrait
from facsynth.recording import Recording
from facsynth.scene import CROP, Framing, Habits, draw_framing
from facsynth.solids import draw_shoulders
from metafacs.errors import InputError

SHAPES = ((4, 3), (3, 4), (1, 1), (2, 3))
"""Width to height of photographs."""
EYES = (0.11, 0.2)
"""Distance between the eyes in a photograph, as a share of its shorter side: the least and the most."""

# Streams of random numbers beside those of `recording` and `portraits`.
_FRAMING, _CLOTHES, _PHOTOGRAPH = 10, 11, 11


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


@dataclass(frozen=True, eq=False)
class Footage:
    """One recording as a camera took it.

    Attributes:
        recording: its labels and crops.
        framing: where the eyes lie in the camera frame on average.
        habits: the person's, as `uncropped` has them.
    """

    recording: Recording
    framing: Framing
    habits: Habits

    def shots(self, turn: float = 0.0) -> Iterator[Shot]:
        """The camera frames, in order; `turn` as in `reframe`."""
        for frame in range(self.recording.clip.frames):
            yield reframe(self.recording.shot(frame), self.framing, self.habits, turn)


def film(recording: Recording, size: tuple[int, int], eyes: float) -> Footage:
    """Places a camera in front of a recording.

    Args:
        recording: who does what.
        size: (height, width) of the camera frames in pixels.
        eyes: distance between the eyes, as a share of the width, on average.
    """
    rng = np.random.default_rng([*recording.place, _FRAMING])
    framing = draw_framing(rng, size[1], size[0], eyes * size[1])
    clothes = np.random.default_rng([*recording.place[:3], 0, _CLOTHES])
    return Footage(recording, framing, uncropped(recording.role.person, recording.role.habits, framing, clothes))


def snapshot(portrait: Portrait, width: int) -> tuple[Shot, tuple[int, int]]:
    """The photograph that a portrait was cropped from, `width` pixels wide; also its (height, width)."""
    rng = np.random.default_rng([*portrait.place, 0, _PHOTOGRAPH])
    across, down = SHAPES[rng.integers(len(SHAPES))]
    height = width * down // across
    framing = draw_framing(rng, width, height, float(rng.uniform(*EYES)) * min(width, height))
    habits = uncropped(portrait.shot.person, portrait.shot.scene.habits, framing, rng)
    return reframe(portrait.shot, framing, habits), (height, width)


def require_av() -> Any:
    """PyAV, which writes videos.

    Raises:
        InputError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise InputError("videos need PyAV; install it with `pip install 'metafacs[faces]'`") from error
    return av


def write_video(path: Path, pictures: Iterable[bytes], size: tuple[int, int], rate: float) -> None:
    """Writes a motion-JPEG video in constant memory.

    Args:
        path: of the AVI file.
        pictures: one JPEG file a frame.
        size: (height, width) in pixels.
        rate: frames a second.

    Raises:
        InputError: PyAV is not installed.
    """
    av = require_av()
    path.parent.mkdir(parents=True, exist_ok=True)
    exact = Fraction(rate).limit_denominator(1000)
    with av.open(str(path), "w", format="avi", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mjpeg", rate=exact)
        stream.height, stream.width = size
        stream.pix_fmt = "yuvj420p"
        for number, picture in enumerate(pictures):
            packet = av.Packet(picture)  # the pictures are frames already: nothing is encoded again
            packet.stream, packet.time_base = stream, 1 / exact
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            container.mux(packet)
