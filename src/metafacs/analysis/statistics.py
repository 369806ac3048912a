"""Rank correlation, and its interval by bootstrap over people or images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
REPLICATES = 1000
_CHUNK = 4_000_000
"""Numbers that are held at once, at most about."""


@dataclass(frozen=True)
class Estimate:
    """A number, the two ends of its interval (NaN where there is none), and how many images it rests on."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """As figures print it.

        Example:
            >>> str(Estimate(0.123, -0.05, 0.3, 10))
            '0.12 [−0.05, 0.30]'
        """
        text = f"{self.value:.2f}"
        text += "" if np.isnan(self.low) else f" [{self.low:.2f}, {self.high:.2f}]"
        return text.replace("-", "−")


def spearman(x: Vector, y: Vector) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN where one side is constant or has under two values.

    Args:
        x: (n,) finite.
        y: (n,) finite.

    Example:
        >>> round(spearman(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4])), 3)
        0.8
    """
    if len(x) < 2:
        return float("nan")
    return float(_correlations(x, y[None], np.ones((1, len(x))))[0])


def spearman_interval(
    x: Vector, y: Vector, groups: NDArray[np.generic] | None = None, replicates: int = REPLICATES, seed: int = 0
) -> Estimate:
    """Spearman's correlation of x with each row of y, averaged over the rows, and its 95 % percentile interval.

    The bootstrap draws groups (people), or images where there are none; the rows of y, one for each run, are kept
    together, because all runs saw the same images.

    Args:
        x: (n,) finite.
        y: (n,) or (R, n), NaN where a run has nothing to say of an image.
        groups: (n,) who is in each image; an own one for each where None.
        replicates: bootstrap samples.
        seed: of the bootstrap.
    """
    rows = np.atleast_2d(y)
    n = len(x)
    value = float(_correlations(x, rows, np.ones((1, n)))[0]) if n > 1 else float("nan")
    codes = np.unique(groups, return_inverse=True)[1] if groups is not None else np.arange(n)
    people = int(codes.max()) + 1 if n else 0
    if people < 3 or np.isnan(value):
        return Estimate(value, float("nan"), float("nan"), n)
    rng = np.random.default_rng([seed, people])
    found: list[Vector] = []
    each = max(1, _CHUNK // n)
    for first in range(0, replicates, each):
        drawn = rng.multinomial(people, np.full(people, 1 / people), size=min(each, replicates - first))
        found.append(_correlations(x, rows, drawn[:, codes].astype(np.float64)))
    low, high = np.nanpercentile(np.concatenate(found), (2.5, 97.5))
    return Estimate(value, float(low), float(high), n)


def _correlations(x: Vector, rows: Vector, counts: Vector) -> Vector:
    """(K,) mean over the rows of the rank correlation when image i is there counts[k, i] times.

    Images on which a row is NaN do not count for that row.
    """
    each = []
    for row in rows:
        own = counts * ~np.isnan(row)
        each.append(_pearson(_ranks(x, own), _ranks(np.nan_to_num(row), own), own))
    return np.asarray(np.mean(each, axis=0))


def _ranks(values: Vector, counts: Vector) -> Vector:
    """(K, n) mean rank of every value among the counted ones."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)
    sizes = np.diff(np.append(starts, len(values)))
    tied = np.add.reduceat(counts[:, order], starts, axis=1)
    mean_rank = np.cumsum(tied, axis=1) - (tied - 1) / 2
    ranks = np.empty_like(counts)
    ranks[:, order] = np.repeat(mean_rank, sizes, axis=1)
    return ranks


def _pearson(a: Vector, b: Vector, counts: Vector) -> Vector:
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    a = a - (a * counts).sum(axis=1, keepdims=True) / total
    b = b - (b * counts).sum(axis=1, keepdims=True) / total
    scale = np.sqrt((a * a * counts).sum(axis=1) * (b * b * counts).sum(axis=1))  # 0: one side is constant
    return np.where(scale > 0, (a * b * counts).sum(axis=1) / np.where(scale > 0, scale, 1), np.nan)
