"""What is read, whatever it is called."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from metafacs.faces import pictures
from metafacs.faces.kinds import PICTURE, VIDEO, kind_of
from metafacs.faces.pictures import UnreadableError, read_picture

HEIC = Path(__file__).parent / "grid.heic"
"""Two tiles of 512 x 512 and a quarter turn, as phones write portraits: dark above, light with two dots below."""
PHOTO = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
NAMED = "jpg JPG jpeg jfif jpe JPE pjpeg jpg_large jpg~ mpo png bmp webp avif jp2 j2k tga pcx tif dng ppm heic"


@pytest.mark.parametrize("ending", NAMED.split())
def test_pictures_of_any_name(ending: str, tmp_path: Path) -> None:
    form = {"webp": "WEBP", "avif": "AVIF", "jp2": "JPEG2000", "j2k": "JPEG2000", "tga": "TGA", "pcx": "PCX"}
    form |= {"png": "PNG", "bmp": "BMP", "tif": "TIFF", "ppm": "PPM"}
    if ending == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path, nameless = tmp_path / f"p.{ending}", tmp_path / "nameless"
    Image.fromarray(PHOTO).save(path, form.get(ending, "JPEG"))
    nameless.write_bytes(path.read_bytes())
    for one in (path, nameless):
        assert kind_of(one) == PICTURE and read_picture(one).shape == PHOTO.shape


@pytest.mark.parametrize(
    "ending, codec, form",
    [
        *(
            ("mp4", "mpeg4", "mp4"),
            ("flv", "flv1", "flv"),
            ("ts", "mpeg2video", "mpegts"),
            ("vob", "mpeg2video", "vob"),
        ),
        *(
            ("m2ts", "mpeg2video", "mpegts"),
            ("qt", "mpeg4", "mov"),
            ("wmv", "wmv2", "asf"),
            ("mkv", "mpeg4", "matroska"),
        ),
        *(
            ("asf", "wmv2", "asf"),
            ("mxf", "mpeg2video", "mxf"),
            ("h264", "libx264", "h264"),
            ("webm", "libvpx", "webm"),
        ),
    ],
)
def test_videos_of_any_name(ending: str, codec: str, form: str, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    if codec not in av.codecs_available:
        pytest.skip(f"no encoder {codec}")
    path, nameless = tmp_path / f"v.{ending}", tmp_path / "nameless"
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((96, 160, 3), 20 * number, np.uint8), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    nameless.write_bytes(path.read_bytes())
    assert kind_of(path) == kind_of(nameless) == VIDEO


def test_a_photograph_of_a_phone() -> None:
    pytest.importorskip("pi_heif")
    picture = read_picture(HEIC)
    assert kind_of(HEIC) == PICTURE and picture.shape == (1024, 512, 3)
    assert picture[100, 100].tolist() == pytest.approx([60] * 3, abs=4)
    assert picture[900, 100].tolist() == pytest.approx([150] * 3, abs=4)
    red, blue = picture[798:803, 239:244].mean((0, 1)), picture[798:803, 269:274].mean((0, 1))
    assert red[0] > 150 > 60 > red[2] and blue[2] > 150 > 60 > blue[0]


def test_a_photograph_of_a_phone_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by anything else: FFmpeg would show one tile of it."""
    content = HEIC.read_bytes()
    for name, wrong in (
        ("cut", content[:600]),
        ("cut sooner", content[:100]),
        ("announced.mov", content.replace(b"\0\0\4\0\0\0\2\0", b"\0\0\2\0\0\0\2\0")),
    ):
        (tmp_path / name).write_bytes(wrong)
        assert wrong != content and kind_of(tmp_path / name) == PICTURE
        with pytest.raises(UnreadableError):
            read_picture(tmp_path / name)
    monkeypatch.setattr(pictures, "_readable", lambda: frozenset({"JPEG"}))
    (tmp_path / "photo").write_bytes(content)
    assert kind_of(tmp_path / "photo") == PICTURE
    with pytest.raises(UnreadableError, match=r"pi-heif.*metafacs\[faces\].*JPEG"):
        read_picture(tmp_path / "photo")


def test_what_is_neither(tmp_path: Path) -> None:
    pytest.importorskip("av")
    for name, content in (("a.txt", b"P1 notes"), ("b.csv", b"a,b\n1,2"), ("c", b""), ("d.bin", bytes(range(256)) * 9)):
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    assert [kind_of(path) for path in sorted(tmp_path.iterdir())] == [None] * 5
    (tmp_path / "broken.flv").write_text("nothing")
    (tmp_path / "broken.psd").write_text("nothing")
    assert (kind_of(tmp_path / "broken.flv"), kind_of(tmp_path / "broken.psd")) == (VIDEO, PICTURE)


def test_several_pictures_in_a_file_are_an_animation_only_in_some_formats(tmp_path: Path) -> None:
    more = {"save_all": True, "append_images": [Image.fromarray(PHOTO[::-1])]}
    for name, form in (("a.tif", "TIFF"), ("b", "TIFF"), ("c", "MPO"), ("d", "GIF"), ("e", "WEBP"), ("f.png", "PNG")):
        Image.fromarray(PHOTO).save(tmp_path / name, form, **more)
    kinds = [kind_of(path) for path in sorted(tmp_path.iterdir())]
    assert kinds == [PICTURE, PICTURE, PICTURE, VIDEO, VIDEO, VIDEO]


def test_a_small_copy_in_a_raw_file_is_not_taken_for_the_picture(tmp_path: Path) -> None:
    for name, tags in (("a.nef", {254: 1}), ("b.dng", {50706: b"\1\4\0\0"})):
        Image.fromarray(PHOTO).save(tmp_path / name, "TIFF", tiffinfo=tags)
        with pytest.raises(UnreadableError, match=r"raw file.*JPEG"):
            read_picture(tmp_path / name)
