"""Brows and beards, painted on the skin."""

import functools

import numpy as np
from numpy.typing import NDArray

from facsynth.colour import Colour, Colouring
from facsynth.noise import noise, smoothstep
from facsynth.texture import texture_grid

Map = NDArray[np.float32]

BEARDS = ("none", "shadow", "stubble", "full", "goatee", "moustache")
"""Kinds of facial hair."""
_BROW_BAND = (0.134, 0.178)  # z of everything that brows reach, metres
_BEARD_BAND = (-0.01, 0.135)


@functools.cache
def _band(low: float, high: float) -> tuple[slice, Map, Map]:
    """The rows of the texture between two heights, with x and z of their pixels."""
    x, z = texture_grid()
    rows = np.flatnonzero((z[:, 0] > low) & (z[:, 0] < high))
    inside = slice(int(rows[0]), int(rows[-1]) + 1)
    return inside, x[inside], z[inside]


def blend(layers: Map, rows: slice, colour: Colour, cover: Map) -> None:
    """Paints `colour` over some rows of (3, H, W) colours where `cover` (rows, W) is above 0."""
    for channel in range(3):
        part = layers[channel, rows]
        part += cover * (np.float32(colour[channel]) - part)


def paint_beard(rng: np.random.Generator, layers: Map, colours: Colouring, male: float, years: float) -> str:
    """Paints facial hair into (3, TEXTURE, TEXTURE) colours; which of `BEARDS` it is is returned."""
    if male < 0.5:
        return "none"
    kind = str(rng.choice(BEARDS, p=(0.2, 0.38, 0.22, 0.08, 0.05, 0.07)))
    if kind == "none":
        return kind
    rows, _, _ = _band(*_BEARD_BAND)
    cheeks, upper, chin = beard_areas()
    area, amount = {
        "shadow": (np.maximum(cheeks, upper), rng.uniform(0.06, 0.22)),
        "stubble": (np.maximum(cheeks, upper), rng.uniform(0.25, 0.55)),
        "full": (np.maximum(cheeks, upper), rng.uniform(0.75, 0.92)),
        "goatee": (np.maximum(chin, upper), rng.uniform(0.65, 0.9)),
        "moustache": (upper, rng.uniform(0.65, 0.9)),
    }[kind]
    if kind in ("goatee", "moustache"):
        area = np.maximum(area, rng.uniform(0, 0.25) * cheeks)
    ragged = 0.12 * noise(rng, 1.6, 3.0)[rows] + 0.16 * noise(rng, 24)[rows]
    cover = smoothstep(1.1 * area + ragged * np.minimum(4 * area * (1.3 - area), 1) - 0.05) * np.float32(amount)
    young = np.clip((24 - years) / 6, 0, 0.7)
    cover *= np.float32(1 - young) * (1 + 0.1 * np.clip(noise(rng, 1.4, 2.8)[rows], -2, 2))
    # Short hairs let the skin show and shade it, so that even grey ones look darker than it.
    tint = colours.beard if amount > 0.6 else np.minimum(0.75 * colours.beard + 0.1 * colours.skin, 0.55 * colours.skin)
    blend(layers, rows, tint, np.clip(cover, 0, 0.95))
    return kind


@functools.cache
def beard_areas() -> tuple[Map, Map, Map]:
    """Where hair grows on cheeks and jaw, on the upper lip, and on the chin; (rows of the band, TEXTURE) in [0, 1]."""
    _, x, z = _band(*_BEARD_BAND)
    side = np.abs(x)
    lips = np.exp(-(((side / 0.027) ** 2 + ((z - 0.0675) / 0.012) ** 2) ** 2))
    top = 0.081 - 0.35 * (0.03 - side) * (side < 0.03)
    top += 0.55 * np.maximum(side - 0.03, 0) + 16 * np.maximum(side - 0.05, 0) ** 2
    top = np.minimum(top, 0.112)
    cheeks = smoothstep((top - z) / 0.03 + 0.4) * smoothstep((side - 0.014) / 0.012 + (0.06 - z) / 0.01)
    cheeks *= smoothstep((z - 0.012) / 0.025) * smoothstep((0.0755 - side) / 0.004)  # none on the ears
    upper = smoothstep((0.0895 - z) / 0.006) * smoothstep((z - 0.074 + 0.25 * side) / 0.005)
    upper = upper * smoothstep((0.032 - side) / 0.01) * (1 - 0.35 * np.exp(-((side / 0.003) ** 2)))
    beside = smoothstep((0.034 - side) / 0.006) * smoothstep((side - 0.024) / 0.004) * smoothstep((0.082 - z) / 0.01)
    chin = smoothstep((0.034 - side) / 0.014) * smoothstep((0.056 - z) / 0.006) * smoothstep((z - 0.02) / 0.012)
    chin = np.maximum(chin, beside * smoothstep((z - 0.04) / 0.01))
    clear = (1 - np.clip(1.6 * lips, 0, 1)).astype(np.float32)
    return (np.maximum(cheeks, chin) * clear).astype(np.float32), upper * clear, (chin * clear).astype(np.float32)


def paint_brows(rng: np.random.Generator, layers: Map, colours: Colouring, male: float) -> None:
    """Paints both brows into (3, TEXTURE, TEXTURE) colours."""
    rows, x, z = _band(*_BROW_BAND)
    thick = 0.0019 + 0.0011 * male + float(rng.gamma(2.5, 0.0004))
    height, lift = 0.1533 + rng.normal(0, 0.001), rng.normal(0, 0.0012)
    arch, tail = rng.uniform(0.0, 0.0045) + 0.001 * (1 - male), rng.uniform(0.0, 0.0045)
    start, end = 0.0125 + rng.normal(0, 0.0018), 0.0465 + rng.normal(0, 0.0025)
    side = np.abs(x)
    along = (side - start) / (end - start)
    on = np.clip(along, 0, 1)
    line = height + lift * (on - 0.5) * 2 + arch * np.sin(on * 2.4) - tail * np.clip(on - 0.55, 0, 1) * 2
    width = thick * (1.0 - rng.uniform(0.35, 0.75) * on**1.5) * smoothstep(along / 0.5 + 0.6)
    ragged = noise(rng, 1.5, 4.0)[rows]
    inside = (width - np.abs(z - line)) / 0.0022 + 0.5 + 0.16 * ragged
    cover = smoothstep(inside) * smoothstep(along / 0.25 + 0.35) * smoothstep((1 - along) / 0.12 + 0.4)
    if rng.random() < 0.12 * male:  # grown together
        cover = np.maximum(cover, 0.5 * smoothstep((0.016 - side) / 0.006) * smoothstep(inside))
    density = float(np.clip(rng.normal(0.76, 0.12) + 0.08 * (male - 0.5), 0.45, 0.95))
    cover *= np.float32(density) * (0.92 + 0.07 * ragged)
    blend(layers, rows, colours.brow * rng.uniform(0.7, 1.1), np.clip(cover, 0, 0.96).astype(np.float32))
