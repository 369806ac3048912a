"""The scripts of the claims run from nothing to their result files, at sizes that say nothing about the claims."""

import importlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError

CLAIMS = Path(__file__).parents[2] / "studies" / "claims"
SIZES = ["--subjects", "6", "--frames", "6", "--images", "42", "--size", "36", "--steps", "2", "--pretraining", "2"]
CASES = {
    "average_f1": ("stl,mtl", {"average_f1": 6, "average_f1_gains": 3}),
    "rivals": ("mal,stl", {"rivals": 2}),
    "negative_transfer": ("mal", {"negative_transfer": 20}),
    "learned_weights": ("mal", {"learned_weights": 1, "learned_weights_causes": 5}),
    "cost": ("mtl,mal", {"cost": 2}),
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and pretraining that all scripts share."""
    return tmp_path_factory.mktemp("claims")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(CLAIMS))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_claims_script_writes_its_results(name: str, out: Path, tmp_path: Path) -> None:
    methods, expected = CASES[name]
    arguments = ["--small", *SIZES, "--methods", methods, "--out", str(out), "--results", str(tmp_path)]
    importlib.import_module(name).main(arguments)
    for file, rows in expected.items():
        path = tmp_path / f"{file}.csv"
        table = pd.read_csv(path, comment="#")
        assert len(table) >= rows if file == "learned_weights_causes" else len(table) == rows
        head = dict(line[2:].split(": ", 1) for line in path.read_text().splitlines() if line.startswith("# "))
        assert {"command", "commit", "date", "machine", "settings"} <= set(head)
        assert json.loads(head["settings"])["steps"] == 2 and str(out) not in path.read_text()


def test_a_wrong_setting_shows_before_anything_is_rendered(tmp_path: Path) -> None:
    common = importlib.import_module("common")
    with pytest.raises(InputError, match="NAME=VALUE"):
        common.study("claim", "", "stl", ["--small", "--out", str(tmp_path), "--set", "mal.beta"])
    made = common.study(
        "claim", "", "stl", ["--small", "--out", str(tmp_path), "--set", "mal.beta=0.5", "--steps", "3"]
    )
    assert made.scale.settings["mal.beta"] == 0.5 and made.scale.steps == 3 and made.folds == ["P1"]
    made = common.study("claim", "", "mal", ["--small", "--out", str(tmp_path), "--set", "mal.betta=0.5"])
    with pytest.raises(SystemExit):
        common.grid(made, "grid", tmp_path, tmp_path)
    assert not list(tmp_path.iterdir())


def test_fewer_people_keep_the_whole_test_fold(tmp_path: Path, au_dataset: PreparedDataset) -> None:
    average_f1 = importlib.import_module("average_f1")
    shutil.copytree(au_dataset.folder, tmp_path / "au")
    whole = PreparedDataset.open(tmp_path / "au")
    part = PreparedDataset.open(average_f1.fewer_people(whole, "P2", 3))
    assert average_f1.fewer_people(whole, "P2", 3) == part.folder
    people = {fold: set(part.column("subject")[part.column("fold") == fold]) for fold in ("P1", "P2", "P3")}
    assert {fold: len(names) for fold, names in people.items()} == {"P1": 2, "P2": 2, "P3": 1}
    assert part.card.name == whole.card.name
    first = int((whole.column("subject") == part.column("subject")[0]).argmax())
    assert part.image_bytes(0) == whole.image_bytes(first)
    assert average_f1.sizes(48) == [4, 10, 32]
