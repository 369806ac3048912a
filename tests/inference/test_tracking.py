"""Numbers of people over time."""

import json

import numpy as np
import pytest

from metafacs.inference.tracking import KEEP, Tracker, match, overlap
from tests.inference.toys import DotFinder, draw, walk


def numbers(tracker: Tracker, finder: DotFinder, picture: np.ndarray) -> list[tuple[int, int]]:
    """Number and column of each face."""
    return [(number, round(face.eyes[:, 0].mean())) for number, face in tracker.next(finder.find, picture)]


@pytest.mark.parametrize("every", [1, 5])
def test_people_keep_their_numbers(every: int) -> None:
    tracker, finder = Tracker(every), DotFinder()
    for k, picture in enumerate(walk(40)):
        assert numbers(tracker, finder, picture) == [(0, 40 + k % 20), (1, 140 - k % 15)]
    assert finder.whole == 40 // every and (finder.near > 0) == (every > 1)


def test_somebody_who_comes_back_is_known_and_somebody_new_is_not() -> None:
    tracker, finder = Tracker(), DotFinder()
    assert numbers(tracker, finder, draw([(40, 40), (140, 40)])) == [(0, 40), (1, 140)]
    for _ in range(10):
        assert numbers(tracker, finder, draw([(140, 40)])) == [(1, 140)]
    assert numbers(tracker, finder, draw([(45, 40), (140, 40)])) == [(0, 45), (1, 140)]
    for _ in range(KEEP + 1):
        tracker.next(finder.find, draw([]))
    assert numbers(tracker, finder, draw([(45, 40)])) == [(2, 45)]


def test_a_lost_face_is_sought_in_the_whole_frame_at_once() -> None:
    tracker, finder = Tracker(every=100), DotFinder()
    tracker.next(finder.find, draw([(40, 40)]))
    assert numbers(tracker, finder, draw([(150, 40)])) == [(1, 150)] and finder.whole == 2
    tracker.next(finder.find, draw([]))
    assert finder.whole == 3
    tracker.next(finder.find, draw([(150, 40)]))
    assert finder.whole == 4  # nobody was there in the frame before


def test_only_the_largest_faces() -> None:
    tracker, finder = Tracker(most=1), DotFinder()
    assert len(tracker.next(finder.find, draw([(40, 40), (140, 40)]))) == 1


def test_going_on_from_a_state_is_as_if_nothing_had_happened() -> None:
    pictures = walk(60, gaps=(20, 21, 33))
    whole, finder = Tracker(7), DotFinder()
    expected = [numbers(whole, finder, picture) for picture in pictures]
    first, looked = Tracker(7), DotFinder()
    found = [numbers(first, looked, picture) for picture in pictures[:25]]
    second = Tracker(7)
    second.restore(json.loads(json.dumps(first.state())))
    found += [numbers(second, looked, picture) for picture in pictures[25:]]
    assert found == expected and (looked.whole, looked.near) == (finder.whole, finder.near)


def test_boxes_far_away_or_of_another_size_are_other_people() -> None:
    assert match([(0, 0, 10, 10)], [(30, 0, 40, 10)]) == {}
    assert match([(0, 0, 10, 10)], [(0, 0, 30, 30)]) == {}
    assert match([(0, 0, 10, 10)], [(9, 0, 19, 10)]) == {0: 0}
    assert overlap((0, 0, 1, 1), (1, 0, 2, 1)) == 0
