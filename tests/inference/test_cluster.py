"""Detection on a cluster: the rows of one machine, whoever dies."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metafacs.clusters import join_ray
from metafacs.commands import detect
from metafacs.errors import InputError
from metafacs.inference import cluster, detector
from metafacs.inference.cluster import Place, Waiting, divide
from metafacs.inference.frames import Frame
from metafacs.inference.rows import empty_row, raw_table
from metafacs.inference.sources import PICTURE, VIDEO, Source
from metafacs.inference.watching import Part
from tests.inference.toys import AUS, DotFinder, draw, make_video, save_picture, save_toy, walk
from tests.toy_runs import leftovers, metafacs

ROOT = Path(__file__).parents[2]
NOBODY = {"source": 0, "frame": 0, "tracker": None}


def sources(kinds: str) -> list[Source]:
    return [Source(str(k), VIDEO if kind == "v" else PICTURE, Path(str(k))) for k, kind in enumerate(kinds)]


def part(source: int, frame: int, frames: int = 2) -> Part:
    rows = [empty_row(source, str(source), Frame(frame + k, None, None, "x")) for k in range(frames)]
    table = raw_table(rows, np.zeros((0, len(AUS)), np.float32), AUS)
    return Part(table, frames, {"source": source, "frame": frame + frames, "tracker": {"next": 1}})


@pytest.mark.parametrize(
    "kinds, ends", [("vvv", [1, 2, 3]), ("ppp", [2, 3]), ("pvppp", [1, 2, 4, 5]), ("", []), ("ppvp", [2, 3, 4])]
)
def test_every_input_is_in_one_task(kinds: str, ends: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PICTURES", 2)
    tasks = divide(sources(kinds), NOBODY)
    assert [task.end for task in tasks] == ends
    assert [task.came["source"] for task in tasks] == [0, *ends[:-1]][: len(ends)]


def test_work_goes_on_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PICTURES", 2)
    place = {"source": 3, "frame": 1, "tracker": {"next": 2}}
    tasks = divide(sources("vppppv"), place)
    assert [(task.came["source"], task.end) for task in tasks] == [(3, 5), (5, 6)]
    assert tasks[0].came is place and tasks[1].came["tracker"] is None


def test_parts_wait_for_their_turn_and_are_not_used_twice(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    waiting.put(NOBODY, part(0, 0))
    waiting.put({"source": 2, "frame": 4}, part(2, 4, 3))
    assert waiting.frames == 5 and waiting.get({"source": 1, "frame": 0}) is None
    found = Waiting(tmp_path).get({"source": 2, "frame": 4})
    assert found is not None and found.rows.equals(part(2, 4, 3).rows)
    assert found.after == {"source": 2, "frame": 7, "tracker": {"next": 1}} and found.frames == 3
    again = Waiting(tmp_path)
    again.forget_before({"source": 2, "frame": 4})
    assert again.frames == 3 and again.get(NOBODY) is None
    again.drop({"source": 2, "frame": 4}, found)
    assert again.frames == 0 and list(tmp_path.iterdir()) == []
    (tmp_path / "ahead-000000001-000000000.parquet").write_bytes(b"half")
    with pytest.raises(InputError, match="is damaged"):
        again.get({"source": 1, "frame": 0})


def test_a_missing_package_and_a_wrong_address(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    begin = time.monotonic()
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1", "nonsense"):
        with pytest.raises(InputError, match=f"no Ray cluster at '{address}'.*check --address"):
            join_ray(address, 1)
    assert time.monotonic() - begin < 10
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"'ray', which is not installed; run: pip install 'metafacs\[cluster\]'"):
        join_ray(None, 1)


def setup_worker() -> None:
    """Workers find drawn faces, slowly enough to be killed at work."""

    class Slow(DotFinder):
        def find(self, image: np.ndarray, around: Any = None) -> Any:
            time.sleep(0.01)
            return super().find(image, around)

    detector.make_finder = lambda settings: Slow()


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "src")))
    worker = {"worker_process_setup_hook": setup_worker, "env_vars": {"PYTHONPATH": paths}}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=worker)
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("av")
    folder = tmp_path_factory.mktemp("cluster")
    save_toy(folder / "run")
    place = folder / "in"
    (place / "p").mkdir(parents=True)
    make_video(place / "a.mp4", walk(50, (20, 21, 37)))
    make_video(place / "b.mp4", walk(20))
    for k in range(7):
        save_picture(place / "p" / f"{k}.png", draw([(50 + k, 40)] if k != 2 else [], k))
    (place / "p" / "empty.png").write_bytes(b"")
    make_video(place / "z.mp4", walk(30, (5,)))
    return place


@pytest.fixture
def place(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the inputs; beside it, once it was made, the table of one machine."""
    monkeypatch.setattr(detector, "make_finder", lambda settings: DotFinder())
    monkeypatch.setattr(detect, "PART", 8)
    monkeypatch.setattr(cluster, "PICTURES", 3)
    if not (inputs.parent / "one.csv").exists():
        assert run(inputs, inputs.parent / "one.csv") == 0
    return inputs


