"""From a run folder to tables and figures, through the command line."""

import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from metafacs.commands.benchmark import benchmark_config, benchmark_parser
from metafacs.commands.demo import next_commands
from metafacs.config import DataConfig, TrainConfig
from metafacs.errors import InputError
from metafacs.evaluation.predictions import read_predictions
from metafacs.experiments.jobs import Job, run_jobs
from metafacs.experiments.launching import start_process
from metafacs.training.data import steps_of
from tests.builders import make_prepared
from tests.forked_cells import FORKED_CELLS
from tests.launcher import Launcher
from tests.toy_runs import flags, metafacs


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two datasets and a finished run of MTL and of MAL."""
    folder = tmp_path_factory.mktemp("pipeline")
    make_prepared(folder / "au", subjects=6, frames=20, size=36)
    make_prepared(folder / "fe", kind="fe", subjects=6, frames=10, size=36, unreadable=0.5)
    for method in ("mtl", "mal"):
        assert metafacs(*flags(folder / method, folder / "au", folder / "fe", method=method)) == 0
        assert metafacs("evaluate", folder / method) == 0
    return folder


def test_predictions_cover_the_test_fold_and_nothing_else(place: Path) -> None:
    predictions = read_predictions(place / "mal")
    assert set(predictions.table["fold"]) == {"P1"} and len(predictions) == 40
    assert predictions.info["method"] == "mal" and predictions.info["fold"] == "P1"


def test_predictions_are_made_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = place / "mtl" / "predictions.parquet"
    before = path.stat().st_mtime_ns
    assert metafacs("evaluate", place / "mtl") == 0
    assert path.stat().st_mtime_ns == before
    assert "all present" in capsys.readouterr().out


def test_a_run_is_scored_on_its_own_dataset_only(place: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    shutil.copytree(place / "mtl", run)
    (run / "predictions.parquet").unlink()
    make_prepared(tmp_path / "other", subjects=6, frames=4, size=36, name="another")
    config = (run / "config.yaml").read_text().replace(str(place / "au"), str(tmp_path / "other"))
    (run / "config.yaml").write_text(config)
    assert metafacs("evaluate", run) == 2
    assert "another" in capsys.readouterr().err and not (run / "predictions.parquet").exists()


def test_a_damaged_detector_is_refused(place: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    shutil.copytree(place / "mtl", run)
    (run / "predictions.parquet").unlink()
    (run / "detector.safetensors").write_bytes((place / "mtl" / "detector.safetensors").read_bytes()[:1000])
    assert metafacs("evaluate", run) == 2
    assert "detector.safetensors is damaged" in capsys.readouterr().err


def test_comparison_in_four_forms(place: Path, tmp_path: Path, capsys) -> None:
    runs = [place / "mtl", str(place / "mal")]
    assert metafacs("compare", *runs, "--paper", "disfa", "--out", tmp_path / "table") == 0
    printed = capsys.readouterr().out
    assert "Difference to MTL" in printed and "Table II" in printed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["table.csv", "table.md", "table.tex", "table.txt"]
    table = pd.read_csv(tmp_path / "table.csv")
    assert {"measured", "floor", "paper"} <= set(table["source"])


def test_figures_of_runs(place: Path, tmp_path: Path, capsys) -> None:
    assert metafacs("figures", place / "mtl", place / "mal", "--out", tmp_path) == 0
    weights = ("faces_ranked", "faces_extreme", "weights_consistency", "weights_active", "weights_cause")
    expected = ["curves", "f1_average", "f1_per_au", "gains_per_au", *(f"{name}_mal" for name in weights)]
    assert {p.name for p in tmp_path.iterdir()} == {f"{name}.{e}" for name in expected for e in ("png", "pdf")}
    assert "left out" not in capsys.readouterr().out


def test_figures_from_tables_alone(place: Path, tmp_path: Path, capsys) -> None:
    """Without the prepared datasets only the grids of faces are missing, and it is said."""
    run = tmp_path / "mal"
    shutil.copytree(place / "mal", run)
    config = (run / "config.yaml").read_text().replace(str(place), str(tmp_path / "nowhere"))
    (run / "config.yaml").write_text(config)
    assert metafacs("figures", run, "--out", tmp_path / "out") == 0
    names = {p.stem for p in (tmp_path / "out").iterdir()}
    assert "weights_active_mal" in names and not any(name.startswith("faces") for name in names)
    assert capsys.readouterr().out.count("left out: ") == 2


def test_report_of_a_grid(place: Path, tmp_path: Path) -> None:
    for method in ("mtl", "mal"):
        shutil.copytree(place / method, tmp_path / "grid" / "runs" / method)
    (tmp_path / "grid" / "runs" / "half").mkdir()
    shutil.copy(place / "mtl" / "config.yaml", tmp_path / "grid" / "runs" / "half")
    assert metafacs("report", tmp_path / "grid", "--out", tmp_path / "report.html", "--paper", "disfa") == 0
    text = (tmp_path / "report.html").read_text()
    assert text.count("data:image/png;base64,") == 9
    assert "1 of 3 runs" in text and "half" in text and "Only one seed" in text and "Table II" in text
    assert "data.batch_primary" in text and "torch" in text and str(place) not in text


def test_inspection(place: Path, tmp_path: Path, capsys) -> None:
    assert metafacs("inspect", place / "fe", "--out", tmp_path) == 0
    assert "60 faces" in capsys.readouterr().out
    assert (tmp_path / "montage.png").exists() and (tmp_path / "expressions.csv").exists()


def test_sample_weights_of_both_streams(place: Path) -> None:
    weights = pd.read_parquet(place / "mal" / "sample_weights.parquet")
    assert set(weights["stream"]) == {"primary", "auxiliary"}
    assert weights.groupby("stream")["weight"].mean().sum() == pytest.approx(1)
    faces, own = weights[weights["stream"] == "auxiliary"], weights[weights["stream"] == "primary"]
    assert faces["true_AU12"].notna().all() and faces["AU12"].isna().all() and own["AU12"].notna().all()
    assert set(faces["cause"]) <= {"clear", "unreadable"} and faces["consistency"].notna().all()


def test_a_failing_job_is_named_with_its_log(tmp_path: Path) -> None:
    job = Job(TrainConfig(tmp_path / "run", DataConfig(tmp_path / "nothing")), 4, "MAL")
    with pytest.raises(InputError, match=r"MAL failed \(exit 2\).*run\.log:\n.*nothing"):
        run_jobs([job], 1, Console(quiet=True), start_process)


SMALL_DEMO = """
from dataclasses import replace
from metafacs.commands import demo
from metafacs.synth import presets
presets.PAIRS = {"small": ({"subjects": 3, "frames": 30}, {"images": 24})}
presets.SIZES = {"small": 40}
whole = demo.demo_config
def small(out, method):
    config = whole(out, method)
    sizes = {"resize": 36, "side": 32, "reserve_minimum": 12}
    batches = dict.fromkeys(("batch_primary", "batch_auxiliary", "batch_meta"), 8)
    data, loop = replace(config.data, **sizes, **batches), replace(config.loop, steps=4, log_every=1)
    return replace(config, data=data, loop=loop)
