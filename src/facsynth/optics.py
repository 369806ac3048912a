"""What a camera does to a face: how large the face is in its photo, and the blur and noise that follow."""

from dataclasses import dataclass

import numpy as np

EYE_DISTANCE = 0.062
"""Metres between the eyes of the average head."""
_EYES_IN_CROP = 0.36  # share of an aligned crop's width between the eyes, as `scene.CROP`
_CROP = 128  # pixels: the usual width of a crop, which noise is averaged down to


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


def eye_pixels(distance: float, focal: float, sensor: float, width: int) -> float:
    """How many pixels lie between the eyes of a face in a photo.

    A pinhole camera shows what is `distance` metres away and EYE_DISTANCE metres wide on `EYE_DISTANCE * focal /
    distance` millimetres of its sensor, and each millimetre has `width / sensor` pixels:

        pixels = EYE_DISTANCE / distance * focal / sensor * width

    Args:
        distance: from the camera to the face, metres.
        focal: length of the lens, millimetres.
        sensor: its width, millimetres.
        width: of the photo, pixels.
    """
    return EYE_DISTANCE / distance * focal / sensor * width


def seen_by(pixels: float, softness: float, shake: float, grain: float, quality: int) -> Sensor:
    """The sensor of a crop made from a photo.

    The crop is `w = pixels / 0.36` pixels of the photo wide. Its blur is that of the photo, `softness` pixels, as a
    share of w, together with that of movement and focus: sqrt((softness / w)^2 + shake^2). Its noise is that of the
    photo where the crop is enlarged from it; where it is made smaller (to 128 pixels, say), pixels are averaged, and
    noise falls to grain * 128 / w.

    Args:
        pixels: between the eyes in the photo.
        softness: blur of lens and sensor, pixels of the photo.
        shake: blur by movement and focus, share of the crop's width.
        grain: noise of the photo at mid-grey, in [0, 1].
        quality: of the JPEG file, 1-95.
    """
    wide = pixels / _EYES_IN_CROP
    return Sensor(float(np.hypot(softness / wide, shake)), float(grain * min(1.0, _CROP / wide)), quality)


def draw_sensor(rng: np.random.Generator, distance: float, wild: bool = False) -> Sensor:
    """Draws a camera: one good one in a laboratory, anything from a telephone to a long lens in the wild.

    Args:
        rng: random numbers.
        distance: from the camera to the face, metres.
        wild: whether the pictures are taken anywhere.
    """
    if not wild:
        pixels = eye_pixels(distance, 70, 36, 1040)
        shake = abs(rng.normal(0, 0.0015))
        return seen_by(pixels, rng.uniform(0.5, 0.9), shake, rng.uniform(0.004, 0.012), int(rng.integers(88, 96)))
    focal = float(np.exp(rng.normal(np.log(35 * max(distance, 0.7)), 0.35)))  # far away with a longer lens
    width = int(np.exp(rng.uniform(np.log(450), np.log(2400))))
    pixels = max(eye_pixels(distance, focal, 36, width), 20.0)
    return seen_by(
        pixels,
        softness=rng.uniform(0.5, 1.1),
        shake=abs(rng.normal(0, 0.0025)),
        grain=float(np.clip(rng.lognormal(np.log(0.015), 0.6), 0.003, 0.045)),
        quality=int(np.clip(rng.normal(84, 9), 50, 95)),
    )
