"""Raw trees are read back by code that shares nothing with what wrote them."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from metafacs.errors import InputError
from metafacs.synth.au_dataset import render_au_dataset
from metafacs.synth.fe_dataset import render_fe_dataset
from metafacs.synth.plans import AuPlan, FePlan
from metafacs.synth.raw import disfa
from metafacs.synth.raw.layouts import LAYOUTS, write_raw
from metafacs.synth.rendering import preset_plans, render_preset

WIDTH = 96
DRAWING: dict[str, Any] = {"rays": 1, "workers": 1}
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
            tree = write_raw(folder / "raw", preset, plan, width=WIDTH, **DRAWING)
            render: Any = render_au_dataset if isinstance(plan, AuPlan) else render_fe_dataset
            prepared = render(folder / "prepared", plan, size=32, **DRAWING)
            known[preset] = tree, pd.read_parquet(folder / "raw" / "truth.parquet"), prepared.to_pandas()
        return known[preset]

    return make


@pytest.fixture(params=LAYOUTS)
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
        found = truth[name] - video.map(disfa.TURNS).fillna(0) if name == "true_yaw" else truth[name]
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


def test_bp4d_is_read_back(made: Callable[[str], Made]) -> None:
    tree, truth, _ = made("bp4d")
    assert tree.name == "BP4D" and truth["subject"].nunique() == 3
    for _, row in truth.iterrows():
        subject, task = row["subject"], row["sequence"]
        with (tree / "AUCoding" / "AU_OCC" / f"{subject}_{task}.csv").open(newline="") as file:
            lines = {int(line["0"]): line for line in csv.DictReader(file)}
        line = lines[row["frame"]]
        for au in range(1, 100):
            column = f"AU{au:02d}"
            assert int(line[str(au)]) == row.get(column, 9)
        for au in (6, 10, 12, 14, 17):
            name = f"{subject}_{task}_AU{au:02d}.csv"
            text = (tree / "AUCoding" / "AU_INT" / f"AU{au:02d}" / name).read_text().split()
            assert f"{row['frame']},{row[f'AU{au:02d}_intensity']}" in text
        names = {int(path.stem): path for path in (tree / subject / task).iterdir()}
        assert names.keys() == lines.keys() and names[row["frame"]] == tree / row["path"]
        with Image.open(tree / row["path"]) as picture:
            assert picture.size == (WIDTH, WIDTH * 3 // 4)
    widths = {len(Path(path).stem) for path in truth["path"]}
    assert widths >= {4} and any(Path(path).stem.startswith("0") for path in truth["path"])


def test_disfa_is_read_back(made: Callable[[str], Made]) -> None:
    av = pytest.importorskip("av")
    tree, truth, _ = made("disfa")
    for subject, rows in truth.groupby("subject"):
        for au in (1, 2, 4, 6, 9, 12, 25, 26, 5, 15, 17, 20):
            lines = (tree / "ActionUnit_Labels" / subject / f"{subject}_au{au}.txt").read_text().split()
            found = dict(tuple(map(int, line.split(","))) for line in lines)
            assert list(found) == list(range(1, 11)) and set(found.values()) <= set(range(6))
            if f"AU{au:02d}" in truth:
                for frame, level in zip(rows["frame"], rows[f"AU{au:02d}_intensity"], strict=True):
                    assert found[frame] == level
        for side in ("Left", "Right"):
            video = tree / f"Videos_{side}Camera" / f"{side}Video{subject}_comp.avi"
            with av.open(str(video)) as container:
                stream = container.streams.video[0]
                assert float(stream.average_rate) == pytest.approx(10 / 242.25, rel=0.01)
                pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
            own = rows[rows["path"] == video.relative_to(tree).as_posix()]
            assert len(pictures) == len(own) == 10
            assert pictures[0].shape == (WIDTH * 3 // 4, WIDTH, 3) and np.std(pictures) > 10
    left, right = (truth[truth["path"].str.contains(side)] for side in ("Left", "Right"))
    nose = [np.stack([np.stack(list(marks))[30] for marks in side["landmarks"]])[:, 0] for side in (left, right)]
    assert np.abs(nose[0] - nose[1]).mean() > 0.5  # pixels: the cameras stand apart


def test_gft_is_read_back(made: Callable[[str], Made]) -> None:
    tree, truth, _ = made("gft")
    people = pd.read_csv(tree / "partition.csv", dtype=str)
    assert people["subject"].tolist() == ["001A", "001B", "001C"] and set(people["group"]) == {"001"}
    assert dict(zip(people["subject"], people["partition"], strict=True)) == dict(
        zip(truth["subject"], truth["fold"], strict=True)
    )
    for subject, rows in truth.groupby("subject"):
        table = pd.read_csv(tree / "annotations" / f"{subject}.csv")
        assert table["frame"].tolist() == list(range(1, 11)) and len(table.columns) == 21
        for column in table.columns:
            assert table[column].tolist() == rows[column].tolist()
        assert all((tree / path).is_file() for path in rows["path"])


def test_rafdb_is_read_back(made: Callable[[str], Made]) -> None:
    tree, truth, _ = made("rafdb")
    names = ["", "surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"]
    lines = (tree / "basic" / "EmoLabel" / "list_patition_label.txt").read_text().splitlines()
    labels = {line.split()[0]: names[int(line.split()[1])] for line in lines}
    assert len(labels) == 12 == len(lines)
    for image, label in labels.items():
        fold, stem = image.split("_")[0], image.removesuffix(".jpg")
        paths = [f"basic/Image/aligned/{stem}_aligned.jpg", f"basic/Image/original/{image}"]
        rows = truth[truth["subject"] == stem]
        assert rows["path"].tolist() == paths
        assert set(rows["expression"]) == {label} and set(rows["fold"]) == {fold}
        with Image.open(tree / paths[0]) as aligned, Image.open(tree / paths[1]) as original:
            assert aligned.size == (100, 100) and original.width == WIDTH


def test_ferplus_is_read_back(made: Callable[[str], Made]) -> None:
    tree, truth, _ = made("ferplus")
    pixels, votes = pd.read_csv(tree / "fer2013.csv"), pd.read_csv(tree / "fer2013new.csv")
    assert list(votes.columns[:2]) == ["Usage", "Image name"] and list(votes.columns[-3:]) == [
        *("contempt", "unknown", "NF")
    ]
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
    write_raw(tmp_path / "raw", preset, plan_of(preset), width=WIDTH, rays=1, workers=2)
    assert contents(tmp_path / "raw") == contents(tree.parent)


KILLED = """
import os, sys
from pathlib import Path
from tests.synth.test_raw import WIDTH, plan_of
from metafacs.synth.raw import tree
from metafacs.synth.raw.layouts import write_raw

