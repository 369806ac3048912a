"""The learning rate as a function of the step, so that a resumed run needs no state for it."""

import math

from metafacs.config import Schedule


def learning_rate_factor(step: int, steps: int, schedule: Schedule, warmup: float = 0.0) -> float:
    """What the base learning rate is multiplied by in `step` of `steps`, in (0, 1].

    Args:
        step: from 0.
        steps: of the whole run.
        schedule: "constant"; "cosine" falls to zero along half a cosine; "one-cycle" rises along a line over the
            first 30 % of the run, then falls like "cosine".
        warmup: share of the run in which "constant" and "cosine" rise from zero along a line.

    Example:
        >>> [round(learning_rate_factor(k, 4, "cosine"), 2) for k in range(4)]
        [1.0, 0.85, 0.5, 0.15]
    """
    rise = max(0.3 if schedule == "one-cycle" else warmup, 0.0) * steps
    if step < rise:
        return (step + 1) / (math.floor(rise) + 1)
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise)))
