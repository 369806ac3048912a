"""Whether files that commands have left are whole, and the same as others."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import yaml
from PIL import Image
from safetensors import safe_open

from metafacs.data.prepared import CARD_FILE, PreparedDataset
from metafacs.errors import InputError


def check_readable(folder: Path) -> None:
    """Every file that stands under its own name is whole; a dataset is whole or refused."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and not path.name.endswith((".partial.csv", ".log")):
            try:
                READERS.get(path.suffix, Path.read_bytes)(path)
            except Exception as error:
                raise AssertionError(f"{path} is not whole: {error!r}") from error


def _read_card(path: Path) -> None:
    json.loads(path.read_text())
    if path.name == CARD_FILE:
        assert len(PreparedDataset.open(path.parent)) > 0


def _read_arrow(path: Path) -> None:
    if not (path.parent / CARD_FILE).exists():
        try:
            PreparedDataset.open(path.parent)
        except InputError:
            return
        raise AssertionError("a dataset without its card was opened")


def _read_lines(path: Path) -> None:
    """Of a log that is appended to, the last line may be cut; it is dropped when the run goes on."""
    for line in path.read_text().split("\n")[:-1]:
        json.loads(line)


def _read_tensors(path: Path) -> None:
    with safe_open(path, "pt") as opened:
        assert all(opened.get_tensor(name) is not None for name in opened.keys())  # noqa: SIM118 - not a dict


def _read_picture(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()


def _read_video(path: Path) -> None:
    import av

    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 0


def _ends_with_a_line(path: Path) -> None:
    assert path.read_bytes().endswith(b"\n")


READERS: dict[str, Callable[[Path], object]] = {
    ".json": _read_card,
    ".arrow": _read_arrow,
    ".jsonl": _read_lines,
    ".parquet": pq.read_table,
    ".safetensors": _read_tensors,
    ".png": _read_picture,
    ".jpg": _read_picture,
    ".mp4": _read_video,
    ".avi": _read_video,
    ".yaml": lambda path: yaml.safe_load(path.read_text()),
    ".csv": _ends_with_a_line,
    ".txt": _ends_with_a_line,
}


def same_files(one: Path, other: Path, without: Sequence[str] = ()) -> None:
    """Fails unless two folders hold the same files with the same bytes, hidden ones and those of `without` apart."""

    def files(folder: Path) -> dict[str, bytes]:
        found = [path for path in folder.rglob("*") if path.is_file() and path.name not in without]
        names = {str(path.relative_to(folder)): path for path in found}
        return {name: path.read_bytes() for name, path in names.items() if not f"/{name}".count("/.")}

    a, b = files(one), files(other)
    different = [name for name in sorted({*a, *b}) if a.get(name) != b.get(name)]
    assert not different, different
