"""Who is rendered: the shape of a head, its skin, brows, lips, eyes and hair, and how expressive its owner is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metafacs.synth.head import Head
from metafacs.synth.rig import RIG_AUS
from metafacs.synth.texture import TEXTURE, texture_grid
from metafacs.synth.wrinkles import PATTERNS

EAR = 0.076
"""Distance of the ears from the middle of the average head, in metres."""

SKIN_TONES = ("#f6e0d3", "#efcdb8", "#e3b896", "#cf9b76", "#b07d58", "#8a5a3c", "#66402b", "#4a2c1f", "#33201a")
HAIR_COLOURS = ("#16110f", "#1f1612", "#2b1d14", "#3f2a1c", "#5a3d26", "#7d5a38", "#a8875a", "#8a8580", "#6b3320")
IRIS_COLOURS = ("#2a170c", "#3a2213", "#553519", "#6b4f28", "#6a6a3c", "#55695a", "#5a7a94", "#7c93a3")

Colour = NDArray[np.float64]


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


def draw_demographics(rng: np.random.Generator) -> Demographics:
    """Draws anybody: adults of all ages, both sexes, all skin tones."""
    return Demographics(float(rng.random()), float(rng.uniform(18, 80)), float(rng.random()))


def draw_person(head: Head, rng: np.random.Generator, who: Demographics | None = None) -> Person:
    """Draws a person of given demographics, or of any."""
    who = who or draw_demographics(rng)
    male, age, tone = who.male, (who.age - 18) / 62, who.tone
    ancestry = rng.dirichlet([0.5] * 3)
    rest = head.rest(*draw_shape(head, rng, ancestry, male, age))
    skin = between(SKIN_TONES, tone) * (1 + rng.normal(0, 0.03, 3))
    dark = max(tone, float(rng.beta(1.2, 2.5)))
    hair_colour = linear("#8f8b88") if age > 0.75 and rng.random() < 0.6 else between(HAIR_COLOURS[6::-1], dark * 1.2)
    colours = {
        "skin": skin,
        "lips": draw_lips(rng, skin, male),
        "iris": (iris := between(IRIS_COLOURS[::-1], 0.25 + dark + rng.normal(0, 0.15))) * 1.3,
        "iris_rim": iris * 0.35,
        "sclera": linear(np.array([0.9, 0.87, 0.84]) * rng.uniform(0.9, 1.0)),
        "hair": hair_colour,
        "lid": skin * [0.85, 0.6, 0.55],
    }
    return Person(
        demographics=who,
        rest=rest,
        texture=paint_skin(rng, skin, hair_colour, male),
        relief=np.zeros((TEXTURE, TEXTURE, 3), np.float32),
        wrinkles=np.full(len(PATTERNS), 0.5 + age, np.float32),
        hair=draw_hair(head, rng, male, age),
        colours=colours,
        pupil=float(rng.uniform(0.11, 0.19)),
        gloss=float(rng.uniform(0.02, 0.1)),
        lash=float(rng.uniform(0.4, 0.75) + 0.25 * (male < 0.4)),
        expressiveness=np.clip(rng.normal(0.95, 0.08) * (1 + rng.normal(0, 0.08, len(RIG_AUS))), 0.7, 1.2),
        asymmetry=np.clip(rng.normal(0, 0.08, len(RIG_AUS)), -0.25, 0.25),
    )


def draw_shape(
    head: Head, rng: np.random.Generator, ancestry: NDArray[np.float64], male: float, age: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Phenotype and local changes of one person, as `Head.rest` takes them."""
    phenotype = {name: float(rng.uniform(0.35, 0.65)) for name in head.model.phenotype_labels}
    phenotype |= {"gender": male, "age": 0.6 + 0.35 * age, "weight": float(rng.uniform(0.25, 0.75))}
    phenotype |= dict(zip(("african", "asian", "caucasian"), map(float, ancestry), strict=True))
    local: dict[str, float] = {}
    for name in head.local_labels:
        spread = 0.12 if "eye" in name else 0.22
        if name in ("head-trans-out", "mouth-trans-out", "nose-trans-out"):
            spread = 0.05  # these move the middle of the face to one side
        if name.startswith("r-"):
            local[name] = local["l-" + name[2:]] + float(rng.normal(0, spread / 6))
        else:
            local[name] = float(np.clip(rng.normal(0, spread), -2 * spread, 2 * spread))
    return phenotype, local


def draw_lips(rng: np.random.Generator, skin: Colour, male: float) -> Colour:
    """The colour of the lips, from bare to painted."""
    bare = skin * [0.85, 0.55, 0.55]
    if male < 0.4 and rng.random() < 0.4:
        paint = linear(np.array([rng.uniform(0.5, 0.8), rng.uniform(0.12, 0.4), rng.uniform(0.18, 0.42)]))
        return bare * 0.4 + paint * 0.6
    return bare * rng.uniform(0.85, 1.1)


