"""Files made to do harm, and what must hold when a command is given one."""

import os
import pickle
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from metafacs.tensorfile import write_tensors
from metafacs.training.checkpoint import FORMAT
from tests.methods.test_registry_wide import CARD, build
from tests.toy_runs import metafacs

Said = Callable[..., str]


class Bomb:
    """Its pickle makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch '{self.path}'",))


def bombs(folder: Path, target: Path) -> dict[str, bytes]:
    """A bomb as torch writes it, as it wrote it once, as a bare pickle, and in text."""
    torch.save({"state_dict": {"a": torch.zeros(2)}, "b": Bomb(target)}, folder / "zip")
    torch.save({"b": Bomb(target)}, folder / "old", _use_new_zipfile_serialization=False)
    found = {"zip": (folder / "zip").read_bytes(), "old": (folder / "old").read_bytes()}
    return {**found, "bare": pickle.dumps(Bomb(target)), "text": pickle.dumps(Bomb(target), protocol=0)}


def refusal(capfd: pytest.CaptureFixture[str], boom: Path, *arguments: object) -> str:
    """Runs a command that must be refused in few words, quickly, without a bomb (which makes `boom`) going off."""
    capfd.readouterr()
    start = time.monotonic()
    assert metafacs(*arguments) == 2
    printed = capfd.readouterr()
    assert "Traceback" not in printed.err + printed.out
    assert "\x1b" not in printed.err + printed.out
    assert time.monotonic() - start < 60
    assert not boom.exists(), "code ran"
    return printed.err


@contextmanager
def little_memory(mebibytes: int = 600) -> Iterator[None]:
    """Nothing within may take much more memory than there was."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < mebibytes * 1024


def write(path: Path, drop: str = "", tensors: dict[str, torch.Tensor] | None = None, **changes: Any) -> Path:
    """A detector with a good digest, as somebody can make it who means harm."""
    network = build("stl").network
    own = {f"network.{name}": value for name, value in network.state_dict().items()}
    header = {"format": FORMAT, **asdict(CARD), **changes}
    header.pop(drop, None)
    write_tensors(path, own if tensors is None else tensors, header)
    return path
