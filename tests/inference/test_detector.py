"""The detector object: one number for one face, however it is asked."""

import copy
import io
import pickle
import sys
import threading
import types
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from metafacs.data.streams import Faces
from metafacs.datasets.base import DEFAULTS, Listing, SourceCard
from metafacs.datasets.preparation import prepare
from metafacs.errors import InputError
from metafacs.faces import Recipe, best_finder
from metafacs.faces.finders import CORRECTIONS, LIDS, PUPILS
from metafacs.inference import AUDetector, StoppedError
from metafacs.runs import DETECTOR
from metafacs.training.checkpoint import load_detector
from metafacs.training.predicting import face_probabilities
from tests.inference import hostile
from tests.inference.toys import AUS, DotFinder, draw, make_video, save_picture, save_toy, walk

pytest.importorskip("dlib")
CPU = torch.device("cpu")
NOBODY = f"no face found of 10 pixels or more (for smaller ones: --detector {best_finder()} --smallest 5)"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "run")


def dots(run: Path, batch: int = 32) -> AUDetector:
    detector = AUDetector.from_run(run, device="cpu", batch=batch)
    detector._finder = DotFinder()
    return detector


def numbers(table: pd.DataFrame) -> np.ndarray:
    return table[AUS].to_numpy(np.float64)


def test_a_folder_and_its_file_are_the_same_detector(run: Path) -> None:
    picture = draw([(60, 40)])
    one, other = dots(run), dots(run / DETECTOR)
    assert one.aus == AUS and one.recipe == Recipe(size=48)
    assert np.array_equal(numbers(one.detect(picture)), numbers(other.detect(picture)))


def test_columns_of_the_table(run: Path) -> None:
    table = dots(run).detect([draw([(40, 40), (140, 50)]), draw([])])
    assert list(table.columns) == [
        *("input", "frame", "timestamp", "face", "success", "left", "top", "right", "bottom", "score", "turned"),
        *("right_eye_x", "right_eye_y", "left_eye_x", "left_eye_y"),
        *AUS,
        *(f"{au}_present" for au in AUS),
        "problem",
    ]
    assert table["success"].tolist() == [1, 1, 0] and table["input"].tolist() == ["0", "0", "1"]
    assert table["turned"].tolist()[:2] == [0, 0] and pd.isna(table["turned"].iloc[2])
    assert table["face"].tolist()[:2] == [1, 2] and pd.isna(table["face"].iloc[2])
    assert table["problem"].tolist() == ["", "", NOBODY]
    empty = table.iloc[2]
    assert empty[[*AUS, *(f"{au}_present" for au in AUS), "left", "score", "left_eye_x"]].isna().all()


class UprightFinder(DotFinder):
    """Finds drawn faces that are not on their side or upside down."""

    def find(self, image: np.ndarray, around: Any = None) -> Any:
        return [face for face in super().find(image, around) if face.eyes[1, 0] - face.eyes[0, 0] > 20]


def test_a_photograph_on_its_side_is_turned_and_a_video_is_not(run: Path, tmp_path: Path) -> None:
    picture, detector = draw([(40, 40), (140, 50)]), dots(run)
    detector._finder = UprightFinder()
    upright = detector.detect(picture)
    for quarters in range(4):  # to the left
        turned = np.ascontiguousarray(np.rot90(picture, quarters))
        table = detector.detect(turned)
        assert table["turned"].tolist() == [90 * quarters] * 2
        assert np.array_equal(numbers(table), numbers(upright))
        for (_, row), x, y in zip(table.iterrows(), (40, 140), (40, 50), strict=True):
            seen = turned[int(row["top"]) : int(row["bottom"]), int(row["left"]) : int(row["right"])]
            assert np.array_equal(np.rot90(seen, -quarters), picture[y - 20 : y + 30, x - 25 : x + 25])
    video = make_video(tmp_path / "v.mp4", [np.ascontiguousarray(np.rot90(frame)) for frame in walk(5)])
    assert detector.detect_video(video)["success"].tolist() == [0] * 5


