import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from scipy.ndimage import gaussian_filter

from metafacs.data.copies import copied, signatures
from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter

COUNT = 40


def dataset(folder: Path, pictures: list[bytes]) -> PreparedDataset:
    writer = PreparedWriter(folder, DatasetCard("mine", "drawn", "none", []), {})
    writer.write_part(0, [{"image": picture, "fold": "all"} for picture in pictures])
    return writer.finish(1)


def saved(picture: Image.Image, quality: int = 92, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=quality)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Smooth random pictures, with detail at all sizes."""
    rng = np.random.default_rng(0)
    drawn = [sum(s * gaussian_filter(rng.normal(size=(128, 128)), s) for s in (1, 3, 8, 20)) for _ in range(COUNT)]
    return [Image.fromarray(((each - each.min()) / np.ptp(each) * 255).astype(np.uint8)) for each in drawn]


@pytest.mark.parametrize("change", ["same", "quality 70", "larger", "smaller", "PNG", "brighter"])
def test_copies_are_known_however_they_were_saved(change: str, pictures: list[Image.Image], tmp_path: Path) -> None:
    kinds = {
        "same": saved,
        "quality 70": lambda picture: saved(picture, 70),
        "larger": lambda picture: saved(picture.resize((200, 200), Image.Resampling.BICUBIC)),
        "smaller": lambda picture: saved(picture.resize((64, 64), Image.Resampling.BICUBIC)),
        "PNG": lambda picture: saved(picture, kind="PNG"),
        "brighter": lambda picture: saved(picture.point(lambda value: value * 0.8 + 40)),
    }
    one = dataset(tmp_path / "one", [saved(picture) for picture in pictures[: COUNT // 2]])
    other = dataset(tmp_path / "other", [kinds[change](picture) for picture in pictures])
    signs = [signatures(each, Console(quiet=True)) for each in (one, other)]
    assert copied(signs[1], signs[0]).tolist() == [k < COUNT // 2 for k in range(COUNT)]


def test_pictures_that_show_nothing_or_cannot_be_read_are_nobodys_copy(tmp_path: Path) -> None:
    blank = saved(Image.new("L", (64, 64), 90))
    signs = signatures(dataset(tmp_path / "a", [blank, blank, b"damaged", b"damaged"]), Console(quiet=True))
    assert signs.shape == (4, 255) and not signs.any() and not copied(signs, signs).any()


def test_pictures_are_looked_at_once(pictures: list[Image.Image], tmp_path: Path) -> None:
    """What is kept says so: a file that is damaged is made anew, another one is believed."""
    drawn = dataset(tmp_path, [saved(picture) for picture in pictures])
    first = signatures(drawn, Console(quiet=True))
    (kept,) = tmp_path.glob(".signatures-*")
    kept.write_bytes(kept.read_bytes()[:-40])
    assert np.array_equal(signatures(drawn, Console(quiet=True)), first)
    np.save(kept, np.zeros((COUNT, 32), np.uint8))
    assert not signatures(drawn, Console(quiet=True)).any()
