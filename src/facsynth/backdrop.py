"""What is behind a head: small linear pictures, a little out of focus."""

import numpy as np
from numpy.typing import NDArray

from facsynth.colour import linear

BACKDROP = 64
"""Side of the background images, in pixels."""

Picture = NDArray[np.float32]
_Colour = NDArray[np.float64]

PAINT = ("#f2f0ec", "#e6dfd2", "#d8d9d6", "#c3cdd2", "#b9b6ad", "#a8b3a5", "#8d9aa6", "#6f7378", "#4a4f57", "#2c2e33")
"""Walls and cloths behind people, from white to nearly black."""
THINGS = ("#7a5b3f", "#a57f55", "#3d2f27", "#8c3b2f", "#2f4a63", "#41603f", "#c9b37e", "#d8d2c6", "#222326", "#6d5a7a")
"""Wood, books, clothes."""
LEAVES = ("#26331c", "#3f5428", "#5f7a38", "#8a9c55", "#c6cf9a")


def draw_backdrop(rng: np.random.Generator, wild: bool = False) -> Picture:
    """(BACKDROP, BACKDROP, 3) linear colours: a plain or shaded wall, or, in the wild, any of `KINDS`."""
    names = list(KINDS)
    shares = (0.16, 0.2, 0.16, 0.16, 0.16, 0.16) if wild else (0.55, 0.45, 0, 0, 0, 0)
    return KINDS[names[int(rng.choice(len(names), p=shares))]](rng)


def _focus(image: NDArray[np.float64], blur: float) -> Picture:
    """A picture (BACKDROP, BACKDROP, 3) out of focus by `blur` pixels, with legal colours."""
    return np.clip(_blurred(image, blur), 0, 1).astype(np.float32)


def _blurred(image: NDArray[np.float64], blur: float) -> NDArray[np.float64]:
    """A Gaussian blur down and across, with the edges repeated; no matrix products, whose rounding may vary."""
    reach = int(np.ceil(2.5 * blur))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / blur) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        padding = [(reach, reach) if k == axis else (0, 0) for k in range(image.ndim)]
        padded = np.moveaxis(np.pad(image, padding, mode="edge"), axis, 0)
        total = weights[0] * padded[:BACKDROP]
        for shift in range(1, 2 * reach + 1):
            total += weights[shift] * padded[shift : shift + BACKDROP]
        image = np.moveaxis(total, 0, axis)
    return image


def _wall(rng: np.random.Generator) -> _Colour:
    base = linear(PAINT[int(rng.integers(len(PAINT)))]) * rng.uniform(0.75, 1.05)
    return base * np.exp(rng.normal(0, 0.05, 3))


def _thing(rng: np.random.Generator) -> _Colour:
    return linear(THINGS[int(rng.integers(len(THINGS)))]) * rng.uniform(0.5, 1.3)


def _grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the width and of the height, (BACKDROP, BACKDROP)."""
    step = (np.arange(BACKDROP) + 0.5) / BACKDROP
    down, right = np.meshgrid(step, step, indexing="ij")
    return right, down


def plain(rng: np.random.Generator) -> Picture:
    """A wall or a cloth with the fall-off of a photographer's lamp."""
    right, down = _grid()
    at = rng.uniform(0.2, 0.8, 2)
    fall = 1 - rng.uniform(0, 0.25) * np.hypot(right - at[0], down - at[1])
    return _focus(_wall(rng) * fall[..., None], 1.0)


def gradient(rng: np.random.Generator) -> Picture:
    """Two colours that run into each other along some direction."""
    right, down = _grid()
    angle = rng.uniform(0, 2 * np.pi)
    along = (right - 0.5) * np.cos(angle) + (down - 0.5) * np.sin(angle)
    share = 1 / (1 + np.exp(-along * rng.uniform(3, 12) + rng.normal(0, 0.5)))[..., None]
    first = _wall(rng)
    second = first * rng.uniform(0.15, 0.7) if rng.random() < 0.6 else _wall(rng)
    return _focus(first * share + second * (1 - share), 1.0)


