"""Raw trees show what the prepared datasets show, and their readers read what was written."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facsynth.plans import AuPlan, FePlan
from metafacs.datasets.base import RawDataset
from metafacs.datasets.bp4d import BP4D
from metafacs.datasets.disfa import DISFA
from metafacs.datasets.gft import GFT
from metafacs.datasets.rafdb import RAFDB
from metafacs.errors import InputError
from metafacs.synth.presets import preset_plans, render_preset
from metafacs.synth.raw import RELEASES, TURNS, write_raw
from metafacs.synth.rendering import Drawing, render_dataset

WIDTH = 96
DRAWING = Drawing(WIDTH, rays=1, workers=1)
Made = tuple[Path, pd.DataFrame, pd.DataFrame]


def plan_of(preset: str) -> AuPlan | FePlan:
    """Three people with ten frames, or a dozen images."""
    if preset in ("rafdb", "ferplus"):
        return preset_plans(preset, images=12)[""]
    plan = preset_plans(preset, frames=10, coder_noise=0.5)[""]
    assert isinstance(plan, AuPlan)
    return replace(plan, subjects=plan.subjects[:3])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """A raw tree, the truth about it, and the rows of the prepared dataset of the same plan."""
    known: dict[str, Made] = {}

    def make(preset: str) -> Made:
        if preset not in known:
            folder, plan = tmp_path_factory.mktemp(preset), plan_of(preset)
            tree = write_raw(folder / "raw", preset, plan, DRAWING)
            prepared = render_dataset(folder / "prepared", plan, replace(DRAWING, size=32))
            known[preset] = tree, pd.read_parquet(folder / "raw" / "truth.parquet"), prepared.to_pandas()
        return known[preset]

    return make


@pytest.fixture(params=RELEASES)
def each(request: pytest.FixtureRequest, made: Callable[[str], Made]) -> Made:
    if request.param == "disfa":
        pytest.importorskip("av")
    return made(request.param)


def test_raw_and_prepared_show_the_same_moments(each: Made) -> None:
    _, truth, prepared = each
    key = ["subject", "sequence", "frame"] if prepared["frame"].any() else ["subject"]
    expected = prepared.set_index(key, drop=False).loc[truth.set_index(key).index].reset_index(drop=True)
    video = truth["path"].str.extract("Videos_(Left|Right)", expand=False)
    for name in prepared.columns.difference([*key, "frame"]):
        found = truth[name] - video.map(TURNS).fillna(0) if name == "true_yaw" else truth[name]
        if name == "votes":
            assert list(map(str, found)) == list(map(str, expected[name]))
        elif found.dtype.kind == "f" and name != "true_yaw":
            assert found.tolist() == pytest.approx(expected[name].tolist(), nan_ok=True)
        elif name == "true_yaw":
            assert found.tolist() == pytest.approx(expected[name].tolist(), abs=1e-6)
        else:
            assert found.isna().equals(expected[name].isna())
            assert found.dropna().tolist() == expected[name].dropna().tolist()


def test_landmarks_lie_on_a_face_within_the_frame(each: Made) -> None:
    tree, truth, _ = each
    for path, marks in zip(truth["path"], truth["landmarks"], strict=True):
        points = np.stack(list(marks))
        assert points.shape == (68, 2)
        width = 48 if path.endswith(".csv") else 100 if "aligned" in path else WIDTH
        between = np.linalg.norm(points[42:48].mean(axis=0) - points[36:42].mean(axis=0))
        assert 0.05 * width < between < 0.5 * width
        if path.endswith(".jpg") and "aligned" not in path:
            with Image.open(tree / path) as picture:
                assert (points[27:] >= 0).all() and (points[27:] < picture.size).all()


def reader_of(preset: str, tree: Path) -> RawDataset:
    if preset == "gft":
        partition = str(tree / "partition.csv")
        return GFT("annotations/*.csv", image="frames/{subject}/{frame}.jpg", partition=partition)
    return {"bp4d": BP4D(), "disfa": DISFA(camera="right"), "rafdb": RAFDB("original")}[preset]


@pytest.mark.parametrize("preset", ["bp4d", "disfa", "gft", "rafdb"])
def test_its_reader_reads_what_was_written(preset: str, made: Callable[[str], Made]) -> None:
    if preset == "disfa":
        pytest.importorskip("av")
    tree, truth, _ = made(preset)
    listing = reader_of(preset, tree).read(tree)
    rows = listing.rows.assign(path=listing.rows["video" if preset == "disfa" else "image"])
    truth = truth[truth["path"].isin(rows["path"])]
    key = ["path", "frame"] if preset == "disfa" else ["path"]
    rows, truth = (table.sort_values(key) for table in (rows, truth))
    assert not listing.skipped and len(rows) == len(truth) == (12 if preset == "rafdb" else 30)
    labels = [name for name in rows if name in truth and name.startswith("AU")]
    assert len(labels) >= len(listing.aus) and (labels or preset == "rafdb")
    for name in ("path", "subject", "fold", *(labels or ["expression"]), *(["frame"] if labels else [])):
        assert rows[name].tolist() == truth[name].tolist(), name


def test_bp4d_names_frames_with_three_or_four_digits(made: Callable[[str], Made]) -> None:
    tree, truth, _ = made("bp4d")
    stems = [Path(path).stem for path in truth["path"]]
    assert {len(stem) for stem in stems} >= {4} and any(stem.startswith("0") for stem in stems)
    with Image.open(tree / truth["path"][0]) as picture:
        assert picture.size == (WIDTH, WIDTH * 3 // 4)


def test_disfas_cameras_stand_apart(made: Callable[[str], Made]) -> None:
    av = pytest.importorskip("av")
    tree, truth, _ = made("disfa")
    for path, rows in truth.groupby("path"):
        with av.open(str(tree / path)) as container:
            stream = container.streams.video[0]
            assert float(stream.average_rate) == pytest.approx(10 / 242.25, rel=0.01)
            pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert len(pictures) == len(rows) == 10
        assert pictures[0].shape == (WIDTH * 3 // 4, WIDTH, 3) and np.std(pictures) > 10
    left, right = (truth[truth["path"].str.contains(side)] for side in ("Left", "Right"))
    nose = [np.stack([np.stack(list(marks))[30] for marks in side["landmarks"]])[:, 0] for side in (left, right)]
    assert np.abs(nose[0] - nose[1]).mean() > 0.5  # pixels


def test_ferplus_has_the_oddities_of_the_real_tables(made: Callable[[str], Made]) -> None:
    tree, truth, _ = made("ferplus")
    pixels, votes = pd.read_csv(tree / "fer2013.csv"), pd.read_csv(tree / "fer2013new.csv")
    assert len(pixels) == len(votes) == 14 and pixels["Usage"].equals(votes["Usage"])
    assert pixels["Usage"].drop_duplicates().tolist() == ["Training", "PublicTest", "PrivateTest"]
    nobody = votes["Image name"].isna()
    assert nobody.sum() == 2 and (votes.loc[nobody, "NF"] == 10).all()
    faces = votes.loc[~nobody].iloc[:, 2:]
    assert sorted(faces.sum(axis=1))[:2] == [9, 10] and (faces["NF"] == 0).all()
    codes = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    names = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear"]
    assert truth["frame"].tolist() == np.flatnonzero(~nobody).tolist()
    for _, row in truth.iterrows():
        image = np.array(pixels["pixels"][row["frame"]].split(), int)
        assert image.shape == (48 * 48,) and image.max() < 256 and image.std() > 8
        assert codes[pixels["emotion"][row["frame"]]] == row["true_expression"]
        assert (votes.loc[row["frame"], names].to_numpy(int) <= row["votes"]).all()


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("preset", [pytest.param("gft", marks=pytest.mark.slow), "ferplus"])
def test_trees_do_not_depend_on_processes(preset: str, made: Callable[[str], Made], tmp_path: Path) -> None:
    tree, *_ = made(preset)
    write_raw(tmp_path / "raw", preset, plan_of(preset), replace(DRAWING, workers=2))
    assert contents(tmp_path / "raw") == contents(tree.parent)


def test_an_interrupted_tree_is_not_there_and_goes_on(made: Callable[[str], Made], tmp_path: Path) -> None:
    tree, *_ = made("gft")
    out, told = tmp_path / "raw", []

    def stop(done: int, total: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_raw(out, "gft", plan_of("gft"), DRAWING, stop)
    assert not (out / "GFT").exists()
    write_raw(out, "gft", plan_of("gft"), DRAWING, lambda *at: told.append(at))
    assert told == [(20, 30), (30, 30)]
    assert contents(out) == contents(tree.parent)


def test_a_whole_tree_is_reused_and_another_refused(made: Callable[[str], Made], tmp_path: Path) -> None:
    tree, *_ = made("gft")
    before = contents(tree.parent)
    assert write_raw(tree.parent, "gft", plan_of("gft"), DRAWING) == tree
    assert contents(tree.parent) == before
    with pytest.raises(InputError, match="width is 96, asked for 97"):
        write_raw(tree.parent, "gft", plan_of("gft"), replace(DRAWING, size=97))
    with pytest.raises(InputError, match=r"holds truth\.parquet"):
        write_raw(tree.parent, "bp4d", plan_of("bp4d"), DRAWING)
    (tmp_path / "GFT").mkdir()
    with pytest.raises(InputError, match=r"is there already, without a raw\.json"):
        write_raw(tmp_path, "gft", plan_of("gft"), DRAWING)


def test_the_card_says_what_the_tree_is(made: Callable[[str], Made]) -> None:
    tree, *_ = made("bp4d")
    card = json.loads((tree.parent / "raw.json").read_text())
    assert card["tree"] == "BP4D" and "no real person" in card["source"] and "CC0" in card["licence"]
    assert card["settings"]["width"] == WIDTH


def test_what_cannot_be_raw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tiny has no raw layout; these have: bp4d, disfa, gft, rafdb, ferplus"):
        render_preset(tmp_path / "out", "tiny", layout="raw")
    with pytest.raises(InputError, match="95 pixels wide are too small"):
        write_raw(tmp_path / "out", "gft", plan_of("gft"), Drawing(95))
    assert not (tmp_path / "out").exists()


def test_videos_need_pyav(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="videos need PyAV"):
        write_raw(tmp_path / "out", "disfa", plan_of("disfa"), DRAWING)
    assert not (tmp_path / "out").exists()
