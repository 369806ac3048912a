"""Which face of a picture is which person, as preparation (`most=1`) and detection follow them."""

import json

import numpy as np
import pytest

from metafacs.faces import Face, Tracker
from metafacs.faces.face import Box, overlap
from metafacs.faces.tracking import KEEP, likeness, thumbnail
from tests.inference.toys import DotFinder, draw, walk

Person = tuple[str, float, float]
"""A name, the middle of the face, and its side, in pixels."""


def looks(name: str) -> np.ndarray:
    """(8, 8, 3) of a person."""
    return np.random.default_rng(ord(name)).integers(0, 256, (8, 8, 3), dtype=np.uint8)


class Crowd:
    """Faces with a look, side by side in a row, and a finder that finds them, in the order in which they are given."""

    def __init__(self, *people: Person) -> None:
        self.picture = np.full((64, 400, 3), 120, np.uint8)
        self.faces: list[Face] = []
        for name, x, side in people:
            box = (round(x - side / 2), round(32 - side / 2), round(x + side / 2), round(32 + side / 2))
            rows, columns = np.indices((box[3] - box[1], box[2] - box[0])) * 8 // round(side)
            self.picture[box[1] : box[3], box[0] : box[2]] = looks(name)[rows.clip(0, 7), columns.clip(0, 7)]
            self.faces.append(Face(box, 1.0, np.zeros((5, 2)), np.zeros((2, 2))))

    def find(self, picture: np.ndarray, around: Box | None = None) -> list[Face]:
        return self.faces

    def names(self, tracker: Tracker, people: tuple[Person, ...]) -> dict[str, int]:
        found = {id(face): number for number, face in tracker.next(self.find, self.picture)}
        return {one[0]: found[id(face)] for one, face in zip(people, self.faces, strict=True) if id(face) in found}


def follow(tracker: Tracker, *frames: list[Person]) -> list[dict[str, int]]:
    """Numbers of the people in each frame, by their name."""
    return [Crowd(*people).names(tracker, tuple(people)) for people in frames]


def numbers(tracker: Tracker, finder: DotFinder, picture: np.ndarray) -> list[tuple[int, int]]:
    """Number and column of each face."""
    return [(number, round(face.eyes[:, 0].mean())) for number, face in tracker.next(finder.find, picture)]


@pytest.mark.parametrize("every", [1, 5])
def test_people_keep_their_numbers(every: int) -> None:
    tracker, finder = Tracker(every), DotFinder()
    for k, picture in enumerate(walk(40)):
        assert numbers(tracker, finder, picture) == [(1, 40 + k % 20), (2, 140 - k % 15)]
    assert finder.whole == 40 // every and (finder.near > 0) == (every > 1)


def test_somebody_who_comes_back_is_known_and_somebody_new_is_not() -> None:
    tracker, finder = Tracker(), DotFinder()
    assert numbers(tracker, finder, draw([(40, 40), (140, 40)])) == [(1, 40), (2, 140)]
    for _ in range(10):
        assert numbers(tracker, finder, draw([(140, 40)])) == [(2, 140)]
    assert numbers(tracker, finder, draw([(45, 40), (140, 40)])) == [(1, 45), (2, 140)]
    for _ in range(KEEP + 1):
        tracker.next(finder.find, None)
    assert numbers(tracker, finder, draw([(45, 40)])) == [(3, 45)]


def test_who_is_in_sight_keeps_the_number_where_somebody_lost_fits_better() -> None:
    """Somebody walks to where another was seen before, a face a frame."""
    walking = [[("b", 170 - 20 * k, 32)] for k in range(5)]
    found = follow(Tracker(), [("a", 90, 32), ("b", 190, 32)], *walking)
    assert found == [{"a": 1, "b": 2}, *([{"b": 2}] * 5)]


def test_who_comes_back_is_of_the_size_and_look_of_before() -> None:
    away: list[list[Person]] = [[("a", 90, 32)], [], []]
    assert follow(Tracker(), *away, [("a", 92, 36)])[-1] == {"a": 1}
    assert follow(Tracker(), *away, [("a", 92, 54)])[-1] == {"a": 2}  # 1.7 times as large
    assert follow(Tracker(), *away, [("b", 92, 32)])[-1] == {"b": 2}


