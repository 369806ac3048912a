"""Links, loops and strange names: a result or a clear error, and nothing that is the user's is touched."""

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from metafacs.data.prepared import PreparedDataset
from metafacs.inference import detector
from tests.faults.killing import Command
from tests.inference.toys import DotFinder, draw, save_picture, save_toy
from tests.launcher import Launcher
from tests.toy_runs import flags, leftovers, metafacs

NAMES = ["two words", "new\nline", "Gesicht-表情-🙂", "-x", "ä" * 90]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures."""
    (tmp_path / "in").mkdir()
    for k in range(2):
        save_picture(tmp_path / "in" / f"{k}.png", draw([(50 + k, 40)], k))
    return tmp_path / "in"


@pytest.fixture
def detect(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    pytest.importorskip("av")
    monkeypatch.setattr(detector, "make_finder", lambda settings: DotFinder())
    model = save_toy(tmp_path / "model")

    def run(*arguments: object) -> int:
        status = metafacs("detect", "--model", model, "--device", "cpu", *arguments)
        assert "Traceback" not in capfd.readouterr().err
        return status

    return run


@pytest.mark.parametrize("kind", ["file", "broken link", "loop", "below a file", "too long"])
def test_no_folder_to_write_into(
    kind: str, au_dataset: PreparedDataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    names = {"file": "file", "broken link": "broken", "loop": "loop", "below a file": "file/out", "too long": "n" * 256}
    before, out = sorted(os.walk(tmp_path)), tmp_path / names[kind]
    assert metafacs(*flags(out, au_dataset.folder, None, method="stl")) == 2
    printed = capfd.readouterr().err
    assert str(tmp_path) in printed and "Traceback" not in printed
    assert sorted(os.walk(tmp_path)) == before and (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("precious", ["faces.arrow", "skipped.csv", ".parts/notes.txt"])
def test_files_of_the_user_are_not_replaced(
    precious: str, commands: Callable[[str], Command], launcher: Launcher, tmp_path: Path
) -> None:
    command, mine = commands("prepare"), tmp_path / "dataset" / precious
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    status, printed = launcher.run(command.arguments(tmp_path), tmp_path / "log", command.setup)
    assert status == 2 and "Traceback" not in printed and mine.read_text() == "mine", printed


@pytest.mark.parametrize("name", NAMES)
def test_strange_names_of_pictures_and_tables(
    name: str, detect: Callable[..., int], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = save_picture(folder / f"{name}.png", draw([(50, 40)]))
    assert detect(f"--out={name}.csv", "--", picture) == 0
    table = pd.read_csv(tmp_path / f"{name}.csv", keep_default_na=False)
    assert table["success"].tolist() == [1] and table["input"].tolist() == [str(picture)]
    assert not leftovers(tmp_path)


def test_a_name_that_is_too_long_is_refused_at_once(detect: Callable[..., int], folder: Path, tmp_path: Path) -> None:
    assert detect(folder, "--out", tmp_path / f"{'n' * 250}.csv") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "model"]


def test_a_link_is_replaced_when_asked_and_what_it_leads_to_is_left_alone(
    detect: Callable[..., int], folder: Path, tmp_path: Path
) -> None:
    out, kept = tmp_path / "a.csv", tmp_path / "kept.csv"
    kept.write_text("mine")
    out.symlink_to(kept)
    assert detect(folder, "--out", out) == 2 and out.is_symlink()
    assert detect(folder, "--out", out, "--overwrite") == 0
    assert kept.read_text() == "mine" and not out.is_symlink() and len(pd.read_csv(out)) == 2


def test_what_is_drawn_among_the_inputs_is_not_an_input(
    detect: Callable[..., int], folder: Path, tmp_path: Path
) -> None:
    inside = ("--overlay", folder / "drawn", "--plot", folder / "drawn")
    assert detect(folder, "--out", folder / "a.csv", *inside) == 0
    before = (folder / "a.csv").read_bytes()
    assert detect(folder, "--out", folder / "b.csv", *inside) == 2
    assert detect(folder, "--out", folder / "a.csv", *inside, "--overwrite") == 0
    assert (folder / "a.csv").read_bytes() == before


def test_a_picture_called_like_a_copy_is_not_replaced(detect: Callable[..., int], folder: Path, tmp_path: Path) -> None:
    mine = save_picture(folder / "0_aus.png", draw([(70, 40)], 5))
    before = mine.read_bytes()
    assert detect(folder, "--out", tmp_path / "a.csv", "--overlay", folder) == 2
    assert mine.read_bytes() == before


def test_links_and_loops_among_the_inputs(detect: Callable[..., int], folder: Path, tmp_path: Path) -> None:
    (folder / "2.png").symlink_to(save_picture(tmp_path / "elsewhere.png", draw([(60, 40)], 3)))
    (folder / "3.png").symlink_to(folder / "nothing.png")
    (folder / "4.png").symlink_to(folder / "4.png")
    (folder / "deep").mkdir()
    (folder / "deep" / "up").symlink_to(folder)
    assert detect(folder, "--out", tmp_path / "a.csv") == 0
    table = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert [Path(name).name for name in table["input"]] == [f"{k}.png" for k in range(5)]
    assert table["success"].tolist() == [1, 1, 1, 0, 0] and (table["problem"][3:] != "").all()