def smooth_noise(rng: np.random.Generator, cells: int, size: int = TEXTURE) -> NDArray[np.float32]:
    """(size, size) smooth noise of unit spread with about `cells` bumps along a side."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))


def paint_skin(rng: np.random.Generator, skin: Colour, hair: Colour, male: float) -> NDArray[np.float32]:
    """(TEXTURE, TEXTURE, 3) the skin: tone, mottling, redness, freckles, beard shadow and brows."""
    x, z = texture_grid()
    tone = 1 + 0.05 * smooth_noise(rng, 12) + 0.035 * smooth_noise(rng, 96) + 0.02 * smooth_noise(rng, 256)
    if rng.random() < 0.3:
        tone -= 0.25 * rng.uniform(0.2, 1) * (smooth_noise(rng, 150) > 1.6) * np.exp(-(((z - 0.11) / 0.03) ** 2))
    texture = tone[..., None] * skin.astype(np.float32)
    red = np.exp(-(((np.abs(x) - 0.04) / 0.02) ** 2) - ((z - 0.1) / 0.018) ** 2)
    red += 0.8 * np.exp(-((x / 0.013) ** 2) - ((z - 0.097) / 0.012) ** 2)
    red *= rng.uniform(0, 0.25)
    texture *= 1 - red[..., None] * np.array([0.05, 0.5, 0.5], np.float32)
    ring = np.exp(-(((np.abs(x) - 0.03) / 0.016) ** 2) - ((z - 0.127) / 0.008) ** 2) * rng.uniform(0, 0.3)
    texture *= 1 - ring[..., None] * np.array([0.6, 0.8, 0.7], np.float32)
    if male > 0.55:
        texture = blend(texture, hair * 0.6 + skin * 0.2, beard(rng, x, z) * rng.uniform(0, 0.55))
    return blend(texture, hair * rng.uniform(0.6, 1.0), brows(rng, x, z, male)).clip(0, 1)


def blend(texture: NDArray[np.float32], colour: Colour, cover: NDArray[np.float32]) -> NDArray[np.float32]:
    """Paints `colour` over a texture where `cover` (H, W) is above 0."""
    return (texture * (1 - cover[..., None]) + colour.astype(np.float32) * cover[..., None]).astype(np.float32)


def beard(rng: np.random.Generator, x: NDArray[np.float32], z: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) where a beard grows, in [0, 1]."""
    jaw = smoothstep((0.088 - z + 0.35 * (np.abs(x) - 0.03)) / 0.012) * smoothstep((z - 0.02) / 0.02)
    clear = np.exp(-((x / 0.026) ** 2) - ((z - 0.071) / 0.009) ** 2)
    grain = 0.75 + 0.25 * smooth_noise(rng, 192)
    return (np.clip(jaw - clear, 0, 1) * np.clip(grain, 0, 1)).astype(np.float32)


def brows(rng: np.random.Generator, x: NDArray[np.float32], z: NDArray[np.float32], male: float) -> NDArray[np.float32]:
    """(H, W) how much of the brows' hair covers the skin, in [0, 1]."""
    height, thick = 0.1535 + rng.normal(0, 0.0012), 0.0026 + 0.0012 * male + rng.normal(0, 0.0004)
    arch, tail = rng.uniform(0.001, 0.0045), rng.uniform(0.0, 0.004)
    start, end = 0.0135 + rng.normal(0, 0.0015), 0.046 + rng.normal(0, 0.002)
    along = (np.abs(x) - start) / (end - start)
    line = height + arch * np.sin(np.clip(along, 0, 1) * 2.2) - tail * np.clip(along - 0.55, 0, 1) * 2
    width = thick * (1.05 - 0.65 * np.clip(along, 0, 1))
    inside = smoothstep((width - np.abs(z - line)) / 0.0022 + 0.5)
    inside *= smoothstep(along / 0.3 + 0.4) * smoothstep((1 - along) / 0.1 + 0.5)
    hairs = np.sin(2400 * (np.abs(x) - 0.6 * (z - line)) + 1.5 * smooth_noise(rng, 48))
    strands = 0.92 + 0.12 * hairs + 0.05 * smooth_noise(rng, 192)
    return np.clip(inside * strands * rng.uniform(0.6, 0.95), 0, 0.97).astype(np.float32)


def smoothstep(t: NDArray[np.floating]) -> NDArray[np.float32]:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(t, 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def draw_hair(head: Head, rng: np.random.Generator, male: float, age: float) -> NDArray[np.float32]:
    """(V,) metres inside the hair: a close cap with a hairline; some heads are bald or receding."""
    x, y, z = head.template.astype(np.float64).T
    if male > 0.5 and rng.random() < 0.1 + 0.25 * age:
        return np.full(len(x), -1, np.float32)
    line = 0.196 + rng.normal(0, 0.005) + (0.015 * rng.random() * age if male > 0.5 else 0)
    front = z - line + 4.0 * np.clip(np.abs(x) - 0.03, 0, 1) ** 2 * 10
    side = np.minimum(y + 0.062 + rng.normal(0, 0.006), z - rng.uniform(0.06, 0.13))
    off_the_ears = EAR - np.abs(x)
    return np.minimum(np.maximum(front, side), 1.5 * off_the_ears).astype(np.float32)
