"""Model files inside Python packages: found without running the package's code, and known by their SHA-256."""

import hashlib
import importlib
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from metafacs.errors import InputError


def packaged_file(package: str, name: str, sha256: str, extra: str = "faces") -> Path:
    """The file `name` of an installed package.

    Args:
        package: as pip names it.
        name: path within the package's files, with slashes.
        sha256: what the file must be.
        extra: the extra of metafacs that brings the package.

    Raises:
        InputError: the package is not installed, lacks the file, or has another one.
    """
    bring = f"install the {extra} extra: pip install 'metafacs[{extra}]'"
    try:
        entries = files(package) or []
    except PackageNotFoundError as error:
        raise InputError(f"the Python package {package} is not installed; {bring}") from error
    path = next((Path(str(entry.locate())) for entry in entries if entry.as_posix() == name), None)
    if path is None or not path.is_file():
        raise InputError(f"the installed Python package {package} has no file {name}; install it again, or {bring}")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise InputError(f"{path} has SHA-256 {digest}, not {sha256}: another version, or altered; {bring}")
    return path


def imported(name: str) -> Any:
    """A module of the faces extra.

    Raises:
        InputError: it cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"faces cannot be sought because {name} cannot be imported ({error}); install the faces extra: "
            "pip install 'metafacs[faces]'"
        ) from error
