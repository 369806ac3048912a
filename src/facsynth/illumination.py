"""Light: lamps, windows, sun and sky, in a laboratory and in the wild."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
class Illumination:
    """All the light of a place.

    Attributes:
        lights: one to three, the main light first.
        sky: light from above.
        ground: light from below.
    """

    lights: tuple[Light, ...]
    sky: Vector
    ground: Vector


def unit(vector: Any) -> Vector:
    """The direction of a vector."""
    v = np.asarray(vector, np.float64)
    return v / np.linalg.norm(v)


def towards(azimuth: float, elevation: float) -> Vector:
    """The unit vector to a place, in degrees: 0, 0 is the camera, azimuth to its right, elevation up, 180 behind."""
    a, e = np.radians([azimuth, elevation])
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])


def tint(warmth: float) -> Vector:
    """(3,) the colour of light of mean 1: 0 white, 1 a light bulb under daylight balance, -1 blue sky."""
    colour = np.exp(warmth * np.array([0.3, 0.02, -0.42]))
    return colour / colour.mean()


def draw_illumination(rng: np.random.Generator, wild: bool = False) -> Illumination:
    """Draws the light of a laboratory (frontal, even, nearly white), or of any place.

    In the wild a lab-like room, a ceiling lamp, a window, the sun, an overcast sky, a harsh light from one side, a
    light from behind, a screen in the dark, or a flash; some are commoner than others.
    """
    if not wild:
        return _even(rng)
    shares = np.array([share for share, _ in _PLACES])
    place = _PLACES[int(rng.choice(len(_PLACES), p=shares / shares.sum()))][1]
    return place(rng)


def _lamp(
    rng: np.random.Generator, azimuth: float, elevation: float, strength: float, warmth: float, softness: float
) -> Light:
    """A light near a direction."""
    way = towards(azimuth + rng.normal(0, 6), elevation + rng.normal(0, 5))
    return Light(way, strength * tint(warmth), softness)


def _ambient(rng: np.random.Generator, low: float, high: float, above: float, below: float) -> tuple[Vector, Vector]:
    """Light from above and below of some strength and warmth."""
    strength = rng.uniform(low, high)
    return strength * tint(above), strength * rng.uniform(0.35, 0.8) * tint(below)


def _side(rng: np.random.Generator) -> float:
    return float(rng.choice([-1.0, 1.0]))


def _even(rng: np.random.Generator) -> Illumination:
    side, warmth = _side(rng), rng.normal(0, 0.12)
    key = _lamp(
        rng, side * rng.uniform(5, 35), rng.uniform(15, 35), rng.uniform(0.75, 1.05), warmth, rng.uniform(0.25, 0.5)
    )
    fill = _lamp(rng, -side * rng.uniform(20, 45), rng.uniform(5, 25), rng.uniform(0.35, 0.65), warmth, 0.4)
    return Illumination((key, fill), *_ambient(rng, 0.3, 0.45, warmth, warmth + 0.1))


def _ceiling(rng: np.random.Generator) -> Illumination:
    warmth = rng.normal(0.3, 0.3)
    key = _lamp(rng, rng.normal(0, 40), rng.uniform(45, 70), rng.uniform(0.9, 1.3), warmth, rng.uniform(0.15, 0.5))
    fill = _lamp(rng, rng.normal(0, 50), rng.uniform(0, 30), rng.uniform(0.15, 0.45), warmth - 0.3, 0.4)
    return Illumination((key, fill), *_ambient(rng, 0.25, 0.45, warmth, warmth + 0.2))


def _window(rng: np.random.Generator) -> Illumination:
    side, inside = _side(rng), rng.uniform(0.1, 0.6)
    key = _lamp(rng, side * rng.uniform(40, 85), rng.uniform(5, 30), rng.uniform(1.0, 1.6), rng.normal(-0.3, 0.2), 0.5)
    fill = _lamp(rng, -side * rng.uniform(30, 70), 20, rng.uniform(0.1, 0.35), inside, 0.4)
    return Illumination((key, fill), *_ambient(rng, 0.2, 0.4, 0.0, inside))


def _sun(rng: np.random.Generator) -> Illumination:
    key = _lamp(rng, rng.uniform(-75, 75), rng.uniform(20, 65), rng.uniform(1.2, 1.8), rng.normal(0.15, 0.12), 0.02)
    return Illumination((key,), *_ambient(rng, 0.3, 0.5, -0.5, 0.15))


def _overcast(rng: np.random.Generator) -> Illumination:
    key = _lamp(rng, rng.uniform(-60, 60), rng.uniform(45, 75), rng.uniform(0.45, 0.8), -0.15, 0.8)
    return Illumination((key,), *_ambient(rng, 0.6, 0.9, -0.2, rng.normal(0.05, 0.15)))


def _harsh(rng: np.random.Generator) -> Illumination:
    side, warmth = _side(rng), rng.normal(0.1, 0.35)
    key = _lamp(
        rng, side * rng.uniform(60, 100), rng.uniform(0, 40), rng.uniform(1.3, 2.0), warmth, rng.uniform(0.02, 0.15)
    )
    return Illumination((key,), *_ambient(rng, 0.14, 0.28, warmth, warmth))


def _behind(rng: np.random.Generator) -> Illumination:
    side, warmth = _side(rng), rng.normal(0.1, 0.3)
    key = _lamp(rng, -side * rng.uniform(10, 50), rng.uniform(10, 40), rng.uniform(0.6, 1.0), warmth, 0.4)
    rim = _lamp(
        rng, side * rng.uniform(120, 160), rng.uniform(10, 45), rng.uniform(0.9, 2.0), rng.normal(0.1, 0.4), 0.1
    )
    fill = _lamp(rng, side * rng.uniform(20, 60), 10, rng.uniform(0.1, 0.35), warmth, 0.4)
    return Illumination((key, fill, rim), *_ambient(rng, 0.2, 0.4, warmth, warmth))


def _screen(rng: np.random.Generator) -> Illumination:
    key = _lamp(rng, rng.normal(0, 20), rng.uniform(-30, -5), rng.uniform(0.6, 1.0), rng.normal(-0.5, 0.2), 0.5)
    lamp = _lamp(rng, rng.uniform(-90, 90), 40, rng.uniform(0.2, 0.7), rng.normal(0.5, 0.2), 0.2)
    return Illumination((key, lamp), *_ambient(rng, 0.12, 0.25, 0.2, 0.2))


def _flash(rng: np.random.Generator) -> Illumination:
    key = _lamp(rng, rng.normal(0, 5), rng.uniform(2, 12), rng.uniform(1.1, 1.6), rng.normal(-0.05, 0.1), 0.03)
    return Illumination((key,), *_ambient(rng, 0.12, 0.3, 0.3, 0.3))


_PLACES: tuple[tuple[float, Callable[[np.random.Generator], Illumination]], ...] = (
    (0.16, _even),
    (0.2, _ceiling),
    (0.18, _window),
    (0.1, _sun),
    (0.12, _overcast),
    (0.07, _harsh),
    (0.08, _behind),
    (0.04, _screen),
    (0.05, _flash),
)
