"""Losses and parameters that are no longer numbers: training stops with the batch saved."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from metafacs.methods import METHODS, Method, Setup
from metafacs.runs import DETECTOR, STATE
from metafacs.sample import Batch, Sample
from metafacs.tensorfile import read_tensors
from metafacs.training import loop
from metafacs.training.nonfinite import Taken
from tests.commands.test_train_together import PROCESSES, together
from tests.launcher import Launcher
from tests.toy_runs import flags, leftovers, metafacs, same_parameters

Toy = tuple[Path, Path]


@pytest.fixture(scope="module")
def toy(au_dataset: PreparedDataset, fe_dataset: PreparedDataset) -> Toy:
    return au_dataset.folder, fe_dataset.folder


# The loop


class Two(nn.Sequential):
    """A network as far as a method asks."""

    uses_landmarks = False


class Sum(Method):
    """Its parameter is the sum of the numbers of the steps it took, from 1; it spoils what it is asked to."""

    streams = ("primary",)

    def __init__(self, loss: Mapping[int, float] = {}, parameter: Mapping[int, float] = {}) -> None:
        network = Two(nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1))
        nn.init.zeros_(network[1].bias)
        super().__init__(Setup(network, lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.5)))  # type: ignore[arg-type]
        self.loss, self.parameter = loss, parameter

    def training_step(self, batch: Mapping[Any, Any]) -> dict[str, Tensor]:
        step = int(batch["primary"].labels[0, 0])
        self.network.train()(batch["primary"].sample.images + step)
        with torch.no_grad():
            self.network[1].bias += self.parameter.get(step, step)  # type: ignore[index]
        return {"loss_primary": torch.tensor(self.loss.get(step, 1.0 + step))}


def batches(steps: range) -> list[loop.Batches]:
    return [{"primary": Batch(Sample(torch.rand(2, 3, 4, 4)), torch.full((2, 1), float(step + 1)))} for step in steps]


class Hooks(loop.Hooks):
    def __init__(self) -> None:
        self.logged: dict[int, dict[str, float]] = {}
        self.saved: list[int] = []
        self.suspects: list[Taken] = []
        super().__init__(self.logged.__setitem__, lambda step: None, self.saved.append, broken=self.keep)

    def keep(self, taken: Taken) -> str:
        self.suspects.append(taken)
        return "Kept. "


def train(method: Method, steps: int = 12) -> tuple[Hooks, str]:
    hooks, steps_ = Hooks(), range(steps)
    try:
        loop.train(
            method, batches(steps_), steps_, loop.Plan(steps, log_every=3, validate_every=4, save_every=5), hooks
        )
    except InputError as error:
        return hooks, str(error)
    return hooks, ""


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("step", [1, 5, 6, 7, 12])
def test_the_step_whose_loss_was_no_number_is_found(value: float, step: int) -> None:
    hooks, message = train(Sum({step: value, step + 1: math.nan}))
    assert [taken.step + 1 for taken in hooks.suspects] == [step]
    seen = next(later for later in range(step, 13) if not (later % 3 and later % 4 and later % 5))
    assert f"before step {seen}: loss_primary is" in message and "Kept. The last saved state" in message
    assert all(saved < step for saved in hooks.saved)


@pytest.mark.parametrize("step, seen", [(1, 4), (4, 4), (5, 5), (9, 10), (12, 12)])
def test_a_parameter_that_is_no_number_is_not_saved(step: int, seen: int) -> None:
    hooks, message = train(Sum(parameter={step: math.inf}))
    assert f"before step {seen}: a parameter is not a finite number" in message
    assert len(hooks.suspects) == 1 and all(saved < step for saved in hooks.saved)


# The command


def spoiling(patched: pytest.MonkeyPatch, name: str, wrong: set[int], what: str = "loss") -> None:
    """Makes steps (by number, from 1, of the step and not of the call) return NaN, or spoil a parameter."""
    method, train_step = METHODS[name], METHODS[name].training_step
    now: list[int] = []
    taken = loop.learning_rate_factor

    def noted(step: int, *others: Any) -> float:
        now[:] = [step + 1]
        return taken(step, *others)

    def training_step(self: Method, batch: Mapping[Any, Any]) -> dict[str, Tensor]:
        values = train_step(self, batch)
        if now[0] in wrong and what == "parameter":
            with torch.no_grad():
                self.network.au_head.bias.fill_(math.nan)
        return {**values, "loss_primary": torch.tensor(math.nan)} if now[0] in wrong and what == "loss" else values

    patched.setattr(loop, "learning_rate_factor", noted)
    patched.setattr(method, "training_step", training_step)


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def run(*arguments: object) -> tuple[int, str]:
        capfd.readouterr()
        status = metafacs(*arguments)
        printed = capfd.readouterr().err
        assert "Traceback" not in printed
        return status, printed

    return run


@pytest.mark.parametrize(
    "name, what",
    [
        ("stl", "loss"),
        pytest.param("stl", "parameter", marks=pytest.mark.slow),
        pytest.param("mal", "loss", marks=pytest.mark.slow),
    ],
)
def test_training_stops_with_the_batch_saved(
    name: str, what: str, toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    own: dict[str, Any] = {"method": name, "data__cache_gib": 0, "data__workers": 0}
    with monkeypatch.context() as patched:
        spoiling(patched, name, {8}, what)
        status, printed = said(*flags(run, *toy, **own))
    assert status == 2 and "training diverged before step" in printed
    saved = run / "nonfinite_step8.safetensors"
    assert f"The batch of step 8 (rows, images, labels, losses) is in {saved}" in printed
    header, tensors = read_tensors(saved)
    assert header["step"] == 8 and header["state"] == STATE
    assert (header["losses"]["loss_primary"] == "nan") == (what == "loss")
    streams = ["primary", "auxiliary", "meta"] if name == "mal" else ["primary"]
    assert {key.split(".")[0] for key in tensors} == set(streams) == set(header["datasets"])
    rows = tensors["primary.rows"]
    assert tensors["primary.images"].shape == (len(rows), 3, 32, 32) and len(rows) == 6
    dataset = PreparedDataset.open(header["datasets"]["primary"])
    assert np.array_equal(tensors["primary.labels"], dataset.au_labels(dataset.aus)[rows.numpy()], equal_nan=True)
    assert all(tensor.isfinite().all() for tensor in load_file(run / STATE).values())
    assert not (run / DETECTOR).exists() and not leftovers(run)
    assert metafacs(*flags(run, *toy, **own), "--resume") == 0
    assert metafacs(*flags(whole, *toy, **own)) == 0
    assert same_parameters(run, whole)


def test_a_learning_rate_beyond_all_measure(toy: Toy, tmp_path: Path, said: Any) -> None:
    own: dict[str, Any] = {"method": "stl", "optimiser__name": "sgd", "optimiser__learning_rate": 1e30}
    status, printed = said(*flags(tmp_path / "a", toy[0], None, **own))
    assert status == 2 and "training diverged" in printed and "The batch of step" in printed
    assert not (tmp_path / "a" / DETECTOR).exists() and not (tmp_path / "a" / "done").exists()


SPOILT_STEP = """
import math, torch, metafacs.training.loop as loop
from metafacs.methods.stl import STL
now, factor, original = [], loop.learning_rate_factor, STL.training_step
def noted(step, *others):
    now[:] = [step + 1]
    return factor(step, *others)
