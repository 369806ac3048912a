"""Intensities of AUs over time: activity in FACS levels that meet given base rates, and what of it each side shows."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facsynth.courses import Temper, draw_latent, draw_temper, loadings, smooth_noise
from facsynth.rig import RIG_AUS
from metafacs.errors import InputError
from metafacs.facs import INTENSITY_MAX, PRESENT_FROM

__all__ = [
    "LEVELS",
    "RATES",
    "Scale",
    "Temper",
    "calibrate",
    "draw_course",
    "draw_latent",
    "draw_temper",
    "draw_wobble",
    "intensities",
    "loadings",
    "settle",
    "side_levels",
    "sides",
    "standard_scale",
    "strength",
    "with_resting",
]

Vector = NDArray[np.floating[Any]]

RATES: Mapping[int, float] = MappingProxyType(
    {1: 0.21, 2: 0.17, 4: 0.20, 6: 0.46, 7: 0.55, 10: 0.59, 12: 0.56, 14: 0.47, 15: 0.17, 17: 0.34, 23: 0.17, 24: 0.15}
    | {5: 0.03, 9: 0.06, 16: 0.03, 18: 0.03, 20: 0.04, 22: 0.03, 25: 0.28, 26: 0.12, 27: 0.02, 28: 0.03, 43: 0.04}
)
"""Share of frames in which an AU is present; the twelve of BP4D as counted there."""

LEVELS = (0.62, 0.30, 0.08)
"""Of the frames in which an AU is present, the shares at intensity 3, 4 and 5 or more."""

# AU -> the AUs that rule it out from an intensity on, and hold it down in proportion before that: pressed or sucked-in
# lips do not part, a stretched mouth takes over from a dropped jaw, closed eyes do not widen. Every AU stands behind
# those it depends on.
_RULED_OUT: Mapping[int, tuple[tuple[int, int], ...]] = MappingProxyType(
    {
        24: ((28, 2),),
        27: ((24, 2), (28, 2)),
        26: ((24, 2), (28, 2), (27, 2)),
        25: ((24, 2), (28, 2)),
        16: ((24, 2), (28, 2)),
        22: ((24, 2), (28, 2)),
        5: ((43, 1),),
    }
)
_OPENED_BY = (26, 27)  # lips part (AU25) at least as far as the jaw drops
_ORDER = (*(au for au in RIG_AUS if au not in _RULED_OUT), *_RULED_OUT)  # in which AUs can be settled one by one
_STRENGTHS = (0.0, 0.14, 0.34, 0.52, 0.70, 0.86, 1.0)  # rendered strength where intensity 0, 1 ... begins, and the end
_TOP = INTENSITY_MAX + 0.999
_FAINT = 0.6  # standard deviations of activity below a trace over which a face comes to rest
_LEAN = 0.35  # by how much a side may act more or less than both on average, at most
_WOBBLE, _WOBBLE_PACE = 0.05, 1.0  # standard deviation of the lean over time, and seconds over which it changes


@dataclass(frozen=True, eq=False)
class Scale:
    """What turns activity into FACS levels.

    Attributes:
        cuts: (A, 7) rising: the activity at which the intensities 0, 1 ... 5 begin, and where 6 would.
    """

    cuts: Vector


def calibrate(latents: Sequence[Vector], rates: Mapping[int, float]) -> Scale:
    """The scale with which AUs are present as often as asked, counted over all given frames after `settle`.

    Within the present frames the levels 3, 4 and 5 come as often as `LEVELS` says. Shares are met to the frame, unless
    other AUs leave too few frames, or open the lips (AU25) in too many.

    Args:
        latents: (n, A) each, from `draw_latent`: the sequences of a dataset.
        rates: AU -> share of the frames at `PRESENT_FROM` or more; AUs that are missing have their rate of `RATES`.

    Raises:
        InputError: there is no frame, or a rate is not a share or of an AU that cannot be rendered.
    """
    wrong = [f"AU{au}: {rate}" for au, rate in rates.items() if au not in RIG_AUS or not 0 <= rate <= 1]
    if wrong:
        raise InputError(
            f"base rates that cannot be: {', '.join(wrong)}; give shares from 0 to 1 of AUs of "
            f"{', '.join(map(str, RIG_AUS))}"
        )
    if not sum(map(len, latents)):
        raise InputError("there is no frame to count base rates over; ask for at least one frame")
    latent = np.concatenate(latents)
    course, cuts = np.zeros(latent.shape), np.zeros((len(RIG_AUS), INTENSITY_MAX + 2))
    for au in _ORDER:
        column = RIG_AUS.index(au)
        rate = rates.get(au, RATES[au])
        least, most = _bounds(course, au)
        cuts[column] = _cuts(latent[:, column], least, most, rate)
        course[:, column] = np.clip(_levels(latent[:, column], cuts[column]), least, most)
    return Scale(cuts)


def _cuts(latent: Vector, least: Vector, most: Vector, rate: float) -> Vector:
    """(7,) where the levels begin, so that an AU that other AUs hold between two intensities reaches its rate."""
    trace = rate + 0.35 * rate * (1 - rate) + 0.01 * (rate > 0)
    lowest, highest = latent.min(), latent.max()
    top = highest + 0.05 * (highest - lowest) + 0.01
    cuts = []
    for level, share in enumerate((trace, rate, *(rate * share for share in LEVELS)), start=1):
        values = np.sort(latent[(least < level) & (most >= level)])
        count = int(np.clip(round(len(latent) * share) - (least >= level).sum(), 0, len(values)))
        # Halfway between the last value that reaches the level and the first that does not.
        edges = np.concatenate([[lowest - 0.01], values, [top]])
        cuts.append((edges[len(values) - count] + edges[len(values) - count + 1]) / 2)
    cuts = [cuts[0] - _FAINT, *cuts, max(top, cuts[-1] + 0.01)]
    return np.asarray(np.maximum.accumulate(cuts) + 1e-9 * np.arange(len(cuts)))


def intensities(latent: Vector, scale: Scale) -> Vector:
    """(frames, A) FACS intensities as numbers in [0, 6), whose floor is the level; `settle` has been applied.

    Args:
        latent: (frames, A) from `draw_latent`.
        scale: from `calibrate`.
    """
    return settle(np.stack([_levels(latent[:, k], scale.cuts[k]) for k in range(len(RIG_AUS))], axis=1))


def _levels(latent: Vector, cuts: Vector) -> Vector:
    out = np.interp(latent, cuts, np.arange(len(cuts)))
    return np.minimum(np.where(out < 1, out**2, out), _TOP)


def settle(course: Vector) -> Vector:
    """Takes back AUs that others rule out, and parts the lips of a dropped jaw.

    Args:
        course: (n, A) intensities; left as it is.
    """
    out = course.copy()
    for au in _RULED_OUT:
        column = RIG_AUS.index(au)
        out[:, column] = np.clip(out[:, column], *_bounds(out, au))
    return out


def _bounds(course: Vector, au: int) -> tuple[Vector, Vector]:
    """(n,) the least and the greatest intensity other AUs leave to an AU; course: (n, A) with these AUs settled."""
    most = np.full(len(course), _TOP)
    for rival, level in _RULED_OUT.get(au, ()):
        most = np.minimum(most, _TOP * np.clip(1 - course[:, RIG_AUS.index(rival)] / level, 0, 1))
    least = np.zeros(len(course))
    if au == 25:
        jaw = course[:, [RIG_AUS.index(opening) for opening in _OPENED_BY]].max(axis=1)
        least = np.interp(jaw, [1, PRESENT_FROM, _TOP], [0, PRESENT_FROM, _TOP])  # a trace of AU26 need not open them
    return np.minimum(least, most), most


@functools.cache
def standard_scale() -> Scale:
    """The scale that meets `RATES` over many short sequences of many people."""
    people = [np.random.default_rng([11, number]) for number in range(300)]
    return calibrate([draw_latent(rng, draw_temper(rng), 25, 0.2) for rng in people], RATES)


def draw_course(rng: np.random.Generator, temper: Temper, frames: int, step: float = 0.2) -> Vector:
    """(frames, A) intensities in [0, 6) of one sequence of anybody, on the standard scale.

    Args:
        rng: the sequence's own random numbers.
        temper: the person's.
        frames: how many frames.
        step: seconds between frames.
    """
    return intensities(draw_latent(rng, temper, frames, step), standard_scale())


def strength(course: Vector) -> Vector:
    """Rendered strength in [0, 1] of intensities in [0, 6); rises with every bit of intensity."""
    return np.asarray(np.interp(course, np.arange(7), _STRENGTHS))


def draw_wobble(rng: np.random.Generator, frames: int, step: float) -> Vector:
    """(frames, A) how the lean to one side changes over a sequence, for `sides` and `side_levels`.

    Args:
        rng: the sequence's own random numbers.
        frames: how many frames.
        step: seconds between frames.
    """
    return _WOBBLE * smooth_noise(rng, np.arange(frames) * (step / _WOBBLE_PACE), len(RIG_AUS))


def sides(strengths: Vector, asymmetry: Vector, wobble: Vector) -> Vector:
    """(n, 2, A) strengths on the right and the left.

    Args:
        strengths: (n, A) mean of both sides.
        asymmetry: (A,) the person's; positive where the left acts more.
        wobble: (n, A) deviations of single frames.
    """
    lean = np.clip(asymmetry + wobble, -_LEAN, _LEAN)
    return np.clip(np.stack([strengths * (1 - lean), strengths * (1 + lean)], axis=1), 0, 1.3)


def side_levels(course: Vector, asymmetry: Vector, wobble: Vector) -> NDArray[np.int64]:
    """(n, 2, A) FACS levels 0-5 of the right and the left, read off what `sides` renders.

    The level of a course is that of both sides on average. The stronger side has this level or the next, the weaker
    one this level or less: where a lean would carry a side two levels up, it counts one.

    Args:
        course: (n, A) intensities in [0, 6).
        asymmetry: (A,) as for `sides`.
        wobble: (n, A) as for `sides`.
    """
    shown = sides(strength(course), asymmetry, wobble)
    # A side without any lean must come back to its own intensity, whatever the rounding.
    read = np.floor(np.interp(shown, _STRENGTHS, np.arange(7)) + 1e-9).astype(np.int64)
    both = np.floor(course).astype(np.int64)[:, None]
    return np.asarray(np.minimum(read, np.minimum(both + 1, INTENSITY_MAX)))


def with_resting(acting: Vector, resting: Vector) -> Vector:
    """(n, 2, A) strengths to render: those of the AUs in action on top of the face at rest.

    Args:
        acting: (n, 2, A) from `sides`.
        resting: (2, A) from `Temper.resting`; what an AU does beyond it counts the less the more it acts.
    """
    return np.asarray(acting + resting * np.maximum(1 - acting, 0))
