"""What the tests of this folder share."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metafacs.data.prepared import PreparedDataset
from tests.faults.commands import Inputs
from tests.faults.disks import Disk
from tests.faults.killing import Command
from tests.launcher import Launcher


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """Starts real `metafacs` processes, also those that render."""
    with Launcher("tests.faults.forker") as started:
        yield started


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A small disk of its own; skips where none can be mounted."""
    made = Disk(tmp_path / "disk")
    yield made
    made.close()


@pytest.fixture(scope="session")
def commands(
    tmp_path_factory: pytest.TempPathFactory, au_dataset: PreparedDataset, fe_dataset: PreparedDataset
) -> Callable[[str], Command]:
    """Gives a command of `commands.py` by its name; what it needs is made once."""
    return Inputs(tmp_path_factory.mktemp("inputs"), au_dataset.folder, fe_dataset.folder).command


@pytest.fixture(scope="session")
def undisturbed(
    commands: Callable[[str], Command], launcher: Launcher, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Gives the folder that a command has filled undisturbed; to be left unchanged."""

    @functools.cache
    def filled(name: str) -> Path:
        folder, command = tmp_path_factory.mktemp(name), commands(name)
        status, printed = launcher.run(command.arguments(folder), folder.with_name(f"{name}.log"), command.setup)
        assert status == 0, printed
        return folder

    return filled
