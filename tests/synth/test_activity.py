import numpy as np
import pytest

from metafacs.facs import AU_SETS
from metafacs.synth.activity import RATES, draw_course, draw_temper, loadings, normal_cdf, settle, sides, strength
from metafacs.synth.rig import RIG_AUS

# DATASETS' figures for BP4D, percent of frames, counted over its three test parts.
BP4D = (21.14, 17.10, 20.26, 46.09, 54.90, 59.43, 56.20, 46.56, 16.94, 34.33, 16.54, 15.14)


@pytest.fixture(scope="module")
def courses() -> np.ndarray:
    people = [np.random.default_rng([9, number]) for number in range(250)]
    return np.stack([draw_course(rng, draw_temper(rng), 20) for rng in people])


def column(values: np.ndarray, au: int) -> np.ndarray:
    return values[..., RIG_AUS.index(au)]


def test_base_rates_are_close_to_bp4d(courses: np.ndarray) -> None:
    present = (courses >= 2).mean(axis=(0, 1))
    for au, rate in zip(AU_SETS["bp4d"], BP4D, strict=True):
        assert 100 * column(present, au) == pytest.approx(rate, abs=6)


def test_aus_co_occur_as_in_faces(courses: np.ndarray) -> None:
    together = np.corrcoef((courses >= 2).reshape(-1, len(RIG_AUS)).T)
    for one, other in ((6, 12), (1, 2), (10, 12), (4, 17)):
        assert together[RIG_AUS.index(one), RIG_AUS.index(other)] > 0.1
    assert together[RIG_AUS.index(12), RIG_AUS.index(4)] < 0


def test_intensities_rise_and_fall_rather_than_jump(courses: np.ndarray) -> None:
    steps = np.abs(np.diff(courses, axis=1)).mean()
    strangers = np.abs(courses[1:] - courses[:-1]).mean()
    assert steps < 0.7 * strangers
    assert courses.min() >= 0 and courses.max() < 6


def test_what_excludes_each_other_does_not_meet(courses: np.ndarray) -> None:
    assert not ((column(courses, 24) >= 2) & (column(courses, 26) >= 2)).any()
    assert not ((column(courses, 27) >= 1) & (column(courses, 26) >= 1)).any()
    dropped = column(courses, 26) >= 2
    assert (column(courses, 25)[dropped] >= 2).all()


def test_settling_leaves_its_argument_alone() -> None:
    course = np.full((1, len(RIG_AUS)), 3.0)
    assert column(settle(course), 26)[0] == 0
    assert (course == 3).all()


def test_strength_rises_with_intensity() -> None:
    levels = np.linspace(0, 5.999, 50)
    assert (np.diff(strength(levels)) > 0).all()
    assert strength(np.array([0.0, 6.0])).tolist() == [0, 1]


def test_sides_differ_as_the_person_is_asymmetric() -> None:
    lean = np.zeros(len(RIG_AUS))
    lean[0] = 0.2
    right, left = sides(np.full((1, len(RIG_AUS)), 0.5), lean, np.zeros((1, len(RIG_AUS))))[0]
    assert (right[0], left[0]) == pytest.approx((0.4, 0.6))
    assert right[1] == left[1] == 0.5


def test_common_causes_leave_room_for_each_au() -> None:
    assert ((loadings() ** 2).sum(axis=1) < 1).all()
    assert set(RATES) == set(RIG_AUS)
    assert normal_cdf(np.array([0.0]))[0] == pytest.approx(0.5)
