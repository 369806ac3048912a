"""What the tests of this folder share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metafacs.data.prepared import PreparedDataset
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
    from tests.faults.commands import Inputs

    return Inputs(tmp_path_factory.mktemp("inputs"), au_dataset.folder, fe_dataset.folder).command
