"""The Python door leaves behind, bit for bit, what the commands do."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import metafacs
from metafacs.data.prepared import PreparedDataset
from metafacs.evaluation.comparison import AVERAGE
from metafacs.experiments import benchmark as grid
from metafacs.experiments.launching import Launched
from metafacs.methods.mal import MALOptions
from metafacs.runs import DETECTOR
from metafacs.training.checkpoint import load_detector
from tests.toy_runs import BACKBONE, flags, same_parameters
from tests.toy_runs import metafacs as command

SAME = ("config.yaml", "sample_weights.parquet", "predictions.parquet")


def configuration(out: Path, au: PreparedDataset, fe: PreparedDataset) -> metafacs.TrainConfig:
    """What `toy_runs.FLAGS` say, with a smaller alpha."""
    return metafacs.TrainConfig(
        out,
        metafacs.DataConfig(
            au.folder,
            fe.folder,
            resize=36,
            side=32,
            batch_primary=6,
            batch_auxiliary=6,
            batch_meta=4,
            reserve_minimum=16,
        ),
        method="mal",
        options=MALOptions(alpha=0.05),
        network=metafacs.NetworkConfig(BACKBONE, "scratch", {"drop_path_rate": 0.2, "drop_rate": 0.2}),
        loop=metafacs.LoopConfig(steps=12, device="cpu", threads=1, log_every=3, validate_every=5, save_every=4),
    )


def test_a_run_from_configuration_to_scores(
    au_dataset: PreparedDataset, fe_dataset: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = tmp_path / "a" / "run", tmp_path / "b" / "run"
    run = metafacs.train(configuration(one, au_dataset, fe_dataset))
    scores = run.evaluate()
    assert command(*flags(other, au_dataset.folder, fe_dataset.folder, mal__alpha=0.05)) == 0
    assert command("evaluate", other) == 0
    for name in SAME:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert same_parameters(one, other)  # safetensors writes the entries of a header in any order
    assert load_detector(one / DETECTOR)[1] == load_detector(other / DETECTOR)[1]
    assert f"{100 * scores['f1'][AVERAGE]:.1f}" in capsys.readouterr().out
    assert list(scores.index) == [*au_dataset.aus, AVERAGE] and scores["f1"].between(0, 1).all()

    opened = metafacs.Run(other)
    assert opened.done and opened.config == configuration(other, au_dataset, fe_dataset)
    timed = ["images_per_second", "wait_share", "seconds_per_step", "processor_seconds_per_step"]
    pd.testing.assert_frame_equal(opened.metrics().drop(columns=timed), run.metrics().drop(columns=timed))
    with pytest.raises(metafacs.InputError, match="drawn"):  # toys are not cut out of photographs
        opened.detector(device="cpu")
    assert "average F1" in opened._repr_html_() and str(other) in opened._repr_html_()

    made = (one / "predictions.parquet").stat().st_mtime_ns
    pd.testing.assert_frame_equal(run.evaluate(), scores)
    assert (one / "predictions.parquet").stat().st_mtime_ns == made
    with pytest.raises(metafacs.InputError, match="is done"):
        metafacs.train(run.config, resume=True)


class InThisProcess:
    """A cell that is carried out when it is started."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        from metafacs.experiments import cell

        self._status = cell.carry_out(arguments)

    def poll(self) -> int:
        return self._status

    wait = poll

    def terminate(self) -> None:
        pass


def test_a_grid_and_its_tables(
    au_dataset: PreparedDataset, fe_dataset: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch: type[Launched] = InThisProcess
    monkeypatch.setattr(grid, "start_process", launch)
    mal = configuration(tmp_path, au_dataset, fe_dataset)
    stl = metafacs.TrainConfig(tmp_path, mal.data, "stl", network=mal.network, loop=mal.loop)
    result = metafacs.benchmark(metafacs.BenchmarkConfig(tmp_path / "grid", [stl, mal], ["P1"], [0]))
    assert [run.name for run in result.runs] == ["stl_P1_seed0", "mal_P1_seed0"] and not result.failures
    assert (tmp_path / "grid" / "table.txt").read_text() in result.text()
    comparison = metafacs.compare([metafacs.Run(run) for run in result.runs])
    pd.testing.assert_frame_equal(comparison.means(), result.comparison.means())
    shown = result._repr_html_()
    assert all(word in shown for word in ("stl", "mal", "AU01", "all present", "Difference to stl"))


def test_the_door_is_light_until_it_is_used() -> None:
    code = "import sys, metafacs; metafacs.TrainConfig; assert 'torch' not in sys.modules; metafacs.METHODS['mal']"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert all(getattr(metafacs, name) is not None for name in metafacs.__all__)
    assert not hasattr(metafacs, "nothing") and set(metafacs.__all__) <= set(dir(metafacs))