def training_step(self, batch):
    values = original(self, batch)
    return {**values, "loss_primary": torch.tensor(math.nan)} if now[0] in (6, 7) else values
loop.learning_rate_factor, STL.training_step = noted, training_step
"""
"""In one of the processes only."""


@pytest.mark.slow
def test_processes_stop_together(toy: Toy, launcher: Launcher, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = flags(run, toy[0], None, method="stl")
    ended = together(launcher, [arguments] * PROCESSES, tmp_path / "log", SPOILT_STEP)
    assert all("Traceback" not in printed for _, printed in ended), ended
    assert [status for status, _ in ended] == [2, 2], ended
    assert all("training diverged before step 6: loss_primary is nan" in printed for _, printed in ended)
    rows = [load_file(run / f"nonfinite_step6_process{rank}.safetensors")["primary.rows"] for rank in range(PROCESSES)]
    assert not set(rows[0].tolist()) & set(rows[1].tolist())
    again = together(launcher, [[*arguments, "--resume"]] * PROCESSES, tmp_path / "log")
    assert [status for status, _ in again] == [0, 0], again


def test_a_full_disk_does_not_hide_why_it_stopped(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    import errno

    from metafacs.training import session

    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    spoiling(monkeypatch, "stl", {2}, "loss")
    monkeypatch.setattr(session, "save_batch", full)
    status, printed = said(*flags(tmp_path / "run", toy[0], None, method="stl"))
    assert status == 2 and "Its batch (of step 2) could not be saved (No space left on device)" in printed
    assert "training diverged before step 3: loss_primary is nan" in printed
