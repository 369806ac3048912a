"""The skin of a person: its colour over the face, and its relief at rest."""

import functools

import numpy as np
from numpy.typing import NDArray

from facsynth.brows import paint_beard, paint_brows
from facsynth.colour import Colouring
from facsynth.noise import noise, relief_noise, smoothstep
from facsynth.texture import TEXTURE, TEXTURE_SPAN, texture_grid
from facsynth.wrinkles import PATTERNS, wrinkle_maps

Map = NDArray[np.float32]

_BLOOD = (-0.06, -0.55, -0.5)
"""What blood near the surface does to the logarithm of the colour (red, green, blue); `_MELANIN` likewise."""
_MELANIN = (-0.5, -0.75, -0.95)

RESTING = {
    "forehead": 1.0,
    "crow": 1.0,
    "nasolabial": 1.0,
    "glabella": 0.7,
    "undereye": 0.8,
    "marionette": 0.7,
    "lips": 0.4,
    "oblique": 0.05,
    "dimple": 0.05,
    "stretch": 0.05,
}
"""How readily the wrinkles whose names hold these words stay in an old face at rest; the others do so 0.15."""


@functools.cache
def regions() -> Map:
    """(6, TEXTURE, TEXTURE) in [0, 1]: cheeks, nose, under the eyes, lids, forehead and beside the nose, mouth."""
    x, z = texture_grid()
    side = np.abs(x)

    def spot(at: float, height: float, wide: float, high: float) -> Map:
        return np.exp(-(((side - at) / wide) ** 2) - ((z - height) / high) ** 2)

    cheeks = spot(0.042, 0.1, 0.02, 0.018)
    nose = np.maximum(spot(0, 0.097, 0.013, 0.013), 0.7 * spot(0.013, 0.093, 0.006, 0.006))
    under = spot(0.029, 0.1265, 0.016, 0.006)
    lids = spot(0.031, 0.1425, 0.017, 0.006)
    oily = np.maximum(spot(0, 0.18, 0.05, 0.018), spot(0.01, 0.115, 0.016, 0.02))
    mouth = spot(0, 0.068, 0.035, 0.022)
    return np.stack([cheeks, nose, under, lids, oily, mouth]).astype(np.float32)


def paint_skin(rng: np.random.Generator, colours: Colouring, male: float, years: float, tone: float) -> Map:
    """(TEXTURE, TEXTURE, 3) the skin: mottling, redness, freckles, spots, moles, make-up, beard and brows.

    Args:
        rng: random numbers.
        colours: of the person.
        male: in [0, 1].
        years: of age.
        tone: of the skin, in [0, 1].
    """
    blood, melanin = np.array(_BLOOD), np.array(_MELANIN)
    flush, ring = rng.uniform(0.08, 0.5) * (1 - 0.5 * tone), rng.uniform(0.02, 0.25)
    weights = np.stack(
        [
            blood * flush,
            blood * flush * rng.uniform(0.5, 1.5),
            melanin * ring + blood * 0.3 * ring,
            _lid_colour(rng, male, melanin, tone),
            melanin * rng.normal(-0.03, 0.06),
            melanin * rng.uniform(0, 0.25) * tone,
        ]
    ).astype(np.float32)
    layers = np.tensordot(weights.T, regions(), axes=1)
    mottle = rng.uniform(0.02, 0.05) + 0.02 * np.clip((years - 40) / 40, 0, 1)
    spots = _spots(rng, years, tone)
    fields = [
        (noise(rng, 60) * np.float32(mottle), melanin),
        (noise(rng, 16) * np.float32(0.8 * mottle), blood),
        (noise(rng, 2.5) * np.float32(rng.uniform(0.015, 0.035)), np.ones(3)),
        *([(spots, melanin)] if spots is not None else []),
    ]
    for field, tint in fields:
        for channel in range(3):
            layers[channel] += field * np.float32(tint[channel])
    np.exp(layers, out=layers)
    layers *= colours.skin.astype(np.float32)[:, None, None]
    _moles(rng, layers)
    paint_beard(rng, layers, colours, male, years)
    paint_brows(rng, layers, colours, male)
    return np.ascontiguousarray(layers.transpose(1, 2, 0)).clip(0, 1)


def _lid_colour(
    rng: np.random.Generator, male: float, melanin: NDArray[np.float64], tone: float
) -> NDArray[np.float64]:
    """Log colour of the upper lids: a little darker than the skin, or painted."""
    bare = melanin * rng.uniform(0.03, 0.16)
    if male < 0.5 and rng.random() < 0.3:
        return bare - rng.uniform(0.1, 0.7) * np.array([rng.uniform(0.3, 1), rng.uniform(0.6, 1), rng.uniform(0.3, 1)])
    return bare


def _spots(rng: np.random.Generator, years: float, tone: float) -> Map | None:
    """Freckles of the fair and brown spots of the old, or None."""
    if tone < 0.35 and rng.random() < 0.3:
        where = regions()[0] + regions()[1]
        return smoothstep((noise(rng, 3.5) - 1.0) / 1.2) * where * np.float32(rng.uniform(0.1, 0.4))
    if years > 50 and rng.random() < 0.6:
        size = rng.uniform(0.15, 0.45) * (years - 50) / 30
        return smoothstep((noise(rng, 12) - 1.5) / 1.2) * np.float32(size)
    return None


