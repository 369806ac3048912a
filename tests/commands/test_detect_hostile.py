"""`metafacs detect` on files that are hard to read or cannot be read: each gives an answer or a clear error."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from metafacs.faces import pictures
from metafacs.inference import AUDetector, detector
from tests.inference import hostile
from tests.inference.toys import AUS, DotFinder, draw, make_video, save_toy
from tests.toy_runs import metafacs

pytest.importorskip("av")
pytest.importorskip("dlib")
FACE = draw([(50, 40)])
CLIP = [draw([(50 + k, 40)], k) for k in range(12)]
PICTURES = (
    "empty.jpg",
    "text.jpg",
    "script.png",
    "cut.jpg",
    "tiny.png",
    "wide.png",
    "bomb.png",
    "gone.jpg",
    "device.gif",
)
VIDEOS = ("empty.mp4", "text.mp4", "damaged.mp4", "cut.mp4", "sound.mp4", "none.mp4")


class GreyFinder(DotFinder):
    """Takes every picture's known place for a face, as drawn faces without their colours cannot be told."""

    def find(self, image, around=None):
        return super().find(FACE)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("model") / "run")


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "make_finder", lambda settings: DotFinder())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def run(model: Path, *arguments: object) -> int:
    return metafacs("detect", *arguments, "--model", model, "--device", "cpu")


def by_name(out: Path) -> dict[str, pd.DataFrame]:
    table = pd.read_csv(out, keep_default_na=False)
    return dict(list(table.groupby(table["input"].map(lambda name: Path(name).name))))


