"""Files as people's folders hold them and nobody wants them: each hard to read, or not to be read, in its own way."""

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.faces.test_video import turn
from tests.inference.toys import make_video

QUARTER = (0, 1, -1, 0)
"""The display matrix of a video from a phone held upright."""


def png(width: int, height: int, depth: int, colours: int, rows: bytes) -> bytes:
    """A PNG file of raw rows, each with its filter byte; `colours` is 0 (grey), 2 (RGB) or 6 (RGB and alpha)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def deep_png(values: np.ndarray) -> bytes:
    """A PNG file of (H, W) or (H, W, 3 or 4) uint16."""
    height, width = values.shape[:2]
    colours = 0 if values.ndim == 2 else {3: 2, 4: 6}[values.shape[2]]
    rows = values.astype(">u2").reshape(height, -1)
    return png(width, height, 16, colours, b"".join(b"\0" + row.tobytes() for row in rows))


def deep_tiff(values: np.ndarray) -> bytes:
    """A TIFF file, not compressed, of (H, W, 3) uint16."""
    height, width = values.shape[:2]
    pixels = values.astype("<u2").tobytes()
    entries = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, 1, 14), (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(pixels))]
    bits = struct.pack("<3H", 16, 16, 16)
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return struct.pack("<2sHI", b"II", 42, 14 + len(pixels)) + bits + pixels + table


def bad_pictures(folder: Path, picture: np.ndarray) -> dict[str, str]:
    """Writes pictures that cannot be read; their names, and what has to be said of them."""
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("not a picture")
    (folder / "script.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\nshowpage\n")
    Image.fromarray(picture).save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:800])
    Image.new("RGB", (1, 1)).save(folder / "tiny.png")
    Image.new("1", (20_000, 6_000)).save(folder / "wide.png")
    (folder / "bomb.png").write_bytes(png(60_000, 60_000, 8, 2, bytes(1000)))
    (folder / "gone.jpg").symlink_to(folder / "nothing")
    os.mkfifo(folder / "pipe.png")
    (folder / "device.gif").symlink_to("/dev/zero")
    said = {"empty.jpg": "empty file", "text.jpg": "no image of a known format", "cut.jpg": "damaged image (image"}
    said |= {"script.png": "no image of a known format", "tiny.png": "1x1 pixels, smaller than 16"}
    said |= {
        "wide.png": "20000x6000 pixels, more than 100,000,000",
        "bomb.png": "too many pixels, more than 100,000,000 (a decompression bomb",
    }
    return {**said, "gone.jpg": "missing file", "pipe.png": "a pipe", "device.gif": "a pipe or device"}


def odd_pictures(folder: Path, picture: np.ndarray) -> list[str]:
    """Writes the picture in unusual but readable ways; their names."""
    image, deep = Image.fromarray(picture), picture.astype(np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", exif=exif, quality=95)
    image.save(folder / "Frau Müller, 2. Sitzung 顔.png")
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    image.convert("RGBA").save(folder / "clear.png")
    image.convert("P").save(folder / "palette.gif")
    image.save(folder / "picture.webp", lossless=True)
    image.save(folder / "pages.tif", save_all=True, append_images=[image, image])
    (folder / "deep.png").write_bytes(deep_png(deep))
    clear = np.concatenate([deep, np.full_like(deep[:, :, :1], 65535)], axis=2)
    (folder / "deep_clear.png").write_bytes(deep_png(clear))
    (folder / "deep.tif").write_bytes(deep_tiff(deep))
    names = ["turned.jpg", "Frau Müller, 2. Sitzung 顔.png", "cmyk.jpg", "clear.png", "palette.gif", "picture.webp"]
    return [*names, "pages.tif", "deep.png", "deep_clear.png", "deep.tif"]


def grey_pictures(folder: Path, picture: np.ndarray) -> list[str]:
    """Writes the picture without its colours; their names."""
    image = Image.fromarray(picture).convert("L")
    image.save(folder / "grey.jpg", quality=95)
    image.convert("LA").save(folder / "grey_clear.png")
    grey = np.asarray(image).astype(np.uint16)
    (folder / "deep_grey.png").write_bytes(deep_png(grey * 257))
    Image.fromarray(grey * 257).save(folder / "deep_grey.tif")
    Image.fromarray(grey.astype(np.float32) / 255).save(folder / "float.tif")
    return ["grey.jpg", "grey_clear.png", "deep_grey.png", "deep_grey.tif", "float.tif"]


def bad_videos(folder: Path, pictures: Sequence[np.ndarray]) -> dict[str, str]:
    """Writes videos that cannot be read; their names, and what has to be said of them."""
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("not a video")
    (folder / "damaged.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(3000))
    cut = make_video(folder / "cut.mp4", pictures)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    sound(folder / "sound.mp4")
    without_frames(folder / "none.mp4", pictures[0])
    os.mkfifo(folder / "pipe.mp4")
    broken = ("text.mp4", "damaged.mp4", "cut.mp4")
    said = {"empty.mp4": "empty file", "sound.mp4": "no video in it", "none.mp4": "no video in it"}
    said |= dict.fromkeys(broken, "damaged or no video (Invalid data")
    return {**said, "pipe.mp4": "a pipe or device"}


def sound(path: Path) -> Path:
    """One second of silence without pictures."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def without_frames(path: Path, picture: np.ndarray) -> Path:
    """A video that was started and stopped at once."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.open()
        container.start_encoding()
    return path


def turned_video(path: Path, pictures: Sequence[np.ndarray]) -> Path:
    """A video as from a phone held upright: stored lying on its side, with a matrix that says so."""
    lying = [np.ascontiguousarray(np.rot90(picture, 1)) for picture in pictures]
    turn(make_video(path, lying), QUARTER)
    return path


def uneven_video(path: Path, pictures: Sequence[np.ndarray], milliseconds: Sequence[int]) -> Path:
    """A video whose frames are shown at times of their own, as from phones and screen recorders."""
    from fractions import Fraction

    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for picture, time in zip(pictures, milliseconds, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def growing_video(path: Path, small: Sequence[np.ndarray], large: Sequence[np.ndarray]) -> Path:
    """A transport stream whose frames change their size, as when a call's quality changes."""
    parts = [make_video(path.with_name(f"{k}.ts"), part, "libx264") for k, part in enumerate((small, large))]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()
    return path
