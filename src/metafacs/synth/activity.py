"""Which AUs act when: co-occurring AUs with the base rates of spontaneous expression, as courses over a sequence."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from metafacs.synth.rig import RIG_AUS

Vector = NDArray[np.float64]

RATES: Mapping[int, float] = MappingProxyType(
    {1: 0.21, 2: 0.17, 4: 0.20, 6: 0.46, 7: 0.55, 10: 0.59, 12: 0.56, 14: 0.47, 15: 0.17, 17: 0.34, 23: 0.17, 24: 0.15}
    | {5: 0.03, 9: 0.06, 16: 0.03, 18: 0.03, 20: 0.04, 22: 0.03, 25: 0.28, 26: 0.12, 27: 0.02, 28: 0.03, 43: 0.04}
)
"""Share of frames in which an AU is present; the twelve of BP4D as counted there."""

LEVELS = (0.62, 0.30, 0.08)
"""Of the frames in which an AU is present, the shares at intensity 3, 4 and 5 or more."""

# How strongly AUs follow common causes: a smile, raised brows, distress, anger, an open mouth.
_CAUSES: Mapping[str, Mapping[int, float]] = MappingProxyType(
    {
        "smile": {6: 0.8, 7: 0.65, 10: 0.7, 12: 0.85, 14: 0.4, 25: 0.4, 15: -0.2, 24: -0.25, 4: -0.25},
        "raise": {1: 0.75, 2: 0.8, 5: 0.5, 4: -0.2},
        "distress": {1: 0.4, 4: 0.45, 15: 0.6, 17: 0.6, 20: 0.3, 14: 0.2},
        "anger": {4: 0.5, 7: 0.3, 9: 0.4, 17: 0.35, 23: 0.6, 24: 0.6, 28: 0.2},
        "open": {25: 0.65, 26: 0.75, 27: 0.6, 16: 0.3, 24: -0.5, 23: -0.3, 28: -0.4},
    }
)
_SHARES = {"subject": 0.12, "sequence": 0.28, "frame": 0.6}  # where the variance lies
_INERTIA = 0.8  # correlation of a frame with the next
_STRENGTHS = (0.0, 0.14, 0.34, 0.52, 0.70, 0.86, 1.0)  # rendered strength where intensity 0, 1 ... begins, and the end


def loadings() -> Vector:
    """(A, C) correlation of each AU of the rig with each common cause."""
    out = np.zeros((len(RIG_AUS), len(_CAUSES)))
    for column, causes in enumerate(_CAUSES.values()):
        for au, value in causes.items():
            out[RIG_AUS.index(au), column] = value
    return out


def _noise(rng: np.random.Generator, rows: int) -> Vector:
    """(rows, A) normal values of unit variance, correlated between AUs."""
    shared = loadings()
    own = np.sqrt(1 - (shared**2).sum(axis=1))
    causes, alone = rng.standard_normal((rows, shared.shape[1])), rng.standard_normal((rows, len(RIG_AUS)))
    return np.asarray((causes[:, None, :] * shared[None]).sum(axis=2) + alone * own)


def draw_temper(rng: np.random.Generator) -> Vector:
    """(A,) how readily one person shows each AU; the part of the variance that lies between people."""
    return np.asarray(_noise(rng, 1)[0])


def draw_course(rng: np.random.Generator, temper: Vector, frames: int) -> Vector:
    """(frames, A) intensity courses of one sequence: FACS intensity as a number in [0, 6), whose floor is the label.

    Args:
        rng: the sequence's own random numbers.
        temper: (A,) from `draw_temper`.
        frames: how many frames.
    """
    mood = _noise(rng, 1)
    steps = _noise(rng, frames)
    course = np.empty_like(steps)
    course[0] = steps[0]
    for t in range(1, frames):
        course[t] = _INERTIA * course[t - 1] + np.sqrt(1 - _INERTIA**2) * steps[t]
    weights = {name: np.sqrt(share) for name, share in _SHARES.items()}
    latent = weights["subject"] * temper + weights["sequence"] * mood + weights["frame"] * course
    return settle(intensity(normal_cdf(latent)))


def normal_cdf(values: Vector) -> Vector:
    """The share of a standard normal distribution below each value."""
    return np.asarray(torch.special.ndtr(torch.from_numpy(values)).numpy())


def intensity(shares: Vector) -> Vector:
    """(n, A) intensities in [0, 6) of values spread evenly over [0, 1], so that each AU has its base rate."""
    out = np.empty_like(shares)
    for column, au in enumerate(RIG_AUS):
        rate = RATES[au]
        trace = rate + 0.35 * rate * (1 - rate) + 0.01
        above = np.array([1.0, trace, rate, *(rate * level for level in LEVELS), 0.0])
        out[:, column] = np.interp(shares[:, column], 1 - above, np.arange(7))
        faint = out[:, column] < 1
        out[faint, column] **= 8
    return np.minimum(out, 5.999)


def settle(course: Vector) -> Vector:
    """Takes back AUs that others rule out: pressed lips do not part, closed eyes do not widen."""
    out = course.copy()

    def column(au: int) -> Vector:
        return np.asarray(out[:, RIG_AUS.index(au)])

    for pressed in (24, 28):
        for opening in (25, 26, 27, 16):
            out[column(pressed) >= 2, RIG_AUS.index(opening)] = 0
    out[column(27) >= 1, RIG_AUS.index(26)] = 0
    out[column(43) >= 1, RIG_AUS.index(5)] = 0
    for opening in (26, 27):  # lips part when the jaw drops
        out[:, RIG_AUS.index(25)] = np.maximum(column(25), np.where(column(opening) >= 2, column(opening), 0))
    out[column(28) >= 2, RIG_AUS.index(24)] = 0
    return out


def strength(course: Vector) -> Vector:
    """Rendered strength in [0, 1] of intensities in [0, 6); rises with every bit of intensity."""
    return np.asarray(np.interp(course, np.arange(7), _STRENGTHS))


def sides(strengths: Vector, asymmetry: Vector, wobble: Vector) -> Vector:
    """(n, 2, A) strengths on the right and the left.

    Args:
        strengths: (n, A) mean of both sides.
        asymmetry: (A,) the person's; positive where the left acts more.
        wobble: (n, A) deviations of single frames.
    """
    lean = np.clip(asymmetry + wobble, -0.35, 0.35)
    return np.clip(np.stack([strengths * (1 - lean), strengths * (1 + lean)], axis=1), 0, 1.3)
