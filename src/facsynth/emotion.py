"""Expressions as they are meant: which AUs an emotion brings about, and what may make it hard to read."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from facsynth.rig import RIG_AUS
from metafacs.errors import InputError
from metafacs.facs import EMFACS, EMFACS_OPTIONAL, EXPRESSIONS

CAUSES = ("clear", "weak", "blend", "gaze", "head pose", "unreadable", "wrong label")
"""Why a label can be trusted ("clear"), or why not: the expression is faint, mixed with a second one, carried by the
eyes or the head alone, hardly there at all, or the label belongs to another face."""

DEFAULT_CAUSES: Mapping[str, float] = MappingProxyType(
    {"weak": 0.18, "blend": 0.12, "gaze": 0.04, "head pose": 0.04, "unreadable": 0.0, "wrong label": 0.02}
)
"""Share of the images with each hazard; the rest is clear."""

EMOTIONAL = frozenset({"weak", "blend", "gaze", "head pose"})
"""Causes that need an emotion: a neutral face cannot be weak, nor can the gaze alone make one neutral."""

WEAK = 0.42
"""Below this strength (0-1) an emotion is called weak."""

IDLE = 0.07
"""No AU is stronger than this in a face at rest."""

# Where eyes and head point for an emotion that they carry alone, radians: gaze aside and upwards, head aside, upwards
# and tilted. "Aside" is to a side drawn for each face.
_CUES: Mapping[str, Mapping[str, tuple[float, float, float, float, float]]] = MappingProxyType(
    {
        "gaze": {
            "happiness": (0.30, 0.12, 0.00, 0.00, 0.10),
            "surprise": (0.00, 0.38, 0.00, 0.05, 0.00),
            "sadness": (0.00, -0.42, 0.00, -0.05, 0.00),
            "anger": (0.00, 0.28, 0.00, -0.20, 0.00),
            "disgust": (0.40, -0.25, 0.08, 0.00, 0.00),
            "fear": (0.55, 0.05, -0.05, 0.00, 0.00),
        },
        "head pose": {
            "happiness": (0.00, 0.00, 0.00, 0.03, 0.25),
            "surprise": (0.00, 0.12, 0.00, 0.32, 0.00),
            "sadness": (0.00, -0.15, 0.00, -0.35, 0.05),
            "anger": (0.00, 0.18, 0.00, -0.32, 0.00),
            "disgust": (0.10, -0.05, 0.42, 0.05, 0.00),
            "fear": (-0.28, 0.00, 0.25, 0.22, 0.00),
        },
    }
)

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Emotion:
    """What a face is meant to show.

    Attributes:
        expression: the main emotion, one of `EXPRESSIONS`.
        strength: how strongly, in [0, 1]; 0 for neutral.
        second: a second emotion, or None.
        cause: one of `CAUSES`.
        strengths: (A,) true strength in [0, 1] of each AU of the rig.
        gaze: where the eyes point, to the person's left and upwards, radians.
        pose: what the emotion adds to the head's yaw (to the person's left), pitch (upwards) and roll, radians.
        asymmetry: (A,) what the emotion adds to the person's lean to the left, as in `activity.sides`.
    """

    expression: str
    strength: float
    second: str | None
    cause: str
    strengths: Vector
    gaze: tuple[float, float]
    pose: tuple[float, float, float]
    asymmetry: Vector


def draw_emotion(rng: np.random.Generator, cause: str, expression: str) -> Emotion:
    """Draws a face that means an expression.

    A face of the cause "wrong label" is a clear one: what is wrong is in its votes, see `annotators.draw_labelled`.

    Args:
        rng: the image's own random numbers.
        cause: one of `CAUSES`.
        expression: one of `EXPRESSIONS`; "neutral" can only be "clear", "unreadable" or "wrong label".

    Raises:
        InputError: the cause or the expression is unknown, or they do not go together.
    """
    _check(cause, expression)
    strength, second = _draw_strength(rng, cause, expression), None
    strengths = _idle(rng, stray=cause not in ("gaze", "head pose", "unreadable"))
    if cause in ("gaze", "head pose"):
        gaze, pose = _draw_cue(rng, cause, expression)
    else:
        gaze, pose = (float(rng.normal(0, 0.1)), float(rng.normal(0, 0.05))), (0.0, 0.0, 0.0)
        strengths = np.maximum(strengths, prototype(expression, strength, rng))
    if cause == "blend":
        second = str(rng.choice([name for name in EXPRESSIONS[1:] if name != expression]))
        strengths = np.maximum(strengths, prototype(second, strength * rng.uniform(0.8, 1.1), rng))
    if cause in ("clear", "weak", "blend", "wrong label"):
        _pass_by(rng, strengths)
    asymmetry = rng.normal(0, 0.05, len(RIG_AUS)) + rng.normal(0, 0.05)
    if _posed(expression, strengths):  # posed smiles are more lopsided than felt ones
        asymmetry[RIG_AUS.index(12)] += rng.normal(0, 0.12)
    return Emotion(expression, strength, second, cause, np.clip(strengths, 0, 1), gaze, pose, asymmetry)


def prototype(expression: str, strength: float, rng: np.random.Generator) -> Vector:
    """(A,) AU strengths of an emotion: its EMFACS prototype with drop-outs and optional companions.

    Every third smile is posed: without AU6. AU24 may stand in for the AU23 of anger, AU27 for the AU26 of surprise.
    """
    out = np.zeros(len(RIG_AUS))
    for aus, chance in ((EMFACS[expression], 0.88), (EMFACS_OPTIONAL[expression], 0.45)):
        for au in aus:
            if rng.random() < (0.65 if au == 6 else 1.0 if au == 12 else chance):
                out[RIG_AUS.index(au)] = strength * rng.uniform(0.75, 1.15)
    for expected, instead, chance in ((23, 24, 0.3), (26, 27, 0.15)):
        if out[RIG_AUS.index(expected)] and not out[RIG_AUS.index(instead)] and rng.random() < chance:
            out[RIG_AUS.index(instead)], out[RIG_AUS.index(expected)] = out[RIG_AUS.index(expected)], 0
    if not out.any() and EMFACS[expression]:
        out[RIG_AUS.index(int(rng.choice(EMFACS[expression])))] = strength
    return out


def cues(gaze: tuple[float, float], pose: tuple[float, float, float]) -> Vector:
    """(E,) in [0, 1] how well gaze and head pose fit each of `EXPRESSIONS` when eyes and head speak alone."""
    seen = np.array([*gaze, *pose])
    nearness = np.maximum(1 - np.linalg.norm(_CUE_PLACES - seen, axis=-1) / _CUE_SIZES, 0)
    return np.asarray(nearness.max(axis=(0, 1)))


def _cue_places() -> Vector:
    """(2 sides, 2 causes, E, 5) where eyes and head point for each expression; neutral's place is out of reach."""
    right = np.full((len(_CUES), len(EXPRESSIONS), 5), 100.0)
    for row, table in enumerate(_CUES.values()):
        for name, place in table.items():
            right[row, EXPRESSIONS.index(name)] = place
    return np.stack([right, right * [-1, 1, -1, 1, -1]])


