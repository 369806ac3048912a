"""What a human FACS coder writes down: the true levels with a coder's drift, delays, misses and confusions."""

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facsynth.courses import smooth_noise
from facsynth.rig import RIG_AUS
from metafacs.errors import InputError
from metafacs.facs import INTENSITY_MAX

CONFUSED = ((6, 7), (23, 24), (25, 26), (1, 2))
"""Pairs of AUs that look alike and are now and then written down for one another."""

Vector = NDArray[np.floating[Any]]
Levels = NDArray[np.int64]

# For each unit of noise:
_DRIFT = 0.8  # standard deviation, in levels, of what the coder sees too strong or too weak
_DELAY = 0.12  # standard deviation, in seconds, of how late or early a change is seen
_MISSED = 0.8  # share of the traces (level 1) not seen
_SWAPPED = 0.06  # share of the time a pair is confused
# Seconds over which these change: a coder keeps a standard, a delay, an oversight or a confusion for a while.
_DRIFT_PACE, _DELAY_PACE, _MISSED_PACE, _SWAPPED_PACE = 4.0, 1.0, 1.5, 3.0


def code(course: Vector, noise: float, rng: np.random.Generator, step: float = 0.04) -> Levels:
    """(n, A) FACS levels 0-5 as one coder gives them to a sequence.

    Noise 0 gives the true levels, the floor of the course. More noise makes levels drift, changes come late or early,
    traces go unseen and neighbours (`CONFUSED`) pass for one another. What is at rest stays at rest, but for a delay
    or a confusion.

    Measured at the base rates of BP4D and 25 frames a second, Cohen's kappa of presence, averaged over its AUs, is
    0.95, 0.90 and 0.81 against the truth at noise 0.25, 0.5 and 1, and 0.92, 0.85 and 0.74 between two such coders:
    at 0.5 two coders agree as those of real datasets do.

    Args:
        course: (n, A) true intensities in [0, 6) of one sequence.
        noise: how unreliable the coder is, about in levels; 0.5 is typical.
        rng: the coder's own random numbers for this sequence.
        step: seconds between frames.

    Raises:
        InputError: the noise is negative.
    """
    if not noise >= 0:
        raise InputError(f"a coder's noise is {noise}; give 0 (the truth) or more, 0.5 is typical")
    truth = np.floor(course).astype(np.int64)
    if noise == 0 or len(course) == 0:
        return truth
    times = np.arange(len(course)) * step
    columns = course.shape[1]
    seen = _delayed(course, smooth_noise(rng, times / _DELAY_PACE, columns) * (noise * _DELAY / step))
    # Below a trace there is less and less to misjudge.
    seen = seen + noise * _DRIFT * smooth_noise(rng, times / _DRIFT_PACE, columns) * np.clip(seen - 0.2, 0, 1)
    levels = np.clip(np.floor(seen), 0, INTENSITY_MAX).astype(np.int64)
    overlooked = smooth_noise(rng, times / _MISSED_PACE, columns) < _quantile(min(noise * _MISSED, 0.95))
    levels[(levels == 1) & overlooked] = 0
    return _confuse(levels, smooth_noise(rng, times / _SWAPPED_PACE, len(CONFUSED)), noise)


def _delayed(course: Vector, delay: Vector) -> Vector:
    """Each AU as it was `delay` frames, (n, A), before."""
    rows = np.round(np.arange(len(course))[:, None] - delay).astype(int)
    return np.take_along_axis(course, np.clip(rows, 0, len(course) - 1), axis=0)


def _confuse(levels: Levels, doubt: Vector, noise: float) -> Levels:
    """Exchanges the levels of the pairs where the coder's doubt, (n, pairs) normal values, is greatest."""
    out = levels.copy()
    swap = doubt > _quantile(1 - min(noise * _SWAPPED, 0.5))
    for pair, (one, other) in enumerate(CONFUSED):
        first, second, where = RIG_AUS.index(one), RIG_AUS.index(other), swap[:, pair]
        out[where, first], out[where, second] = levels[where, second], levels[where, first]
    # Nobody writes down a dropped jaw with closed lips.
    lips, jaw = RIG_AUS.index(25), RIG_AUS.index(26)
    out[:, lips] = np.maximum(out[:, lips], out[:, jaw])
    return out


def _quantile(share: float) -> float:
    """The value below which this share of a standard normal distribution lies."""
    return NormalDist().inv_cdf(share)