def test_what_cannot_be_read_is_a_row_with_its_reason(
    model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = hostile.bad_pictures(folder, FACE) | hostile.bad_videos(folder, CLIP)
    Image.fromarray(FACE).save(folder / "whole.png")
    make_video(folder / "black.mp4", [np.zeros((96, 200, 3), np.uint8)] * 30)
    assert run(model, folder, "--out", tmp_path / "a.csv") == 0
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err and f"{len(said) - 5} more inputs cannot be read" in printed.err
    found = by_name(tmp_path / "a.csv")
    assert sorted(found) == sorted([*said, "whole.png", "black.mp4"])
    for name, text in said.items():
        assert len(found[name]) == 1 and text in found[name]["problem"].iloc[0], (name, found[name]["problem"].iloc[0])
        assert found[name]["success"].tolist() == [0]
    assert found["whole.png"]["success"].tolist() == [1]
    assert found["black.mp4"]["problem"].str.startswith("no face found of 10 pixels").tolist() == [True] * 30


@pytest.mark.parametrize("name", [*PICTURES, *VIDEOS])
def test_alone_it_is_an_error(
    name: str, model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = hostile.bad_pictures(folder, FACE) | hostile.bad_videos(folder, CLIP)
    assert run(model, folder / name, "--out", tmp_path / "a.csv") == 2
    printed = capsys.readouterr().err
    assert f"not one input can be read: {folder / name}: {said[name]}"[:200] in printed and "Traceback" not in printed
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("name", ["pipe.png", "pipe.mp4", "/dev/zero", "folder.jpg", ""])
def test_what_is_no_file(
    name: str, model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile.bad_pictures(folder, FACE), hostile.bad_videos(folder, CLIP)
    (folder / "folder.jpg").mkdir()
    assert run(model, folder / name if name else "", "--out", tmp_path / "a.csv") == 2
    printed = capsys.readouterr().err
    expected = {"folder.jpg": "no picture or video in the folder", "": "an input is empty"}
    assert expected.get(name, "is a pipe or device, not a file") in printed and "Traceback" not in printed


def test_odd_pictures_give_what_the_plain_one_gives(model: Path, folder: Path, tmp_path: Path) -> None:
    names = hostile.odd_pictures(folder, FACE)
    assert run(model, folder, "--out", tmp_path / "a.csv") == 0
    found, plain = by_name(tmp_path / "a.csv"), AUDetector.from_run(model, device="cpu").detect(FACE)
    assert sorted(found) == sorted(names)
    for name in names:
        assert found[name]["success"].tolist() == [1], name
        lossy = name.endswith((".jpg", ".gif"))
        difference = found[name][AUS].astype(float).to_numpy() - plain[AUS].to_numpy()
        assert np.abs(difference).max() < (0.2 if lossy else 1e-6), name
        assert np.abs(found[name][["left", "top"]].astype(float).to_numpy() - [25, 20]).max() < 1, name


def test_grey_pictures_of_any_depth_are_the_same(
    model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector, "make_finder", lambda settings: GreyFinder())
    names = hostile.grey_pictures(folder, FACE)
    assert run(model, folder, "--out", tmp_path / "a.csv") == 0
    values = {name: rows[AUS].astype(float).to_numpy() for name, rows in by_name(tmp_path / "a.csv").items()}
    assert sorted(values) == sorted(names)
    for name in names:
        assert np.abs(values[name] - values["deep_grey.png"]).max() < (0.05 if name.endswith(".jpg") else 1e-6), name


def test_very_wide_pictures(model: Path, folder: Path, tmp_path: Path) -> None:
    """As a panorama: what is small enough in pixels is read, whatever its shape."""
    wide = np.tile(draw([], size=(96, 2000)), (1, 10, 1))
    wide[:, 7_000:7_200] = FACE
    Image.fromarray(wide).save(folder / "wide.png")
    assert run(model, folder, "--out", tmp_path / "a.csv") == 0
    (rows,) = by_name(tmp_path / "a.csv").values()
    assert rows["success"].tolist() == [1] and float(rows["left"].iloc[0]) == pytest.approx(7_025, abs=1)


def test_a_phone_held_upright(model: Path, folder: Path, tmp_path: Path) -> None:
    hostile.turned_video(folder / "turned.mp4", CLIP)
    make_video(folder / "upright.mp4", CLIP)
    assert run(model, folder, "--out", tmp_path / "a.csv", "--overlay", tmp_path / "seen") == 0
    found = by_name(tmp_path / "a.csv")
    boxes = [found[name][["left", "top"]].astype(float).to_numpy() for name in ("turned.mp4", "upright.mp4")]
    assert len(boxes[0]) == 12 and np.abs(boxes[0] - boxes[1]).max() < 2


def test_times_of_uneven_frames(model: Path, folder: Path, tmp_path: Path) -> None:
    times = [0, 10, 200, 233, 266, 300, 1000, 1040, 1080, 1120, 1160, 2500]
    hostile.uneven_video(folder / "a.mp4", CLIP, times)
    assert run(model, folder, "--out", tmp_path / "a.csv", "--overlay", tmp_path / "seen") == 0
    (rows,) = by_name(tmp_path / "a.csv").values()
    assert rows["timestamp"].astype(float).tolist() == pytest.approx([time / 1000 for time in times], abs=1e-3)
    assert rows["success"].tolist() == [1] * 12


def test_frames_that_change_their_size(model: Path, folder: Path, tmp_path: Path) -> None:
    large = [draw([(50 + k, 40)], k, (160, 256)) for k in range(12)]
    hostile.growing_video(folder / "call.mts", CLIP, large)
    assert run(model, folder, "--out", tmp_path / "a.csv", "--overlay", tmp_path / "seen") == 0
    (rows,) = by_name(tmp_path / "a.csv").values()
    assert rows["frame"].tolist() == list(range(24)) and rows["success"].tolist() == [1] * 24
    assert (tmp_path / "seen" / "call_aus.mp4").stat().st_size > 1000


def test_a_frame_that_is_too_large(model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = [draw([(50 + k, 40)], k, (160, 256)) for k in range(12)]
    hostile.growing_video(folder / "call.mts", CLIP, large)
    monkeypatch.setattr("metafacs.faces.video.MOST_PIXELS", 30_000)
    assert run(model, folder, "--out", tmp_path / "a.csv") == 0
    (rows,) = by_name(tmp_path / "a.csv").values()
    assert rows["success"].tolist() == [1] * 12 + [0] * 12 and rows["problem"].iloc[-1] == "a frame of 256x160 pixels"


def test_a_cut_off_video_is_told(model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import av

    with av.open(str(folder / "a.mp4"), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 200, "yuv420p"
        for k in range(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(CLIP[k % 12], format="rgb24")))
        container.mux(stream.encode())
    content = (folder / "a.mp4").read_bytes()
    (folder / "a.mp4").write_bytes(content[: len(content) * 2 // 3])
    assert run(model, folder, "--out", tmp_path / "a.csv") == 0
    rows = len(pd.read_csv(tmp_path / "a.csv"))
    assert 5 < rows < 38 and f"{rows} of 40 frames are there; was it cut off?" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_animations_are_videos(name: str, model: Path, folder: Path, tmp_path: Path) -> None:
    images = [Image.fromarray(picture) for picture in CLIP]
    images[0].save(folder / name, save_all=True, append_images=images[1:], duration=100, lossless=True)
    assert run(model, folder, "--out", tmp_path / "a.csv", "--overlay", tmp_path / "seen") == 0
    (rows,) = by_name(tmp_path / "a.csv").values()
    assert rows["timestamp"].astype(float).tolist() == pytest.approx([k / 10 for k in range(12)])
    assert rows["success"].tolist() == [1] * 12 and (tmp_path / "seen" / "a_aus.mp4").exists()


def test_what_may_not_be_read(
    model: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.fromarray(FACE).save(folder / "a.jpg")
    make_video(folder / "b.mp4", CLIP)
    monkeypatch.setattr(pictures.os, "access", lambda path, mode: False)  # the tests may run as root, who may all
    for name in ("a.jpg", "b.mp4"):
        assert run(model, folder / name, "--out", tmp_path / "a.csv") == 2
        assert f"{name}: no permission to read it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