def test_people_are_numbered_from_left_to_right_and_by_first_appearance() -> None:
    found = follow(Tracker(), [("b", 150, 32), ("a", 90, 40)], [("c", 40, 32), ("b", 150, 32), ("a", 90, 40)])
    assert found == [{"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}]


@pytest.mark.parametrize("step", [4, 12, 24])
def test_people_who_cross_keep_their_numbers_by_their_look(step: int) -> None:
    frames = [[("a", 100 + step * k, 32), ("b", 100 + 9 * step - step * k, 32)] for k in range(10)]
    apart = [people for people in frames if abs(people[0][1] - people[1][1]) > 8]
    assert follow(Tracker(), *apart) == [{"a": 1, "b": 2}] * len(apart)


def test_who_is_hidden_while_two_cross_is_known_behind() -> None:
    met = [[("a", 120, 32), ("b", 150, 32)], [("a", 130, 32)], [("a", 135, 32)], [("b", 125, 32), ("a", 142, 32)]]
    assert follow(Tracker(), *met)[-1] == {"a": 1, "b": 2}


def test_one_person_is_the_one_known_longest_and_at_first_the_largest() -> None:
    frames: list[list[Person]] = [
        [("b", 50, 36), ("a", 200, 40)],
        [("b", 50, 60), ("a", 202, 36)],
        [("b", 50, 60)],  # the one that is followed was not found
        [("b", 50, 60), ("a", 204, 36)],
    ]
    assert follow(Tracker(most=1), *frames) == [{"a": 1}, {"a": 1}, {"b": 2}, {"a": 1}]
    assert follow(Tracker(most=2), *frames)[1:] == [{"b": 1, "a": 2}, {"b": 1}, {"b": 1, "a": 2}]
    assert [list(one) for one in follow(Tracker(most=1, largest=True), *frames)] == [["a"], ["b"], ["b"], ["b"]]
    tracker = Tracker(most=1)
    follow(tracker, frames[0])
    tracker.start()
    assert follow(tracker, frames[1]) == [{"b": 1}]


def test_faces_far_away_or_of_another_size_are_other_people() -> None:
    assert follow(Tracker(), [("a", 90, 20)], [("a", 150, 20)])[-1] == {"a": 2}
    assert follow(Tracker(), [("a", 90, 20)], [("a", 90, 60)])[-1] == {"a": 2}
    assert follow(Tracker(), [("a", 90, 20)], [("a", 108, 20)])[-1] == {"a": 1}
    assert overlap((0, 0, 1, 1), (1, 0, 2, 1)) == 0


def test_a_lost_face_is_sought_in_the_whole_frame_at_once() -> None:
    tracker, finder = Tracker(every=100), DotFinder()
    tracker.next(finder.find, draw([(40, 40)]))
    assert numbers(tracker, finder, draw([(150, 40)])) == [(2, 150)] and finder.whole == 2
    tracker.next(finder.find, draw([]))
    assert finder.whole == 3
    tracker.next(finder.find, draw([(150, 40)]))
    assert finder.whole == 4  # nobody was there in the frame before


@pytest.mark.parametrize("every", [1, 2, 3])
def test_whole_frames_are_searched_every_so_often(every: int) -> None:
    tracker, finder, whole = Tracker(every, most=1), DotFinder(), []
    for k in range(6):
        before = finder.whole
        tracker.next(finder.find, draw([(40 + k, 40)]))
        whole.append(finder.whole > before)
    assert whole == [k % every == 0 for k in range(6)]


def test_going_on_from_a_state_is_as_if_nothing_had_happened() -> None:
    pictures = walk(60, gaps=(20, 21, 33))
    whole, finder = Tracker(7), DotFinder()
    expected = [numbers(whole, finder, picture) for picture in pictures]
    first, looked = Tracker(7), DotFinder()
    found = [numbers(first, looked, picture) for picture in pictures[:22]]
    second = Tracker(7)
    second.restore(json.loads(json.dumps(first.state())))
    found += [numbers(second, looked, picture) for picture in pictures[22:]]
    assert found == expected and (looked.whole, looked.near) == (finder.whole, finder.near)
    assert second.state() == whole.state()


def test_thumbnails() -> None:
    picture = Crowd(("a", 90, 32)).picture
    one, other = thumbnail(picture, (74, 16, 106, 48)), thumbnail(picture, (75, 17, 107, 49))
    assert one.shape == (16, 16, 3) and likeness(one, one) == pytest.approx(1) and 0.5 < likeness(one, other) < 1
    assert likeness(one, thumbnail(255 - picture, (74, 16, 106, 48))) == pytest.approx(-1)
    assert thumbnail(picture, (-40, -40, -10, -10)).max() == 0  # outside of the picture
    assert thumbnail(picture, (-20, -20, 20, 20)).shape == (16, 16, 3)
