import json
import pickle
from pathlib import Path

import pytest

from metafacs import cli
from metafacs.data.prepared import PreparedDataset
from tests.datasets import raw_faces


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    raw_faces.register()
    rows = raw_faces.make_raw(tmp_path / "raw", damaged=("S1/2.png",))
    (tmp_path / "raw/rows.pkl").write_bytes(pickle.dumps(rows))
    return tmp_path / "raw"


def run(*arguments: object) -> int:
    try:
        return cli.main(["prepare", *map(str, arguments)])
    except SystemExit as exit:
        return int(exit.code or 0)


def test_from_raw_to_prepared(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    flags = ["--raw", raw, "--out", out, "--detector", "given", "--size", 48, "--workers", 1, "--subjects", 1]
    assert run("drawn", *flags) == 0
    printed = capsys.readouterr()
    assert "note: drawn, not photographed" in printed.out and "6 labelled rows; 2 left out" in printed.out
    assert "5 faces; left out: 2 by the labels, 1 unreadable pictures, 0 without a face" in printed.out
    assert "2 labelled rows left out by the reader: label 9" in printed.out
    assert "frames/s" in printed.err
    card = PreparedDataset.open(out).card
    assert card.settings["options"] == {"subjects": 1, "points": True} and card.crop["size"] == 48
    assert run("drawn", *flags) == 0
    assert run("drawn", *flags, "--margin", 0.1) == 2
    assert "made with other settings" in capsys.readouterr().err


def test_help_and_list_teach(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("drawn", "--help") == 0
    told = " ".join(capsys.readouterr().out.split())
    for text in ("how many people to expect", "Licence: free", "FORBID COMMERCIAL USE", "--every", "skipped.csv"):
        assert text in told
    assert run("--list") == 0
    assert "drawn\n  Drawn faces\n  two dots each\n" in capsys.readouterr().out
    assert run("--help") == 0
    assert "drawn: Drawn faces" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "flags, text",
    [
        (["nosuch"], "nosuch"),
        (["drawn", "--out", "o"], "raw"),
        (["drawn", "--raw", "nowhere", "--out", "o", "--detector", "given"], "--raw nowhere is not a folder"),
        (["drawn", "--raw", ".", "--out", "o", "--detector", "haar"], "haar"),
        (["drawn", "--raw", ".", "--out", "o", "--detector", "yunet"], "needs --model"),
        (["drawn", "--raw", ".", "--out", "o", "--size", "3", "--detector", "given"], "crops of 3 pixels"),
        (["drawn", "--raw", ".", "--out", "o", "--sideways"], "sideways"),
    ],
)
def test_mistakes(flags: list[str], text: str, raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*flags) == 2
    printed = capsys.readouterr().err
    assert text in printed and "Traceback" not in printed


def test_dlib_finds_the_face_of_a_photograph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("dlib")
    astronaut = pytest.importorskip("skimage.data").astronaut()
    from PIL import Image

    raw_faces.register()
    rows = raw_faces.make_raw(tmp_path / "raw", subjects=1, frames=2)
    Image.fromarray(astronaut).save(tmp_path / "raw/S1/0.png")
    (tmp_path / "raw/rows.pkl").write_bytes(pickle.dumps(rows))
    flags = ["--raw", tmp_path / "raw", "--out", tmp_path / "out", "--detector", "dlib68", "--workers", 1]
    assert run("drawn", *flags) == 0
    printed = capsys.readouterr().out
    assert (
        "forbid commercial use" in printed and "no face found in 1 pictures (50.00 % of the readable ones)" in printed
    )
    dataset = PreparedDataset.open(tmp_path / "out")
    marks = dataset.landmarks(0)
    assert len(dataset) == 1 and marks is not None
    assert marks[36:42].mean(axis=0) == pytest.approx([82, 92], abs=4)
    finder = json.loads((tmp_path / "out/dataset.json").read_text())["crop"]["finder"]
    assert finder["name"] == "dlib68" and finder["width"] == 640 and len(finder["correction"]) == 2
