"""A table of one's own, from `prepare` to `evaluate`: what it cannot show is said, never made up."""

import csv
import io
from pathlib import Path

import pytest
from PIL import Image

from metafacs.data.prepared import PreparedDataset
from metafacs.evaluation.comparison import compare
from metafacs.runs import DETECTOR
from metafacs.training.checkpoint import load_detector
from tests.builders import make_prepared
from tests.toy_runs import flags, metafacs, rewrite

AUS = ["AU01", "AU04", "AU12"]
PEOPLE, EACH = 6, 10


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return make_prepared(tmp_path_factory.mktemp("drawn") / "au", subjects=PEOPLE, frames=EACH, aus=AUS, size=36)


def write(raw: Path, drawn: PreparedDataset, column: str, folds: bool) -> Path:
    """Pictures whose names say nothing of people, and their table; `column` names the one of people."""
    raw.mkdir()
    rows = []
    for k, row in enumerate(drawn.table.to_pylist()):
        (raw / f"{k * 7 % 60:03d}.jpg").write_bytes(row["image"]["bytes"])
        rows.append({"image": f"{k * 7 % 60:03d}.jpg", column: row["subject"], **{au: row[au] for au in AUS}})
        rows[-1] |= {"part": row["fold"]} if folds else {}
    with (raw / "labels.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return raw


def prepare(raw: Path, out: Path, *options: str) -> int:
    return metafacs("prepare", "table", "--raw", raw, "--out", out, "--detector", "none", "--size", "36", *options)


def test_unknown_people_are_said_everywhere(
    drawn: PreparedDataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    out = tmp_path / "out"
    assert prepare(write(tmp_path / "raw", drawn, "code", folds=True), out) == 0
    printed = capsys.readouterr().out
    assert "WARNING" in printed and "in 60 of 60 rows" in printed
    assert "--subject COLUMN" in printed and "is it code?" in printed
    verdict = printed.split("VERDICT:")[1].split("\n\n")[0]
    assert "to check: people" in verdict and "no fault" not in verdict
    assert not PreparedDataset.open(out).card.people_known
    assert "people" not in printed.split("Frames per fold")[1].split("\n")[1]
    run = tmp_path / "run"
    assert metafacs(*flags(run, out, None, method="stl", loop__steps=2)) == 0
    assert "not be subject-exclusive: nobody knows who is who in out" in caplog.text
    assert "whole people are reserved" in caplog.text
    capsys.readouterr()
    assert metafacs("evaluate", run) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("F1 × 100 on out (NOT SUBJECT-EXCLUSIVE)")
    assert "people of the test fold may have trained: nobody knows who is who in out" in printed
    assert not compare([run]).subject_exclusive


def test_the_column_of_people_can_be_named(
    drawn: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert prepare(write(tmp_path / "raw", drawn, "code", folds=True), out, "--subject", "code") == 0
    printed = capsys.readouterr().out
    assert "people: 6, from the column 'code'" in printed and "no fault was found" in printed
    dataset = PreparedDataset.open(out)
    assert dataset.card.people_known and dataset.card.counts["subjects"] == PEOPLE
    run = tmp_path / "run"
    assert metafacs(*flags(run, out, None, method="stl", loop__steps=2)) == 0
    assert metafacs("evaluate", run) == 0
    assert "SUBJECT-EXCLUSIVE" not in capsys.readouterr().out and compare([run]).subject_exclusive


def test_without_folds_the_audit_and_training_name_the_fix(
    drawn: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert prepare(write(tmp_path / "raw", drawn, "code", folds=False), out) == 0
    verdict, rest = capsys.readouterr().out.split("VERDICT:")[1].split("\n\n", 1)
    assert "to check: people, folds" in verdict and "no fault" not in verdict and "no fold" in rest
    assert metafacs(*flags(tmp_path / "run", out, None, method="stl")) == 2
    printed = capsys.readouterr().err
    assert "no fold 'P1'" in printed and "--folds 3" in printed and not (tmp_path / "run").exists()
    assert prepare(tmp_path / "raw", tmp_path / "dealt", "--subject", "code", "--name", "smiles") == 0
    printed = capsys.readouterr().out
    assert "P1 2, P2 2, P3 2, as the table gives no folds" in printed and "no fault was found" in printed
    assert PreparedDataset.open(tmp_path / "dealt").card.name == "smiles"
    assert metafacs(*flags(tmp_path / "run", tmp_path / "dealt", None, method="stl", loop__steps=2)) == 0
    assert metafacs("evaluate", tmp_path / "run") == 0


@pytest.mark.parametrize(
    ("column", "folds", "options", "reason"),
    [
        ("subject", True, (), "the table has a column of folds"),
        ("subject", False, ("--protocol", "bp4d"), "--protocol"),
        ("code", False, (), "nobody knows who is who"),
        ("subject", False, ("--folds", "9"), "6 people cannot be dealt into 9 folds"),
    ],
)
def test_people_who_cannot_be_dealt(
    column: str,
    folds: bool,
    options: tuple[str, ...],
    reason: str,
    drawn: PreparedDataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert prepare(write(tmp_path / "raw", drawn, column, folds), tmp_path / "out", "--folds", "3", *options) == 2
    assert reason in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_an_au_that_training_cannot_learn_is_left_out(
    drawn: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Outside fold P1 AU4 is never labelled and AU12 never present."""

    def change(number: int, row: dict) -> None:
        if row["fold"] != "P1":
            row |= {"AU04": None, "AU12": 0}

    data = rewrite(drawn, tmp_path / "au", change).folder
    runs = [tmp_path / "P1", tmp_path / "P2"]
    for run in runs:
        assert metafacs(*flags(run, data, None, method="stl", loop__steps=2, data__test_fold=run.name)) == 0
        assert metafacs("evaluate", run) == 0
    assert "AU4 (no label), AU12 (never present)" in caplog.text
    table = capsys.readouterr().out.split("F1 × 100")[1]
    assert table.splitlines()[2].split()[:3] == ["Method", "AU1", "Avg."] and "not scored: AU4, AU12" in table
    assert [load_detector(run / DETECTOR)[1].aus for run in runs] == [["AU01"], AUS]
    both = compare(runs)
    assert both.aus == ["AU01"] and both.folds == ["P1", "P2"]
    assert any("AU4, AU12" in warning for warning in both.warnings)
    assert metafacs(*flags(tmp_path / "none", data, None, method="stl", data__aus="4,12")) == 2
    assert "no AU to learn" in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_auxiliary_pictures_of_the_test_fold_are_found_by_their_content(
    drawn: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    tested = [row["image"]["bytes"] for row in drawn.table.to_pylist() if row["fold"] == "P1"]
    faces = make_prepared(tmp_path / "fe", kind="fe", subjects=5, frames=10, size=36)

    def change(number: int, row: dict) -> None:
        if number < 5:
            row["image"] = tested[number]
        elif number < 10:
            buffer = io.BytesIO()
            Image.open(io.BytesIO(tested[number])).save(buffer, "PNG")
            row["image"] = buffer.getvalue()

    other = rewrite(faces, tmp_path / "copied", change)
    clean, run = tmp_path / "clean", tmp_path / "run"
    assert metafacs(*flags(clean, drawn.folder, faces.folder, method="mtl", loop__steps=2)) == 0
    assert "pictures of the test fold" not in caplog.text
    assert metafacs(*flags(run, drawn.folder, other.folder, method="mtl", loop__steps=2)) == 0
    assert "10 of 50 pictures of made-fe are pictures of the test fold under other names" in caplog.text
    capsys.readouterr()
    assert metafacs("evaluate", clean) == 0 and "SUBJECT-EXCLUSIVE" not in capsys.readouterr().out
    assert metafacs("evaluate", run) == 0
    printed = capsys.readouterr().out
    assert "NOT SUBJECT-EXCLUSIVE" in printed and "10 of 50 pictures of made-fe" in " ".join(printed.split())