def test_presence_is_decided_by_the_thresholds_of_the_card(tmp_path: Path) -> None:
    pictures = [draw([(60, 40)], seed) for seed in range(12)]
    plain = numbers(dots(save_toy(tmp_path / "a")).detect(pictures))
    thresholds = [float(np.median(column)) for column in plain.T]
    table = dots(save_toy(tmp_path / "b", thresholds=thresholds)).detect(pictures)
    present = table[[f"{au}_present" for au in AUS]].to_numpy(int)
    assert np.array_equal(present, plain >= np.float32(thresholds))
    assert (present.mean(axis=0) > 0.2).all() and (present.mean(axis=0) < 0.8).all()


def test_one_picture_in_many_forms(run: Path, tmp_path: Path) -> None:
    picture, detector = draw([(60, 40)]), dots(run)
    path = save_picture(tmp_path / "ein Gesicht ä.png", picture)
    expected = numbers(detector.detect(picture))
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(picture, 1)))  # shown upright by orientation 6
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    assert len(detector.detect(np.stack([picture, picture]))) == 2 * len(expected)
    forms = [
        path,
        str(path),
        io.BytesIO(path.read_bytes()),
        path.open("rb"),
        path.read_bytes(),
        Image.open(path),
        [picture],
        Image.fromarray(picture).convert("RGBA"),
    ]
    forms += [tmp_path / "turned.png", Image.open(tmp_path / "turned.png")]
    for form in forms:
        found = detector.detect(form)
        assert np.array_equal(numbers(found), expected), form
    assert detector.detect(path)["input"].tolist() == [str(path)]


def test_batch_size_changes_next_to_nothing(run: Path) -> None:
    pictures = [draw([(40 + k, 40), (140, 45)], k) for k in range(9)]
    expected = numbers(dots(run, 1).detect(pictures))
    assert expected.std(axis=0).min() > 0.02
    for batch in (2, 7, 64):
        assert np.abs(numbers(dots(run, batch).detect(pictures)) - expected).max() < 1e-6


def test_threads_share_a_detector(run: Path) -> None:
    """With dlib's own finder, which two threads must not use at a time."""
    portrait = pytest.importorskip("skimage.data").astronaut()
    pictures = [portrait[:400, k : k + 400] for k in range(0, 80, 10)]
    detector = AUDetector.from_run(run, device="cpu")
    expected = [numbers(detector.detect(picture)) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda picture: numbers(detector.detect(picture)), pictures * 2))
    for one, other in zip(found, expected * 2, strict=True):
        assert np.array_equal(one, other)


