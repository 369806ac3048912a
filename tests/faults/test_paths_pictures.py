"""`metafacs detect` among links, loops, `..` and strange names: an answer or a clear error, nothing else is touched."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from metafacs.inference import detector
from tests.faults.killing import Command
from tests.faults.oddities import LONG, NAMES, dangling, loop, refused
from tests.inference.toys import DotFinder, draw, save_picture, save_toy
from tests.launcher import Launcher
from tests.toy_runs import DETECTOR, leftovers, metafacs

pytest.importorskip("av")
pytest.importorskip("dlib")


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
