"""Expressions: which AUs an emotion brings about, and how forty simulated annotators name what they see."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metafacs.facs import EMFACS, EMFACS_OPTIONAL, EXPRESSIONS
from metafacs.synth.rig import RIG_AUS

ANNOTATORS = 40
"""How many annotators vote on every image."""

SHARES = (0.22, 0.2, 0.13, 0.13, 0.12, 0.1, 0.1)
"""How often each of `EXPRESSIONS` is meant."""

BLENDED = 0.15
"""Share of the emotional faces that show a second emotion as well."""

WEAK = 0.42
"""Below this strength (0-1) an emotion is called weak."""

_CONFUSION = np.array(
    [  # annotators who saw the row's expression write down the column's; after the votes of FERPlus
        [0.84, 0.03, 0.02, 0.07, 0.03, 0.01, 0.00],  # neutral
        [0.02, 0.95, 0.02, 0.00, 0.01, 0.00, 0.00],  # happiness
        [0.02, 0.03, 0.85, 0.01, 0.02, 0.00, 0.07],  # surprise
        [0.07, 0.01, 0.01, 0.85, 0.03, 0.02, 0.01],  # sadness
        [0.04, 0.02, 0.02, 0.03, 0.81, 0.07, 0.01],  # anger
        [0.04, 0.02, 0.01, 0.06, 0.12, 0.74, 0.01],  # disgust
        [0.02, 0.01, 0.13, 0.05, 0.03, 0.01, 0.75],  # fear
    ]
)

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Emotion:
    """What a face is meant to show.

    Attributes:
        expression: the main emotion, one of `EXPRESSIONS`.
        strength: how strongly, in [0, 1]; 0 for neutral.
        second: a second emotion, or None.
        cause: "clear", or why annotators may disagree: "weak", "blend" or "unreadable".
        strengths: (A,) true strength in [0, 1] of each AU of the rig.
    """

    expression: str
    strength: float
    second: str | None
    cause: str
    strengths: Vector


def draw_emotion(rng: np.random.Generator, readable: bool = True) -> Emotion:
    """Draws an emotion and the AUs that show it.

    Args:
        rng: the image's own random numbers.
        readable: False for a face whose emotion hardly shows.
    """
    expression = str(rng.choice(EXPRESSIONS, p=SHARES))
    strengths = _idle(rng)
    if not readable:
        strength = float(rng.uniform(0, 0.08))
        return Emotion(
            expression, strength, None, "unreadable", np.maximum(strengths, prototype(expression, strength, rng))
        )
    if expression == "neutral":
        return Emotion(expression, 0.0, None, "clear", strengths)
    strength = float(rng.beta(2.6, 1.5))
    second = None
    strengths = np.maximum(strengths, prototype(expression, strength, rng))
    if rng.random() < BLENDED:
        second = str(rng.choice([name for name in EXPRESSIONS[1:] if name != expression]))
        strengths = np.maximum(strengths, prototype(second, strength * rng.uniform(0.5, 1.0), rng))
    cause = "blend" if second else ("weak" if strength < WEAK else "clear")
    return Emotion(expression, strength, second, cause, np.clip(strengths, 0, 1))


def prototype(expression: str, strength: float, rng: np.random.Generator) -> Vector:
    """(A,) AU strengths of an emotion: its EMFACS prototype with drop-outs and optional companions."""
    out = np.zeros(len(RIG_AUS))
    for aus, chance in ((EMFACS[expression], 0.88), (EMFACS_OPTIONAL[expression], 0.45)):
        for au in aus:
            if rng.random() < chance:
                out[RIG_AUS.index(au)] = strength * rng.uniform(0.75, 1.15)
    if not out.any() and EMFACS[expression]:
        out[RIG_AUS.index(int(rng.choice(EMFACS[expression])))] = strength
    return out


def _idle(rng: np.random.Generator) -> Vector:
    """The faint movement of a face at rest; now and then one AU acts for no emotional reason."""
    strengths = rng.uniform(0, 0.07, len(RIG_AUS)) * (rng.random(len(RIG_AUS)) < 0.3)
    if rng.random() < 0.2:
        strengths[rng.integers(len(RIG_AUS) - 1)] = rng.uniform(0.1, 0.35)
    return np.asarray(strengths)


def evidence(strengths: Vector) -> Vector:
    """(E,) how strongly each of `EXPRESSIONS` can be read from AU strengths; neutral's is the bar to clear.

    An expression is as strong as its prototype's AUs are together, less what AUs that it does not have tell against it.
    """
    out = np.zeros(len(EXPRESSIONS))
    for number, name in enumerate(EXPRESSIONS[1:], start=1):
        own = [RIG_AUS.index(au) for au in EMFACS[name]]
        allowed = own + [RIG_AUS.index(au) for au in (*EMFACS_OPTIONAL[name], 25, 26)]
        others = np.delete(strengths, allowed)
        out[number] = strengths[own].mean() - 0.5 * others.sum() / max(len(own), 2)
    out[0] = 0.24
    return out


def draw_panel(seed: int) -> tuple[Vector, Vector]:
    """The annotators of a dataset: (40,) how keenly each discriminates, (40, E) what each is inclined to see."""
    rng = np.random.default_rng([seed, 40])
    return np.exp(rng.normal(2.55, 0.25, ANNOTATORS)), rng.normal(0, 0.35, (ANNOTATORS, len(EXPRESSIONS)))


def chances(strengths: Vector, panel: tuple[Vector, Vector]) -> Vector:
    """(40, E) how likely each annotator is to choose each expression for a face with these AU strengths."""
    keenness, leaning = panel
    score = keenness[:, None] * evidence(strengths)[None] + leaning
    seen = np.exp(score - score.max(axis=1, keepdims=True))
    return np.asarray((seen / seen.sum(axis=1, keepdims=True)) @ (_CONFUSION / _CONFUSION.sum(axis=1, keepdims=True)))


def vote(emotion: Emotion, panel: tuple[Vector, Vector], rng: np.random.Generator) -> tuple[NDArray[np.int64], str]:
    """Votes of all annotators per expression (E,), and the expression with most votes.

    Annotators of an unreadable face guess, so that its majority is drawn at random. Ties are broken at random.
    """
    if emotion.cause == "unreadable":
        choice = np.full((ANNOTATORS, len(EXPRESSIONS)), 1 / len(EXPRESSIONS))
    else:
        choice = chances(emotion.strengths, panel)
    picked = (rng.random((ANNOTATORS, 1)) > choice.cumsum(axis=1)[:, :-1]).sum(axis=1)
    votes = np.bincount(picked, minlength=len(EXPRESSIONS))
    best = rng.choice(np.flatnonzero(votes == votes.max()))
    return votes, EXPRESSIONS[int(best)]
