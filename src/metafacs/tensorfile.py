"""Safetensors files of metafacs: a SHA-256 of every byte stands in the header, and a damaged file is never read.

The digest is that of the whole file with 64 zeros in its own place. It is checked whenever a file is opened, which
reads the file once more (1.8 GB a second on one core). Files that were written before there were digests have none and
are read as before; so are files of others.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from metafacs import memory
from metafacs.errors import InputError
from metafacs.files import atomic_file

HEADER, DIGEST = "metafacs", "sha256"
"""Entries of the file's own metadata: what metafacs says about it (JSON), and the digest."""
MOST_HEADER = 32 * 2**20
"""Bytes that the JSON of a header may have: hundreds of thousands of people's names."""
_UNKNOWN = "0" * 64
_PIECE = 2**22
_UNREADABLE = (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError)
"""What safetensors raises for files that are none, and for numbers that torch does not know."""


@dataclass(frozen=True)
class Contents:
    """What a file says it holds.

    Attributes:
        header: the JSON mapping under `HEADER`; None where there is none, as in files of others.
        shapes: of the tensors, by name.
    """

    header: dict[str, Any] | None
    shapes: dict[str, tuple[int, ...]]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Writes tensors (contiguous, on the CPU) and a JSON header into one file with its digest, atomically."""
    # Not `save_file`: it hides the reason of a failed write, and its files can be read by their owner only.
    content = memoryview(save(dict(tensors), {HEADER: json.dumps(header), DIGEST: _UNKNOWN}))
    place = _place(bytes(content[: 8 + int.from_bytes(content[:8], "little")]), _UNKNOWN)
    if place < 0:
        raise RuntimeError("safetensors writes its header in another way than this expects")
    digest = hashlib.sha256(content).hexdigest().encode()
    with atomic_file(path) as partial, partial.open("wb") as file:
        for part in (content[:place], digest, content[place + len(digest) :]):
            file.write(part)


def read_contents(path: Path) -> Contents:
    """Checks the file's digest and reads its header; no tensor is read into memory.

    Raises:
        InputError: it is no safetensors file, or damaged.
    """
    try:
        with safe_open(path, "pt") as opened:
            said = opened.metadata() or {}
            shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except _UNREADABLE as error:
        raise damaged(path, _shown(error)) from error
    if DIGEST in said:
        _check_digest(path, said[DIGEST])
    elif HEADER in said and len(said) > 1:
        raise damaged(path, "its header has entries that metafacs does not write")
    if len(said.get(HEADER, "")) > MOST_HEADER:
        raise damaged(path, f"its header has {len(said[HEADER])} characters")
    try:
        header = json.loads(said.get(HEADER, "null"))
    except (ValueError, RecursionError) as error:
        raise damaged(path, _shown(error)) from error
    return Contents(header if isinstance(header, dict) else None, shapes)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file that `read_contents` has checked.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with safe_open(path, "pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a dict
    except _UNREADABLE as error:
        if memory.wanted(error) is not None:
            raise
        raise damaged(path, _shown(error)) from error


def damaged(path: Path, reason: object) -> InputError:
    """The error that says that a file cannot be used, and what to do."""
    return InputError(
        f"{path} is damaged or no safetensors file ({reason}); copy it again, or remove it and train again. Pickled "
        "files (.pt, .pth, .bin) are never read, because they can run code"
    )


def _check_digest(path: Path, said: str) -> None:
    with path.open("rb") as file:
        length = file.read(8)
        start = length + file.read(int.from_bytes(length, "little"))
        place = _place(start, said) if re.fullmatch("[0-9a-f]{64}", said) else -1
        if place < 0:
            raise damaged(path, "its digest is none")
        found = hashlib.sha256(start[:place] + _UNKNOWN.encode() + start[place + len(_UNKNOWN) :])
        while piece := file.read(_PIECE):
            found.update(piece)
    if found.hexdigest() != said:
        raise damaged(path, "its content is not what was written: the SHA-256 differs")


def _place(start: bytes, digest: str) -> int:
    """Where the digest stands in the beginning of a file; -1 if nowhere.

    In no other entry can there be these quotes: within a text they are escaped.
    """
    key = f'"{DIGEST}":"'.encode()
    at = start.find(key + digest.encode() + b'"')
    return at + len(key) if at >= 0 else -1


def _shown(error: Exception) -> str:
    """The first line of what went wrong, short; KeyError's text is a name only."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text[:200]
