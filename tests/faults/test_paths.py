"""Links, loops, `..` and strange names of output folders: an answer or a clear error, nothing else is touched."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.faults.killing import Command
from tests.faults.oddities import NAMES, below_a_file, below_a_loop, dangling, file, loop, refused, too_long
from tests.launcher import Launcher

RENDERS = pytest.mark.skipif(not (find_spec("anny") and find_spec("warp")), reason="needs the synth extra")
PLACES = {"synth": "data", "prepare": "dataset", "train": "run", "benchmark": "grid"}
"""Where a command of `commands.py` puts what it makes, in the folder that it is given."""
WHOLE = {"synth": "au/dataset.json", "prepare": "dataset.json", "train": "done", "benchmark": "table.csv"}


def marked(name: str, *more: object, slow: bool = False) -> Any:
    marks = [RENDERS] * name.startswith("synth") + [pytest.mark.slow] * slow
    return pytest.param(name, *more, marks=marks)


def into(name: str, command: Command, out: Path) -> list[str]:
    """The command's arguments with another folder for what it makes."""
    arguments = list(map(str, command.arguments(Path("/PLACE"))))
    at = arguments.index(f"/PLACE/{PLACES[name]}")
    return [*arguments[: at - 1], f"{arguments[at - 1]}={out}", *arguments[at + 1 :]]


@pytest.mark.parametrize("make", [dangling, loop, below_a_loop, file, below_a_file, too_long])
@pytest.mark.parametrize("name", [marked(name) for name in PLACES])
def test_no_folder_to_write_into(
    name: str, make: Callable[[Path], Path], commands: Callable[[str], Command], launcher: Launcher, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    out, command = make(tmp_path / "in"), commands(name)
    before = sorted(os.walk(tmp_path / "in"))
    status, printed = launcher.run(into(name, command, out), tmp_path / "log", command.setup)
    refused(status, printed)
    assert str(out) in printed or str(out.parent) in printed
    assert sorted(os.walk(tmp_path / "in")) == before
    assert not (tmp_path / "in" / "file").exists() or (tmp_path / "in" / "file").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("name", [marked(name) for name in PLACES])
def test_a_link_to_a_folder_and_a_way_up_and_down(
    name: str, commands: Callable[[str], Command], launcher: Launcher, tmp_path: Path
) -> None:
    command = commands(name)
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    (tmp_path / "disk" / ".mine").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    status, printed = launcher.run(into(name, command, tmp_path / "link"), tmp_path / "log", command.setup)
    if name == "train":  # refuses a folder with anything in it
        refused(status, printed)
        (tmp_path / "disk" / "deep").rmdir()
        status, printed = launcher.run(into(name, command, tmp_path / "link"), tmp_path / "log", command.setup)
        (tmp_path / "disk" / "deep").mkdir()
    assert status == 0, printed
    assert (tmp_path / "link").is_symlink() and (tmp_path / "disk" / WHOLE[name]).exists()
    assert (tmp_path / "disk" / ".mine").read_text() == "mine"
    up = tmp_path / "link" / "deep" / ".." / "other"
    status, printed = launcher.run(into(name, command, up), tmp_path / "log", command.setup)
    assert status == 0, printed
    assert (tmp_path / "disk" / "other" / WHOLE[name]).exists()


@pytest.mark.slow
@pytest.mark.parametrize("text", NAMES)
@pytest.mark.parametrize("name", [marked(name) for name in PLACES])
def test_strange_names_of_folders(
    name: str, text: str, commands: Callable[[str], Command], launcher: Launcher, tmp_path: Path
) -> None:
    command = commands(name)
    there = f"import os; os.chdir({str(tmp_path)!r})\n"
    status, printed = launcher.run(into(name, command, Path(text)), tmp_path / "log", there + command.setup)
    if status:
        refused(status, printed)
        assert text == NAMES[-1], printed  # YAML and JSON hold no such name
    else:
        assert (tmp_path / text / WHOLE[name]).exists(), printed


def test_parts_that_lie_elsewhere_are_not_removed(
    commands: Callable[[str], Command], launcher: Launcher, tmp_path: Path
) -> None:
    command = commands("prepare")
    (tmp_path / "disk" / "precious").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".parts").symlink_to(tmp_path / "disk")
    refused(*launcher.run(into("prepare", command, tmp_path / "out"), tmp_path / "log", command.setup))
    assert (tmp_path / "disk" / "precious").exists()


@pytest.mark.parametrize(
    ("name", "precious"),
    [
        marked("synth", "au/faces.arrow"),
        marked("prepare", "faces.arrow"),
        marked("prepare", "skipped.csv"),
        marked("prepare", "audit.html"),
        marked("train", "detector.safetensors"),
        marked("benchmark", "table.csv"),
    ],
)
def test_a_file_of_the_user_that_has_the_name_of_a_result(
    name: str, precious: str, commands: Callable[[str], Command], launcher: Launcher, tmp_path: Path
) -> None:
    command, mine = commands(name), tmp_path / "out" / precious
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    refused(*launcher.run(into(name, command, tmp_path / "out"), tmp_path / "log", command.setup))
    assert mine.read_text() == "mine"


def test_a_dataset_inside_its_raw_release(
    commands: Callable[[str], Command], undisturbed: Callable[[str], Path], launcher: Launcher
) -> None:
    command, whole = commands("prepare"), undisturbed("prepare")
    raw = Path(str(command.arguments(whole)[3]))
    for _ in range(2):
        out = raw / "prepared"
        status, printed = launcher.run(into("prepare", command, out), raw.with_name("log"), command.setup)
        assert status == 0, printed
        assert (out / "faces.arrow").read_bytes() == (whole / "dataset" / "faces.arrow").read_bytes()


@pytest.mark.parametrize("make", [dangling, loop, file, too_long])
@pytest.mark.parametrize("flag", ["--data.primary", "--data.auxiliary"])
@pytest.mark.parametrize("name", ["train", "benchmark"])
def test_datasets_that_are_not_there(
    name: str,
    flag: str,
    make: Callable[[Path], Path],
    commands: Callable[[str], Command],
    launcher: Launcher,
    tmp_path: Path,
) -> None:
    command = commands(name)
    arguments = into(name, command, tmp_path / "out")
    arguments[arguments.index(flag) + 1] = str(make(tmp_path))
    refused(*launcher.run(arguments, tmp_path / "log", command.setup))
