"""Who is rendered: sex, age and skin tone, the shape and skin that go with them, and how expressive a person is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facsynth.colour import SKIN_TONES, Colour, between, draw_colouring, linear
from facsynth.hair import draw_cut, give_volume, hair_of, paint_edge
from facsynth.head import Head
from facsynth.physique import draw_ancestry, draw_shape
from facsynth.rig import RIG_AUS
from facsynth.skin import draw_relief, paint_skin, wrinkle_factors

__all__ = [
    "SKIN_TONES",
    "Colour",
    "Demographics",
    "Person",
    "between",
    "draw_demographics",
    "draw_person",
    "linear",
    "spread_demographics",
]

YOUNGEST, OLDEST = 18.0, 80.0
_STEPS = np.array([(np.sqrt(5) - 1) / 2, np.sqrt(2) - 1, np.sqrt(3) - 1, np.sqrt(7) - 2])
"""Irrational steps, one for sex, age, tone and how masculine or feminine, that fill [0, 1) evenly from any start."""


@dataclass(frozen=True)
class Demographics:
    """What a dataset balances over its people.

    Attributes:
        male: in [0, 1], 0 feminine, 1 masculine.
        age: years, 18 to 80.
        tone: of the skin, in [0, 1], from the lightest to the darkest of `SKIN_TONES`.
    """

    male: float
    age: float
    tone: float


@dataclass(frozen=True, eq=False)
class Person:
    """One person.

    Attributes:
        demographics: sex, age, skin tone.
        rest: (V, 3) float32, the resting face, metres.
        texture: (TEXTURE, TEXTURE, 3) float32 linear colour of the skin, with brows.
        relief: (TEXTURE, TEXTURE, 3) float32 relief of the skin at rest, as in `wrinkles.wrinkle_maps`.
        wrinkles: (K,) factor on each pattern of `wrinkles.PATTERNS`; grows with age.
        hair: (V,) float32, metres inside (positive) or outside the hair.
        colours: linear colours by name: skin, lips, iris, iris_rim, sclera, hair, lid.
        pupil: radius of the pupil, as a share of the eyeball's.
        gloss: how much the skin shines.
        lash: how dark the lash line is, in [0, 1].
        expressiveness: (A,) factor on the rendered strength of each AU of the rig.
        asymmetry: (A,) in about [-0.3, 0.3]; positive where the person's left acts more than the right.
    """

    demographics: Demographics
    rest: NDArray[np.float32]
    texture: NDArray[np.float32]
    relief: NDArray[np.float32]
    wrinkles: NDArray[np.float32]
    hair: NDArray[np.float32]
    colours: dict[str, Colour]
    pupil: float
    gloss: float
    lash: float
    expressiveness: NDArray[np.float64]
    asymmetry: NDArray[np.float64]


def spread_demographics(seed: int, number: int, male: bool | None = None) -> Demographics:
    """Person `number` of a dataset whose people are spread evenly over sex, age and skin tone.

    An additive recurrence with irrational steps (Kronecker's sequence), so that any run of people is balanced. Of any
    20 consecutive ones 9 to 11 are male, 3 to 8 lie in each quarter of the ages and 3 to 7 in each quarter of the
    tones, and of any 100 each combination of sex, older or younger, and lighter or darker holds 6 to 20.

    Args:
        seed: of the dataset: decides where the sequence starts.
        number: of the person, 0 or more.
        male: the sex where it is given; then only age and tone are spread.
    """
    start = np.random.default_rng([seed, 0x5EED]).random(len(_STEPS))
    sex, age, tone, share = (start + (number + 1) * _STEPS) % 1
    masculine = sex >= 0.5 if male is None else male
    return Demographics(
        male=float(0.78 + 0.22 * share if masculine else 0.22 * share),
        age=float(YOUNGEST + (OLDEST - YOUNGEST) * age),
        tone=float(tone),
    )


def draw_demographics(rng: np.random.Generator) -> Demographics:
    """Draws anybody: adults of all ages, both sexes, all skin tones."""
    return Demographics(float(rng.random()), float(rng.uniform(YOUNGEST, OLDEST)), float(rng.random()))


def draw_person(head: Head, rng: np.random.Generator, who: Demographics | None = None) -> Person:
    """Draws a person of given demographics, or of any."""
    who = who or draw_demographics(rng)
    ancestry = draw_ancestry(rng, who.tone)
    colours = draw_colouring(rng, ancestry, who.male, who.age, who.tone)
    cut = draw_cut(rng, who.male, who.age)
    bare = head.rest(*draw_shape(rng, head.local_labels, ancestry, who.male, who.age))
    texture = paint_skin(rng, colours, who.male, who.age, who.tone)
    paint_edge(rng, head, cut, colours.hair, texture)
    return Person(
        demographics=who,
        rest=give_volume(head, cut, bare, rng),
        texture=texture,
        relief=draw_relief(rng, who.age),
        wrinkles=wrinkle_factors(rng, who.age),
        hair=hair_of(head, cut),
        colours={
            "skin": colours.skin,
            "lips": colours.lips,
            "iris": colours.iris,
            "iris_rim": colours.iris * 0.35,
            "sclera": colours.sclera,
            "hair": colours.hair,
            "lid": colours.skin * [0.85, 0.6, 0.55],
        },
        pupil=float(rng.uniform(0.11, 0.19)),
        gloss=float(rng.uniform(0.02, 0.1)),
        lash=float(rng.uniform(0.4, 0.75) + 0.25 * (who.male < 0.4)),
        expressiveness=np.clip(rng.normal(0.95, 0.08) * (1 + rng.normal(0, 0.08, len(RIG_AUS))), 0.7, 1.2),
        asymmetry=np.clip(rng.normal(0, 0.08, len(RIG_AUS)), -0.25, 0.25),
    )
