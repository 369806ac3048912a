"""Damaged label files: every reader gives a well-formed listing or an error that says where; never anything else."""

import random
from pathlib import Path

import pytest

from metafacs.datasets import DATASETS
from metafacs.errors import InputError
from tests.damage import damaged
from tests.datasets.test_datasets import check
from tests.datasets.trees import miniature

LABELS = {".csv", ".tsv", ".txt", ".npy"}


@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", list(DATASETS))
def test_a_damaged_label_file_is_read_or_refused(name: str, count: int, tmp_path: Path) -> None:
    options = miniature(name, tmp_path)
    files = [path for path in sorted(tmp_path.rglob("*")) if path.suffix in LABELS]
    for number in range(count if files else 0):
        places = random.Random(f"{name} {number}")
        path = places.choice(files)
        content = path.read_bytes()
        kind, changed = damaged(content, places)
        path.write_bytes(changed)
        try:
            listing = DATASETS[name](**options).read(tmp_path)
            if len(listing.rows):
                check(listing, tmp_path)
        except InputError as error:
            assert path.name in str(error) or str(tmp_path) in str(error)
        except Exception as error:
            raise AssertionError(f"input {number}: {path.relative_to(tmp_path)}: {kind}") from error
        path.write_bytes(content)