def lights_at_night(rng: np.random.Generator) -> Picture:
    """Blurred discs of light on a dark or a middling ground."""
    right, down = _grid()
    image = np.broadcast_to(_wall(rng) * rng.uniform(0.1, 0.6), (BACKDROP, BACKDROP, 3)).copy()
    for _ in range(int(rng.integers(8, 28))):
        x, y, radius = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.02, 0.09)
        disc = np.clip((radius - np.hypot(right - x, down - y)) * BACKDROP + 0.5, 0, 1)
        image += disc[..., None] * np.exp(rng.normal(0, 0.35, 3)) * rng.uniform(0.05, 0.6)
    return _focus(image, rng.uniform(0.6, 1.5))


def shelves(rng: np.random.Generator) -> Picture:
    """Shelves of books, blinds or a curtain: boards and upright things, or plain stripes."""
    image = np.empty((BACKDROP, BACKDROP, 3))
    if rng.random() < 0.35:
        stripes = 0.75 + 0.25 * np.sin(np.arange(BACKDROP) * rng.uniform(0.3, 0.9) + rng.uniform(0, 6))
        image[:] = (_wall(rng) * stripes[:, None])[None]
        image = image.transpose(1, 0, 2) if rng.random() < 0.4 else image
        return _focus(image, rng.uniform(0.8, 1.6))
    board, top = _thing(rng), 0
    while top < BACKDROP:
        bottom, left = top + int(rng.integers(11, 20)), 0
        while left < BACKDROP:
            right = left + int(rng.integers(2, 9))
            image[top:bottom, left:right] = _thing(rng) if rng.random() < 0.85 else board * 0.3
            left = right
        image[max(bottom - 2, 0) : bottom] = board
        top = bottom
    return _focus(image, rng.uniform(1.0, 2.2))


def foliage(rng: np.random.Generator) -> Picture:
    """Leaves in patches of sun and shade, with some sky above."""
    bumps = _bumps(rng, 1.2) + _bumps(rng, 3.0) + _bumps(rng, 7.0)
    place = np.clip(0.45 + 0.2 * bumps, 0, 1) * (len(LEAVES) - 1)
    scale = np.array([linear(colour) for colour in LEAVES])
    image = np.stack([np.interp(place, np.arange(len(LEAVES)), scale[:, c]) for c in range(3)], axis=-1)
    _, down = _grid()
    sky = np.clip((rng.uniform(-0.2, 0.4) - down + 0.08 * bumps) * 12, 0, 1)[..., None]
    return _focus(image * (1 - sky) + linear("#d5e3ee") * rng.uniform(0.7, 1.1) * sky, rng.uniform(0.8, 1.6))


def _bumps(rng: np.random.Generator, blur: float) -> NDArray[np.float64]:
    """(BACKDROP, BACKDROP) smooth noise of unit spread."""
    field = _blurred(rng.normal(0, 1, (BACKDROP, BACKDROP)), blur)
    return field / field.std()


def room_corner(rng: np.random.Generator) -> Picture:
    """Two walls that meet, in different light, over a floor, perhaps with a window or a picture on one."""
    right, down = _grid()
    edge, lean = rng.uniform(0.1, 0.9), rng.normal(0, 0.03)
    left_wall = np.clip((edge + lean * (down - 0.5) - right) * BACKDROP, 0, 1)[..., None]
    paint = _wall(rng)
    image = paint * left_wall * rng.uniform(0.6, 1.0) + paint * (1 - left_wall) * rng.uniform(0.5, 1.0)
    x, y, wide, high = rng.uniform(0, 0.8), rng.uniform(0, 0.4), rng.uniform(0.15, 0.4), rng.uniform(0.15, 0.45)
    frame = ((right > x) & (right < x + wide) & (down > y) & (down < y + high))[..., None]
    image = np.where(frame, linear("#eef3f7") if rng.random() < 0.4 else _thing(rng), image)
    floor = np.clip((down - rng.uniform(0.75, 1.2) - 0.2 * np.abs(right - edge)) * BACKDROP, 0, 1)[..., None]
    return _focus(image * (1 - floor) + _thing(rng) * floor, rng.uniform(0.8, 1.8))


KINDS = {
    "plain": plain,
    "gradient": gradient,
    "lights": lights_at_night,
    "shelves": shelves,
    "foliage": foliage,
    "room": room_corner,
}
"""Backgrounds by name."""
