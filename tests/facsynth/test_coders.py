import numpy as np
import pytest

from facsynth.activity import calibrate, draw_latent, draw_temper, intensities
from facsynth.coders import code
from facsynth.rig import RIG_AUS
from metafacs.errors import InputError
from metafacs.facs import AU_SETS

BP4D = [RIG_AUS.index(au) for au in AU_SETS["bp4d"]]
STEP = 0.04


@pytest.fixture(scope="module")
def courses() -> list[np.ndarray]:
    rngs = [np.random.default_rng([13, number]) for number in range(60)]
    latents = [draw_latent(rng, draw_temper(rng), 400, STEP) for rng in rngs]
    scale = calibrate(latents, {})
    return [intensities(latent, scale) for latent in latents]


def coded(courses: list[np.ndarray], noise: float, coder: int = 0) -> np.ndarray:
    rngs = [np.random.default_rng([14, coder, number]) for number in range(len(courses))]
    return np.concatenate([code(course, noise, rng, STEP) for course, rng in zip(courses, rngs, strict=True)])


def kappa(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one[:, BP4D] >= 2, other[:, BP4D] >= 2
    chance = one.mean(axis=0) * other.mean(axis=0) + (~one).mean(axis=0) * (~other).mean(axis=0)
    return ((one == other).mean(axis=0) - chance) / (1 - chance)


def test_without_noise_a_coder_writes_the_truth(courses: list[np.ndarray]) -> None:
    assert np.array_equal(coded(courses, 0), np.floor(np.concatenate(courses)))


@pytest.mark.parametrize(("noise", "truth", "coders"), [(0.25, 0.95, 0.92), (0.5, 0.90, 0.85), (1.0, 0.81, 0.74)])
def test_coders_are_as_reliable_as_stated(courses: list[np.ndarray], noise: float, truth: float, coders: float) -> None:
    levels = coded(courses, noise)
    assert levels.min() == 0 and levels.max() == 5 and levels.dtype.kind == "i"
    assert kappa(levels, np.concatenate(courses)).mean() == pytest.approx(truth, abs=0.02)
    assert kappa(levels, coded(courses, noise, coder=1)).mean() == pytest.approx(coders, abs=0.03)


def test_a_face_at_rest_is_coded_as_such() -> None:
    assert not code(np.zeros((50, len(RIG_AUS))), 1.0, np.random.default_rng(0)).any()


def test_negative_noise_is_refused() -> None:
    with pytest.raises(InputError, match=r"noise is -0\.5"):
        code(np.zeros((3, len(RIG_AUS))), -0.5, np.random.default_rng(0))
