import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metafacs.commands.benchmark import read_variants
from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from metafacs.runs import DONE, METRICS
from tests.forked_cells import FORKED_CELLS
from tests.launcher import Launcher
from tests.toy_runs import flags, metafacs

GRID = ("--methods", "stl,gentle=mal:alpha=0.05", "--folds", "P1", "--seeds", "0")
CELLS = ("stl_P1_seed0", "gentle_P1_seed0")


def arguments(out: Path, au: PreparedDataset, fe: PreparedDataset, **changes: object) -> list[str]:
    return ["benchmark", *flags(out, au.folder, fe.folder, method=None, **changes)[1:], *GRID]


def scores(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "table.csv")


@pytest.fixture(scope="module")
def grid(
    tmp_path_factory: pytest.TempPathFactory,
    au_dataset: PreparedDataset,
    fe_dataset: PreparedDataset,
    launcher: Launcher,
) -> Path:
    """A finished grid, its cells forked."""
    out = tmp_path_factory.mktemp("benchmark") / "grid"
    status, printed = launcher.run(arguments(out, au_dataset, fe_dataset), out.with_name("log"), FORKED_CELLS)
    assert status == 0, printed
    return out


def test_a_grid_becomes_a_table(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert all((grid / "runs" / cell / DONE).exists() for cell in CELLS)
    text = (grid / "table.txt").read_text()
    assert "gentle" in text and "95 % CI" in text and "all present" in text
    assert (grid / "table.md").exists() and (grid / "table.tex").exists()
    cost = pd.read_csv(grid / "costs.csv", index_col=0)
    assert list(cost.index) == ["stl", "gentle"]
    assert cost.loc["gentle", "processor_seconds_per_step"] > cost.loc["stl", "processor_seconds_per_step"] > 0


def test_variants_become_flags() -> None:
    plain, gentle = read_variants("mtl, gentle=mal:alpha=0.01;optimiser.learning_rate=1e-4")
    assert plain == ["--method", "mtl"]
    assert gentle == [
        *("--method", "mal", "--label", "gentle"),
        *("--mal.alpha", "0.01", "--optimiser.learning_rate", "1e-4"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mall", "mall"),
        ("mal:alpha=1", "write NAME=mal:alpha=1"),
        ("a=mal:alpha", "'alpha' in 'a=mal:alpha' is not an option"),
    ],
)
def test_strange_methods_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_variants(text)


def test_what_is_done_is_not_done_again(grid: Path, au_dataset: PreparedDataset, fe_dataset: PreparedDataset) -> None:
    before = {p: p.stat().st_mtime_ns for cell in CELLS for p in (grid / "runs" / cell).iterdir() if p.is_file()}
    assert metafacs(*arguments(grid, au_dataset, fe_dataset)) == 0
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_other_settings_are_refused(
    grid: Path, au_dataset: PreparedDataset, fe_dataset: PreparedDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert metafacs(*arguments(grid, au_dataset, fe_dataset, loop__steps=7)) == 2
    assert "other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--seed", "3"), "--seed differs from cell to cell; use --seeds"),
        (("--data.test_fold=P1",), "use --folds"),
        (("--methods", "a=mal:alpho=1"), "alpho"),
        (("--folds", "P9"), "P9"),
        (("--seeds", "-1"), "'-1' is not a seed"),
        (("--seeds", "1.5"), "'1.5' is not a seed"),
        (("--seeds", "0,0"), "--seeds: 0 comes twice"),
        (("--seeds", ""), "--seeds: nothing was named"),
    ],
)
def test_wrong_grids_are_refused_before_anything_runs(
    more: tuple[str, ...],
    message: str,
    tmp_path: Path,
    au_dataset: PreparedDataset,
    fe_dataset: PreparedDataset,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert metafacs(*arguments(tmp_path / "grid", au_dataset, fe_dataset), *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "grid" / "runs").exists()


def test_a_failing_cell_is_named_and_the_rest_is_in_the_table(
    grid: Path,
    tmp_path: Path,
    au_dataset: PreparedDataset,
    fe_dataset: PreparedDataset,
    launcher: Launcher,
) -> None:
    shutil.copytree(grid / "runs", tmp_path / "grid" / "runs")
    broken = tmp_path / "grid" / "runs" / "stl_P1_seed0"
    shutil.rmtree(broken)
    broken.mkdir()
    (broken / "notes.txt").write_text("mine")
    status, said = launcher.run(arguments(tmp_path / "grid", au_dataset, fe_dataset), tmp_path / "log", FORKED_CELLS)
    assert status == 2
    assert "stl_P1_seed0.log" in said and "holds no run" in said and "1 of 2 cells failed (stl_P1_seed0)" in said
    assert (broken / "notes.txt").read_text() == "mine"
    assert (tmp_path / "grid" / "runs" / "gentle_P1_seed0" / DONE).exists()
    assert "gentle" in (tmp_path / "grid" / "table.txt").read_text()


@pytest.mark.slow
def test_a_grid_killed_three_times_ends_with_the_same_table(
    grid: Path, tmp_path: Path, au_dataset: PreparedDataset, fe_dataset: PreparedDataset
) -> None:
    out = tmp_path / "grid"
    command = [sys.executable, "-m", "metafacs.cli", *arguments(out, au_dataset, fe_dataset)]
    seen = 0
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while process.poll() is None and (lines := _lines(out)) <= seen and time.monotonic() < end:
            time.sleep(0.05)
        seen = lines
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        _wait_until_alone(out)
    assert metafacs(*arguments(out, au_dataset, fe_dataset)) == 0
    pd.testing.assert_frame_equal(scores(out), scores(grid))


def _lines(out: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in out.glob(f"runs/*/{METRICS}"))


def _wait_until_alone(out: Path) -> None:
    """Cells end by themselves soon after the runner was killed."""
    end = time.monotonic() + 30
    while _alive(out):
        assert time.monotonic() < end, "a cell outlived its runner"
        time.sleep(0.05)


def _alive(out: Path) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"{out}/runs" in (entry / "cmdline").read_text():
                    return True
            except OSError:
                continue
    return False


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="the extra `cluster` is not installed")
def test_two_ray_workers_give_the_same_numbers(
    grid: Path, tmp_path: Path, au_dataset: PreparedDataset, fe_dataset: PreparedDataset
) -> None:
    out = tmp_path / "grid"
    assert metafacs(*arguments(out, au_dataset, fe_dataset), "--cluster", "ray", "--jobs", "2") == 0
    pd.testing.assert_frame_equal(scores(out), scores(grid))
    assert np.isfinite(scores(out).select_dtypes("number").to_numpy()).any()
