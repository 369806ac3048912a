"""Mappings, lists of subjects, tables of folds and training logs with damage done to them: read, or refused."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from metafacs.analysis.records import read_metrics
from metafacs.datasets.gft import GFT, folds_from_table, read_mapping
from metafacs.datasets.protocols import folds_from_lists
from metafacs.errors import InputError
from metafacs.evaluation.costs import costs
from metafacs.runs import DONE, METRICS
from tests.datasets import trees
from tests.evaluation.runs import write_run
from tests.faults.test_fuzz_readers import deadline
from tests.strategies import HOSTILE_CELLS, damaged

SHORT, LONG = 60, 2000
"""Damaged files of each kind."""
COUNTS = [SHORT, pytest.param(LONG, marks=pytest.mark.slow)]
MAPPING = {
    "files": "labels/*.csv",
    "columns": {"frame": "Frame", "AU12": "AU12"},
    "subjects": r"([^/]+)\.[^.]+$",
    "image": "frames/{subject}/{frame}.jpg",
    "first_frame": 1,
    "unknown": [-1, 9],
}
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Nine to the ninth texts, in a few hundred bytes."""


def fuzz(path: Path, content: bytes, read: Callable[[], Any], count: int, name: str, named: bool = True) -> None:
    """Reads a file `count` times, each time with other damage; what is read must be read, or be an `InputError`."""
    refused = 0
    for number in range(count):
        damage = damaged(content, random.Random(f"{name} {number}"))
        path.write_bytes(damage.content)
        try:
            with deadline():
                read()
        except InputError as error:
            refused += 1
            assert not named or path.name in str(error) or str(path.parent) in str(error), f"input {number}: {error}"
        except Exception as error:
            raise AssertionError(f"{name}, input {number}: {damage.name}") from error
    path.write_bytes(content)
    read()
    assert 0 < refused < count


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    trees.miniature("gft", tmp_path / "raw")
    return tmp_path / "raw"


@pytest.mark.parametrize("count", COUNTS)
def test_mappings(count: int, raw: Path) -> None:
    path = raw / "mapping.yaml"
    fuzz(
        path, yaml.safe_dump(MAPPING).encode(), lambda: GFT(mapping=str(path)).read(raw), count, "mappings", named=False
    )


ODD_VALUES = (
    *(
        *HOSTILE_CELLS,
        None,
        True,
        1,
        -1,
        1.5,
        10**30,
        [],
        {},
        [[]],
        [{}],
        [None],
        ["x"],
        {"a": None},
        {"a": [1]},
        {1: 2},
    ),
    *(
        "/etc/*",
        "**x",
        "[",
        "(",
        "{",
        "*",
        "../*.csv",
        "{frame.real}",
        "{subject[0][0][9]}",
        "{0}",
        "{frame:>9z}",
        "\n",
    ),
    *("{subject!r:>99}", "{frame.__class__}", {"frame": None}, {"frame": "absent"}, {"AU99": "AU12"}, [float("nan")]),
)


@pytest.mark.parametrize("option", MAPPING)
def test_odd_values_of_a_mapping(option: str, raw: Path) -> None:
    path = raw / "mapping.yaml"
    for value in ODD_VALUES:
        path.write_text(yaml.safe_dump({**MAPPING, option: value}), encoding="utf-8")
        try:
            with deadline():
                GFT(mapping=str(path)).read(raw)
        except InputError:
            continue
        except Exception as error:
            raise AssertionError(f"{option}: {value!r}") from error


@pytest.mark.parametrize(
    "text",
    [
        *(BOMB, BOMB + "files: *i\n", "files: &a [*a]\n", "[" * 20_000, "files: !!python/object/apply:os.system [x]\n"),
        *("files: 2024-13-45\n", "? [a]\n: b\n", "!!binary x\n", "first_frame: 0x\n", "a: 1:99:99\n"),
        *("- a\n", "", "\x00", "files: !!float x\n", "files: !!int x\n", "%YAML 9.9\n---\n", "<<: [1]\n", "null\n"),
    ],
)
def test_hostile_yaml(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(text, encoding="utf-8")
    with deadline(), pytest.raises(InputError, match=r"mapping\.yaml") as refused:
        read_mapping(path)
    assert len(str(refused.value)) < 3000


@pytest.mark.parametrize("count", COUNTS)
def test_lists_of_subjects(count: int, tmp_path: Path) -> None:
    path, other = tmp_path / "train.txt", trees.text(tmp_path / "test.txt", ["S9"])
    content = "\n".join(f"S{k}" for k in range(8)).encode()
    fuzz(path, content, lambda: folds_from_lists({"train": path, "test": other}), count, "lists of subjects")


@pytest.mark.parametrize("count", COUNTS)
def test_tables_of_folds(count: int, tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    content = ("subject,fold\n" + "".join(f"S{k},P{k % 3}\n" for k in range(8))).encode()
    fuzz(path, content, lambda: folds_from_table(path), count, "tables of folds")


@pytest.mark.parametrize("count", COUNTS)
def test_training_logs(count: int, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    record = {"seconds_per_step": 0.5, "processor_seconds_per_step": 0.4, "loss": None}
    lines = [json.dumps({"event": "train", "step": step, **record}) for step in range(6)]
    (run / DONE).write_text('{"memory_peak_mib": 5, "memory_before_mib": 3}\n')
    content = ("\n".join(lines) + "\n").encode()
    fuzz(run / METRICS, content, lambda: read_metrics(run), count, "training logs")
    fuzz(run / METRICS, content, lambda: costs([run], "stl"), count, "costs")
    fuzz(run / DONE, (run / DONE).read_bytes(), lambda: costs([run], "stl"), count, "done")