_CUE_PLACES = _cue_places()
_CUE_SIZES = np.where(_CUE_PLACES[..., 1] < 100, np.linalg.norm(_CUE_PLACES, axis=-1), 1)


def _check(cause: str, expression: str) -> None:
    if cause not in CAUSES:
        raise InputError(f"'{cause}' is not a cause; there are {', '.join(CAUSES)}")
    if expression not in EXPRESSIONS:
        raise InputError(f"'{expression}' is not an expression; there are {', '.join(EXPRESSIONS)}")
    if expression == "neutral" and cause in EMOTIONAL:
        raise InputError(f"a neutral face cannot be of the cause '{cause}'; give an emotion, or the cause 'clear'")


def _draw_strength(rng: np.random.Generator, cause: str, expression: str) -> float:
    if expression == "neutral" or cause in ("gaze", "head pose"):
        return 0.0
    if cause == "unreadable":
        return float(rng.uniform(0, 0.08))
    if cause == "weak":
        return float(rng.uniform(0.2, WEAK))
    return float(WEAK + (1 - WEAK) * rng.beta(1.8, 1.2))


def _draw_cue(
    rng: np.random.Generator, cause: str, expression: str
) -> tuple[tuple[float, float], tuple[float, float, float]]:
    side = float(rng.choice([-1, 1]))
    place = np.array(_CUES[cause][expression]) * [side, 1, side, 1, side] * rng.uniform(0.75, 1.15)
    aside, up, yaw, pitch, roll = (place + rng.normal(0, [0.04, 0.03, 0.02, 0.02, 0.02])).tolist()
    return (aside, up), (yaw, pitch, roll)


def _idle(rng: np.random.Generator, stray: bool) -> Vector:
    """The faint movement of a face at rest; if `stray`, one AU now and then acts for no emotional reason."""
    strengths = rng.uniform(0, IDLE, len(RIG_AUS)) * (rng.random(len(RIG_AUS)) < 0.3)
    if stray and rng.random() < 0.2:
        strengths[rng.integers(len(RIG_AUS) - 1)] = rng.uniform(0.1, 0.35)
    return np.asarray(strengths)


def _pass_by(rng: np.random.Generator, strengths: Vector) -> None:
    """What happens in any picture, whatever is felt: mouths that talk, brows that flash; and lips do one thing."""
    talk, flash = rng.random() < 0.2, rng.random() < 0.06
    if talk:
        _raise(strengths, 25, rng.uniform(0.2, 0.6))
        _raise(strengths, 26, rng.uniform(0.1, 0.5) if rng.random() < 0.5 else 0)
    if flash:
        amount = rng.uniform(0.25, 0.55)
        _raise(strengths, 1, amount)
        _raise(strengths, 2, amount)
    opening, pressing = ([RIG_AUS.index(au) for au in aus] for aus in ((25, 26, 27), (24, 28)))
    if strengths[opening].max() > strengths[pressing].max():
        strengths[pressing] = np.minimum(strengths[pressing], IDLE)
    else:
        strengths[opening] = np.minimum(strengths[opening], IDLE)


def _raise(strengths: Vector, au: int, amount: float) -> None:
    strengths[RIG_AUS.index(au)] = max(strengths[RIG_AUS.index(au)], amount)


def _posed(expression: str, strengths: Vector) -> bool:
    return expression == "happiness" and bool(strengths[RIG_AUS.index(6)] <= IDLE)
