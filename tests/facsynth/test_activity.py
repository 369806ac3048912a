import numpy as np
import pytest

from facsynth.activity import (
    LEVELS,
    RATES,
    calibrate,
    draw_course,
    draw_latent,
    draw_temper,
    draw_wobble,
    intensities,
    side_levels,
    sides,
    with_resting,
)
from facsynth.rig import RIG_AUS
from metafacs.errors import InputError
from metafacs.facs import AU_SETS

# DATASETS' figures, percent of frames, counted over the three test parts.
BP4D = (21.14, 17.10, 20.26, 46.09, 54.90, 59.43, 56.20, 46.56, 16.94, 34.33, 16.54, 15.14)
DISFA = (4.97, 4.31, 15.24, 7.89, 4.18, 12.88, 27.71, 8.82)


def draw_latents(people: int, sequences: int, frames: int, step: float) -> list[np.ndarray]:
    out = []
    for number in range(people):
        temper = draw_temper(np.random.default_rng([9, number]))
        rngs = [np.random.default_rng([9, number, sequence]) for sequence in range(sequences)]
        out += [draw_latent(rng, temper, frames, step) for rng in rngs]
    return out


@pytest.fixture(scope="module")
def latents() -> list[np.ndarray]:
    return draw_latents(people=40, sequences=4, frames=250, step=0.04)


@pytest.fixture(scope="module")
def courses(latents: list[np.ndarray]) -> np.ndarray:
    scale = calibrate(latents, {})
    return np.stack([intensities(latent, scale) for latent in latents])


def column(values: np.ndarray, au: int) -> np.ndarray:
    return values[..., RIG_AUS.index(au)]


@pytest.mark.parametrize(("name", "percents"), [("bp4d", BP4D), ("disfa", DISFA)])
def test_base_rates_are_met_after_settling(latents: list[np.ndarray], name: str, percents: tuple[float, ...]) -> None:
    rates = {au: percent / 100 for au, percent in zip(AU_SETS[name], percents, strict=True)}
    scale = calibrate(latents, rates)
    present = np.concatenate([intensities(latent, scale) for latent in latents]) >= 2
    for au in RIG_AUS:
        assert column(present, au).mean() == pytest.approx(rates.get(au, RATES[au]), abs=1e-3)


def test_levels_come_as_often_as_asked(courses: np.ndarray) -> None:
    for au in RIG_AUS:
        levels = np.floor(column(courses, au))
        shares = [(levels >= level).sum() / (levels >= 2).sum() for level in (3, 4, 5)]
        assert shares == pytest.approx(LEVELS, abs=0.02)
        assert (levels == 1).any()


def test_a_few_frames_can_be_calibrated() -> None:
    few = draw_latents(people=3, sequences=1, frames=4, step=0.5)
    scale = calibrate(few, {12: 0.5, 4: 0.0, 1: 1.0})
    course = np.concatenate([intensities(latent, scale) for latent in few])
    assert (column(course, 12) >= 2).sum() == 6
    assert (column(course, 4) < 1).all() and (column(course, 1) >= 2).all()
    assert course.min() >= 0 and course.max() < 6


def test_rates_that_cannot_be_are_refused(latents: list[np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"AU12: 1\.2"):
        calibrate(latents, {12: 1.2})
    with pytest.raises(InputError, match="AU99"):
        calibrate(latents, {99: 0.1})
    with pytest.raises(InputError, match="no frame"):
        calibrate([], {})


def test_aus_co_occur_as_in_faces(courses: np.ndarray) -> None:
    together = np.corrcoef((courses >= 2).reshape(-1, len(RIG_AUS)).T)
    for one, other in ((1, 2), (6, 12), (6, 7), (10, 12), (25, 26), (15, 17), (23, 24)):
        assert together[RIG_AUS.index(one), RIG_AUS.index(other)] > 0.15
    for one, other in ((12, 4), (24, 25)):
        assert together[RIG_AUS.index(one), RIG_AUS.index(other)] < 0


def test_the_same_random_numbers_give_the_same_course() -> None:
    one, other = (draw_course(rng, draw_temper(rng), 30) for rng in (np.random.default_rng(3) for _ in range(2)))
    assert np.array_equal(one, other)
    assert one.shape == (30, len(RIG_AUS))


def test_what_excludes_each_other_does_not_meet(courses: np.ndarray) -> None:
    assert not ((column(courses, 24) >= 2) & (column(courses, 26) >= 1)).any()
    assert not ((column(courses, 27) >= 2) & (column(courses, 26) >= 1)).any()
    dropped = column(courses, 26) >= 2
    assert (column(courses, 25)[dropped] >= 2).all()


def test_the_resting_face_is_faint_and_shown_but_not_labelled() -> None:
    tempers = [draw_temper(np.random.default_rng(number)) for number in range(200)]
    resting = np.stack([temper.resting for temper in tempers])
    assert resting.min() == 0 and 0.1 < resting.max() <= 0.15
    shown = (resting > 0).any(axis=1).sum(axis=1)
    assert 0.5 < shown.mean() < 3 and shown.max() <= 6
    assert not ((column(resting, 12) > 0) & (column(resting, 15) > 0)).any()
    acting = np.zeros((2, 2, len(RIG_AUS)))
    acting[1] = 1.1
    drawn = with_resting(acting, resting[0])
    assert np.array_equal(drawn[0], resting[0]) and np.array_equal(drawn[1], acting[1])


def test_sides_differ_as_the_person_is_asymmetric() -> None:
    lean = np.zeros(len(RIG_AUS))
    lean[0] = 0.2
    right, left = sides(np.full((1, len(RIG_AUS)), 0.5), lean, np.zeros((1, len(RIG_AUS))))[0]
    assert (right[0], left[0]) == pytest.approx((0.4, 0.6))
    assert right[1] == left[1] == 0.5


def test_levels_of_the_sides_are_those_of_the_course_or_next_to_them(courses: np.ndarray) -> None:
    course = courses[0]
    still = np.zeros_like(course)
    even = side_levels(course, np.zeros(len(RIG_AUS)), still)
    assert (even == np.floor(course)[:, None]).all()
    lean = np.random.default_rng(0).normal(0, 0.12, len(RIG_AUS))
    levels = side_levels(course, lean, draw_wobble(np.random.default_rng(1), len(course), 0.04))
    excess = levels.max(axis=1) - np.floor(course)
    assert excess.min() == 0 and excess.max() == 1
    assert levels.min() >= 0 and levels.max() <= 5
    tilted = np.abs(lean) > 0.1
    stronger = np.where(lean > 0, levels[:, 1] - levels[:, 0], levels[:, 0] - levels[:, 1])[:, tilted]
    assert (stronger >= 0).mean() > 0.98 and stronger.max() >= 1
