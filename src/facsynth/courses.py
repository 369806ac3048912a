"""How facial activity comes and goes: episodes of expression on top of a person's readiness and moods."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facsynth.rig import RIG_AUS

Vector = NDArray[np.floating[Any]]

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

# An episode, in seconds: evenly spread within these bounds, the apex evenly on a logarithmic scale.
_ONSET, _APEX, _OFFSET = (0.2, 1.0), (0.4, 6.0), (0.4, 2.0)
_GAP = (0.3, 3.0)  # seconds from the end of an episode to the next one: at least, and more on average
_LAG = 0.2  # seconds by which one AU of an episode may start, or end, later than another, at most
_CYCLE = 7.2  # seconds from one episode to the next, on average
_MEAN, _SPREAD = 0.42, 0.59  # of a line of episodes of strength 1 on average, measured over an hour
_MOOD_PACE = 20.0  # seconds over which a mood changes
_TREMOR, _TREMOR_PACE = 0.08, 0.3  # share by which a held AU fluctuates, and over how many seconds
_DRIFT, _DRIFT_PACE = 0.03, 1.5  # the same for a face at rest, in standard deviations

# Faint strengths that belong to a face at rest: low brows, corners of the mouth down or up, hooded or narrow eyes,
# raised inner brows, a firm mouth; how often, and how strong at most.
_RESTING: tuple[tuple[int, float, float], ...] = (
    (4, 0.3, 0.15),
    (15, 0.3, 0.15),
    (43, 0.3, 0.15),
    (7, 0.15, 0.12),
    (12, 0.2, 0.12),
    (1, 0.1, 0.12),
    (24, 0.1, 0.12),
)


@dataclass(frozen=True, eq=False)
class Temper:
    """What is a person's own in how the face moves.

    Attributes:
        readiness: (A,) normal deviates: how readily the person shows each AU of the rig.
        resting: (2, A) faint strengths in [0, 0.15] of the resting face on the right and the left; rendered, never
            labelled.
    """

    readiness: Vector
    resting: Vector


def loadings() -> Vector:
    """(A, C) correlation of each AU of the rig with each common cause."""
    out = np.zeros((len(RIG_AUS), len(_CAUSES)))
    for column, causes in enumerate(_CAUSES.values()):
        for au, value in causes.items():
            out[RIG_AUS.index(au), column] = value
    return out


def draw_temper(rng: np.random.Generator) -> Temper:
    """Draws how readily one person shows each AU, and the person's face at rest."""
    return Temper(_deviates(rng, 1)[0], _draw_resting(rng))


def draw_latent(rng: np.random.Generator, temper: Temper, frames: int, step: float) -> Vector:
    """(frames, A) how active each AU would be in one sequence, in standard deviations; `calibrate` gives it levels.

    AUs come in episodes: a fast onset, an apex with small fluctuations and a slower offset, of common causes (a smile
    moves several AUs, each with its own lag) and of single AUs. What the person and the moment incline to is added.

    Args:
        rng: the sequence's own random numbers.
        temper: the person's.
        frames: how many frames.
        step: seconds between frames.
    """
    times = np.arange(frames) * step
    shared = loadings()
    mood = wander(_deviates(rng, knots(times / _MOOD_PACE)), times / _MOOD_PACE)
    tremor = smooth_noise(rng, times / _TREMOR_PACE, len(RIG_AUS))
    drift = smooth_noise(rng, times / _DRIFT_PACE, len(RIG_AUS))
    active = _draw_activity(rng, frames, step) * (1 + _TREMOR * tremor)
    moving = (active - _MEAN * (shared.sum(axis=1) + _own(shared))) / _SPREAD + _DRIFT * drift
    weights = {name: np.sqrt(share) for name, share in _SHARES.items()}
    return np.asarray(weights["subject"] * temper.readiness + weights["sequence"] * mood + weights["frame"] * moving)


def wander(at_knots: Vector, places: Vector) -> Vector:
    """(n, K) values that go smoothly from each knot to the next, with the knots' variance everywhere.

    Args:
        at_knots: (k, K) independent values at the knots 0, 1, 2...
        places: (n,) where, in knots; at most k - 1.
    """
    before = np.minimum(places.astype(int), len(at_knots) - 2)
    part = (places - before)[:, None]
    part = part * part * (3 - 2 * part)
    mixed = at_knots[before] * (1 - part) + at_knots[before + 1] * part
    return np.asarray(mixed / np.sqrt(part**2 + (1 - part) ** 2))


def knots(places: Vector) -> int:
    """How many knots `wander` needs for these places, which rise."""
    return int(places[-1]) + 2 if len(places) else 2


def smooth_noise(rng: np.random.Generator, places: Vector, columns: int) -> Vector:
    """(n, columns) independent normal noise of unit variance, smooth over about one unit of the rising places."""
    return wander(rng.standard_normal((knots(places), columns)), places)


def _own(shared: Vector) -> Vector:
    """(A,) the part of each AU that follows no common cause."""
    return np.asarray(np.sqrt(1 - (shared**2).sum(axis=1)))


