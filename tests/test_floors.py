"""The lowest versions that pyproject.toml allows are versions that work."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SOURCE = Path(__file__).parents[1]


def make_table(folder: Path) -> None:
    """Six people in eight whole pictures each, with two AUs."""
    random, lines = np.random.default_rng(0), ["image,subject,fold,AU01,AU12"]
    folder.mkdir()
    for k in range(48):
        Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8)).save(folder / f"{k}.png")
        lines.append(f"{k}.png,S{k % 6},P{k % 3 + 1},{k // 6 % 2},{k // 12 % 2}")
    (folder / "table.csv").write_text("\n".join(lines))


def use(python: str | Path, place: Path) -> None:
    """Own pictures to a prepared dataset, a run, its scores, a report and drawn copies."""
    make_table(place / "raw")
    own = ("--data.primary", "au", "--data.resize", "40", "--data.side", "32", "--data.batch_primary", "8")
    network = ("--network.backbone", "test_resnet", "--network.weights", "scratch", "--loop.device", "cpu")
    for command in (
        ("prepare", "table", "--raw", "raw", "--out", "au", "--detector", "none", "--size", "40"),
        ("train", "--method", "stl", "--out", "runs/stl", "--loop.steps", "4", *own, *network),
        ("evaluate", "runs/stl"),
        ("report", "runs", "--out", "report.html"),
        ("detect", "raw", "--model", "runs/stl", "--out", "a.csv", "a.parquet", "--overlay", "seen", "--plot", "plots"),
    ):
        done = subprocess.run([python, "-m", "metafacs.cli", *command], cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, (command[0], done.stderr[-2000:])


@pytest.mark.slow
def test_the_lowest_versions_work(tmp_path: Path) -> None:
    """Downloads several GB: it is PyTorch's too. `METAFACS_FLOORS=1` says that one wants that."""
    if "METAFACS_FLOORS" not in os.environ:
        pytest.skip("set METAFACS_FLOORS=1 to download PyTorch's lowest version")
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    floors = [one.split(",")[0].replace(">=", "==") for one in project["dependencies"]]
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *floors, SOURCE], check=True)
    use(python, tmp_path)
