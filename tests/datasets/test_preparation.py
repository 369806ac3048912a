import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from metafacs.datasets import DATASETS, preparation
from metafacs.datasets.base import Listing, Skip
from metafacs.datasets.cropping import crop_rows
from metafacs.datasets.preparation import PART, Prepared, cut, digest, prepare, read_skipped
from metafacs.errors import InputError
from metafacs.faces import Recipe, pictures
from tests.datasets.raw_faces import AUS, CARD, draw, make_raw, to_listing
from tests.datasets.trees import miniature

GIVEN = Recipe(size=64, quality=95, finder={"name": "given"})


def run(listing: Listing, raw: Path, out: Path, recipe: Recipe = GIVEN, **options: Any) -> Prepared:
    return prepare(listing, raw, out, name="drawn", source=CARD, recipe=recipe, **{"workers": 1, **options})


def dot(crop: np.ndarray, channel: int) -> np.ndarray:
    others = [k for k in range(3) if k != channel]
    weight = np.clip(crop[..., channel].astype(float) - crop[..., others].max(axis=2) - 60, 0, None)
    x, y = np.meshgrid(np.arange(crop.shape[1]) + 0.5, np.arange(crop.shape[0]) + 0.5)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("margin", [0.0, 0.25])
def test_eyes_and_labels_arrive(margin: float, tmp_path: Path) -> None:
    listing = to_listing(make_raw(tmp_path / "raw"))
    recipe = Recipe(size=128, quality=95, margin=margin, finder={"name": "given"})
    dataset = run(listing, tmp_path / "raw", tmp_path / "out", recipe).dataset
    assert len(dataset) == 12 and Recipe.from_card(dataset.card.crop) == recipe
    for row in range(len(dataset)):
        seen = np.stack([dot(dataset.image(row), 0), dot(dataset.image(row), 2)])
        assert seen == pytest.approx(np.array(recipe.template) * 128, abs=0.02 * 0.36 * 128)
    table = dataset.to_pandas()
    for column in ("subject", "sequence", "frame", "fold", *AUS, "AU01_intensity"):
        assert table[column].astype(object).equals(listing.rows[column].astype(object)), column
    assert dataset.card.counts["skipped"] == {"listing": 0, "picture": 0, "face": 0}


def test_what_is_left_out_is_counted_and_listed(tmp_path: Path) -> None:
    rows = make_raw(tmp_path / "raw", damaged=("S1/2.png",))
    (tmp_path / "raw/S2/0.png").unlink()
    rows[4]["points"], rows[5]["points"] = None, np.array([[5.0, 5], [6, 5]])
    done = run(to_listing(rows, (Skip("labels.csv, line 7", "label 9", 2),)), tmp_path / "raw", tmp_path / "out")
    assert done.dataset.card.counts["skipped"] == {"listing": 2, "picture": 2, "face": 2}
    assert len(done.dataset) == 8
    found = [(one.stage, one.where, one.rows) for one in read_skipped(tmp_path / "out").itertuples()]
    assert found == [
        ("listing", "labels.csv, line 7", 2),
        ("picture", "S1/2.png", 1),
        ("face", "S1/4.png", 1),
        ("face", "S1/5.png", 1),
        ("picture", "S2/0.png", 1),
    ]
    reasons = done.skipped["reason"].tolist()
    assert reasons[1].startswith("damaged image") and reasons[2] == "the dataset has no landmarks for it"
    assert "impossible eyes: 1.0 pixels apart" in reasons[3] and reasons[4] == "missing file"
    assert done.skipped["subject"].tolist() == ["", "S1", "S1", "S1", "S2"]


def test_not_one_face_is_an_error_that_says_why(tmp_path: Path) -> None:
    rows = make_raw(tmp_path / "raw")
    for path in (tmp_path / "raw").glob("*/*.png"):
        path.unlink()
    with pytest.raises(InputError, match=r"not one of 12 rows gave a face: 12 times missing file; .*skipped\.csv"):
        run(to_listing(rows), tmp_path / "raw", tmp_path / "out")
    assert len(read_skipped(tmp_path / "out")) == 12


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_equal_bytes_however_many_processes_and_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "PART", 5)
    listing = to_listing(make_raw(tmp_path / "raw", subjects=4, damaged=("S1/2.png", "S3/0.png")))
    for workers in (1, 2):
        run(listing, tmp_path / "raw", tmp_path / f"out{workers}", workers=workers)
    assert files(tmp_path / "out1") == files(tmp_path / "out2")
    names = {"README.md", "dataset.json", "faces.arrow", "listing.json", "skipped.csv"}
    assert set(files(tmp_path / "out1")) == names

    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        if done >= 12 and stopping:
            raise StopError

    told: list[tuple[int, int]] = []
    stopping = True
    with pytest.raises(StopError):
        run(listing, tmp_path / "raw", tmp_path / "out3", progress=stop)
    (tmp_path / "raw/S1/2.png").unlink()  # done already: what was said about it must not change
    stopping, told = False, []
    run(listing, tmp_path / "raw", tmp_path / "out3", progress=stop)
    assert told[0] == (12, 24) and told[-1] == (24, 24)
    assert files(tmp_path / "out3") == files(tmp_path / "out1")