def _deviates(rng: np.random.Generator, rows: int) -> Vector:
    """(rows, A) normal values of unit variance, correlated between AUs."""
    shared = loadings()
    causes, alone = rng.standard_normal((rows, shared.shape[1])), rng.standard_normal((rows, len(RIG_AUS)))
    return np.asarray((causes[:, None, :] * shared[None]).sum(axis=2) + alone * _own(shared))


def _draw_resting(rng: np.random.Generator) -> Vector:
    out = np.zeros((2, len(RIG_AUS)))
    for au, chance, most in _RESTING:
        shown, amount, tilt = rng.random() < chance, rng.uniform(0.03, most), rng.uniform(0.7, 1, 2)
        if shown:
            out[:, RIG_AUS.index(au)] = amount * tilt
    corners = RIG_AUS.index(12), RIG_AUS.index(15)
    if out[0, corners[0]] and out[0, corners[1]]:  # the corners of the mouth point one way
        out[:, corners[rng.integers(2)]] = 0
    return out


@dataclass(frozen=True, eq=False)
class _Episodes:
    """Episodes: when each starts (seconds), how long its onset, apex and offset last, and how strong it is.

    All arrays have one shape, (P, n): P sources of n episodes one after another.
    """

    start: Vector
    onset: Vector
    apex: Vector
    offset: Vector
    peak: Vector


def _draw_episodes(rng: np.random.Generator, sources: int, seconds: float) -> _Episodes:
    """Episodes of several sources that cover a length of time, and began before it."""
    before = 2 * (_ONSET[1] + _APEX[1] + _OFFSET[1])
    expected = (seconds + before) / _CYCLE
    shape = (sources, int(expected + 4 * np.sqrt(expected)) + 4)
    gap = _GAP[0] + rng.exponential(_GAP[1], shape)
    onset, offset = rng.uniform(*_ONSET, shape), rng.uniform(*_OFFSET, shape)
    apex = np.exp(rng.uniform(math.log(_APEX[0]), math.log(_APEX[1]), shape))
    peak = rng.gamma(3.0, 1 / 3, shape)
    length = onset + apex + offset
    start = (gap + length).cumsum(axis=1) - length - before
    return _Episodes(start, onset, apex, offset, peak)


def _draw_activity(rng: np.random.Generator, frames: int, step: float) -> Vector:
    """(frames, A) what the episodes of all causes, and those of each AU alone, bring about."""
    shared = loadings()
    aus, causes = np.nonzero(shared)
    drawn = _draw_episodes(rng, shared.shape[1] + len(RIG_AUS), frames * step)
    # One line for each AU that follows a cause, then one for each AU by itself.
    source = np.concatenate([causes, shared.shape[1] + np.arange(len(RIG_AUS))])
    target = np.concatenate([aus, np.arange(len(RIG_AUS))])
    weight = np.concatenate([shared[aus, causes], _own(shared)])
    shape = (len(source), drawn.start.shape[1])
    late, long = rng.uniform(0, _LAG, shape), rng.uniform(0, _LAG, shape)
    lines = _Episodes(
        drawn.start[source] + late,
        drawn.onset[source] * rng.uniform(0.85, 1.2, shape),
        drawn.apex[source] + long - late,
        drawn.offset[source] * rng.uniform(0.85, 1.2, shape),
        drawn.peak[source] * np.exp(rng.normal(0, 0.12, shape)) * weight[:, None],
    )
    return _play(lines, target, frames, step)


def _play(lines: _Episodes, target: NDArray[np.integer], frames: int, step: float) -> Vector:
    """(frames, A) the sum of lines of episodes, line k moving AU number target[k]."""
    stop = lines.start + lines.onset + lines.apex + lines.offset
    first = np.clip(np.ceil(lines.start / step), 0, frames).astype(int)
    counts = (np.clip(np.ceil(stop / step), 0, frames).astype(int) - first).ravel()
    # All frames of all episodes in one long row: which episode, and which frame.
    episode = np.repeat(np.arange(first.size), counts)
    frame = np.arange(len(episode)) - np.repeat(counts.cumsum() - counts, counts) + first.ravel()[episode]
    since = frame * step - lines.start.ravel()[episode]
    rise = since / lines.onset.ravel()[episode]
    fall = (stop.ravel()[episode] - frame * step) / lines.offset.ravel()[episode]
    height = lines.peak.ravel()[episode] * _ease(np.minimum(rise, 1) ** 0.7) * _ease(np.minimum(fall, 1))
    cell = frame * len(RIG_AUS) + np.repeat(target, first.shape[1])[episode]
    total = np.bincount(cell, weights=height, minlength=frames * len(RIG_AUS))
    return np.asarray(total.reshape(frames, len(RIG_AUS)))


def _ease(part: Vector) -> Vector:
    """From 0 at 0 to 1 at 1 with soft ends."""
    return np.asarray(part * part * (3 - 2 * part))
