"""How many examples hypothesis makes, and arrays for it; always the same ones, so that a red test is red again."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

SHORT, LONG = 15, 1000
COUNTS = [SHORT, pytest.param(LONG, marks=pytest.mark.slow)]
"""For `pytest.mark.parametrize("count", COUNTS)`: examples of the short and of the long form."""


def run(check: Any, count: int) -> None:
    """Calls a check that `hypothesis.given` was put around with `count` examples, derandomised.

    A failing example is not made smaller, which may take minutes; add `Phase.shrink` to look into one.
    """
    how = settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    how(check)()


def masked_labels(aus: int, most: int = 24) -> st.SearchStrategy[NDArray[np.float64]]:
    """(n, aus) labels, 0, 1 or NaN; whole columns of one value are likely, as are no rows at all."""
    kinds = st.sampled_from([(0.0, 1.0, np.nan), (0.0, np.nan), (1.0, np.nan), (np.nan,), (0.0, 1.0), (1.0,), (0.0,)])

    @st.composite
    def made(draw: st.DrawFn) -> NDArray[np.float64]:
        n = draw(st.integers(0, most))
        columns = [draw(st.lists(st.sampled_from(draw(kinds)), min_size=n, max_size=n)) for _ in range(aus)]
        return np.array(columns, np.float64).reshape(aus, n).T.copy()

    return made()


def probabilities(draw: st.DrawFn, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Numbers in [0, 1], often few different ones, so that ties and values at a threshold are common."""
    size = int(np.prod(shape))
    few = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 1e-12, np.nextafter(0.5, 0)])
    any_one = draw(st.sampled_from([few, st.floats(0, 1, width=32)]))
    return np.array(draw(st.lists(any_one, min_size=size, max_size=size)), np.float64).reshape(shape)