preset, out, step = sys.argv[1:]
done = 0

def dying(function, after):
    def call(*arguments):
        global done
        result = function(*arguments) if after else None
        done += 1
        if done == 2 or step != "write_part":
            os._exit(9)
        return result if after else function(*arguments)
    return call

if step == "write_part":
    tree.RawTree.write_part = dying(tree.RawTree.write_part, True)
else:
    Path.rename = dying(Path.rename, False)
write_raw(Path(out), preset, plan_of(preset), width=WIDTH, rays=1, workers=1)
"""


@pytest.mark.parametrize("step", ["write_part", pytest.param("rename", marks=pytest.mark.slow)])
def test_a_killed_tree_is_not_there_and_goes_on(step: str, made: Callable[[str], Made], tmp_path: Path) -> None:
    """Killed after the second part, and after everything but the last step."""
    tree, *_ = made("gft")
    out, root = tmp_path / "raw", Path(__file__).parents[2]
    paths = os.pathsep.join([str(root), str(root / "src")])
    command = [sys.executable, "-c", KILLED, "gft", str(out), step]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, check=False).returncode == 9
    assert not (out / "GFT").exists()
    told: list[tuple[int, int]] = []
    write_raw(out, "gft", plan_of("gft"), width=WIDTH, **DRAWING, progress=lambda *at: told.append(at))
    assert told == ([] if step == "rename" else [(20, 30), (30, 30)])
    assert contents(out) == contents(tree.parent)


def test_a_whole_tree_is_reused_and_another_refused(made: Callable[[str], Made], tmp_path: Path) -> None:
    tree, *_ = made("gft")
    before = contents(tree.parent)
    assert write_raw(tree.parent, "gft", plan_of("gft"), width=WIDTH, **DRAWING) == tree
    assert contents(tree.parent) == before
    with pytest.raises(InputError, match="width is 96, asked for 97"):
        write_raw(tree.parent, "gft", plan_of("gft"), width=97, **DRAWING)
    with pytest.raises(InputError, match="holds the raw tree GFT already"):
        write_raw(tree.parent, "bp4d", plan_of("bp4d"), width=WIDTH, **DRAWING)
    (tmp_path / "GFT").mkdir()
    with pytest.raises(InputError, match=r"is there already, without a raw\.json"):
        write_raw(tmp_path, "gft", plan_of("gft"), width=WIDTH, **DRAWING)


def test_the_card_says_what_the_tree_is(made: Callable[[str], Made]) -> None:
    tree, *_ = made("bp4d")
    card = json.loads((tree.parent / "raw.json").read_text())
    assert card["tree"] == "BP4D" and "no real person" in card["source"] and "CC0" in card["licence"]
    assert card["settings"]["width"] == WIDTH


def test_what_cannot_be_raw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tiny has no raw layout; these have: bp4d, disfa, gft, rafdb, ferplus"):
        render_preset(tmp_path / "out", "tiny", layout="raw")
    with pytest.raises(InputError, match="95 pixels wide are too small"):
        write_raw(tmp_path / "out", "gft", plan_of("gft"), width=95)
    assert not (tmp_path / "out").exists()


def test_videos_need_pyav(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="videos need PyAV"):
        write_raw(tmp_path / "out", "disfa", plan_of("disfa"), width=WIDTH, **DRAWING)
    assert not (tmp_path / "out").exists()
