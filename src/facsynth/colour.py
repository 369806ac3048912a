"""Colours of people: skin, hair, eyes and lips, as linear light."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.float64]

SKIN_TONES = ("#f4d7c8", "#ecc6b1", "#dfb398", "#cb9a7c", "#ad7d62", "#8a5f49", "#684536", "#4c3129", "#36241f")
"""From the lightest to the darkest."""
DARK_HAIR = ("#0f0c0b", "#16110f", "#211713", "#2b1d14")
"""Black to dark brown."""
LIGHT_HAIR = ("#2b1d14", "#3f2a1c", "#5a3d26", "#7d5a38", "#a8875a", "#c4a674")
"""Dark brown to blond."""
RED_HAIR = ("#4a1f14", "#6b3320", "#94502c")
GREY_HAIR = ("#6f6c6a", "#98948f", "#b9b5b0")
DARK_EYES = ("#1f110a", "#2a170c", "#3a2213", "#553519")
LIGHT_EYES = ("#6b4f28", "#6a6a3c", "#55695a", "#5a7a94", "#7c93a3", "#94a9b5")
"""Hazel, green, blue, grey."""


@dataclass(frozen=True, eq=False)
class Colouring:
    """The colours of one person, linear.

    Attributes:
        skin: of the cheeks, without redness.
        hair: on the head, with its grey.
        brow: of the brows, which turn grey later.
        beard: where one grows.
        lips: with any paint on them.
        iris: the eyes' colour.
        sclera: the white of the eyes.
    """

    skin: Colour
    hair: Colour
    brow: Colour
    beard: Colour
    lips: Colour
    iris: Colour
    sclera: Colour


def linear(colour: str | Colour) -> Colour:
    """A colour as one sees it on a screen ("#rrggbb", or values in [0, 1]) as linear light."""
    if isinstance(colour, str):
        colour = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.asarray(colour) ** 2.2


def between(colours: tuple[str, ...], place: float) -> Colour:
    """A linear colour along a scale; `place` from 0 (first) to 1 (last)."""
    scale = np.array([linear(colour) for colour in colours])
    at = np.clip(place, 0, 1) * (len(scale) - 1)
    low = min(int(at), len(scale) - 2)
    return scale[low] * (low + 1 - at) + scale[low + 1] * (at - low)


def draw_colouring(
    rng: np.random.Generator, ancestry: NDArray[np.float64], male: float, years: float, tone: float
) -> Colouring:
    """Draws colours that go together.

    Args:
        rng: random numbers.
        ancestry: (3,) shares of African, Asian and European ancestors.
        male: in [0, 1].
        years: of age.
        tone: of the skin, in [0, 1], from the lightest to the darkest of `SKIN_TONES`.
    """
    fair = float(ancestry[2]) * (1 - tone) ** 2.5
    warm, red = rng.normal(0, [0.5, 0.5])
    skin = between(SKIN_TONES, tone) * np.exp(
        warm * np.array([0.02, 0, -0.07]) + red * np.array([0.035, -0.025, -0.02])
    )
    natural = _hair(rng, fair)
    brow = np.minimum(0.8 * natural, 0.55 * skin)  # brows are darker than fair hair, and than the skin
    silver = between(GREY_HAIR, rng.random())
    grey = float(np.clip((years - 36) / 34 + rng.normal(0, 0.3), 0, 1)) * (years > 26)
    grey *= 1.0 if male > 0.5 or rng.random() > 0.45 else 0.15  # some dye it
    old = np.clip((years - 45) / 35, 0, 1)
    return Colouring(
        skin=skin,
        hair=natural * (1 - grey) + silver * grey,
        brow=brow * (1 - 0.35 * grey) + 0.6 * silver * 0.35 * grey,
        beard=natural * (1 - grey) + 0.75 * silver * grey,
        lips=_lips(rng, skin, male, tone),
        iris=_iris(rng, fair),
        sclera=linear(
            np.array([0.80, 0.765, 0.735]) * rng.uniform(0.92, 1.03) * (1 - 0.08 * tone)
            - np.array([0, 0.01, 0.045]) * old
        ),
    )


def _hair(rng: np.random.Generator, fair: float) -> Colour:
    if rng.random() < 1.4 * fair:
        scale = RED_HAIR if rng.random() < 0.08 else LIGHT_HAIR
        return between(scale, rng.random())
    return between(DARK_HAIR, rng.random())


def _iris(rng: np.random.Generator, fair: float) -> Colour:
    if rng.random() < 1.3 * fair:
        return between(LIGHT_EYES, rng.random()) * rng.uniform(0.75, 1.05)
    return between(DARK_EYES, rng.beta(1.3, 1.6)) * rng.uniform(1.0, 1.4)


def _lips(rng: np.random.Generator, skin: Colour, male: float, tone: float) -> Colour:
    """From bare to painted; dark skin has browner lips, which differ less from it."""
    bare = skin * (np.array([0.86, 0.53, 0.53]) + np.array([-0.06, 0.12, 0.1]) * tone) * rng.uniform(0.85, 1.1)
    if male < 0.5 and rng.random() < 0.4:
        blue = rng.uniform(0.16, 0.42)
        paint = linear(np.array([rng.uniform(0.45, 0.75), blue * rng.uniform(0.5, 1.0), blue]))
        amount = rng.uniform(0.2, 0.7)
        return bare * (1 - amount) + paint * amount * (1 - 0.4 * tone)
    return bare
