import numpy as np

from facsynth.colour import between, draw_colouring, linear

EUROPEAN, AFRICAN = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])


def test_between_follows_a_scale() -> None:
    scale = ("#000000", "#808080", "#ffffff")
    assert np.allclose(between(scale, 0.5), linear("#808080"))
    assert np.allclose(between(scale, 0.75), (linear("#808080") + 1) / 2)
    assert np.allclose(between(scale, 3.0), 1)


def test_hair_turns_grey_with_age_and_brows_later() -> None:
    def mean(years: float, part: str) -> float:
        people = [draw_colouring(np.random.default_rng(s), AFRICAN, 1.0, years, 0.9) for s in range(20)]
        return float(np.mean([getattr(person, part).mean() for person in people]))

    assert mean(75, "hair") > 5 * mean(20, "hair")
    assert mean(75, "hair") > mean(75, "brow") > 2 * mean(20, "brow")


def test_fair_people_have_eyes_of_all_colours_and_dark_ones_mostly_brown() -> None:
    def blue(ancestry: np.ndarray, tone: float) -> float:
        irises = [draw_colouring(np.random.default_rng(s), ancestry, 0.5, 30, tone).iris for s in range(60)]
        return float(np.mean([iris[2] > iris[0] for iris in irises]))

    assert 0.2 < blue(EUROPEAN, 0.05) < 0.9
    assert blue(AFRICAN, 0.9) == 0


def test_the_white_of_the_eyes_is_no_lamp() -> None:
    for seed in range(20):
        colours = draw_colouring(np.random.default_rng(seed), EUROPEAN, 0.5, 20 + 3 * seed, seed / 20)
        assert 0.35 < colours.sclera.mean() < 0.62
        assert colours.sclera[0] > colours.sclera[2]