def _moles(rng: np.random.Generator, layers: Map) -> None:
    """Draws a few dark dots into (3, TEXTURE, TEXTURE) colours."""
    reach = 5
    grid = np.arange(-reach, reach + 1)
    distance = np.hypot(grid[:, None], grid[None])
    for _ in range(rng.poisson(1.2)):
        row, column = (int(k) for k in rng.integers(90, TEXTURE - 90, size=2))
        dot = smoothstep((rng.uniform(1.0, 2.6) - distance) / 1.5 + 0.5) * np.float32(rng.uniform(0.3, 0.75))
        layers[:, row - reach : row + reach + 1, column - reach : column + reach + 1] *= 1 - dot


def draw_relief(rng: np.random.Generator, years: float) -> Map:
    """(TEXTURE, TEXTURE, 3) the relief of the skin at rest, as in `wrinkles.wrinkle_maps`.

    Pores and unevenness, coarser with age; bags under the eyes; and the wrinkles that stay.
    """
    old = float(np.clip((years - 25) / 55, 0, 1))
    fine, coarse = rng.uniform(0.015, 0.035) + 0.03 * old, rng.uniform(0.003, 0.01) + 0.018 * old
    relief = np.multiply(relief_noise(rng, 2.5), np.float32(fine))
    scratch = _scratch()
    relief += np.multiply(relief_noise(rng, 8), np.float32(coarse), out=scratch)
    bags, rows, columns = _bags()
    relief[rows, columns] += bags * np.float32(rng.uniform(0, 0.06) + 0.3 * rng.beta(2, 2) * old)
    for (at, patch), depth in zip(_patches(), resting_wrinkles(rng, years), strict=True):
        if depth > 0:
            relief[at] += patch * depth
    return relief


@functools.cache
def _scratch() -> Map:
    """Room for one intermediate result, so that none is allocated per person."""
    return np.empty((TEXTURE, TEXTURE, 3), np.float32)


@functools.cache
def _bags() -> tuple[Map, slice, slice]:
    """Relief of the bags under both eyes, and the rows and columns of the texture that it lies in."""
    x, z = texture_grid()
    bulge = np.exp(-(((np.abs(x) - 0.031) / 0.013) ** 4) - ((z - 0.1265 - 6 * (np.abs(x) - 0.031) ** 2) / 0.0045) ** 2)
    step = TEXTURE_SPAN / TEXTURE
    rise_x, rise_z = np.gradient(bulge, step, axis=1), -np.gradient(bulge, step, axis=0)
    steepest = np.abs(rise_z).max()
    crease = np.exp(-(((np.abs(x) - 0.031) / 0.014) ** 4) - ((z - 0.1205 - 6 * (np.abs(x) - 0.031) ** 2) / 0.0015) ** 2)
    relief = np.stack([rise_x / steepest, rise_z / steepest, 0.6 * crease], axis=-1).astype(np.float32)
    inside = np.abs(relief).max(axis=2) > 0.003
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    window = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return np.ascontiguousarray(relief[window]), *window


@functools.cache
def _patches() -> list[tuple[tuple[slice, slice], Map]]:
    """For each wrinkle pattern, where on the texture it lies, and its relief there."""
    patches = []
    for relief in wrinkle_maps():
        inside = np.abs(relief).max(axis=2) > 0.002
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if len(rows) == 0:
            rows = columns = np.zeros(1, np.int64)
        at = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        patches.append((at, np.ascontiguousarray(relief[at])))
    return patches


def resting_wrinkles(rng: np.random.Generator, years: float, patterns: tuple[str, ...] = PATTERNS) -> Map:
    """(K,) how deep each wrinkle pattern is in the face at rest: none in the young, up to about 0.5 in the old."""
    depth = 0.34 * smoothstep(np.array((years - 22) / 62)) * rng.lognormal(0, 0.3)
    return _spread(rng, patterns, 0.35) * np.array([depth * _readiness(name) for name in patterns], np.float32)


def wrinkle_factors(rng: np.random.Generator, years: float, patterns: tuple[str, ...] = PATTERNS) -> Map:
    """(K,) how strongly each wrinkle pattern of a person shows when its AUs act; grows with age."""
    depth = (0.55 + 0.75 * np.clip((years - 18) / 62, 0, 1)) * rng.lognormal(0, 0.12)
    return np.float32(depth) * _spread(rng, patterns, 0.12)


def _readiness(name: str) -> float:
    return max((share for word, share in RESTING.items() if word in name.lower()), default=0.15)


def _spread(rng: np.random.Generator, patterns: tuple[str, ...], amount: float) -> Map:
    """(K,) factors about 1, nearly the same for the right and the left one of a pair."""
    pairs: dict[str, float] = {}
    factors = []
    for name in patterns:
        kind = "".join(part for part in _words(name) if part not in ("r", "l", "right", "left"))
        if kind not in pairs:
            pairs[kind] = float(rng.lognormal(0, amount))
        factors.append(pairs[kind] * rng.lognormal(0, amount / 6))
    return np.array(factors, np.float32)


def _words(name: str) -> list[str]:
    """The words of a name like crow_right, crow-right, "crow right" or crowRight, in small letters."""
    spaced = "".join(" " + c.lower() if c.isupper() else c for c in name)
    return spaced.replace("_", " ").replace("-", " ").split()
