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
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from metafacs.datasets.table import Table
from metafacs.errors import InputError
from metafacs.evaluation.predictions import prediction_rows, read_predictions, write_predictions
from metafacs.faces.pictures import UnreadableError, read_picture
from metafacs.faces.video import count_frames, read_frames
from metafacs.inference.sources import expected_total, find_sources, source_frames
from metafacs.serving.limits import Limits
from metafacs.serving.refusals import RefusedError
from metafacs.serving.uploads import look_at
from tests.evaluation.runs import AUS, ids, info
from tests.inference.toys import draw, make_video, walk
from tests.strategies import changed_bytes

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
        name, content = changed_bytes(content, rng)
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


def predictions_file(rng: random.Random, folder: Path) -> tuple[Path, str]:
    """A predictions file with damaged bytes, or with a column, a type or a value that should not be there."""
    path = folder / "predictions.parquet"
    n = rng.choice((1, 3, 20))
    table = prediction_rows(ids(n), np.zeros((n, len(AUS))), np.full((n, len(AUS)), 0.5), AUS)
    write_predictions(path, table, info())
    return _damaged_parquet(path, rng)


def table_file(rng: random.Random, folder: Path) -> tuple[Path, str]:
    """The same for a table of somebody's own labels."""
    path = folder / "labels.parquet"
    n = rng.choice((1, 3, 20))
    names = [f"{k}.jpg" for k in range(n)]
    for name in names:
        (folder / name).touch()
    columns = {"image": names, "subject": ["S1"] * n, "frame": list(range(n)), "AU01": [k % 2 for k in range(n)]}
    pq.write_table(pa.table({**columns, "expression": ["happiness"] * n}), path)
    return _damaged_parquet(path, rng)


_ODD: tuple[Callable[[int], Any], ...] = (
    lambda n: pa.array([[1, 2]] * n),
    lambda n: pa.array([{"a": 1}] * n),
    lambda n: pa.array([None] * n),
    lambda n: pa.array([b"\xff\x00"] * n),
    lambda n: pa.array(["text"] * n),
    lambda n: pa.array([float("nan")] * n),
    lambda n: pa.array([float("inf")] * n),
    lambda n: pa.array([-1.5] * n),
    lambda n: pa.array([True] * n),
    lambda n: pa.array([2**63 - 1] * n, pa.int64()),
    lambda n: pa.array([2**64 - 1] * n, pa.uint64()),
    lambda n: pa.array(["a"] * n).dictionary_encode(),
    lambda n: pa.array([0] * n, pa.timestamp("ns")),
    lambda n: pa.array([0] * n, pa.duration("s")),
    lambda n: pa.array([1] * n, pa.decimal128(5, 2)),
    lambda n: pa.array([0] * n, pa.date32()),
    lambda n: pa.array(["\x00", "\ud7ff"] * n)[:n],
    lambda n: pa.array([[]] * n, pa.list_(pa.string())),
)
_INFO = (
    *(b"", b"null", b"[]", b"{}", b"\xff", b"1", b'"x"', b"[" * 100_000, b'{"aus": [[]]}', b'{"seed": 1e400}'),
    *(b'{"aus": null}', b"NaN", b"{" + b'"a":{' * 5000),
)
_CHANGES = (
    *({"aus": ["AU01", ["AU04"]]}, {"aus": [1, 2]}, {"aus": {}}, {"aus": "AU01"}, {"aus": ["AU99"]}, {"seed": 1.5}),
    *({"threshold": {}}, {"threshold": ["a"]}, {"threshold": []}, {"fold": []}, {"dataset": {"a": 1}}, {"seed": "1"}),
    *({"threshold": [0.5, None, 0.5]}, {"method": 3}, {"label": ["x"]}, {"aus": ["AU01", "AU01"]}, {"aus": [None]}),
)


def _damaged_parquet(path: Path, rng: random.Random) -> tuple[Path, str]:
    table, kind = pq.read_table(path), rng.choice(("bytes", "bytes", "column", "column", "info", "change", "shape"))
    if kind == "bytes":
        name, content = changed_bytes(path.read_bytes(), rng)
        path.write_bytes(content)
        return path, name
    if kind == "column":
        at, made = rng.randrange(table.num_columns), rng.choice(_ODD)(table.num_rows)
        table = table.set_column(at, table.column_names[at], made)
        kind = f"column {table.column_names[at]} of {made.type}"
    elif kind == "info":
        table = table.replace_schema_metadata({b"metafacs": rng.choice(_INFO), b"pandas": rng.choice(_INFO)})
    elif kind == "change":
        changed = rng.choice(_CHANGES)
        table = table.replace_schema_metadata({b"metafacs": json.dumps({**info(), **changed}).encode()})
        kind = f"info {changed}"
    else:
        shape = rng.choice(("no rows", "no columns", "twice", "two of a name", "other names"))
        kind = shape
        if shape == "no rows":
            table = table.slice(0, 0)
        elif shape == "no columns":
            table = table.select([])
        elif shape == "twice":
            table = pa.concat_tables([table, table])
        elif shape == "two of a name":
            table = table.append_column(table.column_names[0], table.column(0))
        else:
            table = table.rename_columns([f"{name} " for name in table.column_names])
    pq.write_table(table, path)
    return path, kind


def read_own_table(path: Path) -> str:
    Table(file=path.name).read(path.parent)
    return "read"


def read_run(path: Path) -> str:
    found = read_predictions(path)
    assert len(found.labels()) == len(found.probabilities()) == len(found.keys()) > 0
    return "read"


Make = Callable[[random.Random, Path], tuple[Path, str]]
PICTURES, VIDEOS = tuple(_SAVED), tuple(_CODECS)
KINDS: Mapping[str, tuple[Make, Callable[[Path], str]]] = {
    "pictures": (lambda rng, folder: damaged_media(PICTURES, rng, folder), look_more),
    "videos": (lambda rng, folder: damaged_media(VIDEOS, rng, folder), look_more),
    "predictions": (predictions_file, read_run),
    "tables": (table_file, read_own_table),
}
"""What is damaged, and what reads it."""


def one(kind: str, number: int, folder: Path) -> dict[str, object]:
    """Makes and reads one damaged file."""
    make, read = KINDS[kind]
    path, told = make(random.Random(f"{kind} {number}"), folder)
    try:
        signal.alarm(SECONDS)
        result = read(path)
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
