import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metafacs.faces import pictures
from metafacs.faces.pictures import UnreadableError, read_picture


def quarters(width: int = 60, height: int = 40) -> np.ndarray:
    """Red upper left, green upper right, blue lower left, white lower right."""
    out = np.zeros((height, width, 3), np.uint8)
    y, x = height // 2, width // 2
    out[:y, :x, 0] = out[:y, x:, 1] = out[y:, :x, 2] = 255
    out[y:, x:] = 255
    return out


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int, tmp_path: Path) -> None:
    upright = Image.fromarray(quarters())
    turned = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    for turn in turned.get(orientation, []):
        upright = upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read_picture(saved(tmp_path / "turned.png", upright, exif=exif))
    assert np.array_equal(found, quarters())


def test_a_damaged_exif_block_does_not_spoil_the_picture(tmp_path: Path) -> None:
    path = saved(tmp_path / "odd.jpg", Image.fromarray(quarters()), exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x00nonsense")
    assert read_picture(path).shape == (40, 60, 3)


def test_grey_transparent_palette_and_cmyk(tmp_path: Path) -> None:
    grey = Image.fromarray(np.full((40, 40), 77, np.uint8))
    assert read_picture(saved(tmp_path / "grey.png", grey)).tolist() == np.full((40, 40, 3), 77).tolist()
    clear = np.full((40, 40, 4), 200, np.uint8)
    clear[:, :20, 3] = 0
    clear[:, 20:, 3] = 255
    seen = read_picture(saved(tmp_path / "clear.png", Image.fromarray(clear)))
    assert seen[:, :20].max() == 0 and seen[:, 20:].min() == 200
    palette = Image.fromarray(quarters()).convert("P")
    assert read_picture(saved(tmp_path / "palette.gif", palette))[0, 0].tolist() == [255, 0, 0]
    cmyk = Image.fromarray(quarters()).convert("CMYK")
    assert read_picture(saved(tmp_path / "cmyk.tif", cmyk)).shape == (40, 60, 3)


@pytest.mark.parametrize(
    "values", [np.full((40, 40), 257 * 100, np.uint16), np.full((40, 40), 100 / 255, np.float32)], ids=["16", "float"]
)
def test_deep_pictures(values: np.ndarray, tmp_path: Path) -> None:
    values[0, 0] = 65535 if values.dtype.kind == "u" else 1
    found = read_picture(saved(tmp_path / "deep.tif", Image.fromarray(values)))
    assert found[0, 0].tolist() == [255] * 3 and found[20, 20].tolist() == [100] * 3


def test_a_16_bit_png(tmp_path: Path) -> None:
    found = read_picture(saved(tmp_path / "deep.png", Image.fromarray(np.full((40, 40), 257 * 9, np.uint16))))
    assert found[5, 5].tolist() == [9, 9, 9]


def test_encoded_bytes() -> None:
    buffer = io.BytesIO()
    Image.fromarray(quarters()).save(buffer, "PNG")
    assert np.array_equal(read_picture(buffer.getvalue()), quarters())


def test_a_truncated_jpeg(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "cut.jpg", Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99, 3), np.uint8))
    )
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UnreadableError, match="damaged image"):
        read_picture(path)


@pytest.mark.parametrize("length", [0, 1, 30, 300])
@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tif", "gif"])
def test_whatever_is_cut_or_scrambled_is_told(length: int, ending: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    path = saved(tmp_path / f"cut.{ending}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UnreadableError):
        read_picture(path)


def test_what_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "folder.jpg").mkdir()
    small = saved(tmp_path / "small.png", Image.fromarray(quarters(8, 8)))
    large = saved(tmp_path / "large.png", Image.fromarray(quarters()))
    monkeypatch.setattr(pictures, "MOST_PIXELS", 2000)
    for path, text in (
        (tmp_path / "none.jpg", "missing file"),
        (tmp_path / "folder.jpg", "a folder"),
        (tmp_path / "text.jpg", "no image of a known format"),
        (small, "8x8 pixels, smaller than 16"),
        (large, "60x40 pixels, more than 2,000"),
    ):
        with pytest.raises(UnreadableError, match=text):
            read_picture(path)


def test_a_tiff_file_cut_off_in_its_header_is_told() -> None:
    buffer = io.BytesIO()
    Image.fromarray(quarters()).save(buffer, "TIFF")
    whole = buffer.getvalue()
    for length in range(1, len(whole), 3):
        try:
            read_picture(whole[:length])
        except UnreadableError as error:
            assert str(error)
    with pytest.raises(UnreadableError):
        read_picture(whole[: len(whole) // 2])
