"""Student's t confidence interval of a mean, for the few paired differences that a comparison has."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit  # scipy.stats takes a second to import


def mean_interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The two ends of the t-based confidence interval of the mean; NaN for fewer than two values.

    Args:
        values: (n,) finite numbers.
        level: the confidence, in (0, 1).

    Raises:
        ValueError: a level that is not one.

    Example:
        >>> [round(end, 3) for end in mean_interval([1.0, 2.0, 3.0])]
        [-0.484, 4.484]
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} has to be in (0, 1)")
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) < 2:
        return math.nan, math.nan
    quantile = float(stdtrit(len(numbers) - 1, (1 + level) / 2))
    half = quantile * float(numbers.std(ddof=1)) / math.sqrt(len(numbers))
    return float(numbers.mean()) - half, float(numbers.mean()) + half
