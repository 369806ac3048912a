"""The parametric head model `anny`: loading it, and making its first load on a machine quick."""

import functools
import gzip
import hashlib
import importlib
import inspect
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from metafacs.errors import InputError

Announce = Callable[[str], None]

_READER_SOURCE = "8672c29d9597a9cc84ac221590d13b74cf833b37248e5ae7612aef2c39744f76"
"""SHA-256 of the source of `anny.models.full_model.load_blend_shape` that `read_blend_shape` can stand in for."""
_MODEL = {
    "rig": "makehuman-head",
    "topology": "head",
    "local_changes": "default",
    "facial_actions": "all",
    "phenotypes": "all",
    "skinning_method": "lbs",
}


class _NotCachedError(Exception):
    """The model would have to be built from its source files."""


def read_blend_shape(
    filename: str | os.PathLike[str], vertices_count: int, world_transformation: Any, dtype: torch.dtype
) -> torch.Tensor:
    """Reads one gzipped target file (lines of "vertex x y z") in one go.

    Takes the arguments of `anny.models.full_model.load_blend_shape` and returns the same tensor to the last bit,
    without looping over lines.

    Returns:
        (vertices_count, 3), world coordinates; vertices that the file does not name are zero before the transformation.

    Raises:
        ValueError: a vertex number is out of range, or the file does not hold four numbers a line.
    """
    with gzip.open(filename, "rb") as archive:
        values = np.array(archive.read().split(), dtype=np.float64).reshape(-1, 4)
    vertices = values[:, 0].astype(np.int64)
    if len(vertices) and (vertices.min() < 0 or vertices.max() >= vertices_count):
        raise ValueError(f"{filename}: vertex numbers beyond 0-{vertices_count - 1}")
    offsets = torch.zeros((vertices_count, 3), dtype=dtype)
    offsets[torch.from_numpy(vertices)] = torch.from_numpy(values[:, 1:].copy()).to(dtype)
    return world_transformation.apply(offsets)


def require(module: str) -> ModuleType:
    """Imports a package of the `synth` extra.

    Raises:
        InputError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("anny", "warp"):
            raise
        raise InputError(
            f"rendering faces needs the package '{error.name}', which is not installed; "
            "run: pip install 'metafacs[synth]'"
        ) from error


@functools.cache
def start_warp() -> ModuleType:
    """The warp package, started without its banner on the terminal.

    Raises:
        InputError: it is not installed.
    """
    warp = require("warp")
    if hasattr(warp.config, "log_level"):
        warp.config.log_level = warp.LOG_ERROR
    else:
        warp.config.quiet = True
    with _silent_stderr():  # that there is no CUDA driver is written past Python, straight to the terminal
        warp.init()
    return warp


@contextmanager
def _silent_stderr() -> Iterator[None]:
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def known_reader(full_model: ModuleType) -> bool:
    """Whether anny's target reader is the one that `read_blend_shape` was checked against."""
    try:
        source = inspect.getsource(full_model.load_blend_shape)
    except (AttributeError, OSError, TypeError):
        return False
    return hashlib.sha256(source.encode()).hexdigest() == _READER_SOURCE


@contextmanager
def replaced(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    """Sets an attribute of `module` for the length of a block."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _build() -> Any:
    return require("anny").Anny(**_MODEL)


def build_model(announce: Announce | None = None) -> Any:
    """The anny head model in float32, built once per machine and cached by anny afterwards.

    The first build reads some thousand text files; where anny's reader is the known one, `read_blend_shape` takes its
    place for that time. The cache files are written beside the cache and moved into it whole, so a killed or a
    simultaneous first build leaves no damaged cache.
    """
    require("anny")
    full_model, paths = require("anny.models.full_model"), require("anny.paths")
    if not known_reader(full_model):
        if announce and not any(Path(paths.get_anny_cache_path()).glob("*/*")):
            announce("building the 3D head model (once per machine, about 2 minutes)")
        return _build().float()

    def refuse(*_: Any, **__: Any) -> torch.Tensor:
        raise _NotCachedError

    with suppress(_NotCachedError), replaced(full_model, "load_blend_shape", refuse):
        return _build().float()
    if announce:
        announce("building the 3D head model (once per machine, about half a minute)")
    with _staged_cache(paths), replaced(full_model, "load_blend_shape", read_blend_shape):
        return _build().float()


@contextmanager
def _staged_cache(paths: ModuleType) -> Iterator[None]:
    """Lets anny write its cache into a folder of its own, and moves what the head needs into the cache at the end."""
    cache = Path(paths.get_anny_cache_path())
    staging = cache / f".metafacs-{os.getpid()}"
    staging.mkdir(parents=True, exist_ok=True)
    paths.set_anny_cache_path(staging)
    try:
        yield
        for built in staging.glob("*/*.safetensors"):
            if built.name.startswith("load_data_"):
                continue  # 560 MB for the whole body, which the head's own files make unnecessary
            target = cache / built.relative_to(staging)
            target.parent.mkdir(parents=True, exist_ok=True)
            built.replace(target)
    finally:
        paths.set_anny_cache_path(cache)
        shutil.rmtree(staging, ignore_errors=True)
