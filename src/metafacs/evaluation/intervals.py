"""Student's t confidence interval of a mean, for the few paired differences that a comparison has."""

import math
from collections.abc import Sequence

import numpy as np


def mean_interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The two ends of the t-based confidence interval of the mean; NaN for fewer than two values.

    Args:
        values: (n,) finite numbers.
        level: the confidence, in (0, 1).

    Example:
        >>> [round(end, 3) for end in mean_interval([1.0, 2.0, 3.0])]
        [-0.484, 4.484]
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) < 2:
        return math.nan, math.nan
    half = t_quantile(level, len(numbers) - 1) * float(numbers.std(ddof=1)) / math.sqrt(len(numbers))
    return float(numbers.mean()) - half, float(numbers.mean()) + half


def t_quantile(level: float, freedom: int) -> float:
    """The t with P(-t < T < t) = `level` for Student's T with `freedom` degrees of freedom.

    Bisection on the closed form of that probability (Abramowitz and Stegun, 26.7.3 and 26.7.4), which saves a
    dependency on SciPy.

    Example:
        >>> round(t_quantile(0.95, 4), 3)
        2.776
    """
    if not 0 < level < 1 or freedom < 1:
        raise ValueError(f"level {level} has to be in (0, 1) and freedom {freedom} at least 1")
    low, high = 0.0, math.pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        if _central_probability(middle, freedom) < level:
            low = middle
        else:
            high = middle
    return math.tan((low + high) / 2) * math.sqrt(freedom)


def _central_probability(angle: float, freedom: int) -> float:
    """P(|T| < tan(angle) * sqrt(freedom))."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(2 if odd else 1, freedom, 2):
        total += term
        term *= cosine * cosine * k / (k + 1)
    return (angle + sine * total) * 2 / math.pi if odd else sine * total
