"""Datasets that many tests share; `builders.py` says what is in them."""

from collections.abc import Callable, Iterator

import pytest
import torch

from metafacs.data.prepared import PreparedDataset
from tests import builders
from tests.launcher import Launcher

torch.set_num_threads(1)  # the networks of the tests are so small that threads only wait for each other


@pytest.fixture(scope="session")
def make_prepared() -> Callable[..., PreparedDataset]:
    return builders.make_prepared


@pytest.fixture(scope="session")
def au_dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Six subjects with eight frames each, six AUs; to be left unchanged."""
    return builders.make_prepared(tmp_path_factory.mktemp("prepared") / "au", landmarks=True)


@pytest.fixture(scope="session")
def fe_dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """48 expression images, a quarter of them unreadable; to be left unchanged."""
    return builders.make_prepared(tmp_path_factory.mktemp("prepared") / "fe", kind="fe", unreadable=0.25)


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """Starts real `metafacs` processes."""
    with Launcher() as started:
        yield started
