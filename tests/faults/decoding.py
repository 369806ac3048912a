"""A process of its own that reads damaged files one after the other and says what came of each, one line a file.

A decoder written in C that crashes takes this process with it, and the tests see at which file. Run as
`python -m tests.faults.decoding FOLDER KIND:FIRST:COUNT ...`; KIND is a name in `KINDS`.
"""

import io
import json
import random
import resource
import signal
import sys
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from metafacs.errors import InputError
from metafacs.faces.pictures import UnreadableError, read_picture
from metafacs.faces.video import count_frames, read_frames
from metafacs.inference.sources import expected_total, find_sources, source_frames
from metafacs.serving.limits import Limits
from metafacs.serving.refusals import RefusedError
from metafacs.serving.uploads import look_at
from tests.damage import damaged
from tests.inference.toys import draw, make_video, walk

SECONDS = 20
"""After which a file counts as one that is waited for in vain."""
MEMORY = 12 * 2**30
"""Bytes of address space that the process may take: a bomb ends in an error, not in a machine without memory."""
FRAMES = 400
"""So many frames are read of a damaged video at most."""


@cache
def whole(ending: str) -> bytes:
    """An undamaged file of a kind."""
    frames = [Image.fromarray(one) for one in walk(6)]
    buffer = io.BytesIO()
    if ending in _SAVED:
        moving = {"save_all": True, "append_images": frames[1:], "duration": 40} if ending in _MOVING else {}
        frames[0].save(buffer, _SAVED[ending], **moving)
        return buffer.getvalue()
    path = Path(sys.argv[1]) / f"whole.{ending}"
    make_video(path, walk(12), _CODECS[ending])
    return path.read_bytes()


_SAVED = {
    **{"jpg": "JPEG", "png": "PNG", "apng.png": "PNG", "gif": "GIF", "webp": "WEBP", "still.webp": "WEBP"},
    **{"tif": "TIFF", "bmp": "BMP", "ppm": "PPM", "jp2": "JPEG2000"},
}
_MOVING = frozenset({"apng.png", "gif", "webp", "tif"})
_CODECS = {"mp4": "mpeg4", "avi": "mpeg4", "mkv": "libx264", "mov": "libx264", "webm": "libvpx", "ts": "libx264"}


def damaged_media(endings: tuple[str, ...], rng: random.Random, folder: Path) -> tuple[Path, str]:
    ending = rng.choice(endings)
    content = whole(ending)
    names = []
    for _ in range(rng.choice((1, 1, 2, 4))):
        name, content = damaged(content, rng)
        names.append(name)
    if rng.random() < 0.05:  # under a wrong name
        ending = rng.choice((*_SAVED, *_CODECS))
    path = folder / f"damaged.{ending}"
    path.write_bytes(content)
    return path, ", ".join(names)


def look(path: Path) -> str:
    """What the reader of `detect` gives: frames with pictures or with a reason."""
    sources = find_sources([str(path)])
    expected_total(sources)
    pictures = reasons = 0
    for _, frame in source_frames(sources):
        if frame.picture is not None:
            assert frame.picture.dtype == np.uint8 and frame.picture.ndim == 3 and frame.picture.shape[2] == 3
            assert not frame.problem
            pictures += 1
        else:
            assert frame.problem
            reasons += 1
        if pictures + reasons >= FRAMES:
            break
    assert pictures + reasons, "neither a frame nor a reason"
    return "read" if pictures else "refused"


def look_more(path: Path) -> str:
    """Besides, what `prepare` and `serve` read: a picture alone, frames by their number, the look at an upload."""
    found = look(path)
    for read in (lambda: read_picture(path), lambda: count_frames(path), lambda: list(read_frames(path, [0, 5, 11]))):
        try:
            read()
        except UnreadableError:
            continue
    try:
        look_at(path, Limits())
    except RefusedError as error:
        assert error.status_code in (413, 422), error.status_code
    return found


KINDS = {"pictures": tuple(_SAVED), "videos": tuple(_CODECS)}


def one(kind: str, number: int, folder: Path) -> dict[str, object]:
    """Makes and reads one damaged file."""
    path, told = damaged_media(KINDS[kind], random.Random(f"{kind} {number}"), folder)
    try:
        signal.alarm(SECONDS)
        result = look_more(path)
    except InputError as error:
        named = path.name in str(error) or str(folder) in str(error) or isinstance(error, UnreadableError)
        result = "refused" if named else f"does not say where: {error}"
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    return {"kind": kind, "number": number, "file": path.name, "damage": told, "result": result}


def _late(number: int, frame: object) -> None:
    raise TimeoutError(f"no answer within {SECONDS} s")


def main() -> None:
    import av

    folder = Path(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, _late)
    av.logging.set_level(None)
    draw([])
    for kind, first, count in (job.split(":") for job in sys.argv[2:]):
        for number in range(int(first), int(first) + int(count)):
            for said in ({"begins": f"{kind} {number}"}, None):
                sys.stdout.write(json.dumps(said or one(kind, number, folder)) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
