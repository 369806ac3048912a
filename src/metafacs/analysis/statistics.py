"""Rank correlation, and its interval by bootstrap over people or images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Vector = NDArray[np.float64]
REPLICATES = 1000


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
        y: (n,), NaN where nothing is known: those do not count.

    Example:
        >>> round(spearman(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4])), 3)
        0.8
    """
    known = ~np.isnan(y)
    x, y = x[known], y[known]
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


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
    rows, n = np.atleast_2d(y), len(x)
    value = float(np.mean([spearman(x, row) for row in rows]))
    codes = np.unique(groups, return_inverse=True)[1] if groups is not None else np.arange(n)
    people = int(codes.max()) + 1 if n else 0
    if people < 3 or np.isnan(value):
        return Estimate(value, float("nan"), float("nan"), n)
    rng = np.random.default_rng([seed, people])
    correlations = []
    for times in rng.multinomial(people, np.full(people, 1 / people), size=replicates):
        images = np.repeat(np.arange(n), times[codes])
        correlations.append(np.mean([spearman(x[images], row[images]) for row in rows]))
    low, high = np.nanpercentile(correlations, (2.5, 97.5))
    return Estimate(value, float(low), float(high), n)
