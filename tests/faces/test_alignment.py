import io

import numpy as np
import pytest
from PIL import Image

from metafacs.faces import Recipe, align, move, to_jpeg
from metafacs.faces.alignment import inverse


def blob(width: int, height: int, at: tuple[float, float], sigma: float) -> np.ndarray:
    """A bright spot whose middle lies at a point in continuous coordinates."""
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    spot = np.exp(-((x[None] - at[0]) ** 2 + (y[:, None] - at[1]) ** 2) / (2 * sigma**2))
    return np.repeat((255 * spot)[:, :, None].round().astype(np.uint8), 3, axis=2)


def centroid(image: np.ndarray) -> np.ndarray:
    weight = image[..., 0].astype(float)
    x, y = np.meshgrid(np.arange(image.shape[1]) + 0.5, np.arange(image.shape[0]) + 0.5)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("apart", [40.0, 97.3, 400.0])
@pytest.mark.parametrize("roll", [0.0, 0.4, -1.2])
def test_what_lies_between_the_eyes_lands_there_to_a_fraction_of_a_pixel(apart: float, roll: float) -> None:
    middle, half = np.array([500.3, 430.7]), apart / 2 * np.array([np.cos(roll), np.sin(roll)])
    crop, matrix = align(
        blob(1000, 900, (500.3, 430.7), apart / 12), np.stack([middle - half, middle + half]), Recipe(size=128)
    )
    assert crop.shape == (128, 128, 3) and crop.dtype == np.uint8
    assert centroid(crop) == pytest.approx([64, 0.36 * 128], abs=0.1)
    assert move(np.stack([middle - half, middle + half]), matrix) == pytest.approx(
        np.array([[0.32, 0.36], [0.68, 0.36]]) * 128
    )


def test_the_inverse() -> None:
    matrix = np.array([[1.2, -0.4, 7], [0.4, 1.2, -3]])
    points = np.array([[1.0, 2.0], [30.0, -4.0]])
    assert move(move(points, matrix), inverse(matrix)) == pytest.approx(points)


def test_shrinking_leaves_no_moire() -> None:
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::3] = 255  # finer than the crop can show: only the mean may be left
    eyes = np.array([[300.0, 400.0], [700.0, 400.0]])
    crop, _ = align(stripes, eyes, Recipe(size=64))
    assert crop[8:-8, 8:-8].std() < 3
    assert crop[8:-8, 8:-8].mean() == pytest.approx(85, abs=2)


def test_outside_of_the_picture_is_black() -> None:
    crop, matrix = align(np.full((100, 100, 3), 200, np.uint8), np.array([[5.0, 50.0], [45.0, 50.0]]), Recipe(size=64))
    edge = round(move(np.zeros((1, 2)), matrix)[0, 0])
    assert crop[32, : edge - 2].max() == 0 and crop[32, edge + 3 : edge + 9].min() >= 199


def test_whole_pictures_are_fitted_into_the_middle() -> None:
    crop, matrix = align(np.full((50, 100, 3), 90, np.uint8), None, Recipe(kind="whole", size=64))
    assert move(np.array([[0.0, 0.0], [100.0, 50.0]]), matrix) == pytest.approx(np.array([[0, 16], [64, 48]]))
    assert crop[:16].max() == 0 and crop[16:48].min() == 90 and crop[48:].max() == 0


def test_eyes_on_one_point_are_refused() -> None:
    with pytest.raises(ValueError, match="both eyes"):
        align(np.zeros((50, 50, 3), np.uint8), np.ones((2, 2)), Recipe())


def test_jpeg() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    small, large = to_jpeg(crop, 50), to_jpeg(crop, 95)
    assert len(small) < len(large) and Image.open(io.BytesIO(small)).size == (40, 40)
