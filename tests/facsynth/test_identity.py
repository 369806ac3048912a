from itertools import pairwise

import numpy as np
import pytest

from facsynth.hair import STYLES, Cut, give_volume
from facsynth.head import SKIN, Head
from facsynth.identity import OLDEST, YOUNGEST, Demographics, draw_person, spread_demographics


def test_people_differ_and_the_same_numbers_give_the_same_person(head: Head) -> None:
    first, again, other = (draw_person(head, np.random.default_rng(seed)) for seed in (1, 1, 2))
    for name in ("rest", "texture", "relief", "wrinkles", "hair"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert np.abs(first.rest - other.rest).max() > 0.003
    assert first.texture.min() >= 0 and first.texture.max() <= 1


def test_skin_covers_the_whole_range(head: Head) -> None:
    for tone, low, high in ((0.0, 0.5, 0.8), (0.5, 0.15, 0.35), (1.0, 0.01, 0.05)):
        who = Demographics(0.5, 40, tone)
        means = [draw_person(head, np.random.default_rng(seed), who).colours["skin"].mean() for seed in range(5)]
        assert low < min(means) and max(means) < high


def test_men_and_women_differ_as_such(head: Head) -> None:
    """The same random numbers with another sex: a wider jaw, a longer face, thinner lips, lower brows."""

    def measures(male: float) -> np.ndarray:
        faces = [draw_person(head, np.random.default_rng(seed), Demographics(male, 35, 0.4)).rest for seed in range(12)]
        p = np.mean(faces, axis=0)[head.landmarks]
        return np.array([p[12, 0] - p[4, 0], p[27, 2] - p[8, 2], p[37, 2] - p[19, 2], p[57, 2] - p[51, 2]])

    assert (measures(1.0) > measures(0.0)).all()


def test_old_faces_are_rougher_and_wrinkle_more(head: Head) -> None:
    young, old = (
        [draw_person(head, np.random.default_rng(s), Demographics(0.5, age, 0.4)) for s in range(6)] for age in (20, 75)
    )
    rough = [np.mean([np.abs(p.relief[..., :2]).mean() for p in people]) for people in (young, old)]
    assert rough[1] > 1.3 * rough[0]
    assert np.mean([p.relief.std() for p in old]) < 0.3


def test_hair_never_moves_a_landmark(head: Head) -> None:
    bare = head.rest({}, {})
    skin = np.unique(head.faces[head.material == SKIN])
    for style in STYLES:
        cut = Cut(style, 0.19, 0.0, -0.068, 0.08, 0.03, 0.0, 0.025, 1.0)
        haired = give_volume(head, cut, bare, np.random.default_rng(0))
        assert np.array_equal(haired[head.landmarks], bare[head.landmarks])
        assert style in ("none", "shaved") or np.abs(haired - bare)[skin].max() > 0.003


@pytest.mark.parametrize("seed", [0, 7])
def test_any_run_of_people_is_balanced(seed: int) -> None:
    people = [spread_demographics(seed, number) for number in range(400)]
    sex = np.array([who.male > 0.5 for who in people])
    age = np.array([(who.age - YOUNGEST) / (OLDEST - YOUNGEST) for who in people])
    tone = np.array([who.tone for who in people])
    for start in range(380):
        run = slice(start, start + 20)
        assert 9 <= sex[run].sum() <= 11
        for values, most in ((age, 8), (tone, 7)):
            quarters = np.bincount((values[run] * 4).astype(int), minlength=4)
            assert quarters.min() >= 3 and quarters.max() <= most
    cell = sex * 4 + (age > 0.5) * 2 + (tone > 0.5)
    for start in range(300):
        counts = np.bincount(cell[start : start + 100], minlength=8)
        assert counts.min() >= 6 and counts.max() <= 20


def test_sex_can_be_given_and_the_rest_stays_as_it_is() -> None:
    for number in range(30):
        free = spread_demographics(3, number)
        for male in (True, False):
            given = spread_demographics(3, number, male)
            assert (given.male > 0.5) is male
            assert (given.age, given.tone) == (free.age, free.tone)
    ages = sorted(spread_demographics(3, number, male=False).age for number in range(50))
    assert max(b - a for a, b in pairwise(ages)) < 4
