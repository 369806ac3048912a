"""Links, loops, `..` and strange names of inputs and outputs: an answer or a clear error, nothing else is touched."""

import os
import signal
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from metafacs.data.prepared import PreparedDataset
from metafacs.inference import detector
from tests.faults.killing import Command
from tests.inference.toys import DotFinder, draw, save_picture, save_toy
from tests.launcher import Launcher
from tests.toy_runs import DETECTOR, leftovers, metafacs

pytest.importorskip("av")
pytest.importorskip("dlib")
RENDERS = pytest.mark.skipif(not (find_spec("anny") and find_spec("warp")), reason="needs the synth extra")
PLACES = {"synth": "data", "prepare": "dataset", "train": "run", "benchmark": "grid"}
"""Where a command of `commands.py` puts what it makes, in the folder that it is given."""
WHOLE = {"synth": "au/dataset.json", "prepare": "dataset.json", "train": "done", "benchmark": "table.csv"}
LONG = "ä" * 127 + "n"
"""255 bytes: the longest name that a file may have."""
NAMES = ["two words", "new\nline", "Gesicht-表情-🙂", "[1;31m", "*", "-x", LONG, os.fsdecode(b"no-utf-8-\xff")]


def marked(name: str, *more: object, slow: bool = False) -> Any:
    marks = [RENDERS] * name.startswith("synth") + [pytest.mark.slow] * slow
    return pytest.param(name, *more, marks=marks)


def into(name: str, command: Command, out: Path) -> list[str]:
    """The command's arguments with another folder for what it makes."""
    arguments = list(map(str, command.arguments(Path("/PLACE"))))
    at = arguments.index(f"/PLACE/{PLACES[name]}")
    return [*arguments[: at - 1], f"{arguments[at - 1]}={out}", *arguments[at + 1 :]]


def refused(status: int, printed: str) -> None:
    assert status == 2 and "Traceback" not in printed, printed


# Output folders


def dangling(place: Path) -> Path:
    (place / "link").symlink_to(place / "nothing")
    return place / "link"


def loop(place: Path) -> Path:
    (place / "one").symlink_to(place / "two")
    (place / "two").symlink_to(place / "one")
    return place / "one"


def below_a_loop(place: Path) -> Path:
    return loop(place) / "out"


def file(place: Path) -> Path:
    (place / "file").write_text("mine")
    return place / "file"


def below_a_file(place: Path) -> Path:
    return file(place) / "out"


def too_long(place: Path) -> Path:
    return place / f"{LONG}x"


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


