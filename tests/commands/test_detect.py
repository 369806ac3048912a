"""`metafacs detect`, from pictures and videos to tables, however it is disturbed."""

import signal
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from metafacs.commands import detect
from metafacs.inference import AUDetector, detector
from metafacs.training.run import DETECTOR
from tests.inference.toys import AUS, DotFinder, draw, make_video, save_picture, save_toy, walk
from tests.launcher import Launcher
from tests.toy_runs import leftovers, metafacs

pytest.importorskip("av")
pytest.importorskip("dlib")
GAPS = (30, 31, 77)
SETUP = """
import time
import metafacs.commands.detect as command
import metafacs.inference.detector as detector
from tests.inference.toys import DotFinder
class Slow(DotFinder):
    def find(self, image, around=None):
        time.sleep({seconds})
        return super().find(image, around)
command.PART = 20
detector.make_finder = lambda settings: Slow()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detect")
    save_toy(folder / "run")
    make_video(folder / "v.mp4", walk(130, GAPS))
    (folder / "pictures").mkdir()
    for k in range(4):
        save_picture(folder / "pictures" / f"{k}.png", draw([(50 + k, 40)] if k != 2 else [], k))
    return folder


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "make_finder", lambda settings: DotFinder())
    monkeypatch.setattr(detect, "PART", 20)


def run(place: Path, *arguments: object) -> int:
    return metafacs("detect", *arguments, "--model", place / "run", "--device", "cpu")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_command_and_python_give_the_same_numbers(place: Path, tmp_path: Path) -> None:
    picture = place / "pictures" / "1.png"
    assert run(place, picture, "--out", tmp_path / "a.csv", tmp_path / "a.parquet") == 0
    expected = AUDetector.from_run(place / "run", device="cpu").detect(picture)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), expected, check_dtype=False)
    again = pd.read_csv(tmp_path / "a.csv")
    assert np.array_equal(again[AUS].to_numpy(np.float32), expected[AUS].to_numpy())
    assert files(tmp_path) == ["a.csv", "a.parquet"]


def test_every_frame_has_a_row(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, place, "--out", tmp_path / "a.csv", "--every", 5) == 0
    table = pd.read_csv(tmp_path / "a.csv")
    video = table[table["input"].str.endswith("v.mp4")]
    assert video.groupby("frame")["success"].sum().tolist() == [0 if k in GAPS else 2 for k in range(130)]
    assert video.dropna(subset="face").groupby("face").size().tolist() == [127, 127]
    assert table[table["input"].str.endswith("2.png")][["success", "problem"]].to_numpy().tolist() == [
        [0, "no face found"]
    ]
    assert "134 frames or pictures, 257 faces, 261 rows" in capsys.readouterr().out
    expected = AUDetector.from_run(place / "run", device="cpu").detect_video(place / "v.mp4", every=5)
    assert np.allclose(video[AUS], expected[AUS], atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_command_leaves_a_usable_file_and_goes_on(
    what: signal.Signals, place: Path, tmp_path: Path, launcher: Launcher
) -> None:
    arguments = ["detect", place / "pictures", place / "v.mp4", "--model", place / "run", "--device", "cpu"]
    arguments += ["--every", 7, "--calibrate", "baseline", "--out", tmp_path / "a.csv"]
    assert metafacs(*arguments[:-1], tmp_path / "whole.csv") == 0
    running = launcher.start(arguments, tmp_path / "log", SETUP.format(seconds=0.005))
    running.wait_for(lambda: (tmp_path / "a.csv.parts" / "part-000002.parquet").exists())
    running.send(what)
    status, printed = running.wait()
    assert status == (130 if what == signal.SIGINT else -what), printed
    sofar = pd.read_csv(tmp_path / "a.partial.csv")
    assert 30 < len(sofar) < 250 and not (tmp_path / "a.csv").exists()
    if what == signal.SIGINT:
        assert "--resume goes on" in printed
    assert metafacs(*arguments) == 2
    assert metafacs(*arguments, "--resume") == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert files(tmp_path) == ["a.csv", "log", "whole.csv"] and leftovers(tmp_path) == []
    assert metafacs(*arguments, "--resume") == 0  # nothing left to do


def test_finished_work_is_not_replaced_by_accident(place: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "a.csv"
    assert run(place, place / "pictures", "--out", out) == 0
    before = out.read_bytes()
    assert run(place, place / "pictures" / "0.png", "--out", out) == 2
    assert "is there already" in capsys.readouterr().err and out.read_bytes() == before
    assert run(place, place / "pictures" / "0.png", "--out", out, "--overwrite") == 0
    assert len(pd.read_csv(out)) == 1


def test_drawn_copies_and_timelines(place: Path, tmp_path: Path) -> None:
    import av

    drawn_to, plots = tmp_path / "drawn", tmp_path / "plots"
    options = ("--out", tmp_path / "a.csv", "--overlay", drawn_to, "--plot", plots)
    assert run(place, place / "pictures", place / "v.mp4", *options) == 0
    assert files(drawn_to) == ["0_aus.png", "1_aus.png", "2_aus.png", "3_aus.png", "v_aus.mp4"]
    assert files(plots) == ["pictures_timeline.png", "v_timeline.png"]
    with av.open(str(drawn_to / "v_aus.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 130 and (frames[0].width, frames[0].height) == (200, 96)
    before, after = draw([(51, 40)], 1), np.asarray(Image.open(drawn_to / "1_aus.png"))
    changed = (before != after).any(axis=2)
    assert changed[20:71, 26].all() and not changed[:, :20].any()  # the box's left edge, and nothing left of it
    assert np.array_equal(np.asarray(Image.open(drawn_to / "2_aus.png")), draw([], 2))


@pytest.mark.parametrize("name", ["openface", "pyfeat"])
def test_other_formats(name: str, place: Path, tmp_path: Path) -> None:
    assert run(place, place / "v.mp4", "--out", tmp_path / "a.csv", "--format", name) == 0
    table = pd.read_csv(tmp_path / "a.csv")
    assert table["frame"].min() == (1 if name == "openface" else 0) and len(table) == 257
    points = table.filter(regex="^[xy]_").to_numpy()
    assert points.shape[1] == 136 and np.isfinite(points).all(axis=1).sum() == 254


def test_calibration_by_a_picture_or_a_frame(place: Path, tmp_path: Path, capsys: Any) -> None:
    picture, video = place / "pictures" / "0.png", place / "v.mp4"
    assert run(place, picture, "--out", tmp_path / "a.csv", "--neutral", picture) == 0
    plain = AUDetector.from_run(place / "run", device="cpu").detect(picture)[AUS].to_numpy()
    assert pd.read_csv(tmp_path / "a.csv")[AUS].to_numpy() == pytest.approx(np.minimum(plain, 0.1), abs=1e-5)
    assert run(place, video, "--out", tmp_path / "b.csv", "--neutral", 12) == 0
    table = pd.read_csv(tmp_path / "b.csv")
    assert (table[table["frame"] == 12][AUS] < 0.1 + 1e-5).all(axis=None)
    assert run(place, video, "--out", tmp_path / "c.csv", "--neutral", place / "pictures" / "2.png") == 2
    assert "no face found; give a picture" in capsys.readouterr().err
    assert run(place, video, "--out", tmp_path / "d.csv", "--neutral", 3, "--calibrate", "baseline") == 2


def bomb(side: int) -> bytes:
    """The head of a PNG file that claims to be `side` pixels wide and high."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def hostile(folder: Path) -> list[Path]:
    """Files that are hard to read or cannot be read, each of its own kind."""
    picture = draw([(50, 40)])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("not a picture")
    whole = save_picture(folder / "whole.jpg", picture)
    (folder / "cut.jpg").write_bytes(whole.read_bytes()[:800])
    (folder / "damaged.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(3000))
    Image.new("RGB", (1, 1)).save(folder / "tiny.png")
    Image.new("1", (20_000, 6_000)).save(folder / "wide.png")
    (folder / "bomb.png").write_bytes(bomb(60_000))
    Image.new("L", (20_000, 60)).save(folder / "strip.png")
    save_picture(folder / "cmyk.jpg", picture, lambda image: image.convert("CMYK"))
    Image.fromarray(picture[:, :, 0].astype(np.uint16) * 257).save(folder / "deep.png")
    save_picture(folder / "grey.gif", picture, lambda image: image.convert("L"))
    save_picture(folder / "clear.png", picture, lambda image: image.convert("RGBA"))
    make_video(folder / "black.mp4", [np.zeros((96, 200, 3), np.uint8)] * 60)
    return sorted(folder.iterdir())


def test_hostile_inputs_are_rows_with_their_reason(place: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "in").mkdir()
    paths = hostile(tmp_path / "in")
    assert run(place, tmp_path / "in", "--out", tmp_path / "a.csv") == 0
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err and "empty file" in printed.err
    table = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    by_name = table.groupby(table["input"].map(lambda name: Path(name).name))
    assert list(by_name.groups) == [path.name for path in paths]
    problems = {name: rows["problem"].iloc[0] for name, rows in by_name}
    expected = {
        "empty.jpg": "empty",
        "text.jpg": "no image",
        "cut.jpg": "damaged",
        "damaged.mp4": "damaged or no video",
    }
    expected |= {"tiny.png": "1x1 pixels", "wide.png": "20000x6000", "strip.png": "no face", "deep.png": "no face"}
    expected |= {"bomb.png": "exceeds limit", "grey.gif": "no face", "black.mp4": "no face"}
    for name, text in expected.items():
        assert text in problems[name], (name, problems[name])
    for name in ("whole.jpg", "cmyk.jpg", "clear.png"):
        assert problems[name] == "" and by_name.get_group(name)["success"].tolist() == [1]
    assert len(by_name.get_group("black.mp4")) == 60


@pytest.mark.parametrize(
    "name", ["empty.jpg", "text.jpg", "cut.jpg", "damaged.mp4", "tiny.png", "wide.png", "bomb.png"]
)
def test_an_input_that_cannot_be_read_alone_is_an_error(name: str, place: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "in").mkdir()
    hostile(tmp_path / "in")
    assert run(place, tmp_path / "in" / name, "--out", tmp_path / "a.csv") == 2
    printed = capsys.readouterr().err
    assert "not one input can be read" in printed and name in printed and "Traceback" not in printed
    assert files(tmp_path) == ["in"]


def test_a_video_whose_frames_change_size(place: Path, tmp_path: Path) -> None:
    small = make_video(tmp_path / "a.ts", [draw([(50, 40)], k) for k in range(12)], "libx264")
    large = make_video(tmp_path / "b.ts", [draw([(50, 40)], k, (160, 256)) for k in range(12)], "libx264")
    both = tmp_path / "both.mts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    assert run(place, both, "--out", tmp_path / "a.csv", "--overlay", tmp_path / "seen") == 0
    table = pd.read_csv(tmp_path / "a.csv")
    assert table["frame"].tolist() == list(range(24)) and table["success"].tolist() == [1] * 24
    assert (tmp_path / "seen" / "both_aus.mp4").stat().st_size > 1000


def test_wrong_arguments(place: Path, tmp_path: Path, capsys: Any) -> None:
    picture, out = place / "pictures" / "0.png", tmp_path / "a.csv"
    cases = [
        ((picture, "--out", tmp_path / "a.xlsx"), "has to end in .csv or .parquet"),
        ((tmp_path / "none.jpg", "--out", out), "does not exist"),
        ((picture, "--out", picture / "a.csv"), "nothing can be written into"),
        ((picture, "--out", "/proc/a.csv"), "nothing can be written into"),
        ((picture, "--out", out, "--batch", 0), "batch"),
        ((picture, "--out", out, "--overlay", picture), "nothing can be written into"),
        (("5", "--out", out), "camera 5"),
        (("5", "--out", out, "--resume"), "what a camera saw is gone"),
    ]
    for arguments, text in cases:
        assert run(place, *arguments) == 2, arguments
        printed = capsys.readouterr().err
        assert text in printed and "Traceback" not in printed, printed
    assert metafacs("detect", picture, "--out", out, "--model", tmp_path) == 2
    assert f"{DETECTOR} does not exist" in capsys.readouterr().err
    assert metafacs("detect", picture, "--out", out, "--model", picture) == 2
    assert "is damaged or no safetensors file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert metafacs("detect", "--help") == 0
    printed = capsys.readouterr().out
    assert "usage: metafacs detect" in printed and "--calibrate" in printed
