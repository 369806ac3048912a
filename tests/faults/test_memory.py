"""Memory that runs out, on a GPU or here: one message that says what makes the command want less, exit status 2."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from metafacs import memory
from metafacs.data.prepared import PreparedDataset
from metafacs.data.streams import Faces
from metafacs.inference import detector
from metafacs.methods.mal import MAL
from metafacs.methods.stl import STL
from metafacs.models.network import Network
from metafacs.runs import STATE
from tests.inference.toys import DotFinder, draw, save_picture, save_toy
from tests.launcher import Launcher
from tests.toy_runs import flags, metafacs, same_parameters

GPU = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.2 GiB is free."
)
HERE = (
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
)
KINDS = {
    "gpu": (lambda: torch.OutOfMemoryError(GPU), "the GPU's memory is used up: 2.00 GiB more were wanted"),
    "torch": (lambda: RuntimeError(f"{HERE}68719476736 bytes. Error code 12"), "this machine's memory is used up"),
    "python": (MemoryError, "this machine's memory is used up. Less is wanted with"),
    "system": (lambda: OSError(errno.ENOMEM, "Cannot allocate memory"), "this machine's memory is used up"),
    "numpy": (lambda: MemoryError("Unable to allocate 7.28 TiB for an array"), "memory is used up: 7.28 TiB more"),
    "worker": (
        lambda: RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
        "this machine's memory is used up",
    ),
}
Toy = tuple[Path, Path]
SPOIL_CELLS = """
import torch, metafacs.methods.stl as stl
def step(*given):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
stl.STL.training_step = step
"""


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> tuple[Callable[[], Exception], str]:
    return KINDS[request.param]


@pytest.fixture(scope="module")
def toy(au_dataset: PreparedDataset, fe_dataset: PreparedDataset) -> Toy:
    return au_dataset.folder, fe_dataset.folder


def fails(make: Callable[[], Exception]) -> Callable[..., None]:
    def fail(*given: object, **named: object) -> None:
        raise make()

    return fail


def refused(capfd: pytest.CaptureFixture[str], *arguments: object) -> str:
    capfd.readouterr()
    assert metafacs(*arguments) == 2
    printed = capfd.readouterr().err
    assert "Traceback" not in printed
    return printed


def test_a_training_step(
    kind: tuple[Callable[[], Exception], str],
    toy: Toy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    make, expected = kind
    monkeypatch.setattr(MAL, "training_step", fails(make))
    printed = refused(capfd, *flags(tmp_path / "run", *toy))
    assert expected in printed
    for flag in ("--mal.checkpointing", "--data.batch_primary"):
        assert flag in printed
    for flag in ("--data.side", "--data.device_cache_gib 0"):
        assert flag in printed


def test_every_flag_that_is_advised_exists(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("train", "evaluate", "detect"):
        assert metafacs(command, "--help") == 0
        helped = capsys.readouterr().out
        wanted = {word.strip("(),:.") for word in memory.advice(command).split() if word.strip("(").startswith("--")}
        assert wanted
        assert all(flag in helped for flag in wanted - {"--resume", "--out"}), (command, wanted)


def test_what_was_saved_before_goes_on(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    step, taken = STL.training_step, []

    def late(self: STL, batch: object) -> dict[str, torch.Tensor]:
        taken.append(1)
        if len(taken) == 6:
            raise torch.OutOfMemoryError(GPU)
        return step(self, batch)  # type: ignore[arg-type]

    assert metafacs(*flags(tmp_path / "whole", toy[0], None, method="stl")) == 0
    with monkeypatch.context() as patched:
        patched.setattr(STL, "training_step", late)
        printed = refused(capfd, *flags(tmp_path / "run", toy[0], None, method="stl"))
    assert "--resume goes on" in printed and (tmp_path / "run" / STATE).exists()
    assert metafacs(*flags(tmp_path / "run", toy[0], None, method="stl"), "--resume") == 0
    assert same_parameters(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("where", ["decoding", "network", "sides"])
def test_other_places_of_training(
    where: str, toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if where == "decoding":
        monkeypatch.setattr(Faces, "decode_all", fails(KINDS["numpy"][0]))
    else:
        monkeypatch.setattr(Network, "to" if where == "network" else "forward", fails(KINDS["torch"][0]))
    printed = refused(capfd, *flags(tmp_path / "run", *toy))
    assert "this machine's memory is used up" in printed and "--data.side" in printed


def test_evaluate_and_detect(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert metafacs(*flags(tmp_path / "run", toy[0], None, method="stl", loop__steps=2)) == 0
    model = save_toy(tmp_path / "toy")
    with monkeypatch.context() as patched:
        patched.setattr(Network, "forward", fails(KINDS["gpu"][0]))
        printed = refused(capfd, "evaluate", tmp_path / "run")
        assert "2.00 GiB" in printed and "--batch" in printed
        patched.setattr(detector, "make_finder", lambda settings: DotFinder())
        save_picture(tmp_path / "face.png", draw([(50, 40)]))
        printed = refused(capfd, "detect", tmp_path / "face.png", "--model", model, "--out", tmp_path / "found.csv")
        assert "2.00 GiB" in printed and "--batch 1" in printed and not (tmp_path / "found.csv").exists()
    assert metafacs("evaluate", tmp_path / "run") == 0


@pytest.mark.slow
def test_a_benchmark_names_the_run_and_the_advice(toy: Toy, launcher: Launcher, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SPOIL_CELLS)
    own = flags(tmp_path / "grid", *toy, method=None, loop__steps=2)[1:]
    before = f"import os; os.environ['PYTHONPATH'] = {str(tmp_path)!r} + ':' + os.environ['PYTHONPATH']"
    arguments = ["benchmark", *own, "--methods", "stl", "--folds", "P1", "--seeds", "0", "--jobs", "1"]
    status, printed = launcher.run(arguments, tmp_path / "log", before)
    assert status == 2 and "Traceback" not in printed, printed
    assert "the GPU's memory is used up: 2.00 GiB more were wanted" in printed and "--data.batch_primary" in printed


@pytest.mark.parametrize("error", [RuntimeError("size mismatch"), OSError(errno.EBUSY, "busy"), ValueError("x")])
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert memory.message("train", error) is None
