import numpy as np
import pytest

from metafacs.faces.face import Face
from metafacs.faces.turning import upright_faces

PICTURE = np.zeros((40, 60, 3), np.uint8)


def finder(*answers: tuple[float, float] | None):  # type: ignore[no-untyped-def]
    """Finds in the picture, and in it turned once, twice and thrice, a face of a score and tilt (degrees), or none."""
    left = list(answers)

    def find(picture: np.ndarray, around: object) -> list[Face]:
        answer = left.pop(0)
        if answer is None:
            return []
        score, tilt = answer
        eyes = np.array([[0.0, 0.0], [np.cos(np.radians(tilt)), np.sin(np.radians(tilt))]])
        return [Face((0.0, 0.0, 10.0, 10.0), score, eyes, eyes)]

    return find


@pytest.mark.parametrize(
    "answers, score, turned",
    [
        (((0.6, 30),), 0.6, 0),  # nothing else is asked
        ((None, None, (0.8, 5), (0.9, 0)), 0.9, 90),
        ((None, (0.9, 0), (0.8, 5), None), 0.9, 270),
        (((0.7, -85), (0.6, 3), None, (0.9, 80)), 0.7, 0),  # nothing that is upright is surer
        (((0.8, 90), (0.9, 3), None, None), 0.9, 270),
        (((0.1, 0), None, (2.5, 0), None), 2.5, 180),
        ((None, None, (0.8, 160), None), None, 0),
    ],
)
def test_the_turn_whose_face_is_upright_and_surest(
    answers: tuple[tuple[float, float] | None, ...], score: float | None, turned: int
) -> None:
    picture, faces, degrees = upright_faces(finder(*answers), PICTURE)
    assert picture.shape == ((60, 40, 3) if degrees in (90, 270) else (40, 60, 3))
    assert [face.score for face in faces] == ([] if score is None else [score]) and degrees == turned
