import numpy as np
import pytest

from metafacs.faces import Face, Follower, choose
from metafacs.faces.finders import Box

PICTURE = np.zeros((10, 10, 3), np.uint8)


def face(x: float, side: float = 10.0, score: float = 1.0) -> Face:
    return Face((x, 0, x + side, side), score, np.zeros((5, 2)), np.zeros((2, 2)))


class Scripted:
    """Finds what a script says and remembers how it was asked."""

    def __init__(self, *script: list[Face]) -> None:
        self.script = list(script)
        self.asked: list[Box | None] = []

    def find(self, image: np.ndarray, around: Box | None = None) -> list[Face]:
        self.asked.append(around)
        return self.script.pop(0)


def test_the_largest_first_then_the_nearest() -> None:
    follower = Follower(Scripted([face(0, 8), face(50, 10)], [face(0, 20), face(52, 10)]))
    assert [follower.next(PICTURE).box[0] for _ in range(2)] == [50, 52]  # type: ignore[union-attr]


def test_always_the_largest() -> None:
    follower = Follower(Scripted([face(50, 10)], [face(0, 20), face(52, 10)]), "largest")
    assert [follower.next(PICTURE).box[0] for _ in range(2)] == [50, 0]  # type: ignore[union-attr]


def test_a_new_sequence_forgets() -> None:
    follower = Follower(Scripted([face(50, 10)], [face(0, 20), face(52, 10)]))
    follower.next(PICTURE)
    follower.start()
    assert follower.next(PICTURE).box[0] == 0  # type: ignore[union-attr]


def test_a_face_far_away_is_another_one() -> None:
    assert choose([face(100, 9), face(200, 12)], face(0).box).box[0] == 200  # type: ignore[union-attr]
    assert choose([], face(0).box) is None


@pytest.mark.parametrize("every", [1, 2, 3])
def test_whole_frames_are_searched_every_so_often(every: int) -> None:
    finder = Scripted(*([face(k)] for k in range(6)))
    follower = Follower(finder, every=every)
    for _ in range(6):
        follower.next(PICTURE)
    assert [box is None for box in finder.asked] == [k % every == 0 for k in range(6)]


def test_a_lost_face_is_sought_everywhere_at_once() -> None:
    finder = Scripted([face(0)], [], [face(70)], [face(71)])
    follower = Follower(finder, every=5)
    found = [follower.next(PICTURE) for _ in range(3)]
    assert [one.box[0] for one in found if one] == [0, 70, 71]
    assert [box and box[0] for box in finder.asked] == [None, 0, None, 70]
