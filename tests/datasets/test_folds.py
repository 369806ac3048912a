from pathlib import Path

import pytest

from metafacs.datasets import fold_numbering
from metafacs.datasets.folds import folds_from_lists, folds_of
from metafacs.errors import InputError
from tests.datasets.trees import text


def test_folds_are_named_by_the_people_they_test() -> None:
    folds, notes = folds_of("bp4d", ["F001", "M011", "F014", "F024"])
    assert folds == {"F001": "P1", "M011": "P2", "F014": "P3", "F024": ""}
    assert notes[0].endswith("(never trained or tested on): F024")
    assert "who are not here: F002" in notes[1]
    assert folds_of("disfa", ["SN002", "SN013", "SN003"])[0] == {"SN002": "P1", "SN013": "P2", "SN003": "P3"}
    with pytest.raises(InputError, match="no protocol 'x'; known: bp4d, disfa"):
        folds_of("x", [])


def test_numbering_of_other_repositories() -> None:
    lines = {line.split()[0]: line.split()[1:] for line in fold_numbering().splitlines()[1:]}
    assert lines["ME-GraphAU"] == ["fold3", "fold2", "fold1"]
    assert lines["JAA-Net"] == ["part1", "part2", "part3"]
    assert lines["FG-Net"] == ["labels/0", "labels/1", "labels/2"]
    assert lines["LibreFace"] == ["labels/2", "labels/1", "labels/0"]


def test_lists_of_subjects(tmp_path: Path) -> None:
    train, test = text(tmp_path / "train.txt", ["\ufeff101", ' "102" ', ""], "\r\n"), text(tmp_path / "test.txt", ["7"])
    assert folds_from_lists({"train": train, "test": test}) == {"101": "train", "102": "train", "7": "test"}
    text(test, ["7", "101"])
    with pytest.raises(InputError, match=r"test\.txt, line 2: 101 is in fold train already"):
        folds_from_lists({"train": train, "test": test})
