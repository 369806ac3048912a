"""Training on several datasets in a stream."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from metafacs.commands.train import train_config, train_parser
from metafacs.data.prepared import PreparedDataset
from metafacs.evaluation.predictions import read_predictions
from metafacs.training.data import open_data
from tests.builders import make_prepared
from tests.toy_runs import flags, metafacs, rewrite

AUS = [["AU01", "AU12"], ["AU04", "AU12"]]


@pytest.fixture(scope="module")
def au(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("several")
    return [make_prepared(folder / str(k), aus=AUS[k], seed=k, name=f"AU{k}").folder for k in range(2)]


@pytest.fixture(scope="module")
def fe(au: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two sets of expressions; the first has the people of the second AU dataset, test people among them."""
    folder = tmp_path_factory.mktemp("several")
    plain = [make_prepared(folder / f"plain{k}", kind="fe", seed=k, name=f"FE{k}") for k in range(2)]
    subjects = sorted(set(PreparedDataset.open(au[1]).column("subject")))

    def change(number: int, row: dict[str, object]) -> None:
        if number < 4 * len(subjects):
            row |= {"dataset": "AU1", "subject": subjects[number // 4]}

    return [rewrite(plain[0], folder / "with_people", change).folder, plain[1].folder]


def arguments(out: Path, au: list[Path], fe: list[Path], **changes: object) -> list[str]:
    one = flags(out, Path("PRIMARY"), Path("AUXILIARY"), **changes)
    lists = {"PRIMARY": au, "AUXILIARY": fe}
    return [text for part in one for text in (map(str, lists[part]) if part in lists else [part])]


def test_a_run_on_several_datasets_is_trained_scored_and_told_apart(
    au: list[Path], fe: list[Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert metafacs(*arguments(run, au, fe, data__mixing="even")) == 0
    assert metafacs("evaluate", run) == 0
    found = read_predictions(run)
    assert found.aus == ["AU01", "AU04", "AU12"] and set(found.table["dataset"]) == {"AU0", "AU1"}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    logged = next(line for line in lines if line["event"] == "weights")
    table = pd.read_parquet(run / "sample_weights.parquet")
    images = table[table["stream"] == "auxiliary"]
    for name, mean in images.groupby("dataset")["weight"].mean().items():
        assert logged[f"{name}/all"] == pytest.approx(mean)
    means = images.groupby(["dataset", "expression"])["weight"].mean()
    assert logged["FE1/happiness"] == pytest.approx(means["FE1", "happiness"])
    assert metafacs("report", run, "--out", tmp_path / "report.html") == 0
    page = (tmp_path / "report.html").read_text()
    assert "Weights by dataset" in page and all(f">{name}<" in page for name in ("AU1", "FE0", "FE1"))


def test_test_people_of_every_dataset_stay_out_and_batches_are_even(
    au: list[Path], fe: list[Path], tmp_path: Path
) -> None:
    settings = arguments(tmp_path / "run", au, fe, data__mixing="even")[1:]
    config = train_config(train_parser("metafacs train"), settings)[0]
    data = open_data(config.data, ("auxiliary",), 0, Console(quiet=True))
    tested = {tuple(name.split("/")) for name in data.split.test_subjects}
    assert {name for name, _ in tested} == {"AU0", "AU1"}
    for stream, folders in {"primary": au, "auxiliary": fe}.items():
        dataset, faces = data.rows[stream]
        people = set(zip(dataset.column("dataset")[faces.rows], dataset.column("subject")[faces.rows], strict=True))
        assert not people & {(name, f"{name}/{subject}") for name, subject in tested}
        first = len(PreparedDataset.open(folders[0]))
        rows = data.streams[stream].rows(3)
        assert np.sum(rows < first) == np.sum(rows >= first) == 3
    every = train_config(train_parser("metafacs train"), arguments(tmp_path / "run", au, fe)[1:])[0]
    assert every.values()["data"]["primary"] == [str(folder) for folder in au]


def test_a_detector_of_several_datasets_is_not_scored_on_its_own_people(
    au: list[Path], fe: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert metafacs(*arguments(run, au, fe, method="stl", loop__steps=2)) == 0
    for folder in au:
        assert metafacs("evaluate", "--model", run, "--data", folder, "--out", tmp_path / "x.parquet") == 2
        assert "people who may have trained this detector" in capsys.readouterr().err
    flag = "--unseen_only"
    assert metafacs("evaluate", "--model", run, "--data", au[1], "--out", tmp_path / "x.parquet", flag) == 0