def test_files_and_videos_in_many_threads_give_what_one_gives(run: Path, tmp_path: Path) -> None:
    """As a server does: pictures of all kinds and videos at the same time, with one detector."""
    names = [tmp_path / name for name in hostile.odd_pictures(tmp_path, draw([(50, 40)]))]
    names += [tmp_path / name for name in hostile.bad_pictures(tmp_path, draw([(50, 40)]))]
    clips = [make_video(tmp_path / f"{k}.mp4", walk(20, gaps=(k,))) for k in range(2)]
    detector, filters = dots(run, batch=4), list(warnings.filters)

    def ask(path: Path) -> pd.DataFrame:
        return detector.detect_video(path, every=3) if path.suffix == ".mp4" else detector.detect(path)

    asked = [*names, *clips]
    expected = [ask(path) for path in asked]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, asked * 4))
    for one, other in zip(found, expected * 4, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert list(warnings.filters) == filters


def test_the_starter_is_the_detector_of_the_package(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starter = types.SimpleNamespace(starter_run=lambda: run)
    monkeypatch.setitem(sys.modules, "metafacs.starter", starter)
    detector = AUDetector.starter(device="cpu", batch=3)
    assert detector.aus == AUS and detector.batch == 3


def test_raw_pictures_give_what_their_prepared_crops_give(run: Path, tmp_path: Path) -> None:
    """Same finder, alignment, JPEG, resizing and middle as preparation and evaluation."""
    portrait = pytest.importorskip("skimage.data").astronaut()
    rows = []
    for k in range(6):
        view = portrait[k : 300 + 20 * k, 60 + 7 * k : 380 + 9 * k]
        save_picture(tmp_path / f"{k}.png", np.ascontiguousarray(view))
        where = {"subject": "S1", "sequence": f"T{k}", "frame": k, "fold": "P1", "AU01": k % 2}
        rows.append({**DEFAULTS, **where, "image": f"{k}.png"})
    listing = Listing(pd.DataFrame(rows).astype({"AU01": "Int8"}), ["AU01"], [], [])
    source = SourceCard("a portrait", "of one", "six", "none", "free", "nobody", "crop it", tried="by tests")
    done = prepare(listing, tmp_path, tmp_path / "out", name="toy", source=source, recipe=Recipe(size=48), workers=1)
    network, card = load_detector(run / DETECTOR)
    assert len(done.dataset) == 6
    expected = face_probabilities(network, Faces(done.dataset, np.arange(6), card.resize), card.side, CPU)
    detector = AUDetector.from_run(run, device="cpu")
    found = detector.detect([tmp_path / f"{k}.png" for k in range(6)], faces=1)
    assert expected.std(axis=0).max() > 0.005
    assert np.abs(numbers(found) - expected).max() < 1e-6


def test_a_video_is_its_frames(run: Path, tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", walk(40, gaps=(10, 11)))
    table = dots(run).detect_video(path)
    assert table.groupby("frame")["success"].sum().tolist() == [0 if k in (10, 11) else 2 for k in range(40)]
    assert np.allclose(table["timestamp"], table["frame"] / 25)
    for number, start in ((1, 40), (2, 140)):
        own = table[table["face"] == number]
        assert len(own) == 38 and ((own["left"] + 25 - start).abs() < 22).all()
    fast = dots(run).detect_video(path, every=5)
    assert np.allclose(numbers(fast), numbers(table), atol=1e-6, equal_nan=True)


def test_a_video_can_be_followed_and_stopped(run: Path, tmp_path: Path) -> None:
    path, told, asked = make_video(tmp_path / "v.mp4", walk(40, gaps=(10, 11))), [], []
    detector = dots(run)
    table = detector.detect_video(path, every=5, stop=lambda: False, progress=told.append)
    assert told == list(range(1, 41))
    pd.testing.assert_frame_equal(table, detector.detect_video(path, every=5), check_exact=True)

    def stop() -> bool:
        asked.append(len(told))
        return len(asked) > 12

    told.clear()
    threads = threading.active_count()
    with pytest.raises(StoppedError):
        detector.detect_video(path, every=5, stop=stop, progress=told.append)
    assert told == list(range(1, 13)) and asked == list(range(13))
    assert threading.active_count() == threads


def test_what_cannot_be_read_is_a_row(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    buffer = io.BytesIO()
    Image.fromarray(draw([(60, 40)])).save(buffer, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[:900])
    names = ["empty.jpg", "text.jpg", "cut.jpg", "missing.jpg"]
    table = dots(run).detect([tmp_path / name for name in names])
    assert table["success"].tolist() == [0] * 4
    for problem, text in zip(table["problem"], ("empty", "no image", "damaged", "missing"), strict=True):
        assert text in problem
    assert dots(run).detect(np.zeros((1, 1, 3), np.uint8))["success"].tolist() == [0]


def test_what_is_no_picture_is_an_error(run: Path, tmp_path: Path) -> None:
    detector = dots(run)
    with pytest.raises(InputError, match=r"image 0 is float64 \(4, 4, 3\)"):
        detector.detect(np.zeros((4, 4, 3)))
    with pytest.raises(InputError, match="image 1 is int"):
        detector.detect([draw([]), 5])  # type: ignore[list-item]
    with pytest.raises(InputError, match="there is no video"):
        detector.detect_video(tmp_path / "v.mp4")
    assert len(detector.detect([])) == 0
    (tmp_path / "text").write_text("a")
    picture = draw([])
    for wrong, text in (
        (lambda: detector.detect({"a": "a.png"}), "images are given as dict"),
        (lambda: detector.detect(None), "images are given as NoneType"),
        (lambda: detector.detect((tmp_path / "text").open()), "image 0 is str"),
        (lambda: detector.detect(picture, faces=-1), "faces is -1; .* 0 or more"),
        (lambda: detector.detect(picture, faces="1"), "faces is '1'"),
        (lambda: detector.detect_video(0), "by its path, not as int"),
        (lambda: detector.detect_video(tmp_path / "text", every=2.0), r"every is 2\.0; .* 1 or more"),
        (lambda: detector.detect_video(tmp_path / "text", every=0), "every is 0"),
        (lambda: AUDetector.from_run(run, batch="16"), "batch is '16'"),
        (lambda: AUDetector.from_run(run, finder="mtcnn"), "unknown face finder 'mtcnn'"),
        (lambda: AUDetector.from_run(run, finder=5), "finder is int"),
        (lambda: AUDetector.from_run(run, device="gpu"), "device is 'gpu'"),
        (lambda: AUDetector.from_run(run, device="cuda:99"), "device is 'cuda:99', but there are"),
    ):
        with pytest.raises(InputError, match=text):
            wrong()
    assert AUDetector.from_run(run, finder="dlib5", device=CPU).finder["name"] == "dlib5"  # type: ignore[arg-type]


def test_a_detector_can_be_copied_and_sent_to_other_processes(run: Path) -> None:
    portrait = pytest.importorskip("skimage.data").astronaut()
    detector = AUDetector.from_run(run, device="cpu")
    expected = numbers(detector.detect(portrait))
    grey = Image.fromarray(portrait).convert("L")
    assert expected.size and np.array_equal(numbers(detector.detect(np.asarray(grey))), numbers(detector.detect(grey)))
    for other in (pickle.loads(pickle.dumps(detector)), copy.deepcopy(detector)):
        assert np.array_equal(numbers(other.detect(portrait)), expected) and other.finder == detector.finder
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        sent = pool.submit(detector.detect, portrait).result()
    assert np.abs(numbers(sent) - expected).max() < 1e-6


def test_crops_that_cannot_be_repeated_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be repeated"):
        AUDetector.from_run(save_toy(tmp_path / "run", crop={"kind": "drawn", "size": 48}))


def test_rendered_crops_and_given_landmarks_are_sought_with_the_best_finder(tmp_path: Path) -> None:
    from metafacs.synth.rendering import crop_recipe

    best = best_finder()
    rendered = AUDetector.from_run(save_toy(tmp_path / "a", crop=crop_recipe(64)))
    assert rendered.finder == {"name": best, "correction": list(CORRECTIONS[best][LIDS])}
    assert rendered.recipe.size == 64
    given = AUDetector.from_run(save_toy(tmp_path / "b", crop=Recipe(finder={"name": "given"}, eyes=PUPILS).to_card()))
    assert given.finder == {"name": best, "correction": list(CORRECTIONS[best][PUPILS])}


def test_a_finder_that_is_not_installed_is_replaced_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = Recipe(finder={"name": "mediapipe", "correction": [0.0, 0.1], "smallest": 30.0}, eyes=PUPILS)
    run = save_toy(tmp_path / "run", crop=recipe.to_card())
    monkeypatch.setattr("metafacs.inference.detector.installed", lambda name: name == "dlib5")
    monkeypatch.setattr("metafacs.inference.detector.best_finder", lambda: "dlib5")
    assert AUDetector.from_run(run).finder == {"name": "dlib5", "correction": list(CORRECTIONS["dlib5"][PUPILS])}
    assert "mediapipe" in caplog.text and "dlib5 is used" in caplog.text


def test_a_detector_keeps_the_finder_of_its_recipe(tmp_path: Path) -> None:
    finder = {"name": "dlib5", "width": 320, "upsample": 0, "threshold": 0.1, "correction": [0.033, 0.018]}
    assert AUDetector.from_run(save_toy(tmp_path / "run", crop=Recipe(finder=finder).to_card())).finder == finder


def test_pictures_that_were_cut_out_already(tmp_path: Path) -> None:
    crop = Recipe(kind="whole", size=48, finder={"name": "none"}).to_card()
    table = AUDetector.from_run(save_toy(tmp_path / "run", crop=crop)).detect(draw([], size=(60, 60)))
    assert table[["success", "left", "right"]].iloc[0].tolist() == [1, 0, 60]
