import numpy as np

from metafacs.synth.head import Head
from metafacs.synth.identity import draw_person, linear
from metafacs.synth.texture import TEXTURE


def test_people_differ_and_the_same_numbers_give_the_same_person(head: Head) -> None:
    first, again, other = (draw_person(head, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.rest, again.rest) and np.array_equal(first.texture, again.texture)
    assert np.abs(first.rest - other.rest).max() > 0.003
    assert first.texture.shape == (TEXTURE, TEXTURE, 3)
    assert first.texture.min() >= 0 and first.texture.max() <= 1


def test_skin_covers_the_whole_range(head: Head) -> None:
    tones = [draw_person(head, np.random.default_rng(seed)).colours["skin"].mean() for seed in range(40)]
    assert min(tones) < linear("#5c3a26").mean()
    assert max(tones) > linear("#e3b896").mean()


def test_brows_are_painted_above_both_eyes(head: Head) -> None:
    person = draw_person(head, np.random.default_rng(3))
    for brow, eye in ((19, 37), (24, 44)):
        u, v = (head.front[head.landmarks[brow]] * TEXTURE).astype(int)
        below = int(head.front[head.landmarks[eye], 1] * TEXTURE)
        column = person.texture[v - 20 : below - 8, u].mean(axis=1)
        assert abs(int(column.argmin()) - 20) < 8


def test_left_and_right_of_a_face_are_alike_but_not_the_same(head: Head) -> None:
    rest = draw_person(head, np.random.default_rng(4)).rest
    right, left = rest[head.landmarks[36]], rest[head.landmarks[45]] * [-1, 1, 1]
    assert 0 < np.linalg.norm(right - left) < 0.004
