from pathlib import Path

import pytest

from metafacs import cli
from metafacs.datasets.audit.report import PAGE_FILE, TEXT_FILE
from tests.datasets.audit.small import face_lost, rows_of, store


def test_the_report_is_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = store(tmp_path / "out", rows_of("bp4d", 2), lost=[face_lost("F001")])
    assert cli.main(["audit", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith((folder / TEXT_FILE).read_text())
    assert str(folder / PAGE_FILE) in printed and "VERDICT: differs" in printed


def test_what_is_no_dataset_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", str(tmp_path)]) == 2
    assert "is not a prepared dataset" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--folds_elsewhere"], ["bp4d", "--folds_elsewhere"]])
def test_names_of_folds_elsewhere(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prepare", *arguments]) == 0
    assert "ME-GraphAU  fold3    fold2    fold1" in capsys.readouterr().out
