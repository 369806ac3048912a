"""Detection on a cluster: the rows of one machine, whoever dies. What is not slow runs with a stand-in for Ray."""

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metafacs.clusters import join_ray
from metafacs.commands import detect
from metafacs.errors import InputError
from metafacs.inference import cluster, detector
from metafacs.inference.cluster import divide
from metafacs.inference.parts import Parts
from metafacs.inference.sources import PICTURE, VIDEO, Source
from tests.inference.toys import AUS, DotFinder, draw, make_video, save_picture, save_toy, walk
from tests.toy_runs import leftovers, metafacs

ROOT = Path(__file__).parents[2]


class DiedError(Exception):
    """Stands for the death of a worker."""


class StandIn:
    """What detection uses of the module `ray`, with threads for workers."""

    exceptions = SimpleNamespace(
        RayError=type("RayError", (Exception,), {}), RayTaskError=type("RayTaskError", (Exception,), {})
    )

    def __init__(self) -> None:
        self.pool, self.asked = ThreadPoolExecutor(2), list[dict[str, Any]]()

    def is_initialized(self) -> bool:
        return True

    def remote(self, max_retries: int, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        self.asked.append({"max_retries": max_retries, **options})

        def run(function: Callable[..., Any], sent: bytes) -> Any:
            for _ in range(max_retries + 1):
                try:
                    return function(*pickle.loads(sent))
                except DiedError:
                    continue
                except Exception as error:
                    failed = self.exceptions.RayTaskError()
                    failed.cause = error
                    raise failed from error
            raise self.exceptions.RayError

        return lambda function: SimpleNamespace(
            remote=lambda *arguments: self.pool.submit(run, function, pickle.dumps(arguments))
        )

    def wait(self, results: list[Future[Any]], *, timeout: float, num_returns: int = 1, fetch_local: bool) -> Any:
        return wait(results, timeout, FIRST_COMPLETED if num_returns == 1 else "ALL_COMPLETED")

    def get(self, result: Future[Any]) -> Any:
        return pickle.loads(pickle.dumps(result.result()))

    def cancel(self, result: Future[Any], force: bool) -> None:
        result.cancel()


def setup_worker() -> None:
    """Workers find drawn faces, slowly enough to be killed at work."""

    class Slow(DotFinder):
        def find(self, image: np.ndarray, around: Any = None) -> Any:
            time.sleep(0.01)
            return super().find(image, around)

    detector.make_finder = lambda settings: Slow()


@pytest.fixture(scope="module", params=["stand-in", pytest.param("ray", marks=pytest.mark.slow)])
def ray(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "stand-in":
        with pytest.MonkeyPatch.context() as patched:
            stand_in = StandIn()
            patched.setitem(sys.modules, "ray", stand_in)  # type: ignore[arg-type]
            yield stand_in
        return
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
    arguments = ("--model", place.parent / "run", "--device", "cpu", "--every", 4, "--out", out)
    return metafacs("detect", place, *arguments, *flags)


def assert_same(one: Path, other: Path) -> None:
    a, b = pd.read_csv(one), pd.read_csv(other)
    pd.testing.assert_frame_equal(a.drop(columns=AUS), b.drop(columns=AUS))
    assert len(a) > 150 and np.allclose(a[AUS], b[AUS], atol=2e-6, equal_nan=True)


@pytest.mark.parametrize(
    "kinds, first, tasks",
    [
        ("vvv", 0, [(0, 1), (1, 2), (2, 3)]),
        ("pvppp", 0, [(0, 1), (1, 2), (2, 4), (4, 5)]),
        ("vppppv", 3, [(3, 5), (5, 6)]),
        ("", 0, []),
    ],
)
def test_every_input_is_in_one_task(
    kinds: str, first: int, tasks: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PICTURES", 2)
    sources = [Source(str(k), VIDEO if kind == "v" else PICTURE, Path(str(k))) for k, kind in enumerate(kinds)]
    assert divide(sources, first) == tasks


def test_a_cluster_gives_the_rows_of_one_machine(ray: Any, place: Path, tmp_path: Path) -> None:
    assert run(place, tmp_path / "many.csv", "--cluster", "ray") == 0
    assert_same(place.parent / "one.csv", tmp_path / "many.csv")
    assert leftovers(tmp_path) == [] and not (tmp_path / "many.csv.parts").exists()
    if isinstance(ray, StandIn):
        assert ray.asked[-1] == {"num_cpus": 1, "max_retries": cluster.TRIES}


@pytest.mark.slow
@pytest.mark.parametrize("ray", ["ray"], indirect=True)
def test_a_killed_worker_costs_no_row(ray: Any, place: Path, tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    killed: list[int] = []

    def kill() -> None:
        while len(killed) < 2:
            time.sleep(0.2)
            for process in psutil.Process().children(recursive=True):
                if process.name().startswith("ray::_detect") and process.pid not in killed:
                    os.kill(process.pid, signal.SIGKILL)
                    killed.append(process.pid)
                    break

    threading.Thread(target=kill, daemon=True).start()
    assert run(place, tmp_path / "many.csv", "--cluster", "ray") == 0
    assert len(killed) == 2
    assert_same(place.parent / "one.csv", tmp_path / "many.csv")


@pytest.mark.parametrize(
    "first, second, parts",
    [(["--cluster", "ray"], ["--cluster", "ray"], 2), (["--cluster", "ray"], [], 2), ([], ["--cluster", "ray"], 3)],
)
def test_interrupted_work_goes_on_here_or_there(
    first: list[str],
    second: list[str],
    parts: int,
    ray: Any,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    append, out = Parts.append, tmp_path / "a.csv"

    def stopping(self: Parts, part: Any) -> None:
        append(self, part)
        if self.count == parts:
            raise KeyboardInterrupt

    monkeypatch.setattr(Parts, "append", stopping)
    assert run(place, out, *first) == 130 and not out.exists()
    monkeypatch.setattr(Parts, "append", append)
    assert run(place, out, *second, "--resume") == 0
    assert_same(place.parent / "one.csv", out)


def test_an_input_that_kills_every_worker_is_named(
    ray: Any, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, stand_in = cluster._detect, isinstance(ray, StandIn)

    def dying(work: Any, sources: Any, begin: Any) -> Any:
        if sources[0].name.endswith("b.mp4") and stand_in:
            raise DiedError
        if sources[0].name.endswith("b.mp4"):
            os._exit(1)
        return real(work, sources, begin)

    monkeypatch.setattr(cluster, "_detect", dying)
    monkeypatch.setattr(cluster, "TRIES", 1)
    assert run(place, tmp_path / "a.csv", "--cluster", "ray") == 2
    printed = capsys.readouterr().err
    assert "2 workers died" in printed and "b.mp4" in printed and "--resume" in printed
    monkeypatch.setattr(cluster, "_detect", real)
    assert run(place, tmp_path / "a.csv", "--cluster", "ray", "--resume") == 0
    assert_same(place.parent / "one.csv", tmp_path / "a.csv")


def test_what_a_worker_cannot_do_is_said_as_on_one_machine(
    ray: Any, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusing(work: Any, sources: Any, begin: Any) -> Any:
        raise InputError("no dlib on this worker")

    monkeypatch.setattr(cluster, "_detect", refusing)
    assert run(place, tmp_path / "a.csv", "--cluster", "ray") == 2
    printed = capsys.readouterr().err
    assert "no dlib on this worker" in printed and "Traceback" not in printed


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"'ray'.*pip install 'metafacs\[cluster\]'"):
        join_ray(None, 1)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nonsense"])
def test_a_wrong_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: Any) -> None:
        raise ConnectionError("nobody answers")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, init=init))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=f"'{address}'.*--address"):
        join_ray(address, 1)


def test_flags_that_do_not_go_together(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, tmp_path / "a.csv", "--address", "1.2.3.4:5") == 2
    assert "--cluster ray" in capsys.readouterr().err
    assert metafacs("detect", 0, "--model", place.parent / "run", "--out", tmp_path / "a.csv", "--cluster", "ray") == 2
    assert "leave --cluster out" in capsys.readouterr().err
    assert not (tmp_path / "a.csv.parts").exists()
