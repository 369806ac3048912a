"""`metafacs detect`, from pictures and videos to tables, however it is disturbed."""

import signal
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from metafacs.commands import detect
from metafacs.errors import InputError
from metafacs.faces.video import Frame, expected_frames, video_frames
from metafacs.inference import AUDetector, detector, sources
from metafacs.runs import DETECTOR
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
    ((success, problem),) = table[table["input"].str.endswith("2.png")][["success", "problem"]].to_numpy().tolist()
    assert success == 0 and problem.startswith("no face found of 10 pixels") and "--smallest 5" in problem
    assert "134 frames or pictures, 257 faces, 261 rows" in capsys.readouterr().out
    expected = AUDetector.from_run(place / "run", device="cpu").detect_video(place / "v.mp4", every=5)
    assert np.allclose(video[AUS], expected[AUS], atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("what", [signal.SIGINT, signal.SIGTERM])  # for SIGKILL see below
def test_a_stopped_command_leaves_a_usable_file_and_goes_on(
    what: signal.Signals, place: Path, tmp_path: Path, launcher: Launcher
) -> None:
    arguments = ["detect", place / "pictures", place / "v.mp4", "--model", place / "run", "--device", "cpu"]
    arguments += ["--every", 7, "--calibrate", "baseline", "--out", tmp_path / "a.csv"]
    assert metafacs(*arguments[:-1], tmp_path / "whole.csv") == 0
    running = launcher.start(arguments, tmp_path / "log", SETUP.format(seconds=0.005))
    running.wait_for(lambda: (tmp_path / "a.csv.parts" / "part-000002.arrow").exists())
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
    assert len(frames) == 130 and frames[0].width > 200 and frames[0].height >= 96
    before, after = draw([(51, 40)], 1), np.asarray(Image.open(drawn_to / "1_aus.png"))
    changed = (before != after[: before.shape[0], : before.shape[1]]).any(axis=2)
    assert changed[20:71, 26].all() and not changed[:, :20].any()  # the box's left edge, and nothing left of it
    nobody = draw([], 2)
    shown = np.asarray(Image.open(drawn_to / "2_aus.png"))[: nobody.shape[0], : nobody.shape[1]]
    assert np.array_equal(shown, nobody)


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
    assert "--smallest 5); give a picture" in capsys.readouterr().err
    assert run(place, video, "--out", tmp_path / "d.csv", "--neutral", 3, "--calibrate", "baseline") == 2


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
    assert "is damaged or not a safetensors file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def camera(count: int, end: BaseException | None) -> Any:
    """A camera that shows `count` frames, and then what ends it."""

    def frames(index: int) -> Iterator[Frame]:
        assert index == 3
        for k in range(count):
            yield Frame(k, k / 25, draw([(50 + k % 20, 40)], k))
        if end:
            raise end

    return frames


@pytest.mark.parametrize("end", [None, KeyboardInterrupt()], ids=["unplugged", "ctrl-c"])
def test_a_camera_until_it_is_stopped(
    end: BaseException | None, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "camera_frames", camera(60, end))
    monkeypatch.setattr(detect, "CAMERA_PART", 25)
    options = ("--out", tmp_path / "a.csv", "--every", 5, "--plot", tmp_path / "plots")
    assert run(place, 3, *options) == 0
    table = pd.read_csv(tmp_path / "a.csv")
    assert table["frame"].tolist() == list(range(60 if end is None else 50)) and (table["success"] == 1).all()
    assert set(table["input"]) == {"camera 3"} and set(table["face"]) == {1}
    assert files(tmp_path) == ["a.csv", "plots"] and files(tmp_path / "plots") == ["camera_timeline.png"]


def test_a_folder_of_numbered_frames_is_like_their_video(place: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "take").mkdir()
    for k, frame in enumerate(video_frames(place / "v.mp4")):
        save_picture(tmp_path / "take" / f"frame_{k + 1}.png", frame.picture)  # as FFmpeg numbers them, 10 behind 9
    options = ("--recording", "--overlay", tmp_path / "seen", "--plot", tmp_path / "plots", "--every", 5)
    assert run(place, tmp_path / "take", "--out", tmp_path / "a.csv", *options) == 0
    assert run(place, place / "v.mp4", "--out", tmp_path / "b.csv", "--every", 5) == 0
    table, video = pd.read_csv(tmp_path / "a.csv"), pd.read_csv(tmp_path / "b.csv")
    assert set(table["input"]) == {str(tmp_path / "take")}
    pd.testing.assert_frame_equal(table.drop(columns="input"), video.drop(columns="input"), rtol=0, atol=1e-6)
    assert files(tmp_path / "plots") == ["take_timeline.png"] and files(tmp_path / "seen") == ["take_aus.mp4"]
    assert expected_frames(tmp_path / "seen" / "take_aus.mp4") == 130
    for k in (3, 4, 5):
        (tmp_path / "take" / f"frame_{k}.png").unlink()
    (tmp_path / "take" / "frame_7.png").write_text("no picture")
    assert run(place, tmp_path / "take", "--out", tmp_path / "c.csv", "--recording", "--rate", 50) == 0
    frames = pd.read_csv(tmp_path / "c.csv").groupby("frame")["timestamp"].first()
    assert frames.index.tolist() == [0, 1, *range(5, 130)] and np.allclose(frames, frames.index / 50)
    for name, text in (("frame_008.png", "have the same number"), ("cover.png", "does not end in a number")):
        save_picture(tmp_path / "take" / name, draw([]))
        assert run(place, tmp_path / "take", "--out", tmp_path / "d.csv", "--recording") == 2
        assert text in capsys.readouterr().err
        (tmp_path / "take" / name).unlink()


def test_a_camera_that_breaks(place: Path, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(sources, "camera_frames", camera(60, InputError("camera 3 cannot be used: it was unplugged")))
    assert run(place, 3, "--out", tmp_path / "a.csv") == 2
    assert "unplugged" in capsys.readouterr().err
    assert len(pd.read_csv(tmp_path / "a.partial.csv")) == 50


def test_without_a_model_the_starter_is_used_and_says_so(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    starter = types.SimpleNamespace(starter_run=lambda: place / "run")
    monkeypatch.setitem(sys.modules, "metafacs.starter", starter)
    picture = place / "pictures" / "1.png"
    assert metafacs("detect", picture, "--device", "cpu", "--out", tmp_path / "a.csv") == 0
    printed = capsys.readouterr().err
    assert printed.count("no --model given") == 1 and "not for measuring people" in printed
    assert run(place, picture, "--out", tmp_path / "b.csv") == 0
    assert "no --model given" not in capsys.readouterr().err
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    expected = AUDetector.starter(device="cpu").detect(picture)
    assert np.array_equal(pd.read_csv(tmp_path / "a.csv")[AUS].to_numpy(np.float32), expected[AUS].to_numpy())


def test_several_videos_of_which_one_is_half_done(place: Path, tmp_path: Path, launcher: Launcher) -> None:
    """Killed twice, once in each video; a picture, a broken file and a video without faces between them."""
    (tmp_path / "in").mkdir()
    for name, frames in (("a.mp4", walk(70, (5,))), ("c.mp4", [draw([])] * 30), ("d.mp4", walk(90, (31, 32)))):
        make_video(tmp_path / "in" / name, frames)
    save_picture(tmp_path / "in" / "b.png", draw([(50, 40)]))
    (tmp_path / "in" / "b2.mp4").write_text("no video")
    seen, plots = tmp_path / "seen", tmp_path / "plots"
    arguments = ["detect", tmp_path / "in", "--model", place / "run", "--device", "cpu", "--every", 7]
    arguments += ["--overlay", seen, "--plot", plots, "--out", tmp_path / "a.csv"]
    assert metafacs(*arguments[:-1], tmp_path / "whole.csv") == 0
    for part in (1, 6):  # 20 frames each: in a.mp4, and in d.mp4
        more = [] if part == 1 else ["--resume"]
        running = launcher.start([*arguments, *more], tmp_path / "log", SETUP.format(seconds=0.005))
        wanted = tmp_path / "a.csv.parts" / f"part-{part:06d}.arrow"
        running.wait_for(wanted.exists)
        running.send(signal.SIGKILL)
        assert running.wait()[0] == -signal.SIGKILL
        assert wanted.exists() and len(pd.read_csv(tmp_path / "a.partial.csv")) >= 19 * part
    assert metafacs(*arguments, "--resume") == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert files(seen) == ["a_aus.mp4", "b_aus.png", "c_aus.mp4", "d_aus.mp4"]
    assert files(tmp_path) == ["a.csv", "in", "log", "plots", "seen", "whole.csv"]


def test_resuming_with_other_settings_is_refused(place: Path, tmp_path: Path, launcher: Launcher, capsys: Any) -> None:
    arguments = ["detect", place / "v.mp4", "--model", place / "run", "--device", "cpu", "--out", tmp_path / "a.csv"]
    running = launcher.start(arguments, tmp_path / "log", SETUP.format(seconds=0.005))
    running.wait_for((tmp_path / "a.csv.parts" / "part-000001.arrow").exists)
    running.send(signal.SIGKILL)
    running.wait()
    sofar = (tmp_path / "a.partial.csv").read_bytes()
    assert metafacs(*arguments, "--resume", "--every", 5) == 2
    assert "every is 1, asked for 5" in capsys.readouterr().err
    assert metafacs(*arguments[:2], "--model", place / "run", "--out", tmp_path / "a.csv", place, "--resume") == 2
    assert (tmp_path / "a.partial.csv").read_bytes() == sofar


@pytest.mark.parametrize("cores, asked, expected", [(4, None, 3), (2, None, 1), (1, None, 1), (4, "4", 4)])
def test_the_network_leaves_a_core_to_finding_faces(
    cores: int, asked: str | None, expected: int, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, before = [], torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(detect.os, "sched_getaffinity", lambda pid: set(range(cores)))
    real = AUDetector.logits

    def logits(self: AUDetector, crops: Any) -> Any:
        seen.append(torch.get_num_threads())
        return real(self, crops)

    monkeypatch.setattr(AUDetector, "logits", logits)
    torch.set_num_threads(4)
    try:
        assert run(place, place / "pictures" / "1.png", "--out", tmp_path / "a.csv") == 0
    finally:
        torch.set_num_threads(before)
    assert seen == [expected]
