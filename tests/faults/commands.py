"""The commands that are killed or meet a full disk, each with tiny inputs."""

import functools
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tests.datasets import trees
from tests.faults.killing import Command
from tests.faults.reading import same_files
from tests.inference.toys import draw, make_video, save_picture, save_toy, walk
from tests.toy_runs import flags, logged_steps, same_parameters

RECORDINGS = {("F001", "T1"): range(2440, 2446), ("M008", "T2"): range(1, 5), ("F007", "T1"): range(8, 12)}
GRID = ("--methods", "stl,gentle=mal:alpha=0.05", "--folds", "P1", "--seeds", "0", "--jobs", "2")
SMALL_PARTS = "import metafacs.datasets.preparation as p; p.PART = 4\n"
TOY_FINDER = """
import metafacs.commands.detect as command
import metafacs.inference.detector as detector
from tests.inference.toys import DotFinder
command.PART = 8
detector.make_finder = lambda settings: DotFinder()
"""


class Inputs:
    """Makes what the commands need, when they need it.

    Args:
        folder: where to.
        au: a prepared AU dataset.
        fe: a prepared expression dataset.
    """

    def __init__(self, folder: Path, au: Path, fe: Path) -> None:
        self._folder, self._au, self._fe = folder, au, fe

    def command(self, name: str) -> Command:
        """The command of that name: a method of this class."""
        return getattr(self, name)()

    def synth(self) -> Command:
        """An AU and an expression dataset."""
        return Command(functools.partial(_rendered, preset="tiny"), same_files)

    def synth_two_workers(self) -> Command:
        """The same, in processes of their own."""
        return Command(functools.partial(_rendered, preset="tiny", workers=2), same_files)

    def synth_raw(self) -> Command:
        """The folder tree of a release."""
        more = ("--layout", "raw", "--width", "96", "--images", "3", "--rays", "1")
        return Command(functools.partial(_rendered, preset="rafdb", more=more), same_files)

    def prepare(self) -> Command:
        """Fourteen pictures in four parts."""
        return Command(lambda out: self._prepare(out, 1), same_files, setup=SMALL_PARTS)

    def prepare_two_workers(self) -> Command:
        """The same, in processes of their own."""
        return Command(lambda out: self._prepare(out, 2), same_files, setup=SMALL_PARTS)

    def train(self) -> Command:
        """MAL, its state saved at each step."""
        return self._train(loop__save_every=1)

    def train_two_workers(self) -> Command:
        """The same, its pictures decoded by processes of their own."""
        return self._train(loop__save_every=1, data__cache_gib=0, data__workers=2)

    def benchmark(self) -> Command:
        """A grid of two cells, side by side."""

        def arguments(out: Path) -> Sequence[object]:
            made = flags(out / "grid", self._au, self._fe, method=None, loop__save_every=2)[1:]
            return ["benchmark", *made, *GRID]

        return Command(arguments, _same_grid)

    def detect_pictures(self) -> Command:
        """Twenty pictures, drawn on."""
        return self._detect(self._pictures(), "--overlay", "drawn")

    def detect_video(self) -> Command:
        """A video and a broken one, two tables, drawn on, calibrated, with timelines."""
        return self._detect(self._videos(), "--overlay", "drawn", "--plot", "plots", "--calibrate", "baseline")

    def _train(self, **changes: object) -> Command:
        return Command(
            lambda out: flags(out / "run", self._au, self._fe, **changes),
            _same_run,
            again=("--resume",),
            done=lambda out: (out / "run" / "done").exists(),
        )

    def _prepare(self, out: Path, workers: int) -> Sequence[object]:
        raw = self._folder / "bp4d"
        if not raw.exists():
            trees.bp4d(raw, RECORDINGS)
            for number, path in enumerate(sorted(raw.rglob("*.jpg"))):
                path.write_bytes(_noise(number))
            next(raw.rglob("2442.jpg")).write_bytes(b"no picture")
        own = ("--detector", "none", "--size", "32", "--workers", workers)
        return ["prepare", "bp4d", "--raw", raw, "--out", out / "dataset", *own]

    def _detect(self, source: Path, *more: str) -> Command:
        def arguments(out: Path) -> Sequence[object]:
            placed = [out / text if text in ("drawn", "plots") else text for text in more]
            tables = (out / "a.csv", out / "b.parquet")
            return ["detect", source, "--model", self._model(), "--device", "cpu", "--out", *tables, *placed]

        return Command(arguments, same_files, again=("--resume",), setup=TOY_FINDER)

    def _model(self) -> Path:
        folder = self._folder / "run"
        return folder if folder.exists() else save_toy(folder)

    def _pictures(self) -> Path:
        folder = self._folder / "pictures"
        if not folder.exists():
            folder.mkdir()
            for k in range(20):
                save_picture(folder / f"{k:02d}.png", draw([(50 + k, 40)] if k % 5 else [], k))
        return folder

    def _videos(self) -> Path:
        folder = self._folder / "videos"
        if not folder.exists():
            folder.mkdir()
            make_video(folder / "a.mp4", walk(50, (7, 8)))
            (folder / "b.mp4").write_text("no video")
        return folder


def _rendered(out: Path, preset: str, workers: int = 1, more: Sequence[str] = ()) -> Sequence[object]:
    return ["synth", "--preset", preset, "--out", out / "data", "--workers", workers, *more]


def _noise(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def _same_run(out: Path, whole: Path) -> None:
    one, other = out / "run", whole / "run"
    assert same_parameters(one, other)
    for name in ("sample_weights.parquet", "config.yaml", "environment.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert {e: logged_steps(one, e) for e in ("train", "validation")} == {
        e: logged_steps(other, e) for e in ("train", "validation")
    }


def _same_grid(out: Path, whole: Path) -> None:
    pd.testing.assert_frame_equal(pd.read_csv(out / "grid/table.csv"), pd.read_csv(whole / "grid/table.csv"))
    for cell in sorted((whole / "grid" / "runs").glob("*/predictions.parquet")):
        own = out / "grid" / "runs" / cell.parent.name
        assert same_parameters(own, cell.parent)
        assert (own / cell.name).read_bytes() == cell.read_bytes()