def test_a_finished_dataset_is_reused_or_refused(tmp_path: Path) -> None:
    rows = make_raw(tmp_path / "raw")
    first = run(to_listing(rows), tmp_path / "raw", tmp_path / "out")
    for path in (tmp_path / "raw").glob("*/*.png"):
        path.unlink()
    again = run(to_listing(rows), tmp_path / "raw", tmp_path / "out")
    assert again.dataset.card == first.dataset.card and again.skipped.equals(first.skipped)
    rows[0]["AU01"] = 1
    with pytest.raises(InputError, match="the table or the release changed since"):
        run(to_listing(rows), tmp_path / "raw", tmp_path / "out")


def test_frames_of_videos_and_pixels_of_a_table(tmp_path: Path) -> None:
    from tests.faces.test_video import make_video, shown

    rows = make_raw(tmp_path, subjects=1)
    make_video(tmp_path / "a.mp4", "mpeg4", frames=10)
    buffer = io.BytesIO()
    Image.fromarray(draw(np.array([[32.0, 40], [62, 42]]))).save(buffer, "PNG")
    for row, frame in zip(rows[:4], (2, 5, 30, 3), strict=True):
        row |= {"image": "", "video": "a.mp4", "video_frame": frame}
    rows[4] |= {"image": "", "pixels": buffer.getvalue()}
    made, skipped, _ = crop_rows(
        pd.DataFrame(rows), [], tmp_path, Recipe(kind="whole", size=160, finder={"name": "none"})
    )
    assert [one.where for one in skipped] == ["a.mp4, frame 30 from 0"]
    assert "no such frame" in skipped[0].reason and skipped[0].frame == 2
    crops = [np.asarray(Image.open(io.BytesIO(row["image"]))) for row in made]
    assert [shown(crop) for crop in crops[:3]] == [2, 5, 3]
    assert [row["frame"] for row in made] == [0, 1, 3, 4, 5] and made[0]["landmarks"] is None


def test_68_given_landmarks_are_stored_in_pixels_of_the_crop(tmp_path: Path) -> None:
    rows = make_raw(tmp_path, subjects=1, frames=1)
    points = np.random.default_rng(0).uniform(20, 70, (68, 2))
    points[36:42], points[42:48] = rows[0]["points"][0], rows[0]["points"][1]
    rows[0]["points"] = points
    made, _, _ = crop_rows(pd.DataFrame(rows), [], tmp_path, GIVEN)
    marks = made[0]["landmarks"]
    assert marks.shape == (68, 2)
    assert marks[[36, 47]] == pytest.approx(np.array([[0.32, 0.36], [0.68, 0.36]]) * 64, abs=1e-3)


@pytest.fixture
def lengths() -> Callable[[list[int]], list[int]]:
    def measure(sequences: list[int]) -> list[int]:
        names = np.repeat(np.arange(len(sequences)), sequences).astype(str)
        found = cut(pd.DataFrame({"subject": "S", "sequence": names}))
        assert [piece.start for piece in found[1:]] == [piece.stop for piece in found[:-1]]
        assert sum(sequences) == (found[-1].stop if found else 0)
        return [piece.stop - piece.start for piece in found]

    return measure


def test_parts(lengths: Callable[[list[int]], list[int]]) -> None:
    assert lengths([]) == []
    assert lengths([1] * (2 * PART + 1)) == [PART, PART, 1]
    assert lengths([PART + 1]) == [PART // 2, PART // 2 + 1]
    assert lengths([PART - 1, 2, PART]) == [PART - 1, 2, PART]
    assert max(lengths([4845, 448, 10, 7, 1793])) <= PART


def test_the_digest_sees_labels_and_points(tmp_path: Path) -> None:
    rows = make_raw(tmp_path)
    before = digest(to_listing(rows).rows)
    assert digest(to_listing(rows).rows) == before
    rows[0]["points"] = rows[0]["points"] + 1
    moved = digest(to_listing(rows).rows)
    rows[1]["AU12"] = None
    assert len({before, moved, digest(to_listing(rows).rows)}) == 3


def test_workers_cannot_be_negative(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="workers is -1"):
        run(to_listing(make_raw(tmp_path)), tmp_path, tmp_path / "out", workers=-1)


@pytest.mark.parametrize("name", list(DATASETS))
def test_every_reader_feeds_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row of each reader's miniature release, whose pictures are tiny, becomes a face with its labels."""
    monkeypatch.setattr(pictures, "SMALLEST", 8)
    if name == "drawn":
        pytest.skip("made by another test")
    reader = DATASETS[name](**miniature(name, tmp_path / "raw"))
    listing = reader.read(tmp_path / "raw")
    whole = Recipe(kind="whole", size=32, finder={"name": "none"})
    done = prepare(listing, tmp_path / "raw", tmp_path / "out", name=name, source=reader.card, recipe=whole, workers=1)
    assert len(done.dataset) == len(listing.rows)
    assert not (done.skipped["stage"] != "listing").any(), done.skipped.to_string()
    table = done.dataset.to_pandas()
    for column in (*listing.aus, "frame"):
        assert table[column].astype(object).equals(listing.rows[column].astype(object)), column
    assert [value or "" for value in table["expression"].astype(object).where(table["expression"].notna(), "")] == [
        value or "" for value in listing.rows["expression"]
    ]
