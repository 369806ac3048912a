"""Safetensors files of metafacs: a JSON header, tensors, and a SHA-256 of both that is checked when one is read."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from metafacs.errors import InputError
from metafacs.files import atomic_file

HEADER, DIGEST = "metafacs", "content_sha256"
"""Entries of the file's own metadata: what metafacs says about it (JSON), and the digest. Files of others have neither;
files of earlier versions have another digest, which is not checked."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Writes tensors (contiguous, on the CPU) and a JSON header into one file, atomically."""
    text = json.dumps(header)
    # Not `save_file`: it hides the reason of a failed write, and its files can be read by their owner only.
    content = save(dict(tensors), {HEADER: text, DIGEST: _digest(text, tensors)})
    with atomic_file(path) as partial:
        partial.write_bytes(content)


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The JSON header (empty in files of others) and the tensors of a file.

    Raises:
        InputError: it is not a safetensors file, or damaged.
    """
    try:
        with safe_open(path, "pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a dict
        text = metadata.get(HEADER, "{}")
        if DIGEST in metadata and metadata[DIGEST] != _digest(text, tensors):
            raise ValueError("its content is not what was written: the SHA-256 differs")
        return dict(json.loads(text)), tensors
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged or not a safetensors file ({error}); copy it again, or remove it and train again. "
            "Pickled files (.pt, .pth, .bin) are never read, because they can run code"
        ) from error


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