# Looking at pictures


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("model") / "run")


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "make_finder", lambda settings: DotFinder())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures."""
    (tmp_path / "in").mkdir()
    for k in range(2):
        save_picture(tmp_path / "in" / f"{k}.png", draw([(50 + k, 40)], k))
    return tmp_path / "in"


@pytest.fixture
def detect(model: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def run(*arguments: object) -> tuple[int, str]:
        status = metafacs("detect", "--model", model, "--device", "cpu", *arguments)
        printed = capfd.readouterr()
        return status, printed.out + printed.err

    return run


Detect = Callable[..., tuple[int, str]]


@pytest.mark.parametrize("name", NAMES)
def test_strange_names_of_pictures_and_tables(
    name: str, detect: Detect, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    short = name if name != LONG else LONG[:100]
    picture = save_picture(folder / f"{short}.png", draw([(50, 40)]))
    status, printed = detect(f"--out={short}.csv", "--", picture)
    if name == NAMES[-1]:
        refused(status, printed)
        status, printed = detect("--out=a.csv", "--", picture)
        short = "a"
    assert status == 0, printed
    table = pd.read_csv(tmp_path / f"{short}.csv", keep_default_na=False)
    assert table["success"].tolist() == [1]
    assert table["input"].tolist() == [os.fsencode(picture).decode("utf-8", "replace")]
    assert not leftovers(tmp_path)


def test_names_that_are_too_long(detect: Detect, folder: Path, tmp_path: Path) -> None:
    longest = tmp_path / f"{'n' * 243}.csv"  # 255 bytes are `n....partial.csv`
    status, printed = detect(folder, "--out", longest)
    assert status == 0 and longest.exists(), printed
    for count in (244, 252, 300):
        refused(*detect(folder, "--out", tmp_path / f"{'n' * count}.csv"))
    refused(*detect(folder, "--out", tmp_path / "a.csv", "--overlay", tmp_path / ("n" * 256)))
    refused(*detect(tmp_path / ("n" * 300), "--out", tmp_path / "a.csv"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in", longest.name])


def test_a_link_is_replaced_when_asked_and_what_it_leads_to_is_left_alone(
    detect: Detect, folder: Path, tmp_path: Path
) -> None:
    out, kept = tmp_path / "a.csv", tmp_path / "kept.csv"
    kept.write_text("mine")
    out.symlink_to(kept)
    refused(*detect(folder, "--out", out))
    assert out.is_symlink()
    assert detect(folder, "--out", out, "--overwrite")[0] == 0
    assert kept.read_text() == "mine" and not out.is_symlink() and len(pd.read_csv(out)) == 2


@pytest.mark.parametrize("make", [dangling, loop])
def test_links_to_nothing_as_tables(make: Callable[[Path], Path], detect: Detect, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    link = make(tmp_path / "links")
    out = link.rename(link.with_name("a.csv"))
    refused(*detect(folder, "--out", out))
    assert out.is_symlink()
    refused(*detect(folder, "--out", out / "a.csv"))
    refused(*detect(folder, "--out", tmp_path / "b.csv", "--overlay", out))
    refused(*detect(folder, "--out", tmp_path / "b.csv", out / "b.parquet"))
    status, printed = detect(folder, "--out", out, "--overwrite")
    assert status == 0 and not out.is_symlink(), printed


def test_a_way_up_and_down_and_a_file_named_twice(detect: Detect, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    refused(*detect(folder, "--out", tmp_path / "disk" / "a.csv", tmp_path / "link" / "a.csv"))
    assert detect(folder / ".." / "in", "--out", tmp_path / "link" / ".." / "a.csv")[0] == 0
    assert len(pd.read_csv(tmp_path / "a.csv")) == 2
    assert detect(folder, "--out", tmp_path / "link" / "a.csv")[0] == 0
    assert len(pd.read_csv(tmp_path / "disk" / "a.csv")) == 2 and (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("more", [(), ("--overwrite",), ("--resume",)])
def test_unfinished_work_that_is_a_link_or_somebody_elses_folder(
    more: tuple[str, ...], detect: Detect, folder: Path, tmp_path: Path
) -> None:
    parts, disk = tmp_path / "a.csv.parts", tmp_path / "disk"
    disk.mkdir()
    (disk / "thesis.txt").write_text("mine")
    (disk / "part-000000.parquet").write_text("mine too")
    parts.symlink_to(disk)
    refused(*detect(folder, "--out", tmp_path / "a.csv", *more))
    parts.unlink()
    disk.rename(parts)
    refused(*detect(folder, "--out", tmp_path / "a.csv", *more))
    assert (parts / "thesis.txt").read_text() == "mine" and (parts / "part-000000.parquet").read_text() == "mine too"


def test_a_file_called_like_what_was_found_so_far(detect: Detect, folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "a.partial.csv"
    mine.write_text("mine")
    refused(*detect(folder, "--out", tmp_path / "a.csv"))
    refused(*detect(folder, "--out", tmp_path / "a.parquet", "--resume"))
    assert mine.read_text() == "mine"
    assert detect(folder, "--out", tmp_path / "a.csv", "--overwrite")[0] == 0 and not mine.exists()


def test_links_and_loops_among_the_inputs(detect: Detect, folder: Path, tmp_path: Path) -> None:
    save_picture(tmp_path / "elsewhere.png", draw([(60, 40)], 3))
    (folder / "2.png").symlink_to(tmp_path / "elsewhere.png")
    (folder / "3.png").symlink_to(folder / "nothing.png")
    (folder / "4.png").symlink_to(folder / "4.png")
    (folder / "deep").mkdir()
    (folder / "deep" / "up").symlink_to(folder)
    status, printed = detect(folder, "--out", tmp_path / "a.csv", "--overlay", tmp_path / "drawn")
    assert status == 0, printed
    table = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert [Path(name).name for name in table["input"]] == [f"{k}.png" for k in range(5)]
    assert table["success"].tolist() == [1, 1, 1, 0, 0] and (table["problem"][3:] != "").all()
    assert sorted(p.name for p in (tmp_path / "drawn").iterdir()) == [f"{k}_aus.png" for k in range(3)]
    refused(*detect(folder / "4.png" / "x", "--out", tmp_path / "b.csv"))


def test_what_is_drawn_among_the_inputs_is_no_input(detect: Detect, folder: Path, tmp_path: Path) -> None:
    inside = ("--overlay", folder / "drawn", "--plot", folder / "drawn")
    assert detect(folder, "--out", folder / "a.csv", *inside)[0] == 0
    before = (folder / "a.csv").read_bytes()
    status, printed = detect(folder, "--out", folder / "b.csv", *inside)
    refused(status, printed)
    assert "is an input, and what is drawn would replace it" in printed
    assert detect(folder, "--out", folder / "a.csv", *inside, "--overwrite")[0] == 0
    assert (folder / "a.csv").read_bytes() == before
    names = ["0_aus.png", "1_aus.png", "pictures_timeline.png"]
    assert sorted(p.name for p in (folder / "drawn").iterdir()) == names


def test_a_picture_called_like_a_copy_is_not_replaced(detect: Detect, folder: Path, tmp_path: Path) -> None:
    mine = save_picture(folder / "0_aus.png", draw([(70, 40)], 5))
    before = mine.read_bytes()
    refused(*detect(folder, "--out", tmp_path / "a.csv", "--overlay", folder))
    assert mine.read_bytes() == before
    assert detect(folder, "--out", tmp_path / "a.csv", "--overlay", tmp_path / "drawn")[0] == 0
    assert len(pd.read_csv(tmp_path / "a.csv")) == 3


def test_killed_while_it_draws_among_its_inputs(
    commands: Callable[[str], Command], undisturbed: Callable[[str], Path], launcher: Launcher
) -> None:
    command, whole = commands("detect_pictures"), undisturbed("detect_pictures")
    source = Path(str(command.arguments(whole)[1]))
    arguments = [str(a).replace(str(whole), str(source)) for a in command.arguments(whole)]
    go, log = source.with_name("go-on"), source.with_name("log")
    before = f"from tests.faults.killing import pause; pause({str(source)!r}, '05_aus', {str(go)!r})\n"
    process = launcher.start(arguments, log, before + command.setup)
    process.wait_for(go.with_name("go-on.waiting").exists)
    process.send(signal.SIGKILL)
    process.wait()
    assert len(list((source / "drawn").glob("*_aus.png"))) == 5
    try:
        status, printed = launcher.run([*arguments, "--resume"], log, command.setup)
        assert status == 0, printed
        table = pd.read_csv(source / "a.csv")
        pd.testing.assert_frame_equal(table, pd.read_csv(whole / "a.csv"))
        assert len(list((source / "drawn").glob("*_aus.png"))) == 20 and not leftovers(source)
    finally:
        for path in [*(source / "drawn").iterdir(), source / "a.csv", source / "b.parquet"]:
            path.unlink(missing_ok=True)


# Reading


def test_a_run_and_a_dataset_behind_links(detect: Detect, model: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(model)
    (tmp_path / "weights.safetensors").symlink_to(model / DETECTOR)
    for number, link in enumerate(
        (tmp_path / "run", tmp_path / "weights.safetensors", tmp_path / "run" / ".." / "run")
    ):
        out = tmp_path / f"{number}.csv"
        assert metafacs("detect", folder, "--model", link, "--device", "cpu", "--out", out) == 0
    assert (tmp_path / "0.csv").read_bytes() == (tmp_path / "1.csv").read_bytes()
    for make in (dangling, loop):
        (tmp_path / make.__name__).mkdir()
        wrong = make(tmp_path / make.__name__)
        assert metafacs("detect", folder, "--model", wrong, "--device", "cpu", "--out", tmp_path / "z.csv") == 2


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
    au_dataset: PreparedDataset,
) -> None:
    command = commands(name)
    arguments = into(name, command, tmp_path / "out")
    arguments[arguments.index(flag) + 1] = str(make(tmp_path))
    refused(*launcher.run(arguments, tmp_path / "log", command.setup))
