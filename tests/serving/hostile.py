"""Files that no server should stumble over."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.inference.toys import draw, make_video, walk
from tests.serving.rooms import png


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def wide_png(width: int, height: int) -> bytes:
    """A PNG file of grey pixels, small as a file however many pixels it has."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(width + 1) * min(height, 64))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def good_files() -> dict[str, bytes]:
    """Unusual, but to be answered."""
    face = Image.fromarray(draw([(60, 40)]))
    turned = Image.Exif()
    turned[0x0112] = 6
    sixteen = Image.fromarray((np.asarray(face.convert("L")).astype(np.uint16)) * 257)
    frames = [Image.fromarray(one) for one in walk(4)]
    return {
        "grey.png": _saved(face.convert("L"), "PNG"),
        "alpha.png": _saved(face.convert("RGBA"), "PNG"),
        "cmyk.jpg": _saved(face.convert("CMYK"), "JPEG"),
        "sixteen.png": _saved(sixteen, "PNG"),
        "turned.jpg": _saved(face, "JPEG", exif=turned),
        "moving.gif": _saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "nobody.png": png(draw([])),
        "Ünï cødé photo.png": png(draw([(60, 40)])),
    }


def bad_files(folder: Path) -> dict[str, bytes]:
    """To be refused, each with a reason."""
    video = make_video(folder / "whole.mp4", walk(30)).read_bytes()
    target = Path(__file__).as_posix()
    photo = png(draw([(60, 40)]), "JPEG")
    return {
        "empty.jpg": b"",
        "text.jpg": b"this is no picture",
        "truncated.jpg": photo[: len(photo) // 2],
        "truncated.mp4": video[: len(video) // 3],
        "noise.mp4": np.random.default_rng(0).bytes(20_000),
        "wide.png": wide_png(20_000, 8_000),
        "bomb.png": wide_png(60_000, 60_000),
        "tiny.png": png(np.zeros((4, 4, 3), np.uint8)),
        "program.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n(/etc/passwd) (r) file\n%%EOF\n",
        "playlist.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{target}\n#EXT-X-ENDLIST\n".encode(),
        "playlist.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
        "list.mp4": f"ffconcat version 1.0\nfile '{folder / 'whole.mp4'}'\n".encode(),
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    }
