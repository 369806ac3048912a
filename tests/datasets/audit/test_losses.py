from pathlib import Path

import pytest

from metafacs.datasets.audit.losses import check_losses, check_notes, check_rows, reasons, subjects
from metafacs.datasets.audit.material import CHECK, DIFFERS, NOTE
from metafacs.datasets.cropping import Skipped
from tests.datasets.audit.small import face_lost, gather, rows_of


def test_every_kind_of_loss_is_counted(tmp_path: Path) -> None:
    lost = [
        Skipped("listing", "F001/T1, frames 3-5", "no picture img/{frame}.jpg", rows=3),
        Skipped("listing", "votes.csv, line 2", "no majority"),
        Skipped("picture", "img/F001/6.jpg", "damaged image (x)", "F001", "F001/T1", 6),
        face_lost("F001"),
        face_lost("F001", 98),
    ]
    material = gather(tmp_path / "out", rows_of("bp4d", 4), lost=lost)
    table = subjects(material)
    assert table.loc["F001"].tolist() == ["P1", 4, 1, 2, pytest.approx(100 * 2 / 6)]
    assert table.loc["M018"].tolist() == ["P2", 4, 0, 0, 0] and len(table) == 41
    assert reasons(material)["rows"].tolist() == [3, 2, 1, 1]
    found = check_losses(material)
    told = [(one.level, one.topic, one.text) for one in found]
    assert told[0][:2] == (CHECK, "labels without pictures") and told[0][2].startswith("3 labelled rows left out")
    assert told[1][:2] == (NOTE, "rules") and told[1][2].startswith("1 labelled rows")
    assert told[2][:2] == (CHECK, "unreadable pictures") and "img/F001/6.jpg: damaged image" in told[2][2]
    assert told[3][:2] == (DIFFERS, "faces") and "2 pictures (1.20 %" in told[3][2]
    assert told[4][:2] == (CHECK, "faces") and told[4][2].endswith("F001 33 %")
    assert all(one.action for one in found if one.level != NOTE)


def test_few_lost_faces_are_only_noted(tmp_path: Path) -> None:
    (finding,) = check_losses(gather(tmp_path / "out", rows_of("bp4d", 20), lost=[face_lost("F001")]))
    assert finding.level == NOTE and "1 pictures (0.12 %" in finding.text
    (finding,) = check_losses(gather(tmp_path / "none", rows_of("bp4d", 2)))
    assert finding.level == NOTE


def test_a_person_without_a_single_face_is_in_the_table(tmp_path: Path) -> None:
    rows = [row for row in rows_of("bp4d", 4) if row["subject"] != "F005"]
    table = subjects(gather(tmp_path / "out", rows, lost=[face_lost("F005")]))
    assert table.loc["F005", "no_face_percent"] == 100 and table.loc["F005", "faces"] == 0


def test_people_with_one_picture_each_are_not_listed(tmp_path: Path) -> None:
    assert not len(subjects(gather(tmp_path / "out", rows_of("bp4d", 1))))


def test_suspicions_of_readers_are_to_be_checked(tmp_path: Path) -> None:
    notes = ["off by one? 3 people have one picture more", "pictures: img", "people of the published folds who are"]
    notes[2] += " not here: F001"
    found = check_notes(gather(tmp_path / "out", rows_of("bp4d", 1), notes=notes))
    assert [(one.level, one.topic) for one in found] == [(CHECK, "off by one"), (NOTE, "reader")]


def test_rows_that_no_dataset_should_have(tmp_path: Path) -> None:
    rows = rows_of("bp4d", 2)
    rows[0]["fold"], rows[5]["frame"] = "all", rows[4]["frame"]
    found = check_rows(gather(tmp_path / "out", rows))
    assert any(one.topic == "folds" and "1 faces are in no fold" in one.text for one in found)
    assert any(one.level == DIFFERS and "F001 is in several folds" in one.text for one in found)
    assert any(one.topic == "frame" for one in found)
    assert check_rows(gather(tmp_path / "clean", rows_of("bp4d", 2))) == []
