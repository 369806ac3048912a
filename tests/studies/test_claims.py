"""The scripts of the claims run from nothing to their result files, at sizes that say nothing about the claims."""

import importlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from tests import builders

CLAIMS = Path(__file__).parents[2] / "studies" / "claims"
SIZES = ["--subjects", "6", "--frames", "6", "--images", "42", "--size", "36", "--steps", "5", "--pretraining", "2"]
SLOW = pytest.mark.slow
CASES = [
    pytest.param("signal_to_noise", "mtl", {"signal_to_noise_told": 50, "signal_to_noise_reserve": 5}),
    pytest.param("average_f1", "stl,mtl", {"average_f1": 6, "average_f1_gains": 3}, marks=SLOW),
    pytest.param("learned_weights", "mal", {"learned_weights": 1, "learned_weights_causes": 6}, marks=SLOW),
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and pretraining that all scripts share."""
    return tmp_path_factory.mktemp("claims")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(CLAIMS))


@pytest.mark.parametrize(("name", "methods", "files"), CASES)
def test_a_claims_script_writes_its_results(
    name: str,
    methods: str,
    files: dict[str, int],
    out: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    script = importlib.import_module(name)
    start = "pretrain" if request.node.get_closest_marker("slow") else "scratch"
    arguments = ["--small", *SIZES, "--start", start, "--methods", methods, "--out", str(out)]
    script.main([*arguments, "--results", str(tmp_path)])
    for file, rows in files.items():
        path = tmp_path / f"{file}.csv"
        assert len(pd.read_csv(path, comment="#")) == rows
        head = dict(line[2:].split(": ", 1) for line in path.read_text().splitlines() if line.startswith("# "))
        assert {"command", "commit", "date", "machine", "settings"} <= set(head)
        assert json.loads(head["settings"])["steps"] == 5 and str(out) not in path.read_text()


@SLOW
def test_what_mal_is_worth_is_taken_apart(out: Path, tmp_path: Path) -> None:
    worth = importlib.import_module("worth")
    builders.make_prepared(tmp_path / "real", kind="fe", name=worth.OTHER_WORLD)
    arguments = ["--small", *SIZES, "--start", "scratch", "--out", str(out), "--results", str(tmp_path), "--seeds", "0"]
    arguments += ["--ferplus", str(tmp_path / "real")]
    chosen = f"{worth.SCREEN},mal,replayed"
    worth.main([*arguments, "--regimes", "scale", "--methods", chosen])
    table, weights = (pd.read_csv(tmp_path / f"{name}.csv", comment="#") for name in ("worth", "worth_weights"))
    scores = table.set_index("method")
    assert set(scores.index) == {*chosen.split(","), "tuned"}
    assert scores.loc["replayed", "fe_weight"] == pytest.approx(scores.loc["mal", "fe_weight"])
    assert scores.loc["tuned", "f1"] == scores.loc[scores.loc["tuned", "chosen"], "f1"]
    assert set(weights.loc[weights["expression"] == "all", "images"]) == {"good", "bad"}
    assert (out / "small" / "worth" / "worth.png").exists()
    worth.main([*arguments, "--regimes", "skin,rare,few_wrong", "--methods", "oracle"])
    assert set(pd.read_csv(tmp_path / "worth.csv", comment="#")["regime"]) == {"skin", "rare", "few_wrong"}
    skin, usual = (PreparedDataset.open(out / "small" / "data" / f"fe_42_36px_usual{end}") for end in ("_skin", ""))
    told = [name == worth.WRONG for name in skin.column("cause")]
    assert 0.6 < sum(told) / len(told) < 0.75
    kept = [a == b for a, b in zip(skin.column("expression"), usual.column("expression"), strict=True)]
    assert all(same or wrong for same, wrong in zip(kept, told, strict=True)) and not all(kept)


def test_gains_are_paired_by_fold_and_seed() -> None:
    worth = importlib.import_module("worth")
    cells = [
        {"regime": "r", "fold": fold, "seed": seed, "method": method, "f1": 10 * seed + score, "auc": 50.0}
        for fold in ("P1", "P2")
        for seed in (0, 1)
        for method, score in (("mtl", 1.0), ("mal", 3.0))
    ]
    table = worth.gains(pd.DataFrame(cells)).set_index(["score", "gain"])
    assert table.loc[("f1", "mal - mtl"), ["mean", "low", "high", "pairs"]].tolist() == [2, 2, 2, 4]
    assert list(table["verdict"]) == ["more", "not told from zero"]


def test_flags_change_the_scale_and_the_settings(tmp_path: Path) -> None:
    common = importlib.import_module("common")
    flags = ["--small", "--out", str(tmp_path)]
    with pytest.raises(InputError, match="NAME=VALUE"):
        common.read_study("claim", "", "stl", [*flags, "--set", "mal.beta"])
    study = common.read_study("claim", "", "stl", [*flags, "--set", "mal.beta=0.5", "--steps", "3"], steps=9)
    assert study.scale.settings["mal.beta"] == 0.5 and study.scale.steps == 3 and study.folds == ["P1"]


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
