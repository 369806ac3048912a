from pathlib import Path

from metafacs.datasets.audit.duplicates import check_duplicates, find_duplicates
from metafacs.datasets.audit.material import CHECK, DIFFERS, NOTE
from tests.datasets.audit.small import gather, rows_of


def test_every_copy_is_found(tmp_path: Path) -> None:
    rows = rows_of("bp4d", 6, ["F001", "F007"])
    labels = [name for name in rows[0] if name.startswith("AU")]
    for frame in (2, 3):  # a run of three with equal labels
        rows[frame] |= {"image": rows[1]["image"], **{name: rows[1][name] for name in labels}}
    rows[11]["image"] = rows[10]["image"]  # a run of two with other labels
    rows[7]["image"] = rows[5]["image"]  # another person, another fold
    material = gather(tmp_path / "out", rows)
    told: list[tuple[int, int]] = []
    found = find_duplicates(material.dataset, material.rows, lambda *at: told.append(at))
    assert (found.surplus, found.same_labels) == (4, 3)
    assert found.runs["frames"].tolist() == [3, 2] and found.runs["first"].tolist() == [2, 5]
    assert found.strangers == [[5, 7]] and found.folds == 1
    assert found.contradicting == [[10, 11]]
    assert told[-1] == (12, 12)
    said = check_duplicates(found)
    assert [one.level for one in said] == [CHECK, DIFFERS, CHECK, CHECK]
    assert "4 faces repeat another one to the last bit, 3 with the same labels" in said[0].text


def test_without_copies_there_is_nothing(tmp_path: Path) -> None:
    material = gather(tmp_path / "out", rows_of("bp4d", 3, ["F001"]))
    found = find_duplicates(material.dataset, material.rows)
    assert found.surplus == 0 and not len(found.runs)
    assert [one.level for one in check_duplicates(found)] == [NOTE]
