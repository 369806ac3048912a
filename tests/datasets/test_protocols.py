"""What is published: everybody in one fold, frames and rates that add up; how others name the folds."""

from pathlib import Path

import pytest

from metafacs.datasets import DATASETS, fold_numbering, rafdb
from metafacs.datasets.bp4d import BP4D
from metafacs.datasets.disfa import DISFA, FRAMES
from metafacs.datasets.ferplus import USAGES, VOTES
from metafacs.datasets.gft import GFT
from metafacs.datasets.protocols import FOLD_NAMES, folds_from_lists
from metafacs.errors import InputError
from metafacs.facs import EXPRESSIONS
from tests.datasets.trees import text


def test_everybody_is_in_one_fold() -> None:
    women, men = [f"F{k:03d}" for k in range(1, 24)], [f"M{k:03d}" for k in range(1, 19)]
    assert sorted(BP4D.published.everybody) == [*women, *men]
    disfa = DISFA.published.everybody
    missing = {f"SN{k:03d}" for k in range(1, 33)} - set(disfa)
    assert len(disfa) == len(set(disfa)) == 27 and missing == {"SN014", "SN015", "SN019", "SN020", "SN022"}


def test_folds_are_named_by_the_people_they_test() -> None:
    folds, notes = BP4D.published.assign(["F001", "M011", "F014", "F024"])
    assert folds == {"F001": "P1", "M011": "P2", "F014": "P3", "F024": ""}
    assert "41 people" in notes[0] and notes[0].endswith("F024")
    assert "F002" in notes[1] and "F001" not in notes[1]
    folds, _ = DISFA.published.assign(["SN002", "SN013", "SN003"])
    assert folds == {"SN002": "P1", "SN013": "P2", "SN003": "P3"}


def test_counts_add_up_to_the_published_totals() -> None:
    totals = {
        name: {source: sum(counts.values()) for source, counts in DATASETS[name].published.frames.items()}
        for name in ("bp4d", "disfa", "rafdb")
    }
    assert totals["bp4d"]["ME-GraphAU"] == 146847 and totals["bp4d"]["JAA-Net"] == 146576
    assert totals["disfa"]["ME-GraphAU"] == 130814 and totals["disfa"]["JAA-Net"] == 126144
    assert abs(27 * FRAMES - totals["disfa"]["ME-GraphAU"]) < 5
    assert totals["rafdb"] == {"RAF-DB": 12271 + 3068}
    assert GFT.published.people == 96 and GFT.published.rows == 172800
    assert DATASETS["ferplus"].published.rows == sum(USAGES.values()) == 35887


def test_every_reported_au_has_a_base_rate() -> None:
    for protocol in (BP4D.published, DISFA.published):
        assert tuple(protocol.base_rates) == protocol.aus
        floor = [2 * rate / (1 + rate) for rate in protocol.base_rates.values()]
        assert round(100 * sum(floor) / len(floor), 1) in (48.0, 48.1, 18.7, 18.8)


def test_codes_of_expressions_are_those_of_the_releases() -> None:
    assert rafdb.CODES == {
        1: "surprise",
        2: "fear",
        3: "disgust",
        4: "happiness",
        5: "sadness",
        6: "anger",
        7: "neutral",
    }
    assert set(rafdb.COUNTS["test"]) == set(EXPRESSIONS) and rafdb.COUNTS["train"]["happiness"] == 4772
    assert VOTES[:2] == ("neutral", "happiness") and VOTES[7:] == ("contempt", "unknown", "NF")


def test_numbering_of_other_repositories() -> None:
    assert all(sorted(folds.values()) == ["P1", "P2", "P3"] for folds in FOLD_NAMES.values())
    lines = {line.split()[0]: line.split()[1:] for line in fold_numbering().splitlines()[1:]}
    assert lines["ME-GraphAU"] == ["fold3", "fold2", "fold1"]
    assert lines["JAA-Net"] == ["part1", "part2", "part3"]
    assert lines["FG-Net"] == ["labels/0", "labels/1", "labels/2"]
    assert lines["LibreFace"] == ["labels/2", "labels/1", "labels/0"]


def test_lists_of_subjects(tmp_path: Path) -> None:
    train, test = text(tmp_path / "train.txt", ["\ufeff101", ' "102" ', ""], "\r\n"), text(tmp_path / "test.txt", ["7"])
    assert folds_from_lists({"train": train, "test": test}) == {"101": "train", "102": "train", "7": "test"}
    text(test, ["7", "101"])
    with pytest.raises(InputError, match=r"test\.txt, line 2: 101 .*train"):
        folds_from_lists({"train": train, "test": test})
