import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from metafacs.errors import InputError
from metafacs.faces import given_face, make_finder
from metafacs.faces.dlib_finder import model_file


@pytest.mark.parametrize("count, right, left", [(68, 36, 42), (66, 36, 42), (51, 19, 25), (49, 19, 25)])
def test_eyes_of_given_landmarks(count: int, right: int, left: int) -> None:
    points = np.random.default_rng(0).uniform(0, 50, (count, 2))
    points[right : right + 6] = [10, 20] + np.linspace(-1, 1, 6)[:, None]
    points[left : left + 6] = [40, 21] + np.linspace(-1, 1, 6)[:, None]
    assert given_face(points).eyes == pytest.approx(np.array([[10, 20], [40, 21]]))


def test_five_points_and_swapped_eyes() -> None:
    points = np.array([[40.0, 21], [10, 20], [25, 30], [15, 40], [35, 40]])
    face = given_face(points)
    assert face.eyes.tolist() == [[10, 20], [40, 21]]
    assert face.box == (10, 20, 40, 40)


@pytest.mark.parametrize(
    "points, text", [(np.ones((7, 2)), "7 landmarks"), (np.full((5, 2), np.nan), "pairs"), (np.ones(10), "pairs")]
)
def test_landmarks_that_make_no_face(points: np.ndarray, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        given_face(points)


@pytest.mark.parametrize(
    "settings, text",
    [
        ({"name": "haar"}, "unknown face finder 'haar'; known: mediapipe, centerface, dlib5"),
        ({"name": "given", "width": 5}, "takes no settings"),
        ({"name": "yunet", "model": "none.onnx", "sha256": ""}, "there is no YuNet model none.onnx"),
        ({"name": "yunet", "model": "none.onnx"}, "no such setting"),
    ],
)
def test_finders_that_cannot_be_made(settings: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        make_finder(settings)


def test_dlib_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(InputError, match=r"install the dlib extra: pip install 'metafacs\[dlib\]'"):
        make_finder({"name": "dlib5", "width": 321})


def test_a_model_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"no_such\.dat is not there"):
        model_file("no_such.dat")


class FakeNetwork:
    """Stands for OpenCV's YuNet: a face in the middle fifth of whatever it sees."""

    def setInputSize(self, size: tuple[int, int]) -> None:  # noqa: N802
        self.size = np.array(size, float)

    def detect(self, image: np.ndarray) -> tuple[int, np.ndarray]:
        assert image.shape[1::-1] == tuple(self.size) and image[0, 0].tolist() == [30, 20, 10]  # BGR
        points = np.array([[0.45, 0.45], [0.55, 0.45], [0.5, 0.5], [0.45, 0.55], [0.55, 0.55]]) * self.size - 0.5
        return 1, np.concatenate([0.4 * self.size, 0.2 * self.size, points.ravel(), [0.9]])[None].astype(np.float32)


def test_yunet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "yunet.onnx"
    model.write_bytes(b"weights")
    created = SimpleNamespace(create=lambda *_: FakeNetwork())
    fake = SimpleNamespace(FaceDetectorYN=created, error=RuntimeError, __version__="5")
    monkeypatch.setitem(sys.modules, "cv2", fake)
    with pytest.raises(InputError, match="it is another file"):
        make_finder({"name": "yunet", "model": str(model), "sha256": "00"})
    sha = hashlib.sha256(b"weights").hexdigest()
    finder = make_finder({"name": "yunet", "model": str(model), "sha256": sha, "width": 400})
    assert finder
    picture = np.tile(np.array([10, 20, 30], np.uint8), (600, 800, 1))
    assert finder.sought(picture) == (20, "--width 0") and finder.sought(picture[:300, :400]) == (10, "")
    (face,) = finder.find(picture)
    assert face.box == pytest.approx((320, 240, 480, 360), abs=0.01)
    assert face.eyes == pytest.approx(np.array([[360, 270], [440, 270]]), abs=0.01)
    (near,) = finder.find(picture, around=(100, 100, 200, 200))
    assert near.box == pytest.approx((128, 128, 172, 172), abs=1)
