"""What `metafacs train` leaves in a run folder, and what it learns."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from metafacs.data.prepared import PreparedDataset
from metafacs.methods import METHODS
from metafacs.training.checkpoint import load_detector
from tests.builders import make_prepared
from tests.toy_runs import BACKBONE, SMALL, flags, logged_steps, metafacs, parameters, same_parameters


@pytest.fixture(scope="module")
def run(au_dataset: PreparedDataset, fe_dataset: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("train") / "run"
    assert metafacs(*flags(out, au_dataset.folder, fe_dataset.folder, data__test_fold="P3")) == 0
    return out


def test_the_detector_says_all_about_itself(run: Path, au_dataset: PreparedDataset) -> None:
    network, card = load_detector(run / "detector.safetensors")
    assert card.aus == au_dataset.aus and card.thresholds == [0.5] * 6
    assert card.test_fold == "P3" and card.test_subjects == ["S002", "S005"]
    assert (card.dataset, card.crop) == (au_dataset.card.name, au_dataset.card.crop)
    assert (card.backbone, card.side, card.resize, card.method, card.seed, card.steps) == (
        BACKBONE,
        32,
        36,
        "mal",
        0,
        12,
    )
    assert card.backbone_options == {"drop_path_rate": 0.2, "drop_rate": 0.2}
    assert network.au_head.out_features == 6


def test_the_configuration_is_complete_and_runs_again(run: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert set(config) == {"data", "method", "network", "optimiser", "loop", "seed", "label", "mal"}
    assert config["data"]["batch_meta"] == 4 and config["mal"]["alpha"] == "rate"
    assert metafacs("train", "--config", run / "config.yaml", "--out", tmp_path / "again") == 0
    assert same_parameters(run, tmp_path / "again")


def test_metrics_have_the_terms_of_the_method(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    train = [line for line in lines if line["event"] == "train"]
    assert {"loss_primary", "loss_auxiliary", "meta_loss", "weight_primary", "learning_rate"} <= set(train[0])
    assert all(line["weight_primary"] + line["weight_auxiliary"] == pytest.approx(1) for line in train)
    assert train[-1]["epoch"] == pytest.approx(12 * 6 / 28)
    assert {"average_f1", "average_auc", "loss"} <= set(next(x for x in lines if x["event"] == "validation"))


def test_sample_weights_have_a_row_for_every_training_image(run: Path, fe_dataset: PreparedDataset) -> None:
    weights = pd.read_parquet(run / "sample_weights.parquet")
    assert weights["stream"].value_counts().to_dict() == {"auxiliary": 48, "primary": 28}
    means = weights.groupby("stream")["weight"].mean()
    assert means.sum() == pytest.approx(1)
    assert weights["raw_weight"].between(0, 1).all() and (weights["step"] == 12).all()
    own = weights[weights["stream"] == "auxiliary"].set_index("row")
    assert own["consistency"].to_list() == pytest.approx(fe_dataset.consistency().tolist())
    assert own["cause"].to_list() == fe_dataset.column("cause").tolist()
    assert own["AU12"].isna().all()  # labels of AU images only; what was rendered has names of its own
    assert weights.loc[weights["stream"] == "primary", "AU12"].notna().any()
    assert own["true_AU12"].to_list() == fe_dataset.column("true_AU12").tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "meta_weight_net"},
        {"mal__inputs": "feature+label+loss", "mal__normalised_features": "true", "mal__normalise": "false"},
        {"mal__weights": "task"},
    ],
)
def test_weights_that_depend_on_labels_are_written_too(
    changes: dict[str, str], au_dataset: PreparedDataset, fe_dataset: PreparedDataset, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert metafacs(*flags(out, au_dataset.folder, fe_dataset.folder, loop__steps=3, **changes)) == 0
    weights = pd.read_parquet(out / "sample_weights.parquet")
    assert weights["stream"].value_counts().to_dict() == {"auxiliary": 48, "primary": 28}
    assert weights["raw_weight"].between(0, 1).all()
    distinct = weights.groupby("stream")["raw_weight"].nunique()
    assert (distinct == 1).all() if "mal__weights" in changes else (distinct > 5).all()


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_trains_from_the_command_line(
    method: str, au_dataset: PreparedDataset, fe_dataset: PreparedDataset, tmp_path: Path
) -> None:
    auxiliary = fe_dataset.folder if "auxiliary" in METHODS[method].streams else None
    out = tmp_path / "run"
    changes: dict[str, object] = {"method": method, "loop__steps": 3, "data__aus": "1,2,12"}
    backbone, options = SMALL[METHODS[method].needs]
    changes |= {"network__backbone": backbone, "network__options": json.dumps(options)}
    assert metafacs(*flags(out, au_dataset.folder, auxiliary, **changes)) == 0
    assert load_detector(out / "detector.safetensors")[1].aus == ["AU01", "AU02", "AU12"]
    assert (out / "sample_weights.parquet").exists() == METHODS[method].learns_sample_weights
    assert logged_steps(out, "train") == [3]


def test_epochs_count_passes_over_the_training_images(au_dataset: PreparedDataset, tmp_path: Path) -> None:
    changes = {"method": "stl", "loop__steps": None, "loop__epochs": 2, "data__batch_primary": 7}
    assert metafacs(*flags(tmp_path / "run", au_dataset.folder, None, **changes)) == 0
    assert json.loads((tmp_path / "run" / "done").read_text())["steps"] == 8  # 28 images, 4 steps a pass


def test_aus_that_the_dataset_lacks_are_left_out_with_a_warning(
    au_dataset: PreparedDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = flags(tmp_path / "run", au_dataset.folder, None, method="stl", loop__steps=1, data__aus="1,9")
    assert metafacs(*arguments) == 0
    assert "has no labels for AU09: trained without" in caplog.text
    assert parameters(tmp_path / "run")["network.au_head.weight"].shape[0] == 1


def test_weights_of_a_finished_run_start_another(run: Path, au_dataset: PreparedDataset, tmp_path: Path) -> None:
    changes = {"method": "stl", "loop__steps": 1, "optimiser__learning_rate": 1e-12}
    changes |= {"network.weights": run / "detector.safetensors"}
    assert metafacs(*flags(tmp_path / "run", au_dataset.folder, None, **changes)) == 0
    name = "network.backbone.conv_stem.weight"
    assert (parameters(tmp_path / "run")[name] - parameters(run)[name]).abs().max() < 1e-9


def test_it_learns_what_can_be_seen(tmp_path: Path) -> None:
    dataset = make_prepared(tmp_path / "au", subjects=6, frames=40)
    changes = {"method": "stl", "network__options": "{}", "loop__steps": 120, "data__batch_primary": 32}
    changes |= {"optimiser__learning_rate": 3e-3, "data__reserve_minimum": 32}
    assert metafacs(*flags(tmp_path / "run", dataset.folder, None, **changes)) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [x["average_auc"] for x in lines if x["event"] == "validation"][-1] > 0.8
