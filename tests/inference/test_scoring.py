"""A detector on a dataset that is not its own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from metafacs.errors import InputError
from metafacs.evaluation.predictions import read_predictions
from metafacs.inference.scoring import predict_across, recipe_differences
from metafacs.runs import DETECTOR
from metafacs.sample import Sample
from metafacs.starter import starter_run
from metafacs.training.checkpoint import load_detector
from tests.builders import make_prepared
from tests.inference.toys import save_toy
from tests.toy_runs import metafacs

AUS = ("AU04", "AU12", "AU15")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cross")
    save_toy(folder / "run", thresholds=(0.1, 0.2, 0.3, 0.4))
    make_prepared(folder / "other", subjects=3, frames=4, aus=AUS, size=36, name="other set")
    make_prepared(folder / "own", subjects=6, frames=4, aus=AUS, size=36, name="toy")
    return folder


def test_predictions_on_another_dataset(place: Path) -> None:
    done = predict_across(place / "run", place / "other")
    assert done.path == place / "run" / "cross_other_set.parquet"
    found = read_predictions(done.path)
    assert found.aus == ["AU04", "AU12"] and len(found) == 12
    info = found.info
    assert (info["dataset"], info["trained_on"], info["fold"]) == ("other set", "toy", "cross-dataset")
    assert info["threshold"] == [0.2, 0.3] and info["label"] == "mal (trained on toy)"
    told = " ".join(done.notes)
    assert "not scored: AU1, AU24" in told and "kind is 'drawn' here, 'similarity' in training" in told


def test_every_au_keeps_its_own_output(place: Path) -> None:
    from metafacs.data.prepared import PreparedDataset

    found = read_predictions(predict_across(place / "run", place / "other", batch=5).path)
    network, _ = load_detector(place / "run" / DETECTOR)
    dataset = PreparedDataset.open(place / "other")
    images = np.stack([dataset.image(row)[2:34, 2:34] for row in range(12)])
    expected = network.probabilities(Sample(torch.from_numpy(images).permute(0, 3, 1, 2) / 255))
    assert np.abs(found.probabilities() - expected[:, [1, 2]].numpy()).max() < 1e-5


def test_people_who_may_have_trained(place: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"16 of 24 rows are of 4 people who may have trained .*--unseen_only"):
        predict_across(place / "run", place / "own", tmp_path / "a.parquet")
    done = predict_across(place / "run", place / "own", tmp_path / "a.parquet", unseen_only=True)
    assert set(read_predictions(done.path).table["subject"]) == {"S000", "S003"}
    assert "left out" in done.notes[0]


def test_the_expression_data_of_a_run_trained_too(place: Path, tmp_path: Path) -> None:
    run = save_toy(tmp_path / "run")
    (run / "config.yaml").write_text(f"data:\n  auxiliary: {place / 'other'}\n")
    with pytest.raises(InputError, match=r"may have trained .*nobody is left"):
        predict_across(run, place / "other", unseen_only=True)


def test_a_runs_dataset_is_found_from_any_folder(place: Path) -> None:
    run = save_toy(place / "study" / "runs" / "mal")
    (run / "config.yaml").write_text("data:\n  auxiliary: other\n")  # as given in `place`
    with pytest.raises(InputError, match="may have trained"):
        predict_across(run, place / "other")


def test_datasets_without_a_common_label(place: Path, tmp_path: Path) -> None:
    make_prepared(tmp_path / "au", subjects=3, frames=2, aus=("AU17",), size=36)
    with pytest.raises(InputError, match="none of the AUs"):
        predict_across(place / "run", tmp_path / "au")
    make_prepared(tmp_path / "fe", kind="fe", subjects=3, frames=2, aus=AUS, size=36)
    with pytest.raises(InputError, match="no row with a label"):
        predict_across(place / "run", tmp_path / "fe")


def test_recipes() -> None:
    one = {"kind": "similarity", "size": 128, "template": {"right_eye": [0.3, 0.3]}}
    assert recipe_differences(one, {**one, "margin": 0.0}) == []
    assert len(recipe_differences(one, {**one, "margin": 0.5, "size": 64})) == 2
    (told,) = recipe_differences(one, {**one, "finder": {"name": "dlib5"}})
    assert "eyes were found in another way: dlib5 here, known exactly (rendered) in training" in told


def test_the_command(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.parquet"
    assert metafacs("evaluate", "--model", place / "run", "--data", place / "other", "--out", out) == 0
    printed = capsys.readouterr()
    assert "all present" in printed.out and str(out) in printed.out and "note: faces were cut out" in printed.err
    assert not (place / "run" / "predictions.parquet").exists()
    assert metafacs("evaluate", place / "run" / DETECTOR, "--data", place / "other", "--out", out) == 0
    assert metafacs("evaluate") == 2
    assert metafacs("evaluate", place / "run", "--out", out) == 2
    assert "--out is for" in capsys.readouterr().err


def test_the_detector_that_comes_with_the_package(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in starter_run().iterdir())
    assert metafacs("evaluate", "--model", "starter", "--data", place / "other") == 0
    assert "all present" in capsys.readouterr().out
    assert len(read_predictions(tmp_path / "starter_on_other.parquet").table) == 12
    assert sorted(path.name for path in starter_run().iterdir()) == before  # nothing is written into the package
    assert metafacs("evaluate", "--model", "starter") == 2
    assert "no test fold" in capsys.readouterr().err
    assert metafacs("evaluate", "--model", "starter", "--data", place / "other", "--batch", "0") == 2