demo.demo_config = small
"""


def test_demo_from_nothing_and_again(tmp_path: Path, launcher: Launcher) -> None:
    out = tmp_path / "demo"
    status, first = launcher.run(["demo", "--out", out], tmp_path / "log", FORKED_CELLS + SMALL_DEMO)
    assert status == 0, first
    assert all(word in first for word in ("STL", "MTL", "MAL", "all present", "AUC", "curves.png"))
    made = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.name in ("faces.arrow", "done", "predictions.parquet")}
    assert len(made) == 8
    assert launcher.run(["demo", "--out", out], tmp_path / "log", FORKED_CELLS + SMALL_DEMO)[0] == 0
    assert {p: p.stat().st_mtime_ns for p in made} == made
    assert (out / "table.md").read_text() and (out / "figures" / "curves.png").exists()
    advised = [shlex.split(command) for _, command in next_commands(out)]
    assert all(" ".join(command) in " ".join(first.split()) for command in advised)
    assert [command[:2] for command in advised] == [["metafacs", name] for name in ("report", "serve", "benchmark")]
    assert metafacs(*advised[0][1:]) == 0 and (out / "report.html").exists()
    grid = benchmark_config(benchmark_parser("metafacs benchmark"), advised[2][2:])
    assert len(grid.cells()) == 9 and all(steps_of(cell) for cell in grid.cells())
