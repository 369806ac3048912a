"""Faults put into a raw release, seen through the command line: each is an error of its own or a counted skip."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from metafacs import cli
from metafacs.data.prepared import PreparedDataset
from metafacs.faces import pictures
from tests.datasets import trees

RECORDINGS = {("F001", "T1"): range(2440, 2446), ("M008", "T2"): range(1, 5), ("F007", "T1"): range(8, 12)}
LABELS = "AUCoding/AU_OCC/F001_T1.csv"
PICTURE = "img/F001/T1/2442.jpg"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pictures, "SMALLEST", 8)
    trees.bp4d(tmp_path / "raw", RECORDINGS)
    return tmp_path / "raw"


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def prepare(raw: Path, name: str = "bp4d", out: str = "out") -> tuple[int, str]:
        flags = ["--detector", "none", "--size", "32", "--workers", "1"]
        status = cli.main(["prepare", name, "--raw", str(raw), "--out", str(tmp_path / out), *flags])
        printed = capsys.readouterr()
        return status, " ".join((printed.out + printed.err).split())

    return prepare


def labels(folder: Path) -> pd.DataFrame:
    return PreparedDataset.open(folder).to_pandas()


def rewrite(change: Callable[[str], str]) -> Callable[[Path], None]:
    def apply(raw: Path) -> None:
        path = raw / LABELS
        path.write_bytes(change(path.read_text()).encode())

    return apply


def without_column(text: str) -> str:
    cells = [line.split(",") for line in text.splitlines()]
    at = cells[0].index("12")
    return "\n".join(",".join(row[:at] + row[at + 1 :]) for row in cells) + "\n"


def with_seven(text: str) -> str:
    lines = text.splitlines()
    cells = lines[3].split(",")
    cells[1] = "7"
    return "\n".join([*lines[:3], ",".join(cells), *lines[4:]]) + "\n"


def folder_for_file(raw: Path) -> None:
    (raw / LABELS).unlink()
    (raw / LABELS).mkdir()


def cut_in_the_middle(raw: Path) -> None:
    shutil.rmtree(raw)
    trees.bp4d(raw, {("F001", "T1"): range(1, 10_001)}, images=None)
    trees.picture(raw / "img/F001/T1/1.jpg")
    whole = (raw / LABELS).read_text().splitlines()
    kept = "\n".join(whole[:5000])
    (raw / LABELS).write_text(kept[: kept.rindex(",") - 6])


STOPPING = {
    "missing column": (rewrite(without_column), ["F001_T1.csv", "12"]),
    "label 7": (rewrite(with_seven), ["F001_T1.csv, line 4", "AU1 is 7", "9 (unknown)"]),
    "empty file": (rewrite(lambda _: ""), ["F001_T1.csv", "empty"]),
    "folder for file": (folder_for_file, ["F001_T1.csv", "folder"]),
    "cut in the middle": (cut_in_the_middle, ["F001_T1.csv, line 5,000"]),
}


@pytest.mark.parametrize("fault", STOPPING)
def test_faults_that_stop(fault: str, raw: Path, run: Run, tmp_path: Path) -> None:
    break_it, told = STOPPING[fault]
    break_it(raw)
    status, printed = run(raw)
    assert status == 2
    for text in ("metafacs prepare:", *told):
        assert text in printed, printed
    assert not (tmp_path / "out/dataset.json").exists()


def test_no_two_faults_give_the_same_error(raw: Path, run: Run, tmp_path: Path) -> None:
    said = set()
    for number, (break_it, _) in enumerate(STOPPING.values()):
        copy = tmp_path / f"copy{number}" / "raw"
        shutil.copytree(raw, copy)
        break_it(copy)
        said.add(run(copy)[1].replace(str(tmp_path / f"copy{number}"), ""))
    assert len(said) == len(STOPPING)


HARMLESS = {
    "BOM": lambda text: "\ufeff" + text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "spaces": lambda text: text.replace(",", " , "),
    "no last newline": lambda text: text.rstrip("\n"),
}


@pytest.mark.parametrize("oddity", HARMLESS)
def test_oddities_that_change_nothing(oddity: str, raw: Path, run: Run, tmp_path: Path) -> None:
    assert run(raw, out="clean")[0] == 0
    rewrite(HARMLESS[oddity])(raw)
    assert run(raw)[0] == 0
    assert labels(tmp_path / "out").equals(labels(tmp_path / "clean"))


def truncate(raw: Path) -> None:
    (raw / PICTURE).write_bytes((raw / PICTURE).read_bytes()[:200])


def empty(raw: Path) -> None:
    (raw / PICTURE).write_bytes(b"")


def remove(raw: Path) -> None:
    (raw / PICTURE).unlink()


def folder_for_picture(raw: Path) -> None:
    remove(raw)
    (raw / PICTURE).mkdir()


@pytest.mark.parametrize(
    "break_it, stage, told",
    [
        (truncate, "picture", "1 pictures cannot be read, as img/F001/T1/2442.jpg: damaged image"),
        (empty, "picture", "1 pictures cannot be read, as img/F001/T1/2442.jpg: empty file"),
        (remove, "listing", "1 labelled rows left out by the reader: no picture img/{subject}/{task}/{frame}"),
        (folder_for_picture, "listing", "1 labelled rows left out by the reader: no picture"),
    ],
)
def test_one_bad_picture_is_one_row_less(
    break_it: Callable[[Path], None], stage: str, told: str, raw: Path, run: Run, tmp_path: Path
) -> None:
    assert run(raw, out="clean")[0] == 0
    break_it(raw)
    status, printed = run(raw)
    assert status == 0 and told in printed, printed
    whole, rest = labels(tmp_path / "clean"), labels(tmp_path / "out")
    gone = (whole["sequence"] == "F001/T1") & (whole["frame"] == 2442)
    assert rest.equals(whole[~gone].reset_index(drop=True))
    skipped = pd.read_csv(tmp_path / "out/skipped.csv")
    assert skipped["stage"].tolist() == [stage] and skipped["rows"].tolist() == [1]
    assert "2442" in skipped["where"][0]


def test_an_extra_picture_is_counted(raw: Path, run: Run, tmp_path: Path) -> None:
    trees.picture(raw / "img/F001/T1/2446.jpg")
    status, printed = run(raw)
    assert status == 0 and "1 pictures have no labels" in printed
    assert len(labels(tmp_path / "out")) == sum(map(len, RECORDINGS.values()))


def test_pictures_counted_from_another_number_are_suspected(raw: Path, run: Run) -> None:
    folder = raw / "img/F001/T1"
    for frame in range(2440, 2446):
        (folder / f"{frame}.jpg").rename(folder / f"{frame - 1}.jpg.new")
    for path in folder.glob("*.new"):
        path.rename(path.with_suffix(""))
    status, printed = run(raw)
    assert status == 0 and "off by one: F001/T1: frame 2445 has labels and no picture" in printed, printed
    assert "to check" in printed.split("VERDICT:")[1].split("Differs (")[0]


def test_the_wrong_camera(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "SMALLEST", 8)
    for au in (1, 2, 4, 6, 9, 12, 25, 26):
        lines = [f"{frame},{frame % 6}" for frame in range(1, 5)]
        trees.text(tmp_path / f"raw/ActionUnit_Labels/SN001/SN001_au{au}.txt", lines)
    for frame in range(1, 5):
        trees.picture(tmp_path / f"raw/frames/RightVideoSN001_comp/{frame:04d}.png")
    status, printed = run(tmp_path / "raw", "disfa")
    assert status == 2 and "pictures or videos of the right camera only, --camera left was asked for" in printed


def test_no_raw_folder(run: Run, tmp_path: Path) -> None:
    status, printed = run(tmp_path / "nothing")
    assert status == 2 and "is not a folder" in printed
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file")[0] == 2
