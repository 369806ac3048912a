"""The shape of a person's head: phenotype and local changes of the head model, by sex, age and ancestry."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

AGEING = {
    "head-age-incr": 0.35,
    "eye-bag-incr": 0.3,
    "eye-bag-out": 0.2,
    "eye-eyefold-up": -0.15,
    "eye-corner2-up": -0.12,
    "mouth-laugh-lines-out": 0.15,
    "mouth-upperlip-volume-incr": -0.3,
    "mouth-lowerlip-volume-incr": -0.2,
    "mouth-angles-up": -0.12,
    "cheek-volume-incr": -0.2,
    "chin-jaw-drop-incr": 0.2,
    "ear-scale-incr": 0.25,
    "ear-lobe-incr": 0.3,
    "nose-scale-vert-incr": 0.12,
}
"""How much each local change grows from 20 to 80 years, without its side."""
MASCULINE = {
    "chin-bones-incr": 0.18,
    "chin-width-incr": 0.15,
    "eyebrows-trans-up": -0.15,
    "eyebrows-trans-forward": 0.18,
    "eyebrows-angle-up": -0.12,
    "mouth-upperlip-volume-incr": -0.2,
    "mouth-upperlip-height-incr": -0.2,
    "mouth-lowerlip-volume-incr": -0.2,
    "mouth-lowerlip-height-incr": -0.2,
    "eye-scale-incr": -0.18,
    "nose-scale-vert-incr": 0.12,
    "nose-scale-horiz-incr": 0.09,
    "cheek-volume-incr": -0.15,
}
"""How much more each is in the most masculine face, and less in the most feminine, than in between."""
CENTRED = ("head-trans-out", "mouth-trans-out", "nose-trans-out")
"""Local changes that move the middle of the face to one side."""


def draw_ancestry(rng: np.random.Generator, tone: float) -> NDArray[np.float64]:
    """(3,) shares of African, Asian and European ancestors of a person of some skin tone.

    Tone shifts what is likely and rules nothing out: light skin is European or East Asian more often, middle tones are
    anything, dark skin is African or South Asian more often.
    """
    likely = np.array(
        [0.12 + 1.6 * tone**2, 0.25 + 0.8 * np.exp(-(((tone - 0.4) / 0.3) ** 2)), 0.12 + 1.3 * (1 - tone)]
    )
    return rng.dirichlet(likely)


def model_age(years: float) -> float:
    """The head model's age value: 2/3 is a grown-up of 25 years, 1 a person of 90."""
    return 2 / 3 + ((years - 25) / 65 / 3 if years > 25 else (years - 25) / 7 * 0.03)


def draw_shape(
    rng: np.random.Generator, labels: Sequence[str], ancestry: NDArray[np.float64], male: float, years: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Phenotype and local changes of one person, as `head.Head.rest` takes them.

    Args:
        rng: random numbers.
        labels: the local changes there are.
        ancestry: (3,) from `draw_ancestry`.
        male: in [0, 1].
        years: of age.
    """
    names = ("muscle", "height", "proportions", "cupsize", "firmness")
    phenotype = {name: float(rng.uniform(0.3, 0.7)) for name in names}
    phenotype |= {"gender": 1 - male, "age": model_age(years), "weight": float(rng.uniform(0.2, 0.85))}
    phenotype |= dict(zip(("african", "asian", "caucasian"), map(float, ancestry), strict=True))
    crooked = float(np.clip(rng.lognormal(np.log(0.03), 0.4), 0.012, 0.07))
    old = np.clip((years - 20) / 60, 0, 1)
    local: dict[str, float] = {}
    for name, deviate in zip(labels, rng.normal(size=len(labels)), strict=True):
        part = name.removeprefix("l-").removeprefix("r-")
        if name.startswith("r-"):
            value = local["l-" + part] + deviate * crooked
        elif name in CENTRED:
            value = deviate * 2 * crooked
        else:
            spread = 0.12 if "eye" in name else 0.2
            value = spread * min(max(deviate, -2.0), 2.0)
            value += AGEING.get(part, 0.0) * old + MASCULINE.get(part, 0.0) * (2 * male - 1)
        local[name] = float(value)
    return phenotype, local
