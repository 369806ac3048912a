import numpy as np
import pytest

from facsynth.noise import noise, relief_noise, smoothstep
from facsynth.texture import TEXTURE


@pytest.mark.parametrize("across", [2.5, 16, 60])
def test_noise_has_unit_spread_and_the_grain_asked_for(across: float) -> None:
    field = noise(np.random.default_rng(0), across)
    assert field.shape == (TEXTURE, TEXTURE) and field.dtype == np.float32
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, rel=1e-4)
    near = np.corrcoef(field[:, 1:].ravel(), field[:, :-1].ravel())[0, 1]
    far = np.corrcoef(field.ravel(), np.roll(field, round(2 * across), axis=1).ravel())[0, 1]
    assert near > 0.6 and abs(far) < 0.2


def test_places_differ_and_repeat_with_their_numbers() -> None:
    first, again, other = (noise(np.random.default_rng(seed), 8) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.2


def test_slopes_are_those_of_a_surface() -> None:
    """Round any closed way a surface comes back to its height, so its slopes have no curl."""
    relief = relief_noise(np.random.default_rng(0), 8)
    assert relief[..., :2].std() == pytest.approx(1, abs=0.05)
    x_upwards = relief[:-2, 1:-1, 0] - relief[2:, 1:-1, 0]
    z_rightwards = relief[1:-1, 2:, 1] - relief[1:-1, :-2, 1]
    assert np.corrcoef(x_upwards.ravel(), z_rightwards.ravel())[0, 1] > 0.99
    assert relief[..., 2].min() == 0 and 0.3 < relief[..., 2].max() <= 1


def test_smoothstep() -> None:
    assert smoothstep(np.array([-1, 0, 0.5, 1, 2.0])).tolist() == [0, 0, 0.5, 1, 1]