def run(place: Path, out: Path, *flags: object) -> int:
    given = ("--model", place.parent / "run", "--device", "cpu", "--every", 4, "--out", out)
    return metafacs("detect", place, *given, *flags)


def assert_same(one: Path, other: Path) -> None:
    a, b = pd.read_csv(one), pd.read_csv(other)
    pd.testing.assert_frame_equal(a.drop(columns=AUS), b.drop(columns=AUS))
    assert len(a) > 150 and np.allclose(a[AUS], b[AUS], atol=2e-6, equal_nan=True)


@pytest.mark.slow
def test_a_cluster_gives_the_rows_of_one_machine(ray: Any, place: Path, tmp_path: Path) -> None:
    assert run(place, tmp_path / "many.csv", "--cluster", "ray") == 0
    assert_same(place.parent / "one.csv", tmp_path / "many.csv")
    assert leftovers(tmp_path) == [] and not (tmp_path / "many.csv.parts").exists()


@pytest.mark.slow
def test_a_killed_worker_costs_no_row(ray: Any, place: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill() -> None:
        while len(killed) < 2:
            time.sleep(0.05)
            came = list((tmp_path / "many.csv.parts").glob("*.parquet"))
            if len(came) > 3 * (len(killed) + 1):
                for process in workers():
                    if process not in killed:
                        os.kill(process, signal.SIGKILL)
                        killed.append(process)
                        break

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    assert run(place, tmp_path / "many.csv", "--cluster", "ray") == 0
    thread.join(1)
    assert len(killed) == 2
    assert_same(place.parent / "one.csv", tmp_path / "many.csv")


def workers() -> list[int]:
    """Process numbers of the workers of this process's cluster that see to a task."""
    psutil = pytest.importorskip("psutil")
    return [one.pid for one in psutil.Process().children(recursive=True) if one.name().startswith("ray::_see_to")]


@pytest.mark.slow
def test_interrupted_work_goes_on_here_or_there(
    ray: Any, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Waiting.put
    for name, first, second in (
        ("a.csv", ["--cluster", "ray"], ["--cluster", "ray"]),
        ("b.csv", ["--cluster", "ray"], []),
    ):
        out, came = tmp_path / name, list[Place]()

        def put(self: Waiting, place: Place, part: Part, came: list[Place] = came) -> None:
            real(self, place, part)
            came.append(place)
            if len(came) == 6:  # not after so many seconds: workers may take long to start
                raise KeyboardInterrupt

        monkeypatch.setattr(Waiting, "put", put)
        assert run(place, out, *first) == 130
        assert list((tmp_path / f"{name}.parts").glob("*.parquet")) and not out.exists()
        monkeypatch.setattr(Waiting, "put", real)
        assert run(place, out, *second, "--resume") == 0
        assert_same(place.parent / "one.csv", out)


@pytest.mark.slow
def test_an_input_that_kills_every_worker_is_named(
    ray: Any, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = cluster._see_to

    def dying(job: Any, inputs: Any, begin: Any) -> Any:
        if inputs[0].name.endswith("b.mp4"):
            os._exit(1)
        yield from real(job, inputs, begin)

    given = ["detect", place / "b.mp4", place / "p", "--model", place.parent / "run", "--device", "cpu"]
    given += ["--out", tmp_path / "a.csv", "--cluster", "ray"]
    monkeypatch.setattr(cluster, "_see_to", dying)
    monkeypatch.setattr(cluster, "TRIES", 2)
    assert metafacs(*given) == 2
    told = capsys.readouterr().err
    assert "2 workers died" in told and "frame 0 of" in told and "b.mp4" in told and "--resume" in told
    monkeypatch.setattr(cluster, "_see_to", real)
    assert metafacs(*given, "--resume") == 0
    assert metafacs(*given[:-4], "--out", tmp_path / "one.csv") == 0
    one, many = (pd.read_csv(tmp_path / name) for name in ("one.csv", "a.csv"))
    pd.testing.assert_frame_equal(one, many, atol=2e-6)


def test_flags_that_do_not_go_together(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, tmp_path / "a.csv", "--address", "1.2.3.4:5") == 2
    assert "give --cluster ray too" in capsys.readouterr().err
    assert metafacs("detect", 0, "--model", place.parent / "run", "--out", tmp_path / "a.csv", "--cluster", "ray") == 2
    assert "a camera is watched on this machine" in capsys.readouterr().err
    assert not (tmp_path / "a.csv.parts").exists()
